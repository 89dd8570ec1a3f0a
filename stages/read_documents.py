"""Reads the documents of a finished corpus, to filter, deduplicate and place them anew.

In: WarcFile, Parquet files of a documents table.  Out: Document, as extraction would leave it: what
later stages found out (language, signals, clusters, images, matches) is left behind.

A file or a document that cannot be read is a failure; a page that an opt-out list names is
rejected, as it would have been when it was read from its WARC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Rule, judge
from schemas.corpus import DOCUMENTS, document_of
from schemas.document import Document
from schemas.outcome import Failure, Kind, Rejection
from stages import files
from stages.doors import REJECTED, count_doors, rejected
from stages.inputs import WarcFile

STAGE = "read_documents"
FAILED = "failed"
_COLUMNS = (
    "doc_id", "url", "title", "texts", "images", "roles", "image_info", "date", "author", "site",
    "licence", "crawl_time", "canonical_url", "warc_file", "warc_offset", "warc_length",
)  # fmt: skip
_FAULTS = (OSError, pa.ArrowException, ValueError)


@dataclass
class ReadDocuments(beam.PTransform):
    """Attributes:
    rules: on pages, of which they look at the URL only: lists of opt-outs.
    """

    rules: Sequence[Rule] = ()

    def expand(self, inputs: PCollection[WarcFile]) -> Any:
        """Returns `stages.doors.Doors`; Beam does not know the type and would warn of it."""
        groups = inputs | "Row groups" >> beam.ParDo(_Open()).with_outputs(FAILED, main="groups")
        read = beam.ParDo(_Read(tuple(self.rules))).with_outputs(REJECTED, FAILED, main="kept")
        out = groups.groups | "Spread row groups" >> beam.Reshuffle() | "Read" >> read
        failed = (groups[FAILED], out[FAILED]) | "All failed" >> beam.Flatten()
        return count_doors(out, failed, STAGE)


class _Open(beam.DoFn):
    def process(
        self, file: WarcFile
    ) -> Iterable[tuple[WarcFile, int] | TaggedOutput[Literal["failed"], Failure]]:
        try:
            with files.open_parquet(file.path) as parquet:
                if lacking := set(_COLUMNS) - set(parquet.schema_arrow.names):
                    raise ValueError(f"no documents table: it lacks {', '.join(sorted(lacking))}")
                groups = parquet.num_row_groups
        except _FAULTS as error:
            yield _failure(file, error)
            return
        for group in range(groups):
            yield file, group


class _Read(beam.DoFn):
    def __init__(self, rules: tuple[Rule, ...]):
        self._rules = rules

    def process(
        self, place: tuple[WarcFile, int]
    ) -> Iterable[
        Document
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
    ]:
        file, group = place
        try:
            with files.open_parquet(file.path) as parquet:
                table = parquet.read_row_group(group, columns=list(_COLUMNS))
                rows = table.cast(_schema()).to_pylist()
        except _FAULTS as error:
            yield _failure(file, error)
            return
        for row in rows:
            try:
                document = document_of(row)
            except _FAULTS as error:
                who, url = row["doc_id"] or file.name, row["url"] or ""
                failure = Failure(who, Kind.DOCUMENT, url, STAGE, _say(error), "", file.name)
                yield _failed(failure)
                continue
            _, objection = judge(self._rules, document)
            yield rejected(document, STAGE, objection) if objection else document


def _schema() -> pa.Schema:
    return pa.schema([DOCUMENTS.field(name) for name in _COLUMNS])


def _failure(file: WarcFile, error: Exception) -> TaggedOutput:
    return _failed(Failure(file.name, Kind.FILE, file.path, STAGE, _say(error), "", file.name))


def _failed(failure: Failure) -> TaggedOutput:
    return TaggedOutput(FAILED, failure)


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2_000]
