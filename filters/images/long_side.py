"""Rejects images whose longer side is huge: scans, maps, page-long strips.

Source: OBELICS (arXiv 2306.16527, Table 2): width and height at most 20,000 pixels.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    TOO_LARGE = "too_large"


@register(On.IMAGE)
@dataclass(frozen=True)
class LongSide:
    name: ClassVar[str] = "long_side"

    max_pixels: int = 20_000

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise ValueError(f"long_side: max_pixels is {self.max_pixels}, below 1")

    def score(self, element: ImageRecord) -> Score:
        """The longer side in pixels."""
        size = f"{element.width}x{element.height}"
        return Score(float(max(element.width, element.height)), size)

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.TOO_LARGE if score.value > self.max_pixels else None
