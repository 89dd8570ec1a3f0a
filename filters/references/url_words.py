"""Rejects image URLs whose words name page furniture.

The words are compared with whole tokens, never with raw substrings: a substring test takes
``catalogo.jpg`` for a logo, ``silicon.png`` for an icon and ``essex.ac.uk`` for sex, and misses
``LOGO.png``. Paths are percent-decoded and cut at everything that is no letter and between
``camelCase`` words, so ``siteLogo2.png`` has the tokens site and logo. The plurals in the default
list are those that folders of furniture are called; ``plugins`` is left out because
``/wp-content/plugins/`` holds content images too.

Source: mmc4 (arXiv 2304.06939, section 3: logo, button, icon, plugin, widget) and OBELICS
(build_obelics/04_merge_web_docs_with_images.py, which adds porn, xxx, sex), both by substring.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from filters.base import On, Score, register
from schemas.image import ImageReference

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


class Reason(StrEnum):
    LISTED_WORD = "listed_word"


class Where(StrEnum):
    """Which part of the URL is cut into tokens."""

    FILE = "file"  # the last segment of the path
    PATH = "path"  # the whole path
    URL = "url"  # host, path and query


@register(On.REFERENCE)
@dataclass(frozen=True)
class UrlWords:
    name: ClassVar[str] = "url_words"

    words: tuple[str, ...] = (
        "logo",
        "logos",
        "button",
        "buttons",
        "icon",
        "icons",
        "plugin",
        "widget",
        "widgets",
    )
    where: Where = Where.PATH

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "where", Where(self.where))
        for word in self.words:
            if tokens(word) != [word]:
                raise ValueError(f"url_words: {word!r} is not one word in lower case")

    def score(self, element: ImageReference) -> Score:
        """How many tokens are listed; the detail names the first."""
        listed = set(self.words)
        hits = [token for token in tokens(_part(element.url, self.where)) if token in listed]
        return Score(float(len(hits)), hits[0] if hits else "")

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.LISTED_WORD if score.value > 0 else None


def tokens(text: str) -> list[str]:
    """The words of a URL part, in lower case: letters only, camelCase cut."""
    return [token.lower() for token in _TOKEN.findall(text)]


def _part(url: str, where: Where) -> str:
    try:
        split = urlsplit(url)
    except ValueError:  # an unclosed bracket in the host
        return url
    path = unquote(split.path)
    if where is Where.FILE:
        return path.rpartition("/")[2]
    if where is Where.PATH:
        return path
    return " ".join((split.netloc, path, unquote(split.query)))
