"""Rejects texts in capitals.

Source: OmniCorpus (arXiv 2406.08418), human_feedback_textfiltering/run.py:22-70: more than 0.8 of
the characters that are not blank.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register


class Reason(StrEnum):
    TOO_MANY = "too_many"


@register(On.TEXT)
@dataclass(frozen=True)
class Uppercase:
    """The score is capitals / characters that are not blank, 0 without any."""

    name: ClassVar[str] = "uppercase"

    max_ratio: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"uppercase: max_ratio {self.max_ratio} is not in [0, 1]")

    def score(self, passage: Passage) -> Score:
        counts = passage.characters.items()
        visible = sum(n for c, n in counts if not c.isspace())
        return Score(sum(n for c, n in counts if c.isupper()) / visible if visible else 0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_MANY if score.value > self.max_ratio else None
