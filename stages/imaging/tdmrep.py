"""What a site's /.well-known/tdmrep.json reserves.

The file is a list of rules: a location, which is a path pattern of robots.txt, and tdm-reservation,
1 where text and data mining are reserved. The longest location that matches decides; of two as
long, the one that reserves.

Source: TDM Reservation Protocol, W3C community group report, section 6.2 (file on the origin
server); path patterns after RFC 9309, section 2.2.3.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from stages.imaging.path_patterns import matches, path_of

_ORIGIN = re.compile(r"https?://", re.IGNORECASE)
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
    """The rules of a site; without any, nothing is reserved.

    Attributes:
      absent: the status of a file that was not had.
    """

    rules: tuple[Rule, ...] = ()
    absent: str = ""

    def rule_for(self, url: str) -> Rule | None:
        """The rule that decides about a URL."""
        path = path_of(url)
        found = [rule for rule in self.rules if matches(rule.location, path)]
        return max(found, key=lambda rule: (len(rule.location), rule.reserved), default=None)


def read(status: int, body: bytes) -> Reservations:
    """The reservations that an answer to a request for `PATH` stands for. A file that is not there,
    cannot be had or is none reserves nothing: the protocol knows no word for it."""
    if not 200 <= status < 300:
        return Reservations(absent=f"status {status}")
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
    reserved = value == 1 or str(value).strip() == "1"  # `true` reserves: no owner means less
    return Rule(_pattern(location), reserved, f"{location} {value}"[:200])


def _pattern(location: str) -> str:
    """The path pattern; some write a whole URL, or leave the first slash out."""
    if _ORIGIN.match(location):
        location = "/" + location.split("/", 3)[3] if location.count("/") > 2 else "/"
    return unquote(location if location.startswith(("/", "*")) else f"/{location}")
