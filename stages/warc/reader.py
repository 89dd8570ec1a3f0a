"""Reads the records of a WARC or ARC file one after another, past whatever is damaged in it.

Where the bytes go wrong, a `Damage` says where, and reading goes on at the next place where a
record starts: the next compressed member, or the next header of a plain file. A wrong
Content-Length is repaired by the boundaries that are there, and only believed if the block's
digest, where the record has one, agrees.

A part of a file can be read by itself, see `read_records`; stages/warc/boundaries.py says how the
place is found where its first record starts.

ARC records are parsed here and not by warcio, which ends a file at its first bad ARC header and
takes a wrong length at its word; the tests hold what is read against warcio, record by record.

Source of the cases: WARC 1.1 (ISO 28500:2017) and its annexes on gzip; the WARC-Zstandard
proposal of the IIPC (dictionary in a leading skippable frame); ARC 1.0 (Internet Archive).
"""

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import BinaryIO, NamedTuple

import zstandard

from stages.inputs import open_input
from stages.warc.boundaries import (
    MEMBER_START,
    Codec,
    find_boundary,
    holds_record,
    inflated_start,
    skip_frame,
)
from stages.warc.payload import (
    Headers,
    Payload,
    PayloadTooLarge,
    decode_payload,
    first,
    parse_fields,
    parse_response,
)
from stages.warc.window import (
    READ_BYTES,
    Damaged,
    FileWindow,
    GzipInflater,
    Lz4Inflater,
    MemberWindow,
    Window,
    ZstdInflater,
)

MAX_PAYLOAD = 16 * 1024 * 1024

# A record that says nothing of why it is cut gets the value that WARC 1.1 §5.13 has for that.
UNSPECIFIED = "unspecified"

_MAX_HEADER = 1024 * 1024
_MAX_PADDING = 64 * 1024
_HTTP_HEADERS = 64 * 1024
_LOOKAHEAD = 8 * 1024
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(r"\d{1,15}")
_WARC_LINE = rb"WARC/\d{1,2}\.\d{1,4}[ \t]*\r?\n"
_ARC_LINE = (
    rb"([a-z][a-z0-9+.-]{1,20}:[^\n]{0,4096}) [0-9A-Fa-f.:-]{1,45} (\d{14}) "
    rb"([^\n]{0,1024}?) ?(\d{1,12})[ \t]*\r?\n"
)
_WARC = re.compile(_WARC_LINE)
_ARC = re.compile(_ARC_LINE)
_NEXT_WARC = re.compile(rb"\n(?=%b[A-Za-z])" % _WARC_LINE)
_NEXT_ARC = re.compile(rb"\n(?=%b)" % _ARC_LINE)
# What is left of a header whose first bytes are damaged.
_TORN_WARC = re.compile(rb"\nWARC-[A-Z][A-Za-z-]{2,40}:")
_TORN_ARC = re.compile(rb" [0-9A-Fa-f.:-]{1,45} \d{14} [^\n]{0,1024}?\d[ \t]*\r?\n")
_WARC_ENDS = (b"\r\n\r\n", b"\n\n")
_NEXT_ANY = re.compile(rb"%b|%b" % (_NEXT_WARC.pattern, _NEXT_ARC.pattern))


class UnreadableFile(ValueError):
    """A file of a format that is not read at all."""


@dataclass(frozen=True)
class Damage:
    """Bytes that are no record.

    Attributes:
      offset: of the compressed member, or of the damage in a plain file.
      inner_offset: of the damage in what the member inflates to.
    """

    offset: int
    inner_offset: int
    error: str


@dataclass(frozen=True)
class Record:
    """A record of a WARC or ARC file.

    Attributes:
      type: WARC-Type in lower case; ``response`` or ``warcinfo`` for ARC.
      url: target URI without the angle brackets that some writers add, blanks as %20.
      date: WARC-Date as written; an ARC date as ISO 8601.
      content_type: Content-Type of the record itself.
      offset: of the compressed member, or of the record in a plain file.
      inner_offset: of the record in what its member inflates to; 0 in a plain file.
      length: stored bytes; 0 for one of several records in a member.
      truncated: the WARC-Truncated reason, "unspecified" where the record is cut without one.
      identified_type: WARC-Identified-Payload-Type.
      status, headers: of the HTTP response; None and () where the record holds none.
      body: what follows the HTTP headers, or the whole block; coding not undone.
      oversize: whether the block was larger than the reader's limit; `body` is then its start.
    """

    type: str
    url: str
    date: str
    content_type: str
    offset: int
    inner_offset: int
    length: int
    truncated: str = ""
    identified_type: str = ""
    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    oversize: bool = False
    max_payload: int = MAX_PAYLOAD

    @property
    def mime(self) -> str:
        """Media type, lower case, no parameters; an identified type wins over a declared one."""
        declared = self.content_type if self.status is None else first(self.headers, "content-type")
        value = self.identified_type or declared
        return value.partition(";")[0].partition(",")[0].strip().lower()

    @cached_property
    def decoded(self) -> Payload:
        """The payload, and whether it is whole.

        Raises:
          PayloadTooLarge, PayloadError: see `stages.warc.payload.decode_payload`.
        """
        if self.oversize:
            raise PayloadTooLarge(f"the record is larger than {self.max_payload} bytes")
        return decode_payload(self.headers, self.body, self.max_payload)

    @property
    def payload(self) -> bytes:
        """The body with transfer and content coding undone; raises like `decoded`."""
        return self.decoded.data


# The largest block that each keeps as it was. Source: RFC 1951 3.2.4; lz4 frame format 1.6.4;
# RFC 8878 3.1.1.2.
_GZIP = Codec("gzip", b"\x1f\x8b\x08", GzipInflater, 65_535)
_LZ4 = Codec("lz4", b"\x04\x22\x4d\x18", Lz4Inflater, 4_194_304)
_ZSTD = Codec("zstd", b"\x28\xb5\x2f\xfd", ZstdInflater, 131_072)
_BY_SUFFIX = {".gz": _GZIP, ".lz4": _LZ4, ".zst": _ZSTD}
_NOT_READ = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip", b"Rar!": "rar"}


Claim = Callable[[int], bool]


def claim_all(position: int) -> bool:
    return True


def read_records(
    stream: BinaryIO,
    name: str = "",
    max_payload: int = MAX_PAYLOAD,
    start: int = 0,
    stop: int | None = None,
    claim: Claim = claim_all,
) -> Iterator[Record | Damage]:
    """Yields what a file holds, in order, in memory that does not grow with the file.

    Of a part of it, it yields what starts there: the parts of a file together yield each record
    and each damage of the file once, wherever it is cut.

    Args:
      stream: seekable, at its start, not decompressed.
      name: decides by its suffix where the first bytes are damaged.
      max_payload: a larger block is not kept (`Record.oversize`).
      start: first byte of the part.
      stop: byte after the part; the last record may reach past it.
      claim: is asked with growing positions, `start` first, whether what starts there still is
        part of the part; reading ends where it says no.

    Raises:
      UnreadableFile: the file is compressed in a way that is not read.
      OSError: the stream cannot be read.
    """
    if not claim(start):
        return
    file = FileWindow(stream)
    codec = _sniff(file, name)
    end = stop

    def claimed(position: int) -> bool:
        return position == start or ((end is None or position < end) and claim(position))

    if not start and _is_blank(file):
        yield Damage(0, 0, "the file holds nothing but zeros and blanks")
    elif codec is None:
        _skip_records(file, start, max_payload)
        yield from _records(file, max_payload, claimed)
    elif not start or find_boundary(file, codec, start, stop):
        yield from _read_members(file, codec, max_payload, stop, claimed)


def can_be_cut(stream: BinaryIO, name: str, cheap_to_skip: bool) -> bool:
    """Whether parts of a file can be read by themselves.

    Args:
      cheap_to_skip: whether a part may read what precedes it, which one of a plain file must.

    Raises:
      UnreadableFile, OSError: as `read_records`.
    """
    return _sniff(FileWindow(stream), name) is not None or cheap_to_skip


def read_record_at(
    path: str, offset: int, inner_offset: int = 0, max_payload: int = MAX_PAYLOAD
) -> Record:
    """Reads one record of a file, from where a `Record` or an `ImageLocation` says it lies.

    Args:
      path: as for `stages.inputs.open_input`.

    Raises:
      Damaged: there is no whole record at this place.
      OSError: the file cannot be read.
    """
    with open_input(path) as stream:
        return _read_one(stream, offset, inner_offset, max_payload)


def _read_one(stream: BinaryIO, offset: int, inner_offset: int, max_payload: int) -> Record:
    file = FileWindow(stream)
    codec = _sniff(file, "") if file.peek(4)[1:4] == b"\x2a\x4d\x18" else None  # a dictionary
    file.rewind(offset)
    codec = codec or next(
        (c for c in _BY_SUFFIX.values() if file.peek(4).startswith(c.magic)), None
    )
    window: Window = file
    if codec:
        window = MemberWindow(file, offset, codec.new_inflater)
        window.skip(inner_offset)
    found = next(_records(window, max_payload), None)
    if found is None:
        raise Damaged("the file ends before the record")
    if isinstance(found, Damage):
        raise Damaged(found.error)
    return found


def _sniff(file: FileWindow, name: str) -> Codec | None:
    """Finds the compression, and leaves `file` where the first member starts."""
    head = file.peek(16)
    for codec in _BY_SUFFIX.values():
        if head.startswith(codec.magic):
            return codec
    if head[:4] == b"\x5d\x2a\x4d\x18":
        size = int.from_bytes(head[4:8], "little")
        dictionary = file.take(8 + size)[8:]
        if len(dictionary) < size:
            raise UnreadableFile("the file ends inside its zstd dictionary")
        if dictionary.startswith(_ZSTD.magic):
            try:
                dictionary = zstandard.ZstdDecompressor().decompressobj().decompress(dictionary)
            except zstandard.ZstdError as error:
                raise UnreadableFile(f"the zstd dictionary is corrupt: {error}") from error
        return _ZSTD._replace(new_inflater=partial(ZstdInflater, dictionary))
    for magic, compression in _NOT_READ.items():
        if head.startswith(magic):
            raise UnreadableFile(f"{compression} is not read; store the file as gzip")
    if _starts_record(file):
        return None
    return next((c for suffix, c in _BY_SUFFIX.items() if name.lower().endswith(suffix)), None)


def _is_blank(file: FileWindow) -> bool:
    """Whether a file has bytes, and none of a record: one that was never written to its end."""
    start = file.position
    _, number = file.take_padding(0)
    blank = number > 0 and not file.peek(1)
    file.rewind(start)
    return blank


def _read_members(
    file: FileWindow, codec: Codec, max_payload: int, stop: int | None, claim: Claim
) -> Iterator[Record | Damage]:
    """Reads on from a member.

    What does not start like a record (garbage, the rest of a record) belongs to the part that the
    member before it belongs to, as the reader of a later part starts at a record.
    """
    while True:
        file.take_padding(0)
        offset = file.position
        if not file.peek(1):
            return
        if skip_frame(file):
            continue
        is_member = file.peek(8).startswith(codec.magic)
        if not claim(offset) and is_member and holds_record(file, codec):
            return
        if is_member:
            window = MemberWindow(file, offset, codec.new_inflater)
            found = None
            try:
                for found in _records(window, max_payload):
                    yield found
                continue
            except Damaged as error:
                damage = Damage(offset, window.record_at, str(error))
                # Of what is no record because the member is damaged, that was told.
                if not isinstance(found, Damage) or found.inner_offset != damage.inner_offset:
                    yield damage
        else:
            yield Damage(offset, 0, f"no {codec.name} member starts here")
        if not find_boundary(file, codec, offset + 1, stop, floor=offset):
            return


def _spans(window: Window) -> bool:
    """Whether the record goes on in a further member, as block compressors and bad splits do.

    It does not where the next member starts a record of its own.
    """
    if not isinstance(window, MemberWindow) or not window.file.peek(1):
        return False
    start = inflated_start(window.file, window.new_inflater)
    if start is None or MEMBER_START.match(start):
        return False
    window.extend()
    return True


class _BadHeader(ValueError):
    """No record starts here."""


class _BadBlock(ValueError):
    """The block of a record is not whole."""


class _Header(NamedTuple):
    """What the first lines of a record say. A `length` of None is absent or no number."""

    type: str
    url: str
    date: str
    content_type: str
    length: int | None
    fields: Headers
    is_arc: bool


class _Block(NamedTuple):
    """The bytes of a record after its header: their start where there are too many."""

    data: bytes
    end: int
    oversize: bool = False
    short: bool = False


def _records(
    window: Window, max_payload: int, claim: Claim = claim_all
) -> Iterator[Record | Damage]:
    """The records of one window, for as long as their places can be claimed."""
    while True:
        window.take_padding(0)
        start = window.record_at = window.position
        if not claim(start):
            return
        try:
            header = _take_header(window)
        except _BadHeader as error:
            yield Damage(*window.place(start), str(error))
            window.skip(1)
            if not _take_until(window, _NEXT_ANY, 0).found:
                return
            continue
        if header is None:
            return
        try:
            block = _take_block(window, header, max_payload + _HTTP_HEADERS)
        except _BadBlock as error:
            yield Damage(*window.place(start), str(error))
            continue
        yield _to_record(header, block, window, max_payload)


def _skip_records(file: FileWindow, start: int, max_payload: int) -> None:
    """Moves to the first place at or after `start` where `_records` comes by in a plain file.

    Only the headers tell a record from one inside a payload, so they are followed from the first.
    """
    while True:
        file.take_padding(0)
        if file.position >= start or not file.peek(1):
            return
        try:
            header = _take_header(file)
        except _BadHeader:
            file.skip(1)
            if not _take_until(file, _NEXT_ANY, 0).found:
                return
            continue
        assert header
        block, length = file.position, header.length
        if length is not None and file.skip(length) == length:
            _, number = file.take_padding(_MAX_PADDING)
            if number and _is_at_next(file, number):
                continue
        file.rewind(block)
        with contextlib.suppress(_BadBlock):
            _take_block(file, header, max_payload + _HTTP_HEADERS)


def _is_at_next(window: Window, number: int) -> bool:
    """Whether padding of this length, seen from its end, leads to a record or to the end."""
    return number > _MAX_PADDING or not window.peek(1) or _starts_record(window)


def _starts_record(window: Window) -> bool:
    head = window.look(_LOOKAHEAD)
    return bool(_WARC.match(head) or _ARC.match(head))


def _take_header(window: Window) -> _Header | None:
    """Takes the header, or nothing where there is none: at the end or when it raises."""
    head = window.look(_LOOKAHEAD)
    if not head:
        return None
    if not (version := _WARC.match(head)):
        return _take_arc_header(window, head)
    for size in (_LOOKAHEAD, 8 * _LOOKAHEAD, _MAX_HEADER):
        head = window.look(size)
        end = _BLANK_LINE.search(head, version.end() - 1)
        if end or len(head) < size:
            break
    if not end:
        window.peek(size)  # raises where a damage is why
        raise _BadHeader("a record header has no end")
    fields = parse_fields(head[version.end() : end.start()])
    kind = first(fields, "warc-type").lower()
    if not kind:
        raise _BadHeader("a record header has no WARC-Type")
    window.skip(end.end())
    length = first(fields, "content-length")
    return _Header(
        kind,
        to_url(first(fields, "warc-target-uri")),
        first(fields, "warc-date"),
        first(fields, "content-type"),
        int(length) if _LENGTH.fullmatch(length) else None,
        fields,
        is_arc=False,
    )


def _take_arc_header(window: Window, head: bytes) -> _Header:
    line = _ARC.match(head)
    if not line:
        raise _BadHeader("no record starts here")
    window.skip(line.end())
    url, date, mime, length = (group.decode("utf-8", "replace") for group in line.groups())
    kind = "warcinfo" if url.startswith("filedesc:") else "response"
    iso = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
    return _Header(kind, to_url(url), iso, mime, int(length), (), is_arc=True)


def to_url(value: str) -> str:
    """A target URI as `Record.url` has it."""
    value = value.strip()
    if value.startswith("<") and value.endswith(">"):  # wget up to 1.19, and WARC 1.0's grammar
        value = value[1:-1].strip()
    return value.replace(" ", "%20")


def _take_block(window: Window, header: _Header, limit: int) -> _Block:
    """Takes the block and the padding after it.

    Raises:
      _BadBlock: the block is not whole; the window is at the next record, or at its end.
    """
    start, length = window.position, header.length
    if length is not None:
        data = window.take(length if length <= limit else _HTTP_HEADERS)
        while len(data) < min(length, limit) and _spans(window):
            data += window.take(min(length, limit) - len(data))
        left = length - len(data)
        oversize = length > limit
        if not left or (oversize and window.skip(left) == left):
            end = window.position
            padding, number = window.take_padding(_MAX_PADDING)
            if _ends_well(window, header, data, padding, number):
                return _Block(data, end, oversize)
            data += padding
        if oversize:
            window.rewind(start)
        else:
            window.push_back(data)
    return _take_repaired(window, header, limit)


def _ends_well(window: Window, header: _Header, data: bytes, padding: bytes, number: int) -> bool:
    """Whether a block ended where its length says, seen from the padding after it."""
    if _is_at_next(window, number):
        # "ttp://" starts a header of an ARC, too: one that the block has taken the start of.
        torn = header.is_arc and not number and data[-1:] not in (b"", b"\n")
        return not torn or len(data) < (header.length or 0) or not window.peek(1)
    # What follows may be damaged itself: then the padding that the format asks for is enough.
    end, boundary = ((b"\n",), _NEXT_ARC) if header.is_arc else (_WARC_ENDS, _NEXT_WARC)
    return padding.startswith(end) and not boundary.search(data)


def _take_repaired(window: Window, header: _Header, limit: int) -> _Block:
    """Takes a block up to the next record, or to the end of what holds it."""
    start, length = window.position, header.length
    run = _Run(b"", 0, True)
    if not _starts_record(window):
        run = _take_until(window, _NEXT_ARC if header.is_arc else _NEXT_WARC, limit)
    oversize = run.size > limit
    data = run.data[:_HTTP_HEADERS] if oversize else run.data
    trailers = (b"\n",) if header.is_arc else _WARC_ENDS
    trailer = next((t for t in trailers if run.data.endswith(t)), b"")
    if not oversize:
        data = data.removesuffix(trailer)
    size = run.size - len(trailer)
    agrees = None if oversize else _agrees(first(header.fields, "warc-block-digest"), data)
    if agrees is None:
        agrees = _holds_message(data) or None
    cut = length is None or size < length
    if cut and not agrees and not run.found and not window.bounded:
        raise _BadBlock("the file ends inside a record")
    torn = _TORN_ARC if header.is_arc else _TORN_WARC
    if not agrees and not window.bounded and torn.search(run.data):
        raise _BadBlock("the block holds the rest of a damaged header")
    if agrees is False:
        raise _BadBlock("Content-Length is wrong, and the block is not what its digest says")
    return _Block(data, start + size, oversize, short=length is not None and cut and not agrees)


def _agrees(digest: str, data: bytes) -> bool | None:
    """Whether data have this WARC digest; None where there is none to compare."""
    algorithm, _, value = digest.partition(":")
    if algorithm.lower().replace("-", "") not in ("sha1", "sha256", "md5"):
        return None
    found = hashlib.new(algorithm.lower().replace("-", ""), data, usedforsecurity=False)
    base32 = base64.b32encode(found.digest()).decode().rstrip("=")
    return value.rstrip("=").upper() in (base32, found.hexdigest().upper())


def _holds_message(data: bytes) -> bool:
    """Whether data are an HTTP response of exactly the length that it has itself."""
    message = parse_response(data)
    return message is not None and first(message.headers, "content-length") == str(
        len(message.body)
    )


class _Run(NamedTuple):
    """Bytes up to a boundary: the first of them, their number, and whether it was there."""

    data: bytes
    size: int
    found: bool


def _take_until(window: Window, boundary: re.Pattern[bytes], keep: int) -> _Run:
    """Takes bytes up to and with the line end before a boundary; keeps about `keep` of them."""
    kept, size = [], 0
    while True:
        ahead = window.peek(READ_BYTES + _LOOKAHEAD)
        match = boundary.search(ahead)
        at_end = len(ahead) < READ_BYTES + _LOOKAHEAD
        step = match.start() + 1 if match else len(ahead) if at_end else READ_BYTES
        if size < keep:
            kept.append(ahead[:step])
        window.skip(step)
        size += step
        if match or at_end:
            return _Run(b"".join(kept), size, bool(match))


def _to_record(header: _Header, block: _Block, window: Window, max_payload: int) -> Record:
    fields, body = header.fields, block.data
    message = parse_response(body) if header.type == "response" else None
    if message:
        body = message.body
    # The segments after the first are continuation records, often in other files.
    cut = block.short or bool(first(fields, "warc-segment-number"))
    offset, inner_offset = window.place(window.record_at)
    return Record(
        header.type,
        header.url,
        header.date,
        header.content_type,
        offset,
        inner_offset,
        window.stored(window.record_at, block.end),
        truncated=first(fields, "warc-truncated").lower() or (UNSPECIFIED if cut else ""),
        identified_type=first(fields, "warc-identified-payload-type"),
        status=message.status if message else None,
        headers=message.headers if message else (),
        body=body,
        oversize=block.oversize,
        max_payload=max_payload,
    )
