"""Rejects pages of an HTTP status that is not success.

Source: RFC 9110, section 15: only a 200 response carries a representation of the page asked for.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.page import Page


class Reason(StrEnum):
    UNWANTED = "unwanted"


@register(On.PAGE)
@dataclass(frozen=True)
class Status:
    """The score is the status code."""

    name: ClassVar[str] = "status"

    allowed: tuple[int, ...] = (200,)

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ValueError("status: no status is allowed")

    def score(self, page: Page) -> Score:
        return Score(page.status)

    def judge(self, score: Score) -> Reason | None:
        return None if score.value in self.allowed else Reason.UNWANTED
