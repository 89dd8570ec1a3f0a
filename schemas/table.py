"""What a phase writes: files of rows, cut into segments by bucket."""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Segment:
    """The rows of one bucket in one file: one Parquet row group."""

    bucket: int
    row_group: int
    rows: int


@dataclass(frozen=True)
class WrittenFile:
    """A finished file. `path` is relative to the folder of its phase (or of the corpus)."""

    table: str
    path: str
    rows: int
    n_bytes: int
    sha256: str
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class ImageVerdict:
    """What became of a distinct image URL, for the documents of one bucket.

    Exactly one of `record` fields or `rule` and `reason` is set; see `schemas.image.ImageRecord`.
    """

    url: str
    rule: str = ""
    reason: str = ""


def field(name: str, kind: pa.DataType, about: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, {"description": about})
