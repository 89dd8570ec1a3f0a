"""Rejects images that are very wide or very tall: banners, rules, side bars.

Source: mmc4 (arXiv 2304.06939, section 3) and OBELICS (arXiv 2306.16527, Table 2): both keep
width / height in 0.5..2.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    TOO_TALL = "too_tall"
    TOO_WIDE = "too_wide"


@register(On.IMAGE)
@dataclass(frozen=True)
class AspectRatio:
    name: ClassVar[str] = "aspect_ratio"

    min_ratio: float = 0.5
    max_ratio: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_ratio <= self.max_ratio:
            raise ValueError(f"aspect_ratio: bad range {self.min_ratio}..{self.max_ratio}")

    def score(self, element: ImageRecord) -> Score:
        """Width / height."""
        ratio = element.width / element.height if element.height else math.inf
        return Score(ratio, f"{element.width}x{element.height}")

    def judge(self, score: Score) -> StrEnum | None:
        if score.value < self.min_ratio:
            return Reason.TOO_TALL
        if score.value > self.max_ratio:
            return Reason.TOO_WIDE
        return None
