"""Rejects texts of too few or too many words.

Source: OBELICS (arXiv 2306.16527, table 3): 4..1000 words a paragraph, 10..2000 a document;
obelics/processors/web_document_filtering.py, check_number_words.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register


class Reason(StrEnum):
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"


@register(On.TEXT)
@dataclass(frozen=True)
class WordCount:
    """Bounds are inclusive; what a word is says `Passage.words`."""

    name: ClassVar[str] = "word_count"

    min_words: int = 10
    max_words: int = 2_000

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words:
            raise ValueError(f"word_count: bad range {self.min_words}..{self.max_words}")

    def score(self, passage: Passage) -> Score:
        return Score(len(passage.words))

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_words:
            return Reason.TOO_SHORT
        if score.value > self.max_words:
            return Reason.TOO_LONG
        return None
