"""Ends a phase: counts what went through its doors and lists the files it wrote.

In: the collections noted on a `Ledger`.  Out: `result.json` in the folder of the phase, written
last and by rename, so that a phase that was killed has none.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.outcome import Door, Failure, Kind, Rejection, Tally
from schemas.table import WrittenFile
from stages import files
from stages.doors import at_bundle_end, identify
from stages.progress import note, open_progress
from stages.read_rows import RESULT
from stages.write_rows import WriteRows

OUTCOME_BYTES = 4 << 20


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
    _shards: list[PCollection] = field(default_factory=list)
    _outcomes: dict[str, PCollection[WrittenFile]] = field(default_factory=dict)

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

    def published(self, written: PCollection[WrittenFile]) -> None:
        """Notes shards of the corpus itself."""
        self._shards.append(written)

    def outcomes(self) -> dict[str, PCollection[WrittenFile]]:
        """Writes the rejected and failed rows that were noted so far, once."""
        if not self._outcomes:
            for table, row_type, collections in (
                ("rejected", Rejection, self._rejected),
                ("failed", Failure, self._failed),
            ):
                # A writer for each: runners keep what is flattened before it in memory.
                written = [
                    self._write_outcomes(f"{table} {i}", table, row_type, rows)
                    for i, rows in enumerate(collections)
                ]
                none = self.pipeline | f"No {table} file" >> beam.Create([])
                flat = (none, *written) | f"All {table} files" >> beam.Flatten()
                self._outcomes[table] = flat
                self.wrote(flat)
        return self._outcomes

    def _write_outcomes(
        self, label: str, table: str, row_type: type, rows: PCollection
    ) -> PCollection[WrittenFile]:
        count = beam.ParDo(_Count(_outcome_key, self.directory, table))
        self._counts.append(rows | f"Count {label}" >> count)
        writer = WriteRows(
            table, self.directory, row_type, _element_id, self.buckets, OUTCOME_BYTES
        )
        return rows | f"Write {label}" >> writer

    def commit(self) -> None:
        """Writes the result when all else is written."""
        self.outcomes()
        tallies = (
            (self.pipeline | "No count" >> beam.Create([]), *self._counts)
            | "All counts" >> beam.Flatten()
            | "Sum counts" >> beam.CombinePerKey(sum)
            | "To tallies" >> beam.MapTuple(_to_tally)
        )
        shards = [
            written | f"Note shards {i}" >> beam.Map(lambda file: ("corpus", file))
            for i, written in enumerate(self._shards)
        ]
        files_and_tallies = (
            (*self._files, tallies)
            | "All files and tallies" >> beam.Flatten()
            | "Note" >> beam.Map(lambda result: ("phase", result))
        )
        # Without it a phase that nothing entered would have no result.
        start = self.pipeline | "Start result" >> beam.Create([("phase", None)])
        _ = (
            (*shards, files_and_tallies, start)
            | "All results" >> beam.Flatten()
            | "To one worker" >> beam.Map(lambda result: ("", result))
            | "Gather results" >> beam.GroupByKey()
            | "Write result" >> beam.Map(_write_result, self.directory)
        )

    def _count(self, stage: str, door: str, elements: PCollection) -> PCollection:
        count = beam.ParDo(_Count(_stage_key, self.directory, stage, door))
        self._counts.append(elements | f"Count {stage} {door}" >> count)
        return elements


class _Count(beam.DoFn):
    """Counts elements by a key; one pair for each key and bundle leaves it."""

    def __init__(self, key: Callable[..., str], directory: str, *arguments: str):
        self._key = key
        self._directory = directory
        self._arguments = arguments

    def start_bundle(self):
        self._counter: Counter[str] = Counter()
        open_progress(self._directory)

    def process(self, element: Any) -> Iterable[tuple[str, int]]:
        key = self._key(element, *self._arguments)
        self._counter[key] += 1
        note(key)
        return ()

    def finish_bundle(self) -> Iterable[Any]:
        yield from at_bundle_end(self._counter.items())


def _stage_key(element: Any, stage: str, door: str) -> str:
    kind = Kind.DOCUMENT if isinstance(element, str) else identify(element).kind
    return f"{stage}\t{kind}\t{door}"


def _outcome_key(outcome: Any, door: str) -> str:
    return f"{outcome.stage}\t{outcome.kind}\t{door}"


def _to_tally(key: str, count: int) -> Tally:
    stage, kind, door = key.split("\t")
    return Tally(stage, Kind(kind), Door(door), count)


def _element_id(outcome: Any) -> str:
    return outcome.element_id


def _write_result(gathered: tuple[str, Iterable[tuple[str, Any]]], directory: str) -> None:
    result: dict[str, list[dict[str, Any]]] = {"files": [], "corpus": [], "tallies": []}
    for place, noted in gathered[1]:
        if noted is None:
            continue
        row = dataclasses.asdict(noted)
        if isinstance(noted, Tally):
            result["tallies"].append(row)
        else:
            result["corpus" if place == "corpus" else "files"].append(row)
    for rows in result.values():
        rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    files.write_atomically(files.join(directory, RESULT), json.dumps(result, indent=1).encode())
