"""Reads back the rows of a bucket that `write_rows` left.

In: bucket numbers.  Out: dataclass rows, sorted by a column inside a bucket.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from schemas.arrow import arrow_schema, from_row
from stages import files

RESULT = "result.json"
ROWS_A_BATCH = 256


class Bucketed:
    """One table of a committed phase, read bucket by bucket."""

    def __init__(self, directory: str, table: str, row_type: type):
        self._directory = directory
        self._schema = pa.schema([pa.field("bucket", pa.int32()), *arrow_schema(row_type)])
        self._row_type = row_type
        self._segments: dict[int, list[tuple[str, int]]] = defaultdict(list)
        result = json.loads(files.read_bytes(files.join(directory, RESULT)))
        for file in result["files"]:
            if file["table"] == table:
                for segment in file["segments"]:
                    self._segments[segment["bucket"]].append((file["path"], segment["row_group"]))

    def table(self, bucket: int, sort_by: str | None = None) -> pa.Table:
        """The rows of a bucket, of all files."""
        parts = [
            files.open_parquet(files.join(self._directory, path)).read_row_group(row_group)
            for path, row_group in sorted(self._segments.get(bucket, []))
        ]
        table = pa.concat_tables([self._schema.empty_table(), *parts])
        return table.sort_by(sort_by) if sort_by else table

    def rows(self, bucket: int, sort_by: str | None = None) -> Iterator[Any]:
        """The rows of a bucket as instances of the row type."""
        for batch in self.table(bucket, sort_by).to_batches(max_chunksize=ROWS_A_BATCH):
            for row in batch.to_pylist():
                yield from_row(self._row_type, row)


@dataclass
class ReadRows(beam.PTransform):
    """Reads the buckets of `table` that the phase in `directory` committed."""

    table: str
    directory: str
    row_type: type
    sort_by: str | None = None

    def __post_init__(self):
        super().__init__(f"Read {self.table}")

    def expand(self, buckets: PCollection[int]) -> PCollection:
        read = beam.ParDo(_Read(self.directory, self.table, self.row_type, self.sort_by))
        return buckets | "Read" >> read.with_output_types(self.row_type)


class _Read(beam.DoFn):
    def __init__(self, directory: str, table: str, row_type: type, sort_by: str | None):
        self._spec = (directory, table, row_type)
        self._sort_by = sort_by

    def setup(self):
        self._rows = Bucketed(*self._spec)

    def process(self, bucket: int) -> Iterable[Any]:
        yield from self._rows.rows(bucket, self._sort_by)
