"""Reads the directives of X-Robots-Tag headers and robots meta tags.

Source: Google's "Robots meta tag, data-nosnippet, and X-Robots-Tag specifications": directives
stand between commas, some carry a value after a colon, and in a header a user agent before a colon
makes the directives after it, up to the next user agent, those of that agent alone.
"""

import re
from collections.abc import Collection

VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_AGENT = re.compile(r"[a-z][\w./-]*")


def header_directives(value: str, user_agents: Collection[str]) -> list[str]:
    """The directives of one X-Robots-Tag header that hold for everyone or for one of the agents.

    Args:
      value: the header's value; several headers are read one by one, as a user agent's scope ends
        with its header.
      user_agents: names in lower case.
    """
    found = []
    heard = True  # do the directives that follow concern us?
    for part in value.lower().split(","):
        head, colon, rest = (piece.strip() for piece in part.partition(":"))
        if colon and head not in VALUED and _AGENT.fullmatch(head):
            heard = head in user_agents
            head = rest.partition(":")[0].strip()
        if heard and head:
            found.append(head)
    return found


def meta_directives(content: str) -> list[str]:
    """The directives of a robots meta tag's content."""
    parts = (part.partition(":")[0].strip() for part in content.lower().split(","))
    return [part for part in parts if part]
