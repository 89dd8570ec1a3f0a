"""Rejects pages without an image that could stay, before they are parsed.

An image could stay unless its tag alone rules that out: it declares a size that extraction takes
for an icon, or all that it names is an SVG, a data URI or nothing. A tag that is not plainly
written, or says more than that, is left to extraction. Of no page in which extraction finds a
content image does this say that there is none, which the tests hold on all real pages; a picture
that only the metadata name is no image of the page there either.

Source: own choice; an interleaved document needs an image (OmniCorpus, arXiv 2406.08418, section
3.1, drops the others right after extraction).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from filters.pages.markup import lower_markup
from schemas.page import Page

# Images that other tags tell of, and those that scripts and noscript elements hold as text.
_OTHER = (b"<picture", b"<image", b"&lt;img", b"\\u003cimg")
_START = re.compile(rb"<(?:img|amp-img|amp-anim)(?=[\s/>])")
_VALUE = rb"\s*=\s*(?:\"([^\"<>]*)\"|'([^'<>]*)'|([^\s\"'<>=`]+))"
_ATTRIBUTE = re.compile(rb"\s+([^\s\"'<>/=]+)(?:%b)?" % _VALUE)
_TAG = re.compile(rb"<(?:amp-)?\w+((?:\s+[^\s\"'<>/=]+(?:%b)?)*)\s*/?>" % _VALUE)
_SIDE = re.compile(rb"\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*")
_NO_RASTER = re.compile(rb"\s*(?:data:.*|[^?#]*\.svgz?(?:[?#].*)?|)\s*", re.DOTALL)
# What else an image may say without naming another URL.
_NO_URL = frozenset(
    b"src alt title width height class id style border align loading decoding role hspace vspace "
    b"itemprop tabindex".split()
)


class Reason(StrEnum):
    NO_IMAGE = "no_image"


@register(On.PAGE)
@dataclass(frozen=True)
class HasImage:
    """The score is how many images could stay; those in comments and scripts count, too.

    Attributes:
      min_images: a page with fewer is rejected.
      min_side: an image whose declared sides are all smaller is an icon; to be no more than
        `extract.min_side`.
    """

    name: ClassVar[str] = "has_image"

    min_images: int = 1
    min_side: int = 64

    def __post_init__(self) -> None:
        if self.min_images < 1:
            raise ValueError(f"has_image: min_images is {self.min_images}, less than 1")
        if self.min_side < 0:
            raise ValueError(f"has_image: min_side is {self.min_side}, less than 0")

    def score(self, page: Page) -> Score:
        markup = lower_markup(page.body)
        found = sum(markup.count(mark) for mark in _OTHER)
        tags = (_TAG.match(markup, start.start()) for start in _START.finditer(markup))
        return Score(found + sum(not tag or self._could_stay(tag[1]) for tag in tags))

    def judge(self, score: Score) -> Reason | None:
        return Reason.NO_IMAGE if score.value < self.min_images else None

    def _could_stay(self, text: bytes) -> bool:
        attributes: dict[bytes, bytes] = {}
        for name, *values in _ATTRIBUTE.findall(text):
            attributes.setdefault(name, b"".join(values))
        if b"style" not in attributes:  # which may declare a size, too
            matches = (_SIDE.fullmatch(attributes.get(n, b"")) for n in (b"width", b"height"))
            sides = [int(match[1]) for match in matches if match]
            known = [side for side in sides if side]  # one zero is a size not known yet
            if (known and max(known) < self.min_side) or len(sides) - len(known) == 2:
                return False
        if not attributes.keys() <= _NO_URL:
            return True
        return not _NO_RASTER.fullmatch(attributes.get(b"src", b""))
