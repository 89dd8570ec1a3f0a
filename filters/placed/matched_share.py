"""Rejects documents whose images mostly do not fit the sentences assigned to them.

Source: mmc4 (arXiv 2304.06939v1, footnote 14): in mmc4-core at least 75 % of the image assignments
have a CLIP similarity above 0.25.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import PlacedDocument

_NO_MODEL = "no similarity was computed"


class Reason(StrEnum):
    TOO_LOW = "too_low"
    NOT_SCORED = "not_scored"


@register(On.PLACED)
@dataclass(frozen=True)
class MatchedShare:
    """The score is the share of images whose sentence has a similarity above `min_sim`; an unplaced
    image fits none. Where no model was run the document is rejected as not scored.
    """

    name: ClassVar[str] = "matched_share"

    min_sim: float = 0.25
    min_share: float = 0.75

    def __post_init__(self) -> None:
        if not -1 <= self.min_sim <= 1:
            raise ValueError(f"matched_share: min_sim {self.min_sim} is not in [-1, 1]")
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"matched_share: min_share {self.min_share} is not in [0, 1]")

    def score(self, placed: PlacedDocument) -> Score:
        if not placed.similarity:
            return Score(0.0, _NO_MODEL)
        sims = [placement.matched_sim for placement in placed.placements]
        above = sum(sim is not None and sim > self.min_sim for sim in sims)
        return Score(above / len(sims) if sims else 0.0, f"{above} of {len(sims)} images")

    def judge(self, score: Score) -> Reason | None:
        if score.detail == _NO_MODEL:
            return Reason.NOT_SCORED
        return Reason.TOO_LOW if score.value < self.min_share else None
