"""Rejects images that are probably unsafe, and images of which nobody knows.

It fails closed: an image without a score is rejected with a reason of its own. (OBELICS scores an
image that it cannot decode as a black one, which its classifier calls safe.)

Source: mmc4 (arXiv 2304.06939, section 3): drop above 0.1, by a classifier over CLIP features.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    NOT_SCORED = "not_scored"
    UNSAFE = "unsafe"


@register(On.IMAGE)
@dataclass(frozen=True)
class Nsfw:
    name: ClassVar[str] = "nsfw"

    max_probability: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.max_probability < 1:
            raise ValueError(f"nsfw: max_probability is {self.max_probability}, not in [0, 1)")

    def score(self, element: ImageRecord) -> Score:
        """The probability that the image is unsafe; not a number where it was not scored."""
        if element.nsfw is None:
            return Score(math.nan, "not scored")
        return Score(element.nsfw)

    def judge(self, score: Score) -> StrEnum | None:
        if math.isnan(score.value):
            return Reason.NOT_SCORED
        return Reason.UNSAFE if score.value > self.max_probability else None
