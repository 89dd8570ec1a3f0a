"""Patterns of URL paths: ``*`` is any run of characters, a final ``$`` the end, else a prefix.

Source: RFC 9309, section 2.2.3.
"""

from urllib.parse import unquote, urlsplit


def path_of(url: str) -> str:
    """What patterns are compared with, percent-encoding undone."""
    parts = urlsplit(url)
    return unquote(parts.path or "/") + (f"?{unquote(parts.query)}" if parts.query else "")


def matches(pattern: str, path: str) -> bool:
    # Each run is taken where it first occurs, so no pattern takes more than linear time.
    first, *runs = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = runs.pop() if runs and pattern.endswith("$") else None
    for run in runs:
        found = path.find(run, at)
        if found < 0:
            return False
        at = found + len(run)
    if last is not None:
        return path.endswith(last) and len(path) - len(last) >= at
    return not pattern.endswith("$") or at == len(path)
