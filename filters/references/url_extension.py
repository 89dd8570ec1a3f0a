"""Keeps image URLs whose file extension is listed.

Source: mmc4 (arXiv 2304.06939, section 3): png, jpeg, jpg.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import urlsplit

from filters.base import On, Score, register
from schemas.image import ImageReference

_EXTENSION = re.compile(r"[^/.]\.([0-9A-Za-z]{1,5})$")


class Reason(StrEnum):
    NO_EXTENSION = "no_extension"
    NOT_LISTED = "not_listed"


@register(On.REFERENCE)
@dataclass(frozen=True)
class UrlExtension:
    """`keep_missing` keeps URLs whose path ends in no extension, as image services' do."""

    name: ClassVar[str] = "url_extension"

    extensions: tuple[str, ...] = ("png", "jpeg", "jpg")
    keep_missing: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "extensions", tuple(self.extensions))
        for extension in self.extensions:
            if not re.fullmatch(r"[0-9a-z]{1,5}", extension):
                raise ValueError(f"url_extension: {extension!r} is no extension in lower case")

    def score(self, element: ImageReference) -> Score:
        """1 if the extension is listed, else 0; the detail is the extension in lower case."""
        extension = extension_of(element.url)
        return Score(float(extension in self.extensions), extension)

    def judge(self, score: Score) -> StrEnum | None:
        if score.value:
            return None
        if not score.detail:
            return None if self.keep_missing else Reason.NO_EXTENSION
        return Reason.NOT_LISTED


def extension_of(url: str) -> str:
    """The extension of the URL's path in lower case, or empty."""
    try:
        path = urlsplit(url).path
    except ValueError:  # an unclosed bracket in the host
        return ""
    found = _EXTENSION.search(path)
    return found[1].lower() if found else ""
