"""Rejects texts with many sexual words.

Source: OBELICS, obelics/processors/web_document_filtering.py, compute_flagged_word_ratio (at most
0.01, with a list of 67 words; ours differs).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register
from filters.words import check_directory, word_list


class Reason(StrEnum):
    TOO_MANY = "too_many"


@register(On.TEXT)
@dataclass(frozen=True)
class FlaggedWords:
    """The score is flagged words / words, 0 without words. In a language without a list the rule
    does not apply: the score is 0.0 and the detail says so.

    Attributes:
      directory: folder of lists to use in place of ours (`filters.words`).
    """

    name: ClassVar[str] = "flagged_words"

    max_ratio: float = 0.01
    directory: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"flagged_words: max_ratio {self.max_ratio} is not in [0, 1]")
        check_directory("flagged_words", self.directory)

    def score(self, passage: Passage) -> Score:
        flagged = word_list("flagged", passage.language, self.directory)
        if flagged is None:
            return Score(0.0, f"no list for {passage.language or 'an unknown language'}")
        words = passage.words
        found = [word for word in words if word in flagged]
        detail = " ".join(sorted(set(found))[:10])
        return Score(len(found) / len(words) if words else 0.0, detail)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_MANY if score.value > self.max_ratio else None
