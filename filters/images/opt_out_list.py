"""Rejects images whose bytes a list of opt-outs names by their SHA-256.

Source: our own; `filters.opt_out_lists` says what a list is.
"""

from dataclasses import dataclass
from typing import ClassVar

from filters.base import On, Score, register
from filters.opt_out_lists import Reason, check_files, find_image, reason_of
from schemas.image import ImageRecord


@register(On.IMAGE)
@dataclass(frozen=True)
class OptOutList:
    """`files` are the lists."""

    name: ClassVar[str] = "opt_out_list"

    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", check_files(self.files))

    def score(self, record: ImageRecord) -> Score:
        """1 where the image is listed; the detail says by which entry."""
        return find_image(self.files, record.image_id)

    def judge(self, score: Score) -> Reason | None:
        return reason_of(score)
