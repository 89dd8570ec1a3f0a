"""Ends a phase: counts what went through its doors and lists the files it wrote.

In: the collections noted on a `Ledger`.  Out: `result.json` in the folder of the phase, written
last and by rename, so that a phase that was killed has none.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.outcome import Door, Failure, Kind, Rejection, Tally
from schemas.table import WrittenFile
from stages import files
from stages.doors import identify
from stages.read_rows import RESULT
from stages.write_rows import WriteRows


@dataclass
class Ledger:
    """Notes what a phase's stages let in and out, so that every element is accounted for.

    Counts are data, not metrics: the Spark runner reports no metrics, and a retried bundle would
    count twice.
    """

    pipeline: beam.Pipeline
    directory: str
    buckets: int
    _counts: list[PCollection] = field(default_factory=list)
    _rejected: list[PCollection] = field(default_factory=list)
    _failed: list[PCollection] = field(default_factory=list)
    _files: list[PCollection] = field(default_factory=list)

    def entered(self, stage: str, elements: PCollection) -> PCollection:
        """Counts what goes into a stage; returns the elements."""
        return self._count(stage, Door.ENTERED, elements)

    def left(self, stage: str, doors: Any, *more: str) -> Any:
        """Notes the three doors of a stage and the rejections on further outputs, e.g. nodes."""
        self._count(stage, Door.KEPT, doors.kept)
        self._rejected += [doors.rejected, *(getattr(doors, name) for name in more)]
        self._failed.append(doors.failed)
        return doors

    def wrote(self, written: PCollection[WrittenFile]) -> None:
        self._files.append(written)

    def commit(self) -> None:
        """Writes the rejected and failed rows and, when all is written, the result."""
        outcomes = (("rejected", Rejection, self._rejected), ("failed", Failure, self._failed))
        for table, row_type, collections in outcomes:
            if not collections:
                continue
            rows = collections | f"All {table}" >> beam.Flatten()
            self._counts.append(rows | f"Key {table}" >> beam.Map(_outcome_key, table))
            self.wrote(rows | WriteRows(table, self.directory, row_type, _element_id, self.buckets))
        tallies = (
            self._counts
            | "All counts" >> beam.Flatten()
            | "Sum counts" >> beam.CombinePerKey(sum)
            | "To tallies" >> beam.MapTuple(_to_tally)
        )
        _ = (
            (*self._files, tallies)
            | "All results" >> beam.Flatten()
            | "To one worker" >> beam.Map(lambda result: ("", result))
            | "Gather results" >> beam.GroupByKey()
            | "Write result" >> beam.Map(_write_result, self.directory)
        )

    def _count(self, stage: str, door: str, elements: PCollection) -> PCollection:
        keys = elements | f"Key {stage} {door}" >> beam.Map(_stage_key, stage, door)
        self._counts.append(keys)
        return elements


def _stage_key(element: Any, stage: str, door: str) -> tuple[str, int]:
    kind = Kind.DOCUMENT if isinstance(element, str) else identify(element).kind
    return f"{stage}\t{kind}\t{door}", 1


def _outcome_key(outcome: Any, door: str) -> tuple[str, int]:
    return f"{outcome.stage}\t{outcome.kind}\t{door}", 1


def _to_tally(key: str, count: int) -> Tally:
    stage, kind, door = key.split("\t")
    return Tally(stage, Kind(kind), Door(door), count)


def _element_id(outcome: Any) -> str:
    return outcome.element_id


def _write_result(gathered: tuple[str, Iterable[Any]], directory: str) -> None:
    written: list[dict[str, Any]] = []
    tallies: list[dict[str, Any]] = []
    for result in gathered[1]:
        (written if isinstance(result, WrittenFile) else tallies).append(dataclasses.asdict(result))
    written.sort(key=lambda file: (file["table"], file["path"]))
    tallies.sort(key=lambda tally: (tally["stage"], tally["kind"], tally["door"]))
    content = json.dumps({"files": written, "tallies": tallies}, indent=1)
    files.write_atomically(files.join(directory, RESULT), content.encode())
