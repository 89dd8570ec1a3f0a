"""Rejects texts whose word n-grams repeat.

Source: OBELICS, obelics/processors/web_document_filtering.py:185-199 (5-grams, at most 0.1 in a
paragraph and 0.2 in a document), after the ROOTS corpus (arXiv 2303.03915).
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register


class Reason(StrEnum):
    REPETITIVE = "repetitive"


@register(On.TEXT)
@dataclass(frozen=True)
class WordRepetition:
    """The score is the share of n-grams that occur more than once, 0 without an n-gram."""

    name: ClassVar[str] = "word_repetition"

    n: int = 5
    max_ratio: float = 0.2

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"word_repetition: n is {self.n}, less than 1")
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"word_repetition: max_ratio {self.max_ratio} is not in [0, 1]")

    def score(self, passage: Passage) -> Score:
        words = passage.words
        ngrams = list(zip(*(words[i:] for i in range(self.n)), strict=False))
        if len(set(ngrams)) == len(ngrams):
            return Score(0.0)
        once = list(Counter(ngrams).values()).count(1)
        return Score((len(ngrams) - once) / len(ngrams))

    def judge(self, score: Score) -> Reason | None:
        return Reason.REPETITIVE if score.value > self.max_ratio else None
