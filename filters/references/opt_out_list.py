"""Rejects image URLs that a list of opt-outs names, themselves or by their host, before they are
fetched.

Source: our own; `filters.opt_out_lists` says what a list is.
"""

from dataclasses import dataclass
from typing import ClassVar

from filters.base import On, Score, register
from filters.opt_out_lists import Reason, check_files, find_url, reason_of
from schemas.image import ImageReference


@register(On.REFERENCE)
@dataclass(frozen=True)
class OptOutList:
    """`files` are the lists."""

    name: ClassVar[str] = "opt_out_list"

    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", check_files(self.files))

    def score(self, reference: ImageReference) -> Score:
        """1 where the URL is listed; the detail says by which entry."""
        return find_url(self.files, reference.url)

    def judge(self, score: Score) -> Reason | None:
        return reason_of(score)
