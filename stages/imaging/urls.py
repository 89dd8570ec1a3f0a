"""One spelling for image URLs, so that a page's reference finds the crawl's record of it.

Source: RFC 3986 section 6.2.2 and 6.2.3 (case, percent-encoding, default port, empty path). Lighter
than what pages are compared by (`stages.dedup.urls`): the query, the trailing slash and the scheme
may well decide which picture is served.
"""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from ada_url import idna_to_ascii, normalize_url
from tld import get_fld

DEFAULT_PORT = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[^!-~]+|[\"<>\\^`{|}]+")
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")


def comparable(url: str) -> str:
    """The spelling under which URLs of one resource are equal; idempotent.

    Dot segments are resolved, too, as whoever sends the URL does: robots.txt and lists speak of
    what is asked for in the end.

    What is not an http URL with a host, or cannot be parsed, comes back as it is but for
    surrounding whitespace: it equals only itself.
    """
    url = url.strip()
    try:
        parts = urlsplit(normalize_url(url))
    except ValueError:
        return url
    host, port = parts.hostname, parts.port
    if parts.scheme not in DEFAULT_PORT or not host:
        return url
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    colon = "" if port in (None, DEFAULT_PORT[parts.scheme]) else f":{port}"
    query = f"?{_escaped(parts.query)}" if parts.query else ""
    path = _escaped(parts.path) or "/"
    return f"{parts.scheme}://{user}{_ascii_host(host)}{colon}{path}{query}"


def host_of(url: str) -> str:
    """The host in lower case, or empty. Schemes and ports of a host count as one: it is one machine
    that is asked politely."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:  # a bracket or a port that is none
        return ""
    return _ascii_host(host) if host else ""


def site_of(url: str) -> str:
    """The registrable domain, or the host where there is none: an address, a bare name.

    Under a suffix that a company lets to others (blogspot.com) each tenant is a site.
    """
    return _site(host_of(url))


@lru_cache(maxsize=4096)
def _site(host: str) -> str:
    return get_fld(host, fix_protocol=True, fail_silently=True, search_private=True) or host


def _ascii_host(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    host = host.rstrip(".")
    try:
        return host if host.isascii() else idna_to_ascii(host).decode() or host
    except UnicodeEncodeError:
        return host


def _escaped(text: str) -> str:
    text = _UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace")), text
    )
    return _ESCAPE.sub(lambda found: found[0].upper(), text)
