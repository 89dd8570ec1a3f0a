"""Lists of hosts, URLs and images that are not to be used, by whoever asked not to be.

A list is a file: text with one entry a line, ``#`` before a comment; Parquet with the columns host,
url, sha256 or entry, any of them; or the log of takedowns that `weft takedown` keeps (JSON lines).
An entry is a host, which stands for the hosts below it too, a URL, or the SHA-256 of an image's
bytes. URLs are equal whatever their scheme, fragment, default port, dot segments and
percent-encoding are.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from ada_url import idna_to_ascii, normalize_url
from pyarrow import fs

from filters.base import Score

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_HOST = re.compile(r"[^\s/:?#@]+")
_PORT = {"http": 80, "https": 443}


class Reason(StrEnum):
    HOST_LISTED = "host_listed"
    URL_LISTED = "url_listed"
    SHA256_LISTED = "sha256_listed"


@dataclass(frozen=True)
class Listed:
    """An entry that was met, and where it stands."""

    reason: Reason
    entry: str
    where: str

    @property
    def detail(self) -> str:
        return f"{self.reason}: {self.entry} in {self.where}"


@dataclass(frozen=True)
class OptOutList:
    """Entries, each with where it stands.

    Attributes:
      hosts: in lower case and ASCII.
      urls: by `url_key`.
      images: SHA-256 in lower case.
    """

    hosts: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def add(self, entry: str, where: str) -> None:
        """Raises:
        ValueError: it is neither a host nor a URL nor a SHA-256.
        """
        if _SHA256.fullmatch(entry):
            self.images.setdefault(entry.lower(), where)
        elif "://" in entry:
            if not host_of(entry):
                raise ValueError(f"{where}: {entry!r} is a URL without a host")
            self.urls.setdefault(url_key(entry), where)
        else:
            host = _ascii(entry.removeprefix("*.").strip("."))
            if not host or not _HOST.fullmatch(host):
                raise ValueError(
                    f"{where}: {entry!r} is no host, no URL (with https://) and no SHA-256"
                )
            self.hosts.setdefault(host, where)

    def find_url(self, url: str) -> Listed | None:
        """The entry that a URL, its host or a host above it stands under."""
        if self.urls and (where := self.urls.get(url_key(url))):
            return Listed(Reason.URL_LISTED, url[:200], where)
        host = host_of(url) if self.hosts else ""
        while host:
            if where := self.hosts.get(host):
                return Listed(Reason.HOST_LISTED, host, where)
            host = host.partition(".")[2]
        return None

    def find_image(self, sha256: str) -> Listed | None:
        where = self.images.get(sha256)
        return Listed(Reason.SHA256_LISTED, sha256, where) if where else None


def find_url(files: Sequence[str], url: str) -> Score:
    """1 where one of the files lists the URL, else 0; the detail begins with the reason."""
    return _score([load(file).find_url(url) for file in files])


def find_image(files: Sequence[str], sha256: str) -> Score:
    """As `find_url`, for the SHA-256 of an image's bytes."""
    return _score([load(file).find_image(sha256) for file in files])


def reason_of(score: Score) -> Reason | None:
    """The reason in the score of `find_url` or `find_image`."""
    return Reason(score.detail.partition(":")[0]) if score.value else None


def _score(found: Sequence[Listed | None]) -> Score:
    first = next((listed for listed in found if listed), None)
    return Score(1.0, first.detail) if first else Score(0.0)


def check_files(files: Sequence[str]) -> tuple[str, ...]:
    """The files, each read once: a worker is too late to hear of a bad line.

    Raises:
      ValueError: one cannot be read, or an entry of it.
    """
    load.cache_clear()  # a file may have changed since an earlier run in this process
    for file in files:
        try:
            load(file)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise ValueError(f"opt_out_lists: {file} cannot be read: {error}") from None
    return tuple(files)


@cache
def load(path: str) -> OptOutList:
    """Reads a list; see the module for its forms.

    Raises:
      ValueError: an entry or the form of the file is wrong.
      OSError: it cannot be read.
    """
    found, name = OptOutList(), re.split(r"[/\\]", path)[-1]
    for number, entry in read_entries(path):
        found.add(entry, f"{name} line {number}")
    return found


def read_entries(path: str) -> Iterator[tuple[int, str]]:
    """The entries of a file as they are written, each with its line or row, from 1."""
    return {".parquet": _parquet, ".jsonl": _log}.get(Path(path).suffix, _text)(path)


def _read(path: str) -> bytes:
    if "://" not in path:
        return Path(path).read_bytes()
    system, inside = fs.FileSystem.from_uri(path)
    with system.open_input_file(inside) as file:
        content: bytes = file.read()
        return content


def _text(path: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_read(path).decode("utf-8-sig").splitlines(), start=1):
        # A fragment's mark has no space before it.
        if entry := re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip():
            yield number, entry


def _log(path: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_read(path).decode().splitlines(), start=1):
        request = json.loads(line)
        for name in ("hosts", "urls", "sha256"):
            for entry in request[name]:
                yield number, entry


def _parquet(path: str) -> Iterator[tuple[int, str]]:
    with pq.ParquetFile(pa.BufferReader(_read(path))) as file:
        columns = [n for n in ("host", "url", "sha256", "entry") if n in file.schema_arrow.names]
        if not columns:
            raise ValueError(f"{path}: has none of the columns host, url, sha256 and entry")
        number = 0
        for batch in file.iter_batches(columns=columns):
            for row in batch.to_pylist():
                number += 1
                for entry in row.values():
                    if entry and str(entry).strip():
                        yield number, str(entry).strip()


def url_key(url: str) -> str:
    """What URLs of one resource have in common, for looking up only."""
    try:
        parts = urlsplit(normalize_url(url.strip()))
    except ValueError:
        return url.strip()
    port = parts.port
    colon = "" if port is None or port in _PORT.values() else f":{port}"
    query = f"?{unquote(parts.query)}" if parts.query else ""
    return f"{_ascii(parts.hostname or '')}{colon}{unquote(parts.path) or '/'}{query}"


def host_of(url: str) -> str:
    """The host in lower case and ASCII, empty where there is none."""
    try:
        return _ascii(urlsplit(url.strip()).hostname or "")
    except ValueError:
        return ""


def _ascii(host: str) -> str:
    host = host.lower().rstrip(".")
    try:
        return host if host.isascii() else idna_to_ascii(host).decode() or host
    except UnicodeEncodeError:
        return host
