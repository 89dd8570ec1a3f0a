"""Writes the bytes of kept images to an image store and lets their records go on without them.

In: GatheredImage.  Out: ImageRecord that says in which file and row its bytes lie.

The store is a folder of Parquet files, each row an image. Within a bundle equal bytes are written
once. A file is named by what it holds, so a retried bundle writes the same file again. Writing has
no failed door: where a file cannot be written the bundle fails, and the runner tries it again.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection

from schemas.image import ImageRecord
from stages.doors import at_bundle_end
from stages.files import atomic_output, join, open_parquet
from stages.imaging.elements import GatheredImage

STAGE = "store_images"
STORE = "store"  # the folder of the store in that of its phase
SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("n_bytes", pa.int64(), nullable=False),
        pa.field("clip", pa.binary(), nullable=False),
        pa.field("luma", pa.binary(), nullable=False),
        pa.field("data", pa.binary(), nullable=False),
    ]
)
# Pictures are compressed already, and no two rows are equal.
_OPTIONS = {
    "compression": {
        "image_id": "zstd",
        "url": "zstd",
        "n_bytes": "zstd",
        "clip": "none",
        "luma": "zstd",
        "data": "none",
    },
    "use_dictionary": False,
    "write_statistics": ["image_id"],
}
_GROUP_BYTES = 8 * 1024 * 1024


class Stored(NamedTuple):
    kept: PCollection[ImageRecord]


@dataclass
class StoreImages(beam.PTransform):
    """Attributes:
    directory: folder of the store, on any filesystem that Beam knows.
    file_bytes: a file is closed once it holds so many bytes of images.
    """

    directory: str
    file_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.file_bytes < 1:
            raise ValueError(f"store_images: file_bytes is {self.file_bytes}, below 1")

    def expand(self, images: PCollection[GatheredImage]) -> Any:
        """Returns `Stored`; Beam does not know the type and would warn of it."""
        return Stored(images | "Write" >> beam.ParDo(_Write(self.directory, self.file_bytes)))


class _Write(beam.DoFn):
    def __init__(self, directory: str, file_bytes: int):
        self._directory = directory
        self._file_bytes = file_bytes

    def start_bundle(self) -> None:
        self._stored: dict[_Key, tuple[str, int]] = {}  # -> file, row
        self._open()

    def _open(self) -> None:
        self._rows: dict[_Key, GatheredImage] = {}  # -> the image that brought the bytes
        self._waiting: list[ImageRecord] = []
        self._bytes = 0

    def process(self, image: GatheredImage) -> Iterable[ImageRecord]:
        key = _key(image.record)
        if place := self._stored.get(key):
            yield self._kept(image.record, place)
            return
        self._waiting.append(image.record)
        if key in self._rows:
            return
        self._rows[key] = replace(image, pixels=None)
        self._bytes += len(image.data)
        if self._bytes >= self._file_bytes:
            yield from self._close()

    def finish_bundle(self) -> Iterable[Any]:
        yield from at_bundle_end(self._close())

    def _close(self) -> list[ImageRecord]:
        if not self._rows:
            return []
        name = write_images(self._directory, list(self._rows.values()))
        self._stored.update({key: (name, row) for row, key in enumerate(self._rows)})
        Metrics.counter(STAGE, "files").inc()
        Metrics.counter(STAGE, "bytes").inc(self._bytes)
        records = [self._kept(record, self._stored[_key(record)]) for record in self._waiting]
        self._open()
        return records

    def _kept(self, record: ImageRecord, place: tuple[str, int]) -> ImageRecord:
        Metrics.counter(STAGE, "kept").inc()
        file, row = place
        # They lie beside the bytes: they are most of a record, and records are shuffled.
        return replace(record, clip=b"", luma=b"", store_file=file, store_row=row)


# What a row holds. Pictures that differ a little may be encoded to the same bytes; then each has
# the features of its own.
_Key = tuple[str, bytes, bytes]


def _key(record: ImageRecord) -> _Key:
    return record.image_id, record.clip, record.luma


def write_images(directory: str, images: Sequence[GatheredImage]) -> str:
    """Writes one file of the store.

    Returns:
      Its name, a hash of the rows in order.
    """
    named = hashlib.sha256()
    for image in images:
        named.update(f"{image.record.image_id} {image.record.url}\n".encode(errors="replace"))
    name = f"{named.hexdigest()[:32]}.parquet"

    path = join(directory, name)
    with atomic_output(path) as output, pq.ParquetWriter(output, SCHEMA, **_OPTIONS) as writer:
        group: list[GatheredImage] = []
        size = 0
        for image in images:
            group.append(image)
            size += len(image.data)
            if size >= _GROUP_BYTES:
                writer.write_batch(_batch(group))
                group, size = [], 0
        if group:
            writer.write_batch(_batch(group))
    return name


def _batch(images: Sequence[GatheredImage]) -> pa.RecordBatch:
    records = [image.record for image in images]
    columns = [
        [record.image_id for record in records],
        [record.url.encode("utf-8", "replace").decode("utf-8") for record in records],
        [record.n_bytes for record in records],
        [record.clip for record in records],
        [record.luma for record in records],
        [image.data for image in images],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def read_stored(
    directory: str, file: str, rows: Sequence[int], column: Literal["data", "clip", "luma"] = "data"
) -> list[bytes]:
    """The bytes, CLIP features or thumbnails of rows of a file of the store, in the order asked
    for; only the row groups that hold them are read.

    Raises:
      IndexError: the file has no such row.
    """
    wanted = set(rows)
    found: dict[int, bytes] = {}
    with open_parquet(join(directory, file)) as store:
        start = 0
        for group in range(store.num_row_groups):
            size = store.metadata.row_group(group).num_rows
            if here := sorted(row for row in wanted if start <= row < start + size):
                data = store.read_row_group(group, columns=[column]).column(column)
                found.update({row: data[row - start].as_py() for row in here})
            start += size
    if missing := sorted(wanted - found.keys()):
        raise IndexError(f"{file} has {start} rows, row {missing[0]} was asked for")
    return [found[row] for row in rows]
