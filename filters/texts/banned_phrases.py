"""Rejects texts that hold any of a few phrases: placeholders, script warnings, policy notices.

Source: C4 (Raffel et al., arXiv 1910.10683, section 2.2): pages with "lorem ipsum" or a curly
bracket, lines with "javascript" or a policy notice. mmc4 inherits it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register


class Reason(StrEnum):
    FOUND = "found"


@register(On.TEXT)
@dataclass(frozen=True)
class BannedPhrases:
    """The score is how many of the phrases the text holds, whatever their case."""

    name: ClassVar[str] = "banned_phrases"

    phrases: tuple[str, ...] = ("lorem ipsum",)

    def __post_init__(self) -> None:
        if not self.phrases or not all(self.phrases):
            raise ValueError("banned_phrases: no phrase, or an empty one")

    def score(self, passage: Passage) -> Score:
        text = passage.text.lower()
        found = [phrase for phrase in self.phrases if phrase.lower() in text]
        return Score(len(found), ", ".join(found))

    def judge(self, score: Score) -> Reason | None:
        return Reason.FOUND if score.value else None
