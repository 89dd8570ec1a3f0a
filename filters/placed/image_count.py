"""Rejects documents with too few or too many images left after placement.

Source: mmc4 (arXiv 2304.06939v1, footnote 14): 2..15 images in mmc4-core, counted after the images
without a similar sentence are gone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import PlacedDocument


class Reason(StrEnum):
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"


@register(On.PLACED)
@dataclass(frozen=True)
class ImageCount:
    """Inclusive bounds on the images of the document, placed or not."""

    name: ClassVar[str] = "image_count"

    min_images: int = 2
    max_images: int = 15

    def __post_init__(self) -> None:
        if not 0 <= self.min_images <= self.max_images:
            raise ValueError(f"image_count: bad range {self.min_images}..{self.max_images}")

    def score(self, placed: PlacedDocument) -> Score:
        return Score(len(placed.placements))

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_images:
            return Reason.TOO_FEW
        if score.value > self.max_images:
            return Reason.TOO_MANY
        return None
