"""What a site's robots.txt says, read once for a site.

Source: RFC 9309, section 2.3.1: a file that is not there (4xx) allows everything, one that cannot
be had (5xx, no connection) forbids everything, unless the config says otherwise. 429 counts as the
latter, as Google has it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from protego import Protego

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least this much is read
_MAX_SITES = 1_000


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DISALLOWED = "disallowed"
    UNREACHABLE = "unreachable"


Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]
T = TypeVar("T")


@dataclass
class SiteFile(Generic[T]):
    """A file that a site keeps at a known place, fetched once for each site that is visited.

    Attributes:
      path: from the root of the site.
      fetch: returns status and body of a URL; status 0 where there was no answer.
      read: what an answer stands for.
    """

    path: str
    fetch: Fetch
    read: Callable[[int, bytes], T]
    _sites: dict[str, asyncio.Task[T]] = field(default_factory=dict)

    async def of(self, url: str) -> T:
        """What the file of a URL's site says."""
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if site not in self._sites:
            if len(self._sites) >= _MAX_SITES:
                self._sites.pop(next(iter(self._sites)))
            # A task, so that whoever comes meanwhile waits for the same answer.
            self._sites[site] = asyncio.create_task(self._read(site))
        return await asyncio.shield(self._sites[site])

    async def _read(self, site: str) -> T:
        return self.read(*await self.fetch(f"{site}{self.path}"))


class Robots:
    """The rules of the sites that one client visits.

    Args:
      agent: product token that groups of rules are chosen by, e.g. weft.
      fetch: see `SiteFile`.
      unreachable: the verdict of a site whose file cannot be had.
    """

    def __init__(self, agent: str, fetch: Fetch, unreachable: Verdict = Verdict.UNREACHABLE):
        self._agent = agent
        self._unreachable = unreachable
        self._files = SiteFile("/robots.txt", fetch, read)

    async def verdict(self, url: str) -> Verdict:
        rules = await self._files.of(url)
        if rules is Verdict.UNREACHABLE:
            return self._unreachable
        if isinstance(rules, Verdict):
            return rules
        return Verdict.ALLOWED if rules.can_fetch(url, self._agent) else Verdict.DISALLOWED

    async def delay(self, url: str) -> float:
        """Crawl-delay in seconds, 0 where there is none."""
        rules = await self._files.of(url)
        return 0.0 if isinstance(rules, Verdict) else float(rules.crawl_delay(self._agent) or 0)


def read(status: int, body: bytes) -> Protego | Verdict:
    """The rules that an answer to a request for robots.txt stands for."""
    if 200 <= status < 300:
        return Protego.parse(body[:MAX_BYTES].decode("utf-8-sig", "replace"))
    if 300 <= status < 500 and status != 429:
        return Verdict.ALLOWED
    return Verdict.UNREACHABLE
