"""Rejects texts with many words that are seen nowhere else.

Source: OBELICS, obelics/processors/web_document_filtering.py, compute_common_word_ratio (at least
0.8 in a paragraph, 0.9 in a document). Its list, the words seen at least twice in ten million OSCAR
documents, is not shipped here: the config names a file.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register
from filters.words import check_file, word_file


class Reason(StrEnum):
    TOO_FEW = "too_few"


@register(On.TEXT)
@dataclass(frozen=True)
class CommonWords:
    """The score is common words / words, 0 without words.

    Attributes:
      file: the common words, one a line, in lower case.
      language: the language of the list; the rule does not apply to others (score 1.0).
    """

    name: ClassVar[str] = "common_words"

    file: str
    language: str = "en"
    min_ratio: float = 0.9

    def __post_init__(self) -> None:
        if not self.file:
            raise ValueError("common_words: a file is required, no list is shipped")
        if not 0 <= self.min_ratio <= 1:
            raise ValueError(f"common_words: min_ratio {self.min_ratio} is not in [0, 1]")
        check_file("common_words", self.file)

    def score(self, passage: Passage) -> Score:
        if passage.language != self.language:
            return Score(1.0, f"no list for {passage.language or 'an unknown language'}")
        words, common = passage.words, word_file(self.file)
        return Score(sum(map(common.__contains__, words)) / len(words) if words else 0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_FEW if score.value < self.min_ratio else None
