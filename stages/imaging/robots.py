"""What a site's robots.txt says, read once for a site.

Source: RFC 9309, section 2.3.1: a file that is not there (4xx) allows everything, one that cannot
be had (5xx, no connection) forbids everything, unless the config says otherwise. 429 counts as the
latter, as Google has it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

from protego import Protego

from schemas.consent import Answer
from stages.imaging.path_patterns import matches, path_of

MAX_BYTES = 500 * 1024  # RFC 9309, section 2.5: at least this much is read
_MAX_SITES = 1_000


class Verdict(StrEnum):
    ALLOWED = "allowed"
    DISALLOWED = "disallowed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Ruling:
    """Attributes:
    said: the line that decided, or the status of a file that was not had; empty where no line
      speaks of the URL.
    answer: what that is, where it does not forbid.
    """

    verdict: Verdict
    said: str = ""
    answer: Answer = Answer.SILENT


@dataclass(frozen=True)
class Line:
    """A line that allows or forbids a path pattern."""

    allows: bool
    pattern: str
    text: str


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
        self._files = SiteFile("/robots.txt", fetch, self._read)

    async def ruling(self, url: str) -> Ruling:
        site = await self._files.of(url)
        if site.rules is Verdict.UNREACHABLE:
            return Ruling(self._unreachable, f"status {site.status}", Answer.UNREACHABLE)
        if isinstance(site.rules, Verdict):
            return Ruling(site.rules, f"status {site.status}")
        allowed = site.rules.can_fetch(url, self._agent)
        verdict = Verdict.ALLOWED if allowed else Verdict.DISALLOWED
        said = deciding_line(site.lines, url, allowed)
        return Ruling(verdict, said, Answer.ALLOWED if said else Answer.SILENT)

    async def delay(self, url: str) -> float:
        """Crawl-delay in seconds, 0 where there is none."""
        rules = (await self._files.of(url)).rules
        return 0.0 if isinstance(rules, Verdict) else float(rules.crawl_delay(self._agent) or 0)

    def _read(self, status: int, body: bytes) -> "_Site":
        rules = read(status, body, self._agent)
        lines = lines_for(body, self._agent) if isinstance(rules, Protego) else ()
        return _Site(rules, status, lines)


@dataclass(frozen=True)
class _Site:
    rules: Protego | Verdict
    status: int
    lines: tuple[Line, ...] = ()


def read(status: int, body: bytes, agent: str) -> Protego | Verdict:
    """The rules that an answer to a request for robots.txt stands for."""
    if 200 <= status < 300:
        return Protego.parse(_text(body, agent))
    if 300 <= status < 500 and status != 429:
        return Verdict.ALLOWED
    return Verdict.UNREACHABLE


# As lenient as the parser is.
_AGENT_LINE = re.compile(r"(\s*user[- ]?agent(?:\s*:|\s))\s*([^#]*)", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z_-]+")
_FIELD = re.compile(
    r"\s*(user[- ]?agent|allow|d\w{4,7}w|crawl-delay)(?:\s*:|\s)\s*([^#]*)", re.IGNORECASE
)


def _text(body: bytes, agent: str) -> str:
    """The file with agents as their product tokens ("weft" for "weft/1.0"), and one name for all
    that are not ours: the parser takes the beginning of a token for the token."""

    def named(line: str) -> str:
        if not (found := _AGENT_LINE.match(line)):
            return line
        token = _TOKEN.match(found[2])
        is_ours = token is not None and token[0].lower() == agent.lower()
        return f"{found[1]} {agent if is_ours else '*' if found[2].strip() == '*' else '0'}"

    return "\n".join(map(named, body[:MAX_BYTES].decode("utf-8-sig", "replace").splitlines()))


def lines_for(body: bytes, agent: str) -> tuple[Line, ...]:
    """The lines that allow or forbid something to an agent: those of the groups that name it, else
    those for everybody. They serve as evidence; the verdict is the parser's."""
    groups: dict[bool, list[Line]] = {}  # by whether it names the agent
    named: set[bool] = set()
    heading = False  # the last line named an agent
    for text in _text(body, agent).splitlines():
        if not (found := _FIELD.match(text)):
            continue
        field, value = found[1].lower(), found[2].strip()
        if field.startswith("user"):
            if not heading:
                named = set()
            heading = True
            if value.lower() in ("*", agent.lower()):
                named.add(value != "*")
                groups.setdefault(value != "*", [])
            continue
        heading = False
        if value and field != "crawl-delay":
            line = Line(field == "allow", unquote(value), text.strip()[:200])
            for names_us in named:
                groups[names_us].append(line)
    return tuple(groups.get(True, groups.get(False, ())))


def deciding_line(lines: Sequence[Line], url: str, allowed: bool) -> str:
    """The longest pattern that matches a URL and says what was decided about it."""
    path = path_of(url)
    said = [line for line in lines if line.allows == allowed and matches(line.pattern, path)]
    return max(said, key=lambda line: len(line.pattern), default=Line(allowed, "", "")).text
