"""Rejects image URLs that many documents show: logos, spacers, advertisements.

Source: OBELICS (arXiv 2306.16527, section 3.3; build_obelics/06_02: more than 10). OBELICS counts
every occurrence, also within one document and before documents are deduplicated; here distinct
surviving documents count.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageReference


class Reason(StrEnum):
    TOO_FREQUENT = "too_frequent"


@register(On.REFERENCE)
@dataclass(frozen=True)
class ReferenceCount:
    name: ClassVar[str] = "reference_count"

    max_documents: int = 10

    def __post_init__(self) -> None:
        if self.max_documents < 1:
            raise ValueError(f"reference_count: max_documents is {self.max_documents}, below 1")

    def score(self, element: ImageReference) -> Score:
        """Distinct documents that show the URL."""
        return Score(float(element.documents))

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.TOO_FREQUENT if score.value > self.max_documents else None
