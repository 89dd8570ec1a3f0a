"""Rejects texts with many characters that are not letters.

Source: OBELICS, obelics/processors/web_document_filtering.py, compute_special_character_ratio (at
most 0.3 in a paragraph, 0.275 in a document). There the special characters are a hand-made list of
punctuation, digits, whitespace, symbols and emoji; here they are what Unicode calls neither letter
nor mark, so a few letters that the list holds by accident are letters again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, is_letter, register


class Reason(StrEnum):
    TOO_MANY = "too_many"


@register(On.TEXT)
@dataclass(frozen=True)
class SpecialCharacters:
    """The score is special characters / characters, whitespace included; 0 for an empty text."""

    name: ClassVar[str] = "special_characters"

    max_ratio: float = 0.275

    def __post_init__(self) -> None:
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"special_characters: max_ratio {self.max_ratio} is not in [0, 1]")

    def score(self, passage: Passage) -> Score:
        if not passage.text:
            return Score(0.0)
        special = sum(n for c, n in passage.characters.items() if not is_letter(c))
        return Score(special / len(passage.text))

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_MANY if score.value > self.max_ratio else None
