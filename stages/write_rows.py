"""Writes dataclass rows to Parquet files, cut by bucket: a shuffle through disk.

In: any dataclass of `schemas`.  Out: WrittenFile.

A runner's shuffle holds about four times the payload in memory (facts measured on the local
runner) and may compute a collection twice; this writes each row once, holds one buffer, and the
next phase reads the segments of a bucket from wherever they lie. Only files that are listed in
a committed result count, so what a retried bundle leaves behind is never read.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection

from schemas.arrow import arrow_schema, to_row
from schemas.table import Segment, WrittenFile
from stages import files
from stages.doors import at_bundle_end

ROWS_A_BATCH = 256


def bucket_of(key: str, buckets: int) -> int:
    """The bucket of a key, the same on every machine."""
    digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) % buckets


@dataclass
class WriteRows(beam.PTransform):
    """Writes rows of `row_type` under `directory`/`table`, in `buckets` by `key(row)`.

    A file is closed when about `max_bytes` of Arrow data are held; writing it takes about
    four times as much, which is what a worker needs for each table.
    """

    table: str
    directory: str
    row_type: type
    key: Callable[[Any], str]
    buckets: int = 1
    max_bytes: int = 8 << 20

    def __post_init__(self):
        super().__init__(f"Write {self.table}")

    def expand(self, rows: PCollection) -> PCollection[WrittenFile]:
        return rows | "Write" >> beam.ParDo(_Write(self)).with_output_types(WrittenFile)


class _Write(beam.DoFn):
    def __init__(self, spec: WriteRows):
        self._table = spec.table
        self._directory = spec.directory
        self._row_type = spec.row_type
        self._key = spec.key
        self._buckets = spec.buckets
        self._max_bytes = spec.max_bytes

    def start_bundle(self):
        self._schema = pa.schema([pa.field("bucket", pa.int32()), *arrow_schema(self._row_type)])
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []

    def process(self, element: Any) -> Iterable[WrittenFile]:
        row = to_row(element)
        row["bucket"] = bucket_of(self._key(element), self._buckets)
        self._rows.append(row)
        if len(self._rows) >= ROWS_A_BATCH:
            self._seal()
            if sum(batch.nbytes for batch in self._batches) >= self._max_bytes:
                yield self._flush()

    def finish_bundle(self) -> Iterable[Any]:
        self._seal()
        if self._batches:
            yield from at_bundle_end([self._flush()])

    def _seal(self) -> None:
        if self._rows:
            self._batches.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def _flush(self) -> WrittenFile:
        table = pa.Table.from_batches(self._batches)
        self._batches = []
        order = pc.sort_indices(table, sort_keys=[("bucket", "ascending")])
        buckets = table["bucket"].take(order)
        counts = buckets.value_counts().to_pylist()
        segments, start = [], 0

        def write(writer):
            nonlocal start
            for row_group, count in enumerate(counts):
                part = table.take(order.slice(start, count["counts"]))
                writer.write_table(part, row_group_size=max(1, part.num_rows))
                segments.append(Segment(count["values"], row_group, count["counts"]))
                start += count["counts"]

        content = files.parquet_bytes(write, self._schema, compression="zstd")
        sha256 = hashlib.sha256(content).hexdigest()
        # Named by content: a retried bundle writes the same file again, not another one.
        path = f"{self._table}/{sha256[:24]}.parquet"
        files.write_atomically(files.join(self._directory, path), content)
        return WrittenFile(self._table, path, table.num_rows, len(content), sha256, tuple(segments))
