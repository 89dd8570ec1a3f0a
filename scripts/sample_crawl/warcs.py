"""Writes the crawl as WARC files whose bytes depend on nothing but the crawl.

Record ids are name-based UUIDs, dates are those of the crawl, gzip members carry no time. One file
holds several records in each gzip member and one is not compressed, as both occur in the wild; one
record is damaged inside its member, so that a reader has to find the next one.
"""

import io
import uuid
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.utils import Digester
from warcio.warcwriter import WARCWriter

from scripts.sample_crawl.model import Crawl, Page, Resource

FILES = (
    "sample-00000.warc.gz",
    "sample-00001.warc.gz",
    "sample-00002.warc.gz",
    "sample-00003.warc",
)
GROUPED = 2
"""Number of the file with several records in each gzip member."""
RECORDS_PER_MEMBER = 6
PLAIN = 3
"""Number of the file without compression."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://sample-crawl.example/")


@dataclass(frozen=True)
class Place:
    """Where a record lies: file name, offset of its member (or record) and stored bytes."""

    file: str
    offset: int
    length: int


@dataclass(frozen=True)
class Written:
    """Places by (URL, crawl time, record type)."""

    places: dict[tuple[str, str, str], Place]


def write(crawl: Crawl, out: Path) -> Written:
    """Writes all files into a folder that exists.

    Raises:
      RuntimeError: the damage did not make the damaged record unreadable.
    """
    piles: dict[int, list[Page | Resource]] = defaultdict(list)
    elements: list[Page | Resource] = [*crawl.pages, *crawl.resources.values()]
    for element in elements:
        piles[element.warc].append(element)
    places: dict[tuple[str, str, str], Place] = {}
    for number, name in enumerate(FILES):
        # By hash, so that pages, images and the damaged record are mixed.
        pile = sorted(piles[number], key=lambda e: _record_id(*_key(e)))
        places |= _write_file(pile, out / name, number)
    return Written(places)


def _write_file(
    pile: list[Page | Resource], path: Path, number: int
) -> dict[tuple[str, str, str], Place]:
    places: dict[tuple[str, str, str], Place] = {}
    members = [_info(path.name)]
    keys: list[list[tuple[str, str, str]]] = [[]]
    damaged = set()
    for start in range(0, len(pile), step := RECORDS_PER_MEMBER if number == GROUPED else 1):
        group = pile[start : start + step]
        if number == PLAIN:
            members.append(_request(group[0]))
            keys.append([])
        members.append(b"".join(_response(element) for element in group))
        keys.append([_key(element) for element in group])
        if any(isinstance(e, Page) and e.kind == "damaged_record" for e in group):
            damaged.add(len(members) - 1)
    with path.open("wb") as out:
        for i, (raw, names) in enumerate(zip(members, keys, strict=True)):
            stored = raw if number == PLAIN else _gzip(raw)
            if i in damaged:
                stored = _damage(stored)
            for name in names:
                places[name] = Place(path.name, out.tell(), len(stored))
            out.write(stored)
    return places


def _key(element: Page | Resource) -> tuple[str, str, str]:
    kind = element.record_type if isinstance(element, Page) else "response"
    return element.url, element.crawl_time, kind


def _info(name: str) -> bytes:
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    record = writer.create_warcinfo_record(
        name,
        {
            "software": "weft sample crawl",
            "description": "Invented pages and drawn pictures",
            "format": "WARC File Format 1.0",
        },
    )
    record.rec_headers.replace_header("WARC-Date", "2024-05-12T06:00:00Z")
    record.rec_headers.replace_header("WARC-Record-ID", _record_id("warcinfo", name))
    writer.write_record(record)
    return buffer.getvalue()


def _request(element: Page | Resource) -> bytes:
    """The request that stands before a response in the plain file."""
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    host, _, path = element.url.split("://", 1)[1].partition("/")
    lines = StatusAndHeaders(
        f"GET /{path} HTTP/1.1",
        [("Host", host), ("Accept-Encoding", "gzip, br")],
        is_http_request=True,
    )
    headers = {
        "WARC-Date": element.crawl_time,
        "WARC-Record-ID": _record_id("request", element.url, element.crawl_time),
        "WARC-Concurrent-To": _record_id(_key(element)[2], element.url, element.crawl_time),
    }
    writer.write_record(
        writer.create_warc_record(
            element.url, "request", http_headers=lines, warc_headers_dict=headers
        )
    )
    return buffer.getvalue()


def _response(element: Page | Resource) -> bytes:
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    writer.write_record(_build(writer, element))
    return buffer.getvalue()


def _build(writer: WARCWriter, element: Page | Resource) -> ArcWarcRecord:
    kind = _key(element)[2]
    record_id = _record_id(kind, element.url, element.crawl_time)
    headers = {"WARC-Date": element.crawl_time, "WARC-Record-ID": record_id}
    http = StatusAndHeaders(element.status, _http_headers(element), protocol="HTTP/1.1")
    if kind == "revisit":
        digest = Digester("sha1")
        digest.update(element.body)
        return writer.create_revisit_record(
            element.url,
            digest=str(digest),
            refers_to_uri=element.url,
            refers_to_date="2024-05-12T06:00:00Z",
            http_headers=http,
            warc_headers_dict=headers,
        )
    return writer.create_warc_record(
        element.url,
        "response",
        payload=io.BytesIO(element.body),
        length=len(element.body),
        http_headers=http,
        warc_headers_dict=headers,
    )


def _http_headers(element: Page | Resource) -> list[tuple[str, str]]:
    own = list(element.headers)
    if isinstance(element, Resource):
        own.insert(0, ("Content-Type", element.mime))
    return [
        ("Server", "sample"),
        *own,
        *(
            []
            if any(name == "Transfer-Encoding" for name, _ in own)
            else [("Content-Length", str(len(element.body)))]
        ),
    ]


def _record_id(*parts: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(_NAMESPACE, ' '.join(parts))}>"


def _gzip(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    return packer.compress(raw) + packer.flush()


def _damage(member: bytes) -> bytes:
    """Flips bytes from the middle on until inflating fails before the end of the member."""
    data = bytearray(member)
    for start in range(len(data) // 2, len(data) - 16, 4):
        for i in range(start, start + 4):
            data[i] ^= 0xFF
        if _fails_early(bytes(data)):
            return bytes(data)
    raise RuntimeError("flipped bytes did not make the member unreadable")


def _fails_early(member: bytes) -> bool:
    reader = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        # Without the trailer, so that only broken deflate data counts and no checksum.
        reader.decompress(member[:-8])
    except zlib.error:
        return True
    return False
