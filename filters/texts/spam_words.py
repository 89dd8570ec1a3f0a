"""Rejects paragraphs made of sharing, sign-up, consent and shop words.

Source: OBELICS, build_obelics/13_final_processing.py (kept below 0.12, with a list of 40 words;
ours differs). OBELICS's table 3 also names a cutoff for documents, which its code does not apply.
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
class SpamWords:
    """The score is spam words / words, 0 without words. In a language without a list the rule does
    not apply: the score is 0.0 and the detail says so.

    Attributes:
      ratio: a text is kept below it and rejected at it, as in the source.
      directory: folder of lists to use in place of ours (`filters.words`).
    """

    name: ClassVar[str] = "spam_words"

    ratio: float = 0.12
    directory: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"spam_words: ratio {self.ratio} is not in (0, 1]")
        check_directory("spam_words", self.directory)

    def score(self, passage: Passage) -> Score:
        spam = word_list("spam", passage.language, self.directory)
        if spam is None:
            return Score(0.0, f"no list for {passage.language or 'an unknown language'}")
        words = passage.words
        return Score(sum(map(spam.__contains__, words)) / len(words) if words else 0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_MANY if score.value >= self.ratio else None
