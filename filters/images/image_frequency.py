"""Rejects images whose very bytes many documents show, under whatever URLs.

Source: mmc4 (arXiv 2304.06939, section 3) drops images with more than 10 duplicates in a sample of
60,000; here the bytes must be the same and the whole corpus is counted, so the number means less
often. OBELICS counts URLs (`filters.references.reference_count`).
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
class ImageFrequency:
    name: ClassVar[str] = "image_frequency"

    max_documents: int = 10

    def __post_init__(self) -> None:
        if self.max_documents < 1:
            raise ValueError(f"image_frequency: max_documents is {self.max_documents}, below 1")

    def score(self, element: ImageRecord) -> Score:
        """Distinct documents that show the bytes."""
        return Score(float(element.same_bytes_documents))

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.TOO_FREQUENT if score.value > self.max_documents else None
