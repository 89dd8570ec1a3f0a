"""Rejects pages with an unwanted word in their URL.

Source: RefinedWeb (arXiv 2306.01116, appendix G.1) and OBELICS
(build_obelics/04_merge_web_docs_with_images.py:15), which look for substrings and so reject essex
and sussex for "sex"; here a word is a whole word of host or path. "sex" itself is left out: as a
whole word it names health, law and news pages, too.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from filters.base import On, Score, register
from filters.words import check_file, word_file
from schemas.page import Page

_WORD = re.compile(r"[^\W_]+")


class Reason(StrEnum):
    FOUND = "found"


@register(On.PAGE)
@dataclass(frozen=True)
class UrlWords:
    """The score is how many distinct unwanted words the URL holds.

    Attributes:
      words: in lower case, each without punctuation.
      file: further words, one a line; `#` starts a comment.
      max_found: distinct words that a URL may hold.
    """

    name: ClassVar[str] = "url_words"

    words: tuple[str, ...] = ("porn", "porno", "xxx", "hentai")
    file: str = ""
    max_found: int = 0

    def __post_init__(self) -> None:
        if self.max_found < 0:
            raise ValueError(f"url_words: max_found is {self.max_found}, less than 0")
        for word in self.words:
            if word != word.lower() or not _WORD.fullmatch(word):
                raise ValueError(f"url_words: {word!r} is not a word in lower case")
        check_file("url_words", self.file)

    def score(self, page: Page) -> Score:
        unwanted = word_file(self.file).union(self.words) if self.file else set(self.words)
        found = sorted(unwanted.intersection(words_of(page.url)))
        return Score(len(found), ", ".join(found))

    def judge(self, score: Score) -> Reason | None:
        return Reason.FOUND if score.value > self.max_found else None


def words_of(url: str) -> set[str]:
    """The words of a URL's host and path in lower case; letters and digits make a word."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an unclosed "[": all of it is judged
        return set(_WORD.findall(unquote(url).lower()))
    return set(_WORD.findall(f"{parts.netloc} {unquote(parts.path)}".lower()))
