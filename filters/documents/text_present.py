"""Rejects documents without text, which are galleries and not interleaved.

Source: OBELICS, build_obelics/10_final_cleaning.py:47-93: at least one text and one image.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import Document


class Reason(StrEnum):
    TOO_SHORT = "too_short"


@register(On.DOCUMENT)
@dataclass(frozen=True)
class TextPresent:
    """The score is the number of characters of all text nodes, blanks at their ends aside."""

    name: ClassVar[str] = "text_present"

    min_characters: int = 1

    def __post_init__(self) -> None:
        if self.min_characters < 1:
            raise ValueError(f"text_present: min_characters is {self.min_characters}, less than 1")

    def score(self, document: Document) -> Score:
        return Score(sum(len(text.text.strip()) for text in document.texts))

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_SHORT if score.value < self.min_characters else None
