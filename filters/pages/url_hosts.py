"""Rejects pages of blocked hosts.

Source: RefinedWeb (arXiv 2306.01116, appendix G.1) blocks domains of the UT1 lists; a file of such
a list (one domain a line) can be named, none is shipped.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from urllib.parse import urlsplit

from filters.base import On, Score, register
from filters.words import check_file, word_file
from schemas.page import Page


class Reason(StrEnum):
    BLOCKED = "blocked"


@register(On.PAGE)
@dataclass(frozen=True)
class UrlHosts:
    """The score is 1 for a blocked host, else 0; the detail is the entry that blocks it.

    Attributes:
      hosts: in lower case; an entry blocks the host and all hosts below it.
      file: further hosts, one a line; `#` starts a comment.
    """

    name: ClassVar[str] = "url_hosts"

    hosts: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self) -> None:
        for host in self.hosts:
            if host != host.lower().strip(".") or "/" in host or not host:
                raise ValueError(f"url_hosts: {host!r} is not a host name in lower case")
        check_file("url_hosts", self.file)

    def score(self, page: Page) -> Score:
        blocked = word_file(self.file) if self.file else frozenset()
        host = host_of(page.url)
        while host:
            if host in self.hosts or host in blocked:
                return Score(1.0, host)
            host = host.partition(".")[2]
        return Score(0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.BLOCKED if score.value else None


def host_of(url: str) -> str:
    """The host in lower case without a final dot; empty where the URL has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
