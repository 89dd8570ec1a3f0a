"""Bytes to text: which encoding a page is in."""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

# Order of the signals: HTML Standard, 13.2.3.2 "Determining the character encoding".
# A page that starts with "<" in two bytes has lost its mark, or never had one; its bytes may be
# valid UTF-8 all the same.
_STARTS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_TOLD_BY_START = tuple(start for start, _ in _STARTS)
# ISO-2022-JP changes to JIS X 0208: in seven bits, so that it is valid UTF-8, too.
_JIS = (b"\x1b$B", b"\x1b$@")
_META = re.compile(rb"<meta[\s/][^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.I)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_.:-]{2,40})", re.I)
_PARAMETER = re.compile(r"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.I)
# The Standard looks at the first 1024 bytes; real pages put long scripts before the meta element.
_HEAD_BYTES = 8_192
# The dashes of "<!-->" are both its start and its end.
_COMMENT = re.compile(rb"<!(?=--).*?(?:-->|\Z)", re.DOTALL)
# Supersets that browsers read these as. Source: WHATWG Encoding, 4.2 and its indexes.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}
# Python's own, which no page is in, whatever its label says: some raise in spite of "replace".
_NO_PAGES = {"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
# Labels that are common and not in the Standard, or not in the library's table.
_MORE = {
    "latin-1": "cp1252",
    "utf8mb4": "utf-8",
    "utf-8mb4": "utf-8",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
}


def python_codec(label: str) -> str | None:
    """The codec for a label of the web, None for one that nobody knows or that is no text."""
    label = label.strip().lower()
    name = map_encoding_to_html5(label, False) or _MORE.get(label, label)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if info.name in _NO_PAGES or not getattr(info, "_is_text_encoding", True):
        return None
    return _WIDER.get(info.name, info.name)


def is_told_by_bytes(body: bytes) -> bool:
    """Whether a page tells its encoding by bytes that may be valid UTF-8 as well."""
    return body.startswith(_TOLD_BY_START) or (b"\x1b" in body and any(jis in body for jis in _JIS))


def to_utf8(body: bytes, content_type: str = "") -> bytes:
    """The page in UTF-8; the body itself where it is that already. See `decode`."""
    if not is_told_by_bytes(body):
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
    if is_told_by_bytes(body):
        name = next((name for start, name in _STARTS if body.startswith(start)), "iso2022_jp_ext")
        return body.decode(name, "replace").removeprefix("\ufeff")
    try:
        # Legacy text is almost never valid UTF-8, so valid UTF-8 beats any label.
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        # So it is where a crawler cut the page inside a character.
        if error.reason == "unexpected end of data" and not body[: error.start].isascii():
            return body.decode("utf-8", "replace")
    labels = []
    if found := _PARAMETER.search(content_type):
        labels.append(found[1])
    head = _COMMENT.sub(b"", body[:_HEAD_BYTES])
    for pattern in (_META, _XML):
        if declared := pattern.search(head):
            labels.append(declared[1].decode("ascii"))
    for label in labels:
        codec = python_codec(label)
        # What is in UTF-16 or ISO-2022-JP was told by its bytes: the label is wrong.
        if codec is None or codec.startswith(("utf-", "iso2022")):
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
