"""What a phase writes: files of rows, cut into segments by bucket."""

from dataclasses import dataclass


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
