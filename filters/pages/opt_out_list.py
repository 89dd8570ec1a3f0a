"""Rejects pages that a list of opt-outs names, by their URL or by their host.

Source: our own; `filters.opt_out_lists` says what a list is. OBELICS asked Spawning's service for
image URLs and missed the pages (its dataset card of 2023-07-12).
"""

from dataclasses import dataclass
from typing import ClassVar

from filters.base import On, Score, register
from filters.opt_out_lists import Reason, check_files, find_url, reason_of
from schemas.page import Page


@register(On.PAGE)
@dataclass(frozen=True)
class OptOutList:
    """`files` are the lists."""

    name: ClassVar[str] = "opt_out_list"

    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", check_files(self.files))

    def score(self, page: Page) -> Score:
        """1 where the page is listed; the detail says by which entry."""
        return find_url(self.files, page.url)

    def judge(self, score: Score) -> Reason | None:
        return reason_of(score)
