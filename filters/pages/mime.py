"""Rejects what is not a hypertext page.

Source: WHATWG HTML, section 2.1 (text/html and application/xhtml+xml are the types of HTML
documents).
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
class Mime:
    """The score is 1 for an allowed media type, else 0; the detail is the type."""

    name: ClassVar[str] = "mime"

    allowed: tuple[str, ...] = ("text/html", "application/xhtml+xml")

    def __post_init__(self) -> None:
        if not self.allowed:
            raise ValueError("mime: no media type is allowed")

    def score(self, page: Page) -> Score:
        return Score(float(page.mime in self.allowed), page.mime)

    def judge(self, score: Score) -> Reason | None:
        return None if score.value else Reason.UNWANTED
