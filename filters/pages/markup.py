"""What can be seen of a page's markup without parsing it."""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass

HEAD_BYTES = 262_144

# A comment or script that is never closed reaches to the end, which keeps the scan linear.
_SKIPPED = rb"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\1|\Z)"
_META = rb"<meta[\s/]([^>]{0,1024})"
_ANY_META = re.compile(_META)
_LIVE_META = re.compile(_SKIPPED + b"|" + _META, re.DOTALL)
_ATTRIBUTE = re.compile(rb"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


@dataclass(frozen=True)
class Meta:
    """A named meta tag; name and content in lower case, the content unescaped."""

    name: str
    content: str


def lower_markup(body: bytes) -> bytes:
    """The bytes of a page such that ASCII tags and names can be found in lower case, whatever the
    character encoding: the zero bytes of UTF-16 and UTF-32 are left out."""
    if b"\0" in body[:64]:
        body = body.replace(b"\0", b"")
    return body.lower()


def find_meta(body: bytes, names: Collection[str], anywhere: bool = False) -> list[Meta]:
    """The meta tags of the given names in the first `HEAD_BYTES` of a page.

    Args:
      names: in lower case.
      anywhere: do not leave out those inside comments and scripts, which is faster.
    """
    needles = [name.encode() for name in names]
    tag = _ANY_META if anywhere else _LIVE_META
    found = []
    for match in tag.finditer(lower_markup(body[:HEAD_BYTES])):
        inside = match[match.re.groups]
        if inside is None or not any(needle in inside for needle in needles):
            continue
        attributes: dict[bytes, str] = {}
        for name, *values in _ATTRIBUTE.findall(inside):
            value = b"".join(values).decode("latin-1")
            attributes.setdefault(name, html.unescape(value).strip().lower())
        meta = Meta(attributes.get(b"name", ""), attributes.get(b"content", ""))
        if meta.name in names:
            found.append(meta)
    return found
