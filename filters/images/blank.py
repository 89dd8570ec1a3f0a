"""Rejects images of one colour or nearly so: spacers, placeholders, blank scans.

The measure is RMS contrast, the standard deviation of luma in [0, 1], taken when the image is
decoded (`ImageRecord.scores`, named contrast).

Source: E. Peli, Contrast in complex images, JOSA A 7 (1990), for the measure; the bound is our own.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord

CONTRAST = "contrast"


class Reason(StrEnum):
    BLANK = "blank"
    NOT_SCORED = "not_scored"


@register(On.IMAGE)
@dataclass(frozen=True)
class Blank:
    name: ClassVar[str] = "blank"

    min_contrast: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.min_contrast <= 0.5:
            raise ValueError(f"blank: min_contrast is {self.min_contrast}, not in [0, 0.5]")

    def score(self, element: ImageRecord) -> Score:
        """RMS contrast in [0, 0.5]; not a number where it was not measured."""
        for score in element.scores:
            if score.rule == CONTRAST:
                return Score(score.score)
        return Score(math.nan, "not scored")

    def judge(self, score: Score) -> StrEnum | None:
        if math.isnan(score.value):
            return Reason.NOT_SCORED
        return Reason.BLANK if score.value < self.min_contrast else None
