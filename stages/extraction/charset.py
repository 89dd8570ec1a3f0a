"""Bytes to text: which encoding a page is in."""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding

# Order of the signals: HTML Standard, 13.2.3.2 "Determining the character encoding".
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BOMS = tuple(mark for mark, _ in _BOMS)
_META = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.I)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_.:-]{2,40})", re.I)
_PARAMETER = re.compile(r"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.I)
# The Standard looks at the first 1024 bytes; real pages put long scripts before the meta element.
_HEAD_BYTES = 8_192
# Labels that browsers read as another encoding than Python. Source: WHATWG Encoding, 4.2.
_WHATWG = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "l1": "cp1252",
    "iso-8859-9": "cp1254",
    "latin5": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "iso-8859-11": "cp874",
    "windows-874": "cp874",
    "unicode": "utf-16-le",
    "utf8mb4": "utf-8",
    "utf-8mb4": "utf-8",
    "x-mac-cyrillic": "mac_cyrillic",
}


def python_codec(label: str) -> str | None:
    """The codec for a label of the web, None for one that nobody knows or that is no text."""
    name = _WHATWG.get(label.strip().lower(), label.strip().lower())
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return info.name if getattr(info, "_is_text_encoding", True) else None


def to_utf8(body: bytes, content_type: str = "") -> bytes:
    """The page in UTF-8; the body itself where it is that already. See `decode`."""
    if not body.startswith(BOMS):
        try:
            body.decode("utf-8")
            return body
        except UnicodeDecodeError:
            pass
    return decode(body, content_type).encode("utf-8", "replace")


def decode(body: bytes, content_type: str = "") -> str:
    """Decodes a page: byte order mark, HTTP charset, meta element, then detection.

    A declared UTF-8 that the bytes contradict, and any declared label in a page that is valid
    non-ASCII UTF-8, lose to the bytes. Undecodable bytes become U+FFFD; nothing is raised.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace")
    try:
        # Legacy text is almost never valid UTF-8, so valid UTF-8 beats any label.
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    labels = []
    if found := _PARAMETER.search(content_type):
        labels.append(found[1])
    for pattern in (_META, _XML):
        if declared := pattern.search(body[:_HEAD_BYTES]):
            labels.append(declared[1].decode("ascii"))
    for label in labels:
        codec = python_codec(label)
        if codec is None or codec == "utf-8":
            continue
        # A declared codec may stumble over a few bytes, not over many (1 in 200).
        text = body.decode(codec, "replace")
        if text.count("\ufffd") * 200 <= len(text):
            return text
    declares_utf8 = any(python_codec(label) == "utf-8" for label in labels)
    text = body.decode("utf-8", "replace")
    if declares_utf8 and text.count("\ufffd") * 200 <= len(text):
        return text
    detected = python_codec(detect_encoding(body) or "") or "utf-8"
    return body.decode(detected, "replace")
