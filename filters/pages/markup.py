"""What can be seen of a page's markup without parsing it."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

HEAD_BYTES = 262_144

# A comment or script that is never closed reaches to the end, which keeps the scan linear.
_SKIPPED = rb"<!--.*?(?:-->|\Z)|<(script|style|textarea|title)\b.*?(?:</\1|\Z)"
_META = re.compile(_SKIPPED + rb"|<meta[\s/]([^>]{0,4096})", re.DOTALL)
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


def find_meta(body: bytes) -> Iterator[Meta]:
    """The named meta tags in the first `HEAD_BYTES` of a page, outside comments and scripts."""
    for match in _META.finditer(lower_markup(body[:HEAD_BYTES])):
        if match[2] is None:
            continue
        attributes: dict[bytes, str] = {}
        for name, *values in _ATTRIBUTE.findall(match[2]):
            value = b"".join(values).decode("latin-1")
            attributes.setdefault(name, html.unescape(value).strip().lower())
        if (name := attributes.get(b"name")) and (content := attributes.get(b"content")):
            yield Meta(name, content)
