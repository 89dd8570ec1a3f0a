"""Rejects images that many documents show in whatever size or coding: logos, stock photographs.

Source: mmc4 (arXiv 2304.06939, section 3) counts duplicates by perceptual hash, more than 10 in a
sample of 60,000 images. Here both perceptual hashes must agree bit for bit and the whole corpus is
counted. Blank and very plain images share their hashes whatever they show: reject them first
(`filters.images.blank`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    TOO_FREQUENT = "too_frequent"


@register(On.IMAGE)
@dataclass(frozen=True)
class LookFrequency:
    name: ClassVar[str] = "look_frequency"

    max_documents: int = 10

    def __post_init__(self) -> None:
        if self.max_documents < 1:
            raise ValueError(f"look_frequency: max_documents is {self.max_documents}, below 1")

    def score(self, element: ImageRecord) -> Score:
        """Distinct documents that show an image of the same hashes."""
        return Score(float(element.same_look_documents))

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.TOO_FREQUENT if score.value > self.max_documents else None
