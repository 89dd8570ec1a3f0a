"""Rejects texts whose words are oddly short or long on average.

Source: MassiveText (arXiv 2112.11446, table A1): 3..10 characters, as in DCLM's
baselines_configs/dclm_baseline_refinedweb.yaml.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import UNSPACED, On, Passage, Score, register


class Reason(StrEnum):
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"


@register(On.TEXT)
@dataclass(frozen=True)
class MeanWordLength:
    """Inclusive bounds, in characters; 0 without words. In a language written without spaces the
    rule does not apply: the score is the lower bound and the detail says so.
    """

    name: ClassVar[str] = "mean_word_length"

    min_length: float = 3.0
    max_length: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_length <= self.max_length:
            raise ValueError(f"mean_word_length: bad range {self.min_length}..{self.max_length}")

    def score(self, passage: Passage) -> Score:
        if passage.language in UNSPACED:
            return Score(self.min_length, f"no spaces in {passage.language}")
        words = passage.words
        return Score(sum(map(len, words)) / len(words) if words else 0.0)

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_length:
            return Reason.TOO_SHORT
        if score.value > self.max_length:
            return Reason.TOO_LONG
        return None
