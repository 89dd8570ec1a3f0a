"""One spelling for the URLs that lead to one page.

Source: RFC 3986 section 6.2 (case, percent-encoding, dot segments, default port). The rest is
judgement, and safe only because the result is compared and never fetched: http counts as https, a
trailing slash does not count unless it is to, the fragment goes (a server never sees it), and so do
the parameters that only say by which link a reader came. The order of parameters stays, since
servers may care.
"""

import re
from urllib.parse import urlsplit

from tld import get_fld

from stages.dedup.config import UrlConfig

TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "piwik_", "matomo_", "hsa_", "at_custom", "_branch_")
TRACKING = frozenset(
    {
        # clicks on advertisements
        *("gclid", "gclsrc", "dclid", "gbraid", "wbraid", "gad_source", "gad_campaignid"),
        *("fbclid", "msclkid", "yclid", "ysclid", "twclid", "ttclid", "li_fat_id", "epik"),
        *("rdt_cid", "sccid", "irclickid", "wickedid", "srsltid", "_openstat", "awc"),
        # shares
        *("igshid", "igsh", "fb_action_ids", "fb_action_types", "fb_source", "fb_ref"),
        # newsletters
        *("mc_cid", "mc_eid", "_hsenc", "_hsmi", "hsctatracking", "mkt_tok", "vero_id"),
        *(
            "vero_conv",
            "oly_anon_id",
            "oly_enc_id",
            "ml_subscriber",
            "ml_subscriber_hash",
            "ck_subscriber_id",
        ),
        # analytics and sessions
        *("_ga", "_gl", "__s", "s_cid", "phpsessid", "jsessionid", "aspsessionid"),
    }
)
_DEFAULT_PORTS = (None, 80, 443)  # either, as http counts as https
_SESSION = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_UNSAFE = re.compile(r"[^!-~]+")  # what may not stand in a URI: blanks, controls, non-ASCII
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_url(url: str, config: UrlConfig = UrlConfig()) -> str:  # noqa: B008  frozen
    """The spelling under which URLs of the same page are equal; idempotent.

    What is not an http URL with a host, or cannot be parsed, comes back as it is but for
    surrounding whitespace: it equals only itself.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a bracket or a port that is none
        return url
    if parts.scheme not in ("http", "https") or not host:
        return url
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    colon = "" if port in _DEFAULT_PORTS else f":{port}"
    path = _without_dots(_escaped(_SESSION.sub("", parts.path)))
    if config.trailing_slash == "ignore":
        path = path.rstrip("/") or "/"
    query = "&".join(
        _escaped(pair)
        for pair in parts.query.split("&")
        if pair and not _is_tracking(pair, config.parameters)
    )
    return f"https://{user}{_host(host)}{colon}{path}{'?' if query else ''}{query}"


def page_url(url: str, declared: str, config: UrlConfig) -> str:
    """The canonical URL that a page goes under.

    Args:
      url: where it was fetched.
      declared: what its ``rel=canonical`` names, absolute, or "". It is believed where `config`
        says so, within the registrable domain, and not where it names the root of a site, the
        common fault of templates.

    Source: Google Search Central, "5 common mistakes with rel=canonical" (2013), for the fault.
    """
    own = canonical_url(url, config)
    if not (config.canonical_link and declared):
        return own
    other = canonical_url(declared, config)
    site = site_of(other, "domain")
    believed = site and site == site_of(own, "domain") and urlsplit(other)[2:4] != ("/", "")
    return other if believed else own


def site_of(url: str, site: str) -> str:
    """The "host" or registrable "domain" of a URL, in lower case; "" where it has none.

    A host without a registrable domain (an IP address, a bare suffix, ``localhost``) is its own.
    """
    try:
        host = _host(urlsplit(url.strip()).hostname or "")
    except ValueError:
        return ""
    if site == "domain" and host:
        return get_fld(f"https://{host}", fail_silently=True) or host
    return host


def _host(host: str) -> str:
    host = host.rstrip(".")
    if ":" in host:
        return f"[{host}]"
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _is_tracking(pair: str, more: tuple[str, ...]) -> bool:
    name = pair.partition("=")[0].lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIXES) or name in more


def _escaped(text: str) -> str:
    """Percent-encoding where needed, nowhere else, in upper case (RFC 3986 6.2.2)."""
    text = _UNSAFE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace")), text
    )
    return _ESCAPE.sub(_unescape_unreserved, text)


def _unescape_unreserved(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 5.2.4."""
    out: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del out[-1:]
        elif segment != ".":
            out.append(segment)
    if segments[-1:] in (["."], [".."]):
        out.append("")  # what ends in a dot segment is a folder
    return "/" + "/".join(out)
