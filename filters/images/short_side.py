"""Rejects images whose shorter side is small: icons, bullets, thumbnails.

Source: mmc4 (arXiv 2304.06939, section 3) and OBELICS (arXiv 2306.16527, Table 2): both drop an
image whose width or height is below 150 pixels.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    TOO_SMALL = "too_small"


@register(On.IMAGE)
@dataclass(frozen=True)
class ShortSide:
    name: ClassVar[str] = "short_side"

    min_pixels: int = 150

    def __post_init__(self) -> None:
        if self.min_pixels < 1:
            raise ValueError(f"short_side: min_pixels is {self.min_pixels}, below 1")

    def score(self, element: ImageRecord) -> Score:
        """The shorter side in pixels."""
        size = f"{element.width}x{element.height}"
        return Score(float(min(element.width, element.height)), size)

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.TOO_SMALL if score.value < self.min_pixels else None
