"""Reads the directives of X-Robots-Tag headers and robots meta tags.

Source: Google's "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications": directives
stand between commas, some carry a value after a colon, and in a header a user agent before a colon
makes the directives after it, up to the next user agent, those of that agent alone.
"""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_AGENT = re.compile(r"[a-z][\w./-]*")
_WEEKDAY = re.compile(r"[a-z]+")


class Directive(NamedTuple):
    """A directive and its value, in lower case; the value is empty where there is none."""

    name: str
    value: str = ""


def header_directives(value: str, user_agents: Collection[str]) -> list[Directive]:
    """The directives of one X-Robots-Tag header that hold for everyone or for one of the agents.

    Args:
      value: the header's value; several headers are read one by one, as a user agent's scope ends
        with its header.
      user_agents: names in lower case.
    """
    found = []
    heard = True  # do the directives that follow concern us?
    for part in _parts(value):
        head, colon, rest = _cut(part)
        if colon and head not in VALUED and _AGENT.fullmatch(head):
            heard = head in user_agents
            head, _, rest = _cut(rest)
        if heard and head:
            found.append(Directive(head, rest))
    return found


def meta_directives(content: str) -> list[Directive]:
    """The directives of a robots meta tag's content."""
    cut = (_cut(part) for part in _parts(content))
    return [Directive(head, rest) for head, _, rest in cut if head]


def _parts(value: str) -> Iterator[str]:
    """What stands between commas; that of "Wed, 25 Jun 2010" parts no directives."""
    parts = iter(value.lower().split(","))
    for part in parts:
        *_, name, rest = ("", "", *part.split(":"))
        if name.strip() == "unavailable_after" and _WEEKDAY.fullmatch(rest.strip()):
            part = ",".join((part, next(parts, "")))
        yield part


def _cut(part: str) -> tuple[str, str, str]:
    head, colon, rest = part.partition(":")
    return head.strip(), colon, rest.strip()
