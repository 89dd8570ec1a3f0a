"""What a site's robots.txt says, read once for a site.

Source: RFC 9309, section 2.3.1: a file that is not there (4xx) allows everything, one that cannot
be had (5xx, no connection) forbids everything. 429 counts as the latter, as Google has it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from protego import Protego

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least this much is read
_MAX_SITES = 1_000


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DISALLOWED = "disallowed"
    UNREACHABLE = "unreachable"


@dataclass
class Robots:
    """The rules of the sites that one client visits.

    Attributes:
      agent: product token that groups of rules are chosen by, e.g. weft.
      fetch: returns status and body of a robots.txt; status 0 where there was no answer.
    """

    agent: str
    fetch: Callable[[str], Awaitable[tuple[int, bytes]]]
    _sites: dict[str, asyncio.Task[Protego | Verdict]] = field(default_factory=dict)

    async def verdict(self, url: str) -> Verdict:
        rules = await self._rules(url)
        if isinstance(rules, Verdict):
            return rules
        return Verdict.ALLOWED if rules.can_fetch(url, self.agent) else Verdict.DISALLOWED

    async def delay(self, url: str) -> float:
        """Crawl-delay in seconds, 0 where there is none."""
        rules = await self._rules(url)
        return 0.0 if isinstance(rules, Verdict) else float(rules.crawl_delay(self.agent) or 0)

    async def _rules(self, url: str) -> Protego | Verdict:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if site not in self._sites:
            if len(self._sites) >= _MAX_SITES:
                self._sites.pop(next(iter(self._sites)))
            # A task, so that whoever comes meanwhile waits for the same answer.
            self._sites[site] = asyncio.create_task(self._read(site))
        return await asyncio.shield(self._sites[site])

    async def _read(self, site: str) -> Protego | Verdict:
        return read(*await self.fetch(f"{site}/robots.txt"))


def read(status: int, body: bytes) -> Protego | Verdict:
    """The rules that an answer to a request for robots.txt stands for."""
    if 200 <= status < 300:
        return Protego.parse(body[:MAX_BYTES].decode("utf-8-sig", "replace"))
    if 300 <= status < 500 and status != 429:
        return Verdict.ALLOWED
    return Verdict.UNREACHABLE
