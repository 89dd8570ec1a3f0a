"""Rejects animations, of which a corpus of stills would show the first frame only.

Source: our own. OBELICS re-encodes every image to JPEG and keeps the first frame unseen.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    ANIMATED = "animated"


@register(On.IMAGE)
@dataclass(frozen=True)
class Animated:
    name: ClassVar[str] = "animated"

    max_frames: int = 1

    def __post_init__(self) -> None:
        if self.max_frames < 1:
            raise ValueError(f"animated: max_frames is {self.max_frames}, below 1")

    def score(self, element: ImageRecord) -> Score:
        """Number of frames."""
        return Score(float(element.frames))

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.ANIMATED if score.value > self.max_frames else None
