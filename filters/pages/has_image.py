"""Rejects pages without an image, before they are parsed.

Source: own choice; an interleaved document needs an image (OmniCorpus, arXiv 2406.08418, section
3.1, drops the others right after extraction).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from filters.pages.markup import lower_markup
from schemas.page import Page

# og:image: the picture of an article may be named only there.
_MARKS = (b"<img", b"<picture", b"<amp-img", b"<amp-anim", b"<image", b"og:image")


class Reason(StrEnum):
    NO_IMAGE = "no_image"


@register(On.PAGE)
@dataclass(frozen=True)
class HasImage:
    """The score is how often the page's bytes say image; comments and scripts are not told apart,
    so a page may be kept for nothing but is not rejected for it.
    """

    name: ClassVar[str] = "has_image"

    min_marks: int = 1

    def __post_init__(self) -> None:
        if self.min_marks < 1:
            raise ValueError(f"has_image: min_marks is {self.min_marks}, less than 1")

    def score(self, page: Page) -> Score:
        markup = lower_markup(page.body)
        return Score(sum(markup.count(mark) for mark in _MARKS))

    def judge(self, score: Score) -> Reason | None:
        return Reason.NO_IMAGE if score.value < self.min_marks else None
