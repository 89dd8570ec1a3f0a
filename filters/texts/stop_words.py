"""Rejects texts with few function words: lists, menus, keywords, a wrong language.

Source: OBELICS, obelics/processors/web_document_filtering.py, compute_stopword_ratio (at least 0.3
in a paragraph, 0.35 in a document, with a list of 301 words; ours differs).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register
from filters.words import check_directory, word_list


class Reason(StrEnum):
    TOO_FEW = "too_few"


@register(On.TEXT)
@dataclass(frozen=True)
class StopWords:
    """The score is stop words / words, 0 without words. In a language without a list the rule does
    not apply: the score is 1.0, which no threshold objects to, and the detail says so.

    Attributes:
      directory: folder of lists to use in place of ours (`filters.words`).
    """

    name: ClassVar[str] = "stop_words"

    min_ratio: float = 0.35
    directory: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.min_ratio <= 1:
            raise ValueError(f"stop_words: min_ratio {self.min_ratio} is not in [0, 1]")
        check_directory("stop_words", self.directory)

    def score(self, passage: Passage) -> Score:
        stop = word_list("stop", passage.language, self.directory)
        if stop is None:
            return Score(1.0, f"no list for {passage.language or 'an unknown language'}")
        words = passage.words
        return Score(sum(map(stop.__contains__, words)) / len(words) if words else 0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_FEW if score.value < self.min_ratio else None
