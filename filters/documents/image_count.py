"""Rejects documents with too few or too many images.

Source: OBELICS (arXiv 2306.16527, table 3), obelics/processors/web_document_filtering.py,
check_number_images: 1..30.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import Document


class Reason(StrEnum):
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"


@register(On.DOCUMENT)
@dataclass(frozen=True)
class ImageCount:
    """Inclusive bounds on the image nodes, whether or not their images were found yet."""

    name: ClassVar[str] = "image_count"

    min_images: int = 1
    max_images: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.min_images <= self.max_images:
            raise ValueError(f"image_count: bad range {self.min_images}..{self.max_images}")

    def score(self, document: Document) -> Score:
        return Score(len(document.images))

    def judge(self, score: Score) -> Reason | None:
        if score.value < self.min_images:
            return Reason.TOO_FEW
        if score.value > self.max_images:
            return Reason.TOO_MANY
        return None
