"""What a format is given: a part of the documents, their images, and files to write to."""

import io
import json
import tarfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus import Corpus, join
from pipeline.export.pictures import Picture, Pictures
from schemas.corpus import DOCUMENTS
from stages.files import Output, atomic_output

EXTENSIONS = {"jpeg": "jpg"}


class Needs(StrEnum):
    """What a format needs of the images table."""

    NOTHING = "nothing"
    FACTS = "facts"
    BYTES = "bytes"


@dataclass(frozen=True)
class Format(ABC):
    """A layout that others read. Its fields are its options (``--set KEY=VALUE``)."""

    name: ClassVar[str]

    @property
    def needs(self) -> Needs:
        return Needs.FACTS

    @abstractmethod
    def write(self, shard: "Shard") -> None:
        """Writes a shard; what it leaves out it counts in `Shard.counts`."""

    def shares(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Of the counts of all shards, shares that are worth telling."""
        return {}


@dataclass
class Shard:
    """A run of documents in the order of the corpus.

    Attributes:
      number, of: its place among the shards.
      start, stop: numbers of its documents.
      counts: what was written and left out, for the manifest and the user.
      written: the files that are finished.
    """

    corpus: Corpus
    folder: str
    number: int
    of: int
    start: int
    stop: int
    pictures: Pictures
    counts: Counter[str] = field(default_factory=Counter)
    written: list[dict[str, Any]] = field(default_factory=list)

    @property
    def part(self) -> str:
        return f"{self.number:05d}-of-{self.of:05d}"

    def documents(self) -> Iterator[dict[str, Any]]:
        """Rows of the documents table."""
        for row in rows(self.corpus, self.start, self.stop):
            self.counts["documents"] += 1
            yield row

    def picture(self, info: dict[str, Any]) -> Picture | None:
        """What is stored of an entry of `image_info`; None if nothing was fetched."""
        return self.pictures.get(info["image_id"])

    @contextmanager
    def open(self, name: str) -> Iterator[Output]:
        """A new file of the export, there only when the block ends."""
        with atomic_output(join(self.folder, name)) as output:
            yield output
        self.written.append({"path": name, "n_bytes": output.n_bytes, "sha256": output.sha256})

    @contextmanager
    def parquet(self, name: str, schema: pa.Schema) -> Iterator["Rows"]:
        with self.open(name) as output, pq.ParquetWriter(output, schema, **_PARQUET) as writer:
            rows = Rows(writer, schema)
            yield rows
            rows.flush()

    @contextmanager
    def tar(self, name: str) -> Iterator["Tar"]:
        with (
            self.open(name) as output,
            tarfile.open(fileobj=output, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
        ):
            yield Tar(archive)

    def tar_of_images(self, name: str, seen: list[str], folder: str = "") -> None:
        """The images of the ids `seen`, each once, under their `file_name` after `folder`."""
        with self.tar(name) as archive:
            for image_id in dict.fromkeys(seen):
                picture = self.pictures.get(image_id)
                if picture is not None and picture.data is not None:
                    archive.add(folder + file_name(image_id, picture), picture.data)
                    self.counts["images"] += 1


_PARQUET = {"compression": "zstd", "write_page_checksum": True}
_GROUP_BYTES = 32 * 1024 * 1024
_GROUP_ROWS = 1000


class Rows:
    """Rows for a Parquet file, written group by group."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema):
        self._writer, self._schema = writer, schema
        self._held: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any], n_bytes: int = 0) -> None:
        """`n_bytes`: of the images in the row, so that a group does not grow too large."""
        self._held.append(row)
        self._bytes += n_bytes
        if self._bytes >= _GROUP_BYTES or len(self._held) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._held:
            table = pa.Table.from_pylist(self._held, self._schema)
            self._writer.write_table(table, row_group_size=len(self._held))
        self._held, self._bytes = [], 0


class Tar:
    """A tar whose bytes depend on names and contents only."""

    def __init__(self, archive: tarfile.TarFile):
        self._archive = archive

    def add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._archive.addfile(member, io.BytesIO(data))


def rows(corpus: Corpus, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Documents by their numbers; only the row groups that hold them are read."""
    first = 0
    for file in corpus.files("documents"):
        if first + file["rows"] > start and first < stop:
            parquet = corpus.parquet(file)
            at = first
            for group in range(parquet.num_row_groups):
                size = parquet.metadata.row_group(group).num_rows
                if at + size > start and at < stop:
                    table = corpus.row_group(file, parquet, group, DOCUMENTS.names)
                    low, high = max(start - at, 0), min(stop - at, size)
                    for batch in table.slice(low, high - low).to_batches(max_chunksize=256):
                        yield from batch.to_pylist()
                at += size
        first += file["rows"]


def file_name(image_id: str, picture: Picture) -> str:
    return f"{image_id}.{extension(picture.format)}"


def extension(format: str) -> str:
    """What files of a format of images end in."""
    return EXTENSIONS.get(format, format)


def json_line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
