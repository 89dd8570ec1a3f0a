"""Writes the shards of the corpus from the rows that were gathered in buckets on disk.

In: WrittenFile of one bucketed table.  Out: WrittenFile of the corpus, one for each bucket.

A shard holds the rows of a bucket in a fixed order, so its bytes do not depend on the runner, the
number of workers or the order of arrival.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection

from schemas.arrow import from_row
from schemas.corpus import (
    DOCUMENTS,
    FAILED,
    IMAGES,
    REJECTED,
    SIGNATURES,
    document_row,
    image_row,
)
from schemas.dedup import Removal, Signature
from schemas.document import PlacedDocument
from schemas.image import ImageRecord
from schemas.table import WrittenFile
from stages import files
from stages.read_rows import Bucketed
from stages.store_images import read_stored

ROW_GROUP_BYTES = 8 << 20
ROW_GROUP_ROWS = 1_000
ROWS_A_BATCH = 64
TOKEN = re.compile(r"\w+|[^\w\s]")

Rows = Callable[[pa.Table], Iterator[dict[str, Any]]]


def document_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows of placed documents, sorted by id, as rows of the documents table."""
    for row in _sorted_rows(table, "document.doc_id"):
        placed = from_row(PlacedDocument, row)
        yield document_row(placed, len(TOKEN.findall(placed.document.text)))


@dataclass(frozen=True)
class ImageRows:
    """Rows of shown images, sorted by id, as rows of the images table.

    Attributes:
      store: folder of the image store.
      with_bytes, with_features: whether the table carries them.
    """

    store: str
    with_bytes: bool = True
    with_features: bool = True

    def __call__(self, table: pa.Table) -> Iterator[dict[str, Any]]:
        rows = (from_row(ImageRecord, row) for row in _sorted_rows(table, "image_id", "url"))
        distinct = (list(same) for _, same in groupby(rows, key=lambda r: r.image_id))
        for some in _batches(distinct, ROWS_A_BATCH):
            data = self._bytes([same[0] for same in some])
            for same, content in zip(some, data, strict=True):
                urls = sorted({record.url for record in same})
                clip = same[0].clip if self.with_features else b""
                feature = np.frombuffer(clip, "<f4").astype(np.float16)
                yield image_row(same[0], urls, content, feature)

    def _bytes(self, records: list[ImageRecord]) -> list[bytes | None]:
        data: list[bytes | None] = [None] * len(records)
        if self.with_bytes:
            by_file = sorted(range(len(records)), key=lambda i: records[i].store_file)
            for file, some in groupby(by_file, key=lambda i: records[i].store_file):
                indices = list(some)
                stored = read_stored(self.store, file, [records[i].store_row for i in indices])
                for index, content in zip(indices, stored, strict=True):
                    data[index] = content
        return data


def outcome_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rejections or failures in a fixed order."""
    table = table.drop_columns(["bucket"])
    yield from table.sort_by([(name, "ascending") for name in table.column_names]).to_pylist()


@dataclass(frozen=True)
class SignatureRows:
    """Signatures of the documents of the corpus and of the copies that were removed for others.

    Attributes:
      dedup: folder of the phase that made them.
    """

    dedup: str

    def __call__(self, published: list[pa.Table], bucket: int) -> Iterator[dict[str, Any]]:
        kept = {doc_id for table in published for doc_id in table["doc_id"].to_pylist()}
        removals = Bucketed(self.dedup, "removals", Removal).rows(bucket)
        survivors = {row.doc_id: row.survivor_id for row in removals if row.survivor_id}
        table = Bucketed(self.dedup, "signatures", Signature).table(bucket, sort_by="doc_id")
        for batch in table.drop_columns(["bucket"]).to_batches(max_chunksize=ROWS_A_BATCH):
            for row in batch.to_pylist():
                if row["doc_id"] in kept or row["doc_id"] in survivors:
                    yield row | {"survivor_id": survivors.get(row["doc_id"], "")}


@dataclass(frozen=True)
class ShardTable:
    """How one table of the corpus is made.

    Attributes:
      name: folder in the corpus.
      schema: of the shards.
      rows: turns the gathered rows of a bucket into the shard's, in order; those of signatures also
        in a bucket where nothing was gathered.
      uncompressed: columns that do not shrink, such as the bytes of images.
    """

    name: str
    schema: pa.Schema
    rows: Rows | SignatureRows
    uncompressed: tuple[str, ...] = ()


def documents_table() -> ShardTable:
    return ShardTable("documents", DOCUMENTS, document_rows)


def images_table(rows: ImageRows) -> ShardTable:
    return ShardTable("images", IMAGES, rows, uncompressed=("bytes",))


def signatures_table(dedup: str) -> ShardTable:
    return ShardTable("signatures", SIGNATURES, SignatureRows(dedup), ("bands", "sketch"))


def rejected_table() -> ShardTable:
    return ShardTable("rejected", REJECTED, outcome_rows)


def failed_table() -> ShardTable:
    return ShardTable("failed", FAILED, outcome_rows)


@dataclass
class WriteShards(beam.PTransform):
    """Writes `OUT/<table>/part-<k>-of-<n>.parquet`, one for each bucket, empty ones included.

    Attributes:
      gathered: folder below which the files of the input lie.
      row_type: of the gathered rows.
      earlier: folders of committed phases whose table of the same name goes into the shards too.
    """

    table: ShardTable
    output: str
    gathered: str
    row_type: type
    buckets: int
    earlier: tuple[str, ...] = ()

    def __post_init__(self):
        super().__init__(f"Shard {self.table.name}")

    def expand(self, written: PCollection[WrittenFile]) -> PCollection[WrittenFile]:
        # Every bucket gets a marker, so that each has a shard and a table is never without files.
        markers = (
            written.pipeline
            | "Buckets" >> beam.Create(range(self.buckets))
            | "Mark" >> beam.Map(lambda bucket: (str(bucket), ("", 0)))
        )
        segments = written | "Segments" >> beam.FlatMap(_segments)
        return (
            (markers, segments)
            | "All segments" >> beam.Flatten()
            | "By bucket" >> beam.GroupByKey()
            | "Write shard" >> beam.ParDo(_WriteShard(self)).with_output_types(WrittenFile)
        )


def _segments(file: WrittenFile) -> Iterator[tuple[str, tuple[str, int]]]:
    for segment in file.segments:
        yield str(segment.bucket), (file.path, segment.row_group)


class _WriteShard(beam.DoFn):
    def __init__(self, spec: WriteShards):
        self._table = spec.table
        self._output = spec.output
        self._gathered = spec.gathered
        self._row_type = spec.row_type
        self._buckets = spec.buckets
        self._earlier = spec.earlier

    def setup(self):
        self._stored = [Bucketed(e, self._table.name, self._row_type) for e in self._earlier]

    def process(self, keyed: tuple[str, Iterable[tuple[str, int]]]) -> Iterable[WrittenFile]:
        bucket = int(keyed[0])
        parts = [
            files.open_parquet(files.join(self._gathered, path)).read_row_group(row_group)
            for path, row_group in sorted(keyed[1])
            if path
        ]
        parts += [stored.table(bucket) for stored in self._stored]
        make = self._table.rows
        if isinstance(make, SignatureRows):
            rows = make(parts, bucket)
        else:
            rows = make(pa.concat_tables(parts)) if parts else iter(())
        name = f"{self._table.name}/part-{bucket:05d}-of-{self._buckets:05d}.parquet"
        with files.atomic_output(files.join(self._output, name)) as output:
            count = write_table(output, self._table, rows)
        yield WrittenFile(self._table.name, name, count, output.n_bytes, output.sha256)


def write_table(output: Any, table: ShardTable, rows: Iterator[dict[str, Any]]) -> int:
    """Writes row groups bounded in bytes and rows; returns the number of rows."""
    # Image bytes are compressed already: zstd costs 40 % of the rows a second and gains nothing.
    compression = {name: "none" for name in table.uncompressed}
    columns = [path for field in table.schema for path in _leaves(field.name, field.type)]
    options: dict[str, Any] = {
        "compression": {path: compression.get(path, "zstd") for path in columns},
        "compression_level": {p: 3 for p in columns if p not in compression},
        "use_dictionary": [path for path in columns if path not in compression],
        "write_page_index": True,
    }
    held: list[pa.RecordBatch] = []
    count = 0
    with pq.ParquetWriter(output, table.schema, **options) as writer:
        for some in _batches(rows, ROWS_A_BATCH):
            held.append(pa.RecordBatch.from_pylist(some, schema=table.schema))
            count += len(some)
            size, length = sum(b.nbytes for b in held), sum(b.num_rows for b in held)
            if size >= ROW_GROUP_BYTES or length >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held), row_group_size=length)
                held = []
        if held:
            length = sum(b.num_rows for b in held)
            writer.write_table(pa.Table.from_batches(held), row_group_size=length)
    return count


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Parquet's names of the columns below a field."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path


def _sorted_rows(table: pa.Table, *paths: str) -> Iterator[dict[str, Any]]:
    keys = [table.column(path.split(".")[0]) for path in paths]
    for position, path in enumerate(paths):
        for name in path.split(".")[1:]:
            keys[position] = pa.chunked_array(
                [chunk.field(name) for chunk in keys[position].chunks] or [[]], pa.string()
            )
    order = pa.table({str(i): key for i, key in enumerate(keys)})
    indices = pa.compute.sort_indices(order, [(name, "ascending") for name in order.column_names])
    for batch in table.take(indices).to_batches(max_chunksize=ROWS_A_BATCH):
        yield from batch.to_pylist()


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
