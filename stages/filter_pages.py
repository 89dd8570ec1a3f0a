"""Judges pages before they are parsed; the first rule that objects decides.

In: Page.  Out: kept Page, rejected Rejection, failed Failure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import On, Rule, judge
from schemas.outcome import Rejection
from schemas.page import Page
from stages.doors import Doors, rejected, through_doors

STAGE = "filter_pages"


@dataclass
class FilterPages(beam.PTransform):
    """Applies rules on pages in order.

    Raises:
      ValueError: a rule looks at something else.
    """

    rules: Sequence[Rule]

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule.on is not On.PAGE:
                raise ValueError(f"{STAGE}: {rule.name} looks at a {rule.on}, not at a page")

    def expand(self, pages: PCollection[Page]) -> Doors:
        return through_doors(pages, _Judge(tuple(self.rules)), STAGE)


class _Judge(beam.DoFn):
    def __init__(self, rules: tuple[Rule, ...]):
        self._rules = rules

    def process(self, page: Page) -> Iterable[Page | TaggedOutput[Literal["rejected"], Rejection]]:
        _, objection = judge(self._rules, page)
        yield rejected(page, STAGE, objection) if objection else page
