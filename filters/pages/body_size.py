"""Rejects pages too small to hold an article, or too large to parse.

Source: own choice. Parsing time grows with size, and pages of many megabytes are listings and data.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.page import Page


class Reason(StrEnum):
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"


@register(On.PAGE)
@dataclass(frozen=True)
class BodySize:
    """Inclusive bounds, in bytes after the transfer and content coding were undone."""

    name: ClassVar[str] = "body_size"

    min_bytes: int = 256
    max_bytes: int = 5_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.min_bytes <= self.max_bytes:
            raise ValueError(f"body_size: bad range {self.min_bytes}..{self.max_bytes}")

    def score(self, page: Page) -> Score:
        return Score(len(page.body))

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_bytes:
            return Reason.TOO_SMALL
        if score.value > self.max_bytes:
            return Reason.TOO_LARGE
        return None
