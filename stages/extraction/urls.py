"""URLs as pages write them: relative, with stray blanks, in srcset lists."""

import re
from dataclasses import dataclass

from ada_url import join_url, normalize_url

_DENSITY = re.compile(r"^(\d+(?:\.\d+)?)([wx])$", re.I)
# Already absolute and clean, or a path on the same host: nothing to resolve or to encode, unless it
# has a dot segment.
_PLAIN = re.compile(r"https?://[a-z0-9.-]+/[\w!$%&'()*+,./:;=?@~-]*", re.ASCII)
_PLAIN_PATH = re.compile(r"/(?!/)[\w!$%&'()*+,/:;=?@~-]*(?:\.[\w!$%&'()*+,:;=?@~-]+)?", re.ASCII)
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?=/|$)", re.ASCII)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e)", re.I)
# The common form of a candidate: no comma in the URL, one descriptor.
_PLAIN_CANDIDATE = re.compile(r"[\s,]*([^\s,]+)\s+(\d+(?:\.\d+)?)([wWxX])\s*(?:,|$)", re.ASCII)
MAX_URL = 4_000  # longer ones are data in disguise, no server takes them (RFC 9110 4.1: 8000)


# No real list is longer; the rest of one that is is not read.
_MAX_SRCSET = 100_000
_MAX_CANDIDATES = 100


@dataclass(frozen=True)
class Candidate:
    """One URL of a srcset with its descriptor: pixel width or density, 0 where not given."""

    url: str
    width: float = 0.0
    density: float = 0.0


def absolute(base: str, url: str | None) -> str:
    """The absolute http(s) URL without fragment, or "" where there is none.

    Written as a browser would send it: blanks around it and line breaks inside are dropped, the
    host is in lower case and ASCII, a default port is left out, dot segments are resolved, and what
    may not stand in a URL is percent-encoded. Source: WHATWG URL Standard, through ada.
    """
    if not url or len(url := url.strip()) > MAX_URL or not url or url[0] == "#":
        return ""
    if not ("/." in url or "%2" in url) or not _DOT_SEGMENT.search(url):
        if _PLAIN.fullmatch(url):
            return url
        if _PLAIN_PATH.fullmatch(url) and (origin := _ORIGIN.match(base)):
            return origin[0] + url
        if url.startswith("//") and _PLAIN.fullmatch(joined := base.partition("/")[0] + url):
            return joined
    try:
        joined = join_url(base, url)
    except ValueError:
        try:
            joined = normalize_url(url)  # the address of the page is none
        except ValueError:
            return ""
    return joined.partition("#")[0] if joined.startswith(("http://", "https://")) else ""


def parse_srcset(value: str) -> list[Candidate]:
    """The candidates of a srcset attribute in order; commas inside a URL stay.

    Source: HTML Standard, 4.8.4.3.10 "Parsing a srcset attribute".
    """
    found: list[Candidate] = []
    position, end = 0, min(len(value), _MAX_SRCSET)
    while position < end and len(found) < _MAX_CANDIDATES:
        if match := _PLAIN_CANDIDATE.match(value, position, end):
            number = float(match[2])
            wide = match[3] in "wW"
            found.append(Candidate(match[1], number if wide else 0.0, 0.0 if wide else number))
            position = match.end()
            continue
        while position < end and (value[position].isspace() or value[position] == ","):
            position += 1
        start = position
        while position < end and not value[position].isspace():
            position += 1
        url = value[start:position]
        if not url:
            break
        if url.endswith(","):
            found.append(Candidate(url.rstrip(",")))
            continue
        start, depth = position, 0
        while position < end and (value[position] != "," or depth):
            depth += (value[position] == "(") - (value[position] == ")" and depth > 0)
            position += 1
        width = density = 0.0
        for word in value[start:position].split():
            if match := _DENSITY.match(word):
                if match[2] in "wW":
                    width = float(match[1])
                else:
                    density = float(match[1])
        found.append(Candidate(url, width, density))
        position += 1
    return [candidate for candidate in found if candidate.url]


def rank(candidates: list[Candidate], preferred_width: int) -> list[Candidate]:
    """Best first: the narrowest at least `preferred_width` wide, then wider ones, then the widest
    below it; densities likewise, up to 2x first. Candidates without descriptor keep their order.
    """

    def key(candidate: Candidate) -> tuple[int, float]:
        if candidate.width:
            enough = candidate.width >= preferred_width
            return (0, candidate.width) if enough else (1, -candidate.width)
        density = candidate.density or 1.0
        return (1, -density) if density <= 2 else (2, density)

    return sorted(candidates, key=key)
