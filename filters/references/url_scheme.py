"""Keeps absolute URLs of listed schemes.

Source: our own, for safety: a page may name ``file:``, ``data:`` or ``javascript:`` URLs, and
img2dataset, which fetches with urllib, serves ``file:///etc/hostname`` from the worker.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import urlsplit

from filters.base import On, Score, register
from schemas.image import ImageReference


class Reason(StrEnum):
    MALFORMED = "malformed"
    NOT_LISTED = "not_listed"


@register(On.REFERENCE)
@dataclass(frozen=True)
class UrlScheme:
    name: ClassVar[str] = "url_scheme"

    schemes: tuple[str, ...] = ("http", "https")

    def __post_init__(self) -> None:
        object.__setattr__(self, "schemes", tuple(self.schemes))
        for scheme in self.schemes:
            if scheme not in ("http", "https"):
                raise ValueError(f"url_scheme: images are never read over {scheme!r}")

    def score(self, element: ImageReference) -> Score:
        """1 if the scheme is listed, else 0; the detail is the scheme, empty where there is no
        scheme or no host."""
        try:
            split = urlsplit(element.url)
            host = split.hostname
        except ValueError:  # an unclosed bracket in the host
            return Score(0.0)
        if not host and split.scheme in ("", "http", "https"):
            return Score(0.0)
        return Score(float(split.scheme in self.schemes), split.scheme)

    def judge(self, score: Score) -> StrEnum | None:
        if score.value:
            return None
        return Reason.NOT_LISTED if score.detail else Reason.MALFORMED
