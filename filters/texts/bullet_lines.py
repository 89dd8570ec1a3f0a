"""Rejects texts nearly all of whose lines are bullet points.

Source: MassiveText (arXiv 2112.11446, appendix A.1.1): at most 0.9.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register

_BULLETS = ("•", "‣", "▪", "▶", "◀", "◦", "■", "□", "●", "○", "–", "-", "*")


class Reason(StrEnum):
    TOO_MANY = "too_many"


@register(On.TEXT)
@dataclass(frozen=True)
class BulletLines:
    """The score is lines that begin with a bullet / lines that are not blank."""

    name: ClassVar[str] = "bullet_lines"

    max_ratio: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"bullet_lines: max_ratio {self.max_ratio} is not in [0, 1]")

    def score(self, passage: Passage) -> Score:
        lines = [line for line in map(str.strip, passage.text.splitlines()) if line]
        return Score(sum(line.startswith(_BULLETS) for line in lines) / len(lines) if lines else 0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.TOO_MANY if score.value > self.max_ratio else None
