"""Names the files of a run, and opens them wherever they lie.

An input is a file, a glob, a directory or a list of paths, on local disk, behind a Beam file system
(``gs://``, ``s3://``) or behind ``https://``. Files are opened as they are stored: Beam's own
decompression stops at the first damaged gzip member and is several times slower.
"""

import glob
import gzip
import io
import itertools
import os
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, cast

import httpx
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from stages import files

COMMON_CRAWL = "https://data.commoncrawl.org/"

_ARCHIVE = re.compile(r"\.w?arc(\.(gz|zst|lz4|bz2|xz))?$|\.wacz$", re.IGNORECASE)
_INDEX = re.compile(r"\.parquet$", re.IGNORECASE)
# What Common Crawl derives from its WARCs: metadata, and text without its images.
_DERIVED = re.compile(r"\.(wat|wet)(\.gz)?$", re.IGNORECASE)
_LIST = re.compile(r"\.(paths|txt)(\.gz)?$", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_IN_WACZ = re.compile(r"(?i)(?<=\.wacz)!")


@dataclass(frozen=True)
class WarcFile:
    """An archive file of a run.

    Attributes:
      name: what the run calls it, the same wherever the data lie.
      path: where it can be opened; ``x.wacz!archive/data.warc.gz`` is a file inside a WACZ.
      size: bytes, 0 where unknown (``https://`` and remote paths of a list).
      modified: seconds since 1970, 0 where unknown.
    """

    name: str
    path: str
    size: int = 0
    modified: float = 0.0


class _Found(NamedTuple):
    path: str
    size: int = 0
    modified: float = 0.0


def list_inputs(
    inputs: Sequence[str], crawl_prefix: str = COMMON_CRAWL, index: bool = False
) -> tuple[WarcFile, ...]:
    """Lists the files that inputs stand for, each once, sorted by name.

    A directory and a glob stand for every WARC, ARC and WACZ file that they match; a file given by
    itself is taken whatever it is called. In a list (``*.paths``, ``*.txt``, each also ``.gz``) a
    line is a URL, an absolute path, a path relative to the list, or a Common Crawl path
    ``crawl-data/...`` or ``cc-index/...``, which gets `crawl_prefix`.

    Args:
      index: the files are not archives but ``*.parquet``: parts of a columnar index, or of the
        documents table of a corpus.

    The name of a file is its path from ``crawl-data/`` on, else its path relative to the directory
    that all such files have in common.

    Raises:
      ValueError: an input matches nothing, or two files have one name.
    """
    wanted = _INDEX if index else _ARCHIVE
    found = {file.path: file for text in inputs for file in _expand(text, crawl_prefix, wanted)}
    for path in found:
        if index and not _INDEX.search(path):
            raise ValueError(
                f"inputs: {path} is no Parquet file; read.cc_index and read.corpus read no archives"
            )
        if derived := _DERIVED.search(path):
            raise ValueError(
                f"inputs: {path} is a {derived[1].upper()} file, which holds no pages; "
                "name the WARC files (warc.paths.gz)"
            )
        if not index and _INDEX.search(path):
            raise ValueError(
                f"inputs: {path} is no archive; set read.cc_index to read what an index lists, "
                "or read.corpus to read a corpus"
            )
    names = _names(list(found))
    paths: dict[str, str] = {}
    for path, name in sorted(names.items()):
        if paths.setdefault(name, path) != path:
            raise ValueError(f"inputs: {paths[name]} and {path} are both {name}; leave one out")
    return tuple(
        WarcFile(name, path, found[path].size, found[path].modified)
        for name, path in sorted(paths.items())
    )


def open_input(path: str, offset: int = 0, stop: int | None = None) -> BinaryIO:
    """Opens a file for reading as it is stored, seekable, at `offset`.

    Args:
      stop: byte after the last that is wanted; a server is asked for no more.

    Raises:
      OSError: it cannot be opened.
      zipfile.BadZipFile, KeyError: the WACZ around it is damaged, or lacks it.
    """
    file = _open(path, stop)
    if offset:
        file.seek(offset)
    return file


def wacz_members(path: str) -> tuple[str, ...]:
    """The WARC files inside a WACZ, as paths for `open_input`.

    Source: WACZ 1.1.1 §3, https://specs.webrecorder.net/wacz/1.1.1/: they lie in ``archive/``.

    Raises:
      zipfile.BadZipFile: it is no zip file, or a damaged one.
    """
    with open_input(path) as file, zipfile.ZipFile(file) as wacz:
        inside = sorted({name for name in wacz.namelist() if _ARCHIVE.search(name)})
    return tuple(f"{path}!{name}" for name in inside if name.startswith("archive/"))


def is_wacz(path: str) -> bool:
    return path.lower().endswith(".wacz")


def is_local(path: str) -> bool:
    return not _scheme(path)


def seekable_size(path: str) -> int:
    """The size of a file, 0 where its middle is reached only by reading what precedes it.

    Raises:
      OSError, zipfile.BadZipFile, KeyError: as `open_input`.
    """
    if inside := _IN_WACZ.search(path):
        with open_input(path[: inside.start()]) as file, zipfile.ZipFile(file) as wacz:
            info = wacz.getinfo(path[inside.end() :])
            return info.file_size if _is_stored(info) else 0
    if _scheme(path) in ("http", "https"):
        with _HttpFile(path) as served:
            size = served.seek(0, os.SEEK_END)
            return size if served.answers_ranges else 0
    with open_input(path) as file:
        return file.seek(0, os.SEEK_END)


def _is_stored(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1


def _expand(text: str, crawl_prefix: str, wanted: re.Pattern[str]) -> Iterator[_Found]:
    text = text.removeprefix("file://")
    scheme = _scheme(text)
    if not scheme:
        found = _expand_local(text, wanted)
    elif scheme in ("http", "https"):
        if "*" in text:
            raise ValueError(f"inputs: {text} is a glob, which https cannot list; give a list file")
        found = [_Found(text)]
    else:
        found = _expand_remote(text, wanted)
    for file in found:
        if _LIST.search(file.path) and not _ARCHIVE.search(file.path):
            yield from _read_list(file.path, crawl_prefix)
        else:
            yield file


def _expand_local(text: str, wanted: re.Pattern[str]) -> list[_Found]:
    path = os.path.abspath(os.path.expanduser(text))
    if os.path.isfile(path):
        return [_local(path)]
    if os.path.isdir(path):
        inside = [os.path.join(root, name) for root, _, names in os.walk(path) for name in names]
    else:
        inside = glob.glob(path, recursive=True)
    found = [_local(p) for p in sorted(inside) if wanted.search(p) and os.path.isfile(p)]
    if not found:
        if os.path.isdir(path) or inside:
            if wanted is _INDEX:
                raise ValueError(f"inputs: nothing in {text} is called *.parquet")
            raise ValueError(
                f"inputs: nothing in {text} is called *.warc, *.warc.gz, *.arc, *.wacz ...;"
                " name the files themselves if they are archives"
            )
        raise ValueError(f"inputs: {text} does not exist; check the path")
    return found


def _local(path: str) -> _Found:
    status = os.stat(path)
    return _Found(path, status.st_size, status.st_mtime)


def _expand_remote(text: str, wanted: re.Pattern[str]) -> list[_Found]:
    try:
        exact = FileSystems.match([text])[0].metadata_list
        inside = exact or FileSystems.match([f"{text.rstrip('/')}/**"])[0].metadata_list
    except (BeamIOError, ValueError) as error:
        raise ValueError(
            f"inputs: {text} cannot be listed: {error}; gs:// and s3:// need the extras"
            " weft[gcp] or weft[aws] and credentials"
        ) from error
    found = [_Found(m.path, m.size_in_bytes, m.last_updated_in_seconds or 0.0) for m in inside]
    named = [file for file in found if file.path == text or wanted.search(file.path)]
    if not named:
        raise ValueError(f"inputs: {text} matches no archive file; check the path")
    return named


def _read_list(path: str, crawl_prefix: str) -> Iterator[_Found]:
    with open_input(path) as file:
        data = file.read()
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"inputs: the list {path} is damaged: {error}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"inputs: the list {path} names no file")
    for number, line in lines:
        if line.startswith(("crawl-data/", "cc-index/")):
            line = f"{crawl_prefix.rstrip('/')}/{line}"
        elif not _scheme(line) and not os.path.isabs(line):
            line = f"{path.rpartition('/')[0]}/{line}"
        line = line.removeprefix("file://")
        if _scheme(line):
            yield _Found(line)
            continue
        line = os.path.abspath(line)
        if not os.path.isfile(line):
            raise ValueError(f"inputs: {path}:{number} names {line}, which does not exist")
        yield _local(line)


def _scheme(path: str) -> str:
    match = _SCHEME.match(path)
    return match[1].lower() if match else ""


def _names(paths: Sequence[str]) -> dict[str, str]:
    names, others = {}, []
    for path in paths:
        before, found, rest = path.partition("crawl-data/")
        if found and (not before or before.endswith("/")):
            names[path] = found + rest
        else:
            others.append(path)
    parts = [path.split("/") for path in others]
    levels = zip(*(path[:-1] for path in parts), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda level: len(set(level)) == 1, levels))
    names.update(("/".join(path), "/".join(path[shared:])) for path in parts)
    return names


def _open(path: str, stop: int | None = None) -> BinaryIO:
    if inside := _IN_WACZ.search(path):
        return _open_zipped(path[: inside.start()], path[inside.end() :])
    if _scheme(path) in ("http", "https"):
        return cast(BinaryIO, io.BufferedReader(_HttpFile(path, stop), 256 * 1024))
    return files.opened(path)


def _open_zipped(path: str, member: str) -> BinaryIO:
    file = open_input(path)
    try:
        wacz = zipfile.ZipFile(file)
        info = wacz.getinfo(member)
        if not _is_stored(info):
            return cast(BinaryIO, wacz.open(info))
        # zipfile seeks by reading; a stored member is a part of the file, so seek in that.
        file.seek(info.header_offset)
        header = struct.unpack("<4s5H3I2H", file.read(30))
        if header[0] != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"{member} does not start where the directory says")
        start = info.header_offset + 30 + header[9] + header[10]
        return cast(BinaryIO, io.BufferedReader(_Part(file, start, info.file_size), 128 * 1024))
    except BaseException:
        file.close()
        raise


class _Part(io.RawIOBase):
    """A run of bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._position)
        data = self._file.read(max(0, min(len(buffer), self._size - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


RETRY_SECONDS = (1, 2, 4, 8, 16, 32)
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class _HttpFile(io.RawIOBase):
    """A file behind HTTP, read in one stream by a range request, taken up again where it breaks."""

    def __init__(self, url: str, stop: int | None = None) -> None:
        self._url = url
        self._stop = stop
        self._client = httpx.Client(
            follow_redirects=True,
            timeout=60,
            headers={"User-Agent": "weft", "Accept-Encoding": "identity"},
        )
        self._position = 0
        self._size: int | None = None
        self.answers_ranges = False
        self._etag: str | None = None
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._rest = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END and self._size is None:
            self._retry(self._connect)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size or 0}[whence]
        position = max(0, base + offset)
        if position != self._position:
            self._disconnect()
        self._position = position
        return position

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        if (end := self._end) is not None and self._position >= end:
            return 0
        if not self._rest:
            self._rest = self._retry(self._receive)
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._disconnect()
        self._client.close()
        super().close()

    @property
    def _end(self) -> int | None:
        """Where reading ends; None where that is not known yet."""
        if self._size is None or self._stop is None:
            return self._size
        return min(self._size, self._stop)

    def _receive(self) -> bytes:
        if self._response is None:
            self._connect()
        data = next(self._chunks, b"")
        if not data and (end := self._end) is not None and self._position < end:
            raise httpx.RemoteProtocolError("the server closed the connection early")
        return data

    def _connect(self) -> bytes:
        self._disconnect()
        last = "" if self._stop is None else max(self._position, self._stop - 1)
        request = self._client.build_request(
            "GET", self._url, headers={"Range": f"bytes={self._position}-{last}"}
        )
        response = self._client.send(request, stream=True)
        try:
            self._accept(response)
        except BaseException:
            response.close()
            raise
        self._response, self._chunks = response, response.iter_raw()
        return b""

    def _accept(self, response: httpx.Response) -> None:
        status = response.status_code
        part, _, total = response.headers.get("content-range", "").rpartition("/")
        if status == 416:  # at or past the end
            self._size = int(total) if total.isdigit() else self._size
            raise _AtEnd
        if status in (404, 410):
            raise FileNotFoundError(f"{self._url}: HTTP status {status}")
        response.raise_for_status()
        if status == 206:
            self.answers_ranges = True
            if (first := re.search(r"\d+(?=-)", part)) and int(first[0]) != self._position:
                raise OSError(f"{self._url}: asked from byte {self._position}, got {part!r}")
            self._size = int(total) if total.isdigit() else None
        elif self._position:
            raise OSError(f"{self._url}: the server does not answer range requests")
        else:
            length = response.headers.get("content-length", "")
            self._size = int(length) if length.isdigit() else None
        etag = response.headers.get("etag", "")
        if self._etag not in (None, etag):
            raise OSError(f"{self._url}: the file changed while it was read")
        self._etag = etag

    def _disconnect(self) -> None:
        self._rest, self._chunks = b"", iter(())
        if self._response is not None:
            self._response.close()
            self._response = None

    def _retry(self, step: object) -> bytes:
        assert callable(step)
        for delay in (*RETRY_SECONDS, None):
            try:
                return cast(bytes, step())
            except _AtEnd:
                return b""
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                self._disconnect()
                if status not in _RETRIED or delay is None:
                    raise OSError(f"{self._url}: HTTP status {status}") from error
            except httpx.TransportError as error:
                self._disconnect()
                if delay is None:
                    raise OSError(f"{self._url}: {error!r}") from error
            time.sleep(delay)
        raise AssertionError


class _AtEnd(Exception):
    """A range was asked for that starts at the end of the file."""
