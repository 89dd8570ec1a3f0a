"""Rejects documents of too few or too many sentences.

Source: mmc4 (arXiv 2304.06939v1, footnote 14): 4..40 sentences in mmc4-core.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import PlacedDocument


class Reason(StrEnum):
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"


@register(On.PLACED)
@dataclass(frozen=True)
class SentenceCount:
    """Inclusive bounds."""

    name: ClassVar[str] = "sentence_count"

    min_sentences: int = 4
    max_sentences: int = 40

    def __post_init__(self) -> None:
        if not 0 <= self.min_sentences <= self.max_sentences:
            raise ValueError(
                f"sentence_count: bad range {self.min_sentences}..{self.max_sentences}"
            )

    def score(self, placed: PlacedDocument) -> Score:
        return Score(len(placed.sentences))

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_sentences:
            return Reason.TOO_FEW
        if score.value > self.max_sentences:
            return Reason.TOO_MANY
        return None
