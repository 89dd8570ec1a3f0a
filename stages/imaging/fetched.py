"""The image store: every URL that was ever tried, how it ended, and the bytes that came.

A folder of Parquet files that are only ever added to, named by what they hold. A row is a URL; its
bytes lie in the row of the first URL that brought them. Files lie in folders by the site of the
URL, so that the worker that owns a site knows from a few of them what was tried before. While a
worker fetches it leaves a small file in `journal` every few seconds; when it is done it makes large
ones of them. What a kill leaves in the journal counts like the rest, and a row that is there twice
does no harm.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.arrow import arrow_schema, from_row, to_row
from schemas.fetch import Fetched, Header
from schemas.image import ImageLocation
from stages import files
from stages.imaging.refusal import PASSING, Reason, Refused
from stages.imaging.sources import Check, Payload, Source
from stages.imaging.urls import site_of
from stages.warc.payload import Headers

FOLDER = "fetched"  # in `_work` of a corpus
JOURNAL = "journal"
BUCKETS = 64
SCHEMA = pa.schema([*arrow_schema(Fetched), pa.field("data", pa.binary())])
_LOG = arrow_schema(Fetched).names
_FILE_BYTES = 64 * 1024 * 1024
_GROUP_BYTES = 8 * 1024 * 1024
# Bytes of images are compressed already.
_OPTIONS = {
    "compression": {name: "none" if name == "data" else "zstd" for name in SCHEMA.names},
    "use_dictionary": False,
    "write_statistics": False,
}
_KEPT_HEADERS = frozenset(
    {
        *("content-type", "content-length", "content-encoding", "etag", "last-modified", "date"),
        *("cache-control", "expires", "retry-after", "server"),
        *("x-robots-tag", "tdm-reservation", "tdm-policy", "link", "content-location"),
    }
)


def bucket_of_site(url: str) -> int:
    """The bucket of a URL, the same for all URLs of a site and on every machine."""
    digest = hashlib.blake2b(site_of(url).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) % BUCKETS


def to_headers(headers: Headers) -> tuple[Header, ...]:
    """The headers that matter."""
    return tuple(Header(name, value) for name, value in headers if name in _KEPT_HEADERS)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Place:
    """Where a row lies."""

    path: str
    row: int


@dataclass(frozen=True)
class Known:
    """What is known of a URL from before."""

    fetched: Fetched
    place: Place

    @property
    def location(self) -> ImageLocation:
        return to_location(self.fetched, self.place)

    def stands(self, max_bytes: int, check: Check) -> bool:
        """Whether the outcome is what asking again would tell; the limits and the policy of today
        are applied to what came then."""
        reason = self.fetched.reason
        if reason in PASSING or (reason == Reason.HTTP_4XX and self.fetched.status in (408, 425)):
            return False
        if reason == Reason.OPTED_OUT:
            try:
                check(tuple((header.name, header.value) for header in self.fetched.headers))
            except Refused:
                return True
            return False
        if reason in (Reason.TOO_LARGE, Reason.CONTENT_BOMB):
            return self.fetched.limit >= max_bytes
        return True


def to_location(fetched: Fetched, place: Place) -> ImageLocation:
    return ImageLocation(
        fetched.url,
        place.path,
        place.path.rpartition("/")[2],
        place.row,
        length=fetched.n_bytes,
        status=fetched.status,
        mime=_first(fetched, "content-type").partition(";")[0].strip().lower(),
        crawl_time=fetched.fetched_at,
        source=Store.name,
    )


def _first(fetched: Fetched, name: str) -> str:
    return next((header.value for header in fetched.headers if header.name == name), "")


def read_log(path: str) -> Iterator[Known]:
    """The rows of one file, without bytes."""
    with files.open_parquet(path) as file:
        number = 0
        for batch in file.iter_batches(columns=_LOG):
            for row in batch.to_pylist():
                # Stores of earlier versions have no consent.
                yield Known(from_row(Fetched, {"consent": (), **row}), Place(path, number))
                number += 1


def known_in(folder: str, buckets: Iterable[int]) -> dict[str, Known]:
    """What a store knows of the URLs of some buckets: bytes where there are any, else the latest
    outcome."""
    known: dict[str, Known] = {}

    def note(found: Known) -> None:
        old = known.get(found.fetched.url)
        if old is None or _rank(found) > _rank(old):
            known[found.fetched.url] = found

    wanted = set(buckets)
    for bucket in wanted:
        for path in files.listed(folder, f"{bucket:02d}/*.parquet"):
            for found in read_log(path):
                note(found)
    for path in files.listed(folder, f"{JOURNAL}/*.parquet"):
        for found in read_log(path):
            if bucket_of_site(found.fetched.url) in wanted:
                note(found)
    return known


def _rank(known: Known) -> tuple[bool, str, str, int]:
    fetched, place = known.fetched, known.place
    return not fetched.reason, fetched.fetched_at, place.path, place.row


@dataclass
class Writer:
    """Adds to a store.

    Attributes:
      folder: of the store.
    """

    folder: str
    _waiting: list[tuple[Fetched, bytes]] = field(default_factory=list)
    _bytes: int = 0
    _written: dict[str, list[Fetched]] = field(default_factory=dict)  # by path, without bytes

    def add(self, fetched: Fetched, data: bytes = b"") -> None:
        self._waiting.append((fetched, data))
        self._bytes += len(data)

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows that are not on disk yet, and their bytes."""
        return len(self._waiting), self._bytes

    def flush(self) -> None:
        """Puts on disk what was added so far."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            known = self._write(JOURNAL, waiting)
            self._written[known[0].place.path] = [row.fetched for row in known]

    def close(self) -> dict[str, Known]:
        """Makes large files, by site, of the small ones.

        Returns:
          For each URL that was added, its row.
        """
        self.flush()
        known: dict[str, Known] = {}
        for rows in _portions(self._written):
            by_bucket: dict[int, list[tuple[Fetched, bytes]]] = {}
            for fetched, data in rows:
                by_bucket.setdefault(bucket_of_site(fetched.url), []).append((fetched, data))
            for bucket, part in by_bucket.items():
                known |= {row.fetched.url: row for row in self._write(f"{bucket:02d}", part)}
        files.delete(list(self._written))
        self._written = {}
        return known

    def _write(self, folder: str, rows: Sequence[tuple[Fetched, bytes]]) -> list[Known]:
        named = hashlib.sha256()
        first: dict[str, int] = {}
        batch: list[tuple[Fetched, bytes | None]] = []
        for number, (fetched, data) in enumerate(rows):
            if fetched.reason:
                batch.append((fetched, None))
            else:
                row = first.setdefault(fetched.sha256, number)
                batch.append((replace(fetched, row=row), data if row == number else None))
            key = f"{fetched.url}\n{fetched.fetched_at}\n{fetched.sha256}\n{fetched.reason}\n"
            named.update(key.encode("utf-8", "replace"))
        path = files.join(self.folder, folder, f"{named.hexdigest()[:32]}.parquet")
        with (
            files.atomic_output(path) as output,
            pq.ParquetWriter(output, SCHEMA, **_OPTIONS) as writer,
        ):
            for group in _groups(batch):
                table = pa.Table.from_pylist(
                    [{**to_row(fetched), "data": data} for fetched, data in group], SCHEMA
                )
                writer.write_table(table, row_group_size=len(group))
        return [Known(fetched, Place(path, number)) for number, (fetched, _) in enumerate(batch)]


def _groups(
    rows: Sequence[tuple[Fetched, bytes | None]],
) -> Iterator[list[tuple[Fetched, bytes | None]]]:
    group: list[tuple[Fetched, bytes | None]] = []
    size = 0
    for fetched, data in rows:
        group.append((fetched, data))
        size += len(data or b"")
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _portions(written: Mapping[str, list[Fetched]]) -> Iterator[list[tuple[Fetched, bytes]]]:
    """The rows of files, as many at a time as make a large file."""
    rows: list[tuple[Fetched, bytes]] = []
    size = 0
    for path, log in written.items():
        with files.open_parquet(path) as file:
            data = file.read(columns=["data"]).column("data").to_pylist()
        for fetched in log:
            content = b"" if fetched.reason else data[fetched.row]
            rows.append((fetched, content))
            size += len(content)
        if size >= _FILE_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


@dataclass(frozen=True)
class Store(Source):
    """The store of an earlier run.

    Attributes:
      folders: stores, or corpora that have one.
    """

    name: ClassVar[str] = "store"
    folders: tuple[str, ...] = ()

    def files(self) -> Iterable[str]:
        for folder in self.folders:
            yield from files.listed(folder, "*/*.parquet")

    def places(self, path: str) -> Iterator[ImageLocation]:
        for known in read_log(path):
            if not known.fetched.reason:
                yield known.location

    def read(self, place: ImageLocation, max_bytes: int, check: Check) -> Payload:
        file = _opened(place.path)
        fetched = file.log[place.offset]
        headers = tuple((header.name, header.value) for header in fetched.headers)
        check(headers)
        if fetched.reason:
            raise Refused(Reason(fetched.reason), fetched.detail)
        if fetched.n_bytes > max_bytes:
            raise Refused(Reason.TOO_LARGE, f"{fetched.n_bytes} bytes")
        data = file.data(fetched.row)
        return Payload(data, headers, fetched.status, "http", fetched.final_url, fetched.consent)


class _File:
    """A file of the store of which rows are read one after the other."""

    def __init__(self, path: str):
        self._path = path
        self._parquet = files.open_parquet(path)
        self.log = [known.fetched for known in read_log(path)]
        self._start, self._data = 0, pa.chunked_array([], pa.binary())
        self._reading = threading.Lock()

    def data(self, row: int) -> bytes:
        """Raises:
        IndexError: the file has no such row.
        """
        with self._reading:
            if not self._start <= row < self._start + len(self._data):
                self._load(row)
            return bytes(self._data[row - self._start].as_py())

    def _load(self, row: int) -> None:
        """Reads the row group of a row; the next rows lie there too."""
        start = 0
        for group in range(self._parquet.num_row_groups):
            size = self._parquet.metadata.row_group(group).num_rows
            if start <= row < start + size:
                table = self._parquet.read_row_group(group, columns=["data"])
                self._start, self._data = start, table.column("data")
                return
            start += size
        raise IndexError(f"{self._path} has {start} rows, row {row} was asked for")


@lru_cache(maxsize=2)  # places are read file by file
def _opened(path: str) -> _File:
    return _File(path)
