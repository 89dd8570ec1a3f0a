"""Rejects pages that the crawler cut short.

Source: WARC 1.1 (ISO 28500), section 5.13: the reasons length, time, disconnect, unspecified.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.page import Page


class Reason(StrEnum):
    TRUNCATED = "truncated"


@register(On.PAGE)
@dataclass(frozen=True)
class Truncated:
    """The score is 1 for a page that is cut short, else 0; the detail is the crawler's reason.

    Attributes:
      allowed: reasons to keep a page all the same.
    """

    name: ClassVar[str] = "truncated"

    allowed: tuple[str, ...] = ()

    def score(self, page: Page) -> Score:
        return Score(float(bool(page.truncated)), page.truncated)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TRUNCATED if score.value and score.detail not in self.allowed else None
