"""Rejects images of very few or very many bytes.

Source: OBELICS (build_obelics/04_merge_web_docs_with_images.py, comment: a guard at 2,000,000 bytes
would remove one image in a thousand; it is off there, and off here). The lower bound is our own: a
picture of 150 x 150 pixels in under a thousand bytes shows next to nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    TOO_FEW = "too_few"
    TOO_MANY = "too_many"


@register(On.IMAGE)
@dataclass(frozen=True)
class ByteCount:
    name: ClassVar[str] = "byte_count"

    min_bytes: int = 1_000
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        highest = self.min_bytes if self.max_bytes is None else self.max_bytes
        if not 0 <= self.min_bytes <= highest:
            raise ValueError(f"byte_count: bad range {self.min_bytes}..{self.max_bytes}")

    def score(self, element: ImageRecord) -> Score:
        """Stored bytes."""
        return Score(float(element.n_bytes))

    def judge(self, score: Score) -> StrEnum | None:
        if score.value < self.min_bytes:
            return Reason.TOO_FEW
        if self.max_bytes is not None and score.value > self.max_bytes:
            return Reason.TOO_MANY
        return None
