"""Judges documents, or placed documents; the first rule that objects decides.

In: Document or PlacedDocument.  Out: kept, with the scores added to the document's signals;
rejected Rejection, failed Failure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import On, Rule, judge
from schemas.document import Document, PlacedDocument, Signal
from schemas.outcome import Rejection
from stages.doors import Doors, rejected, through_doors

STAGE = "filter_documents"


@dataclass
class FilterDocuments(beam.PTransform):
    """Applies rules in order, all on documents or all on placed documents.

    Attributes:
      stage: the name under which elements are counted and rejected.

    Raises:
      ValueError: the rules look at different things, or at what is neither.
    """

    rules: Sequence[Rule]
    stage: str = STAGE
    on: On = On.DOCUMENT

    def __post_init__(self) -> None:
        if self.on not in (On.DOCUMENT, On.PLACED):
            raise ValueError(f"{self.stage}: {self.on} is neither document nor placed")
        for rule in self.rules:
            if rule.on is not self.on:
                raise ValueError(f"{self.stage}: {rule.name} looks at {rule.on}, not {self.on}")

    def expand(self, documents: PCollection) -> Doors:
        fn = _JudgeDocuments if self.on is On.DOCUMENT else _JudgePlaced
        return through_doors(documents, fn(tuple(self.rules), self.stage), self.stage)


class _JudgeDocuments(beam.DoFn):
    def __init__(self, rules: tuple[Rule, ...], stage: str):
        self._rules = rules
        self._stage = stage

    def process(
        self, document: Document
    ) -> Iterable[Document | TaggedOutput[Literal["rejected"], Rejection]]:
        signals, objection = judge(self._rules, document)
        if objection:
            yield rejected(document, self._stage, objection)
        else:
            yield _add(document, signals)


class _JudgePlaced(beam.DoFn):
    def __init__(self, rules: tuple[Rule, ...], stage: str):
        self._rules = rules
        self._stage = stage

    def process(
        self, placed: PlacedDocument
    ) -> Iterable[PlacedDocument | TaggedOutput[Literal["rejected"], Rejection]]:
        signals, objection = judge(self._rules, placed)
        if objection:
            yield rejected(placed, self._stage, objection)
        else:
            yield replace(placed, document=_add(placed.document, signals))


def _add(document: Document, signals: tuple[Signal, ...]) -> Document:
    return replace(document, signals=document.signals + signals)
