"""Rejects texts with hardly any punctuation: menus, tag clouds, key words.

Source: OBELICS, obelics/processors/web_document_filtering.py, compute_punctuation_ratio (at least
0.001 in a paragraph of 12 tokens or more, at least 0.03 in a document).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register

# The same marks of other scripts count as well: Arabic, Devanagari, CJK and its full-width forms.
_MARKS = ",;:?!.،؛؟۔।。、，！？：；"
_WORD = re.compile(r"[\w']+")


class Reason(StrEnum):
    TOO_LITTLE = "too_little"


@register(On.TEXT)
@dataclass(frozen=True)
class Punctuation:
    """The score is punctuation marks / tokens, a token being a word or a mark; 0 without tokens.

    Attributes:
      min_tokens: a shorter text is not judged by its punctuation and scores 1.0, if it has tokens.
    """

    name: ClassVar[str] = "punctuation"

    min_ratio: float = 0.03
    min_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.min_ratio <= 1:
            raise ValueError(f"punctuation: min_ratio {self.min_ratio} is not in [0, 1]")
        if self.min_tokens < 0:
            raise ValueError(f"punctuation: min_tokens is {self.min_tokens}, less than 0")

    def score(self, passage: Passage) -> Score:
        marks = sum(passage.characters.get(mark, 0) for mark in _MARKS)
        tokens = len(_WORD.findall(passage.text)) + marks
        if not tokens:
            return Score(0.0)
        if tokens < self.min_tokens:
            return Score(1.0, f"{tokens} tokens")
        return Score(marks / tokens)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_LITTLE if score.value < self.min_ratio else None
