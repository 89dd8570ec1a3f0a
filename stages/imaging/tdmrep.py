"""What a site's /.well-known/tdmrep.json reserves.

The file is a list of rules: a location, which is a path pattern of robots.txt (``*`` any run of
characters, a final ``$`` the end, else a prefix), and tdm-reservation, 1 where text and data mining
are reserved. The longest location that matches decides; of two as long, the one that reserves.

Source: TDM Reservation Protocol, W3C community group report, section 6.2 (file on the origin
server); path patterns after RFC 9309, section 2.2.3.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

PATH = "/.well-known/tdmrep.json"
MAX_BYTES = 500 * 1024


@dataclass(frozen=True)
class Rule:
    """Attributes:
    location: a path pattern.
    reserved: whether mining is reserved there.
    line: what the file says, shortened.
    """

    location: str
    reserved: bool
    line: str


@dataclass(frozen=True)
class Reservations:
    """The rules of a site; without any, nothing is reserved."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, url: str) -> Rule | None:
        """The rule that decides about a URL."""
        parts = urlsplit(url)
        path = unquote(parts.path or "/") + (f"?{unquote(parts.query)}" if parts.query else "")
        found = [rule for rule in self.rules if _matches(rule.location, path)]
        return max(found, key=lambda rule: (len(rule.location), rule.reserved), default=None)


def read(status: int, body: bytes) -> Reservations:
    """The reservations that an answer to a request for `PATH` stands for. A file that is not there,
    cannot be had or is none reserves nothing: the protocol knows no word for it."""
    if not 200 <= status < 300:
        return Reservations()
    try:
        entries = json.loads(body[:MAX_BYTES].decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        return Reservations()
    return Reservations(tuple(map(_rule, filter(_is_rule, _listed(entries)))))


def _listed(entries: Any) -> list[Any]:
    return entries if isinstance(entries, list) else [entries]


def _is_rule(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("location"), str)


def _rule(entry: dict[str, Any]) -> Rule:
    location, value = entry["location"], entry.get("tdm-reservation")
    reserved = str(value).strip() == "1" and value is not True
    return Rule(unquote(location), reserved, f"{location} {value}"[:200])


def _matches(location: str, path: str) -> bool:
    # Each run is taken where it first occurs, so no pattern takes more than linear time.
    first, *runs = location.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = runs.pop() if runs and location.endswith("$") else None
    for run in runs:
        found = path.find(run, at)
        if found < 0:
            return False
        at = found + len(run)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= at
    return not location.endswith("$") or at == len(path)
