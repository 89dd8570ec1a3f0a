"""HTTP messages as crawlers store them, and their payload with all coding undone.

Crawlers often store a body already decoded and keep the header that says it is coded (ClueWeb09,
wget, several browsers), so a header alone decides nothing: a body that is plainly not coded as the
header says is taken as it is. A body that is neither is an error, never an empty payload.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import brotli

from stages.warc.window import Damaged, GzipInflater, Inflater, ZstdInflater

Headers = tuple[tuple[str, str], ...]

_STATUS = re.compile(rb"(?:HTTP/\d(?:\.\d+)?|ICY)[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_NO_CODING = frozenset({"", "identity", "none", "utf-8", "utf8", "binary", "8bit", "7bit"})


class PayloadError(ValueError):
    """A payload whose coding cannot be undone."""


class PayloadTooLarge(PayloadError):
    """A payload that is larger than the limit once its coding is undone."""


class HttpMessage(NamedTuple):
    """A response: headers in order with names in lower case, body as stored."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Payload:
    """Attributes:
    data: the payload.
    incomplete: whether the coded body stops before its own end.
    """

    data: bytes
    incomplete: bool = False


def parse_response(block: bytes) -> HttpMessage | None:
    """Splits a stored HTTP response; None where the block is none."""
    if not (status := _STATUS.match(block)):
        return None
    end = _BLANK_LINE.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    return HttpMessage(int(status[1]), parse_fields(head.partition(b"\n")[2]), body)


def parse_fields(head: bytes) -> Headers:
    """Parses header lines: folded lines joined, lines without a colon ignored, names lower case."""
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    fields = []
    for line in head.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and name.strip():
            fields.append((_text(name).strip().lower(), _text(value).strip()))
    return tuple(fields)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def first(fields: Headers, name: str) -> str:
    """The value of the first field called `name` (lower case), or ""."""
    for key, value in fields:
        if key == name:
            return value
    return ""


def decode_payload(headers: Headers, body: bytes, limit: int) -> Payload:
    """Undoes transfer coding, then content coding.

    Raises:
      PayloadTooLarge: the payload has more than `limit` bytes.
      PayloadError: a coding is unknown, or the body is corrupt.
    """
    payload = Payload(body)
    for name in ("transfer-encoding", "content-encoding"):
        for coding in reversed(_codings(headers, name)):
            step = _dechunk(payload.data) if coding == "chunked" else _undo(coding, payload, limit)
            payload = Payload(step.data, step.incomplete or payload.incomplete)
    if len(payload.data) > limit:
        raise PayloadTooLarge(f"the payload has {len(payload.data)} bytes, more than {limit}")
    return payload


def _codings(headers: Headers, name: str) -> list[str]:
    values = (value for key, value in headers if key == name)
    codings = (part.strip().strip("\"'").lower() for value in values for part in value.split(","))
    return [coding for coding in codings if coding not in _NO_CODING]


def _dechunk(body: bytes) -> Payload:
    """RFC 9112 §7.1, with bare LF allowed and a missing last chunk noted."""
    chunks: list[bytes] = []
    at = 0
    while at < len(body):
        size_line = _CHUNK_SIZE.match(body, at)
        if not size_line:
            if not chunks:
                return Payload(body)  # never was chunked, whatever the header says
            if body.find(b"\n", at) < 0 and len(body) - at < 16:
                break  # cut inside a size line
            raise PayloadError(f"no chunk starts at byte {at} of the body")
        size = int(size_line[1], 16)
        if not size:
            return Payload(b"".join(chunks))
        start = size_line.end()
        chunks.append(body[start : start + size])
        at = start + size
        if body[at : at + 2] == b"\r\n":
            at += 2
        elif body[at : at + 1] == b"\n":
            at += 1
        elif at < len(body) - 1:
            if len(chunks) == 1:
                return Payload(body)
            raise PayloadError(f"a chunk does not end at byte {at} of the body")
    return Payload(b"".join(chunks), incomplete=bool(chunks))


class _BrotliInflater:
    input_bytes = 16 * 1024

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.is_finished())

    def inflate(self, data: bytes | memoryview, limit: int = 256 * 1024) -> tuple[bytes, int]:
        try:
            if not self._inner.can_accept_more_data():
                return self._inner.process(b"", output_buffer_limit=limit), 0
            return self._inner.process(bytes(data), output_buffer_limit=limit), len(data)
        except brotli.error as error:
            raise Damaged(f"corrupt brotli data: {error}") from error


_GZIP: tuple[Callable[[], Inflater], ...] = (GzipInflater,)
_DECODERS: dict[str, tuple[Callable[[], Inflater], ...]] = {
    "gzip": _GZIP,
    "x-gzip": _GZIP,
    # RFC 9110 §8.4.1.2: the zlib format; some servers send raw deflate, some gzip.
    "deflate": (lambda: GzipInflater(15), lambda: GzipInflater(-15), GzipInflater),
    "br": (_BrotliInflater,),
    "zstd": (ZstdInflater,),
}
_NEXT_MEMBER: dict[type, bytes] = {
    GzipInflater: b"\x1f\x8b\x08",
    ZstdInflater: b"\x28\xb5\x2f\xfd",
}
_MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def _undo(coding: str, payload: Payload, limit: int) -> Payload:
    body = payload.data
    if not body:
        return payload
    if coding in _MAGIC and not body.startswith(_MAGIC[coding]):
        return payload  # stored decoded
    errors = []
    for new_inflater in _DECODERS.get(coding, ()):
        try:
            return _inflate(new_inflater, body, limit)
        except Damaged as error:
            errors.append(str(error))
    if _looks_like_text(body):
        return payload  # stored decoded
    if not errors:
        raise PayloadError(f"unknown coding {coding[:40]!r}")
    raise PayloadError(f"the body is not {coding}: {errors[0]}")


def _inflate(new_inflater: Callable[[], Inflater], body: bytes, limit: int) -> Payload:
    inflater, view, out, size = new_inflater(), memoryview(body), [], 0
    while True:
        data = view[: inflater.input_bytes]
        chunk, used = inflater.inflate(data)
        view = view[used:]
        out.append(chunk)
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"the payload has more than {limit} bytes once decoded")
        if inflater.eof:
            # Several members or frames are one file: RFC 1952 §2.2, RFC 8878 §3.1.
            if not bytes(view[:4]).startswith(_NEXT_MEMBER.get(type(inflater), b"\0")):
                break  # what follows is padding
            inflater = new_inflater()
        elif not chunk and not data:
            break
    if not size and not inflater.eof:
        raise Damaged("the coded data end before any of the payload")
    return Payload(b"".join(out), incomplete=not inflater.eof)


def _looks_like_text(body: bytes) -> bool:
    head = body[:512]
    controls = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return not controls and any(mark in head for mark in (b"<", b"{", b" "))
