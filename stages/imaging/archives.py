"""Images in archives that others made: tars and Parquet files as img2dataset writes them.

A tar holds, for each image, members of one key that stand together: ``KEY.jpg`` (or png, webp ...)
and ``KEY.json`` with the ``url`` it was fetched from. A Parquet file holds a row for each image,
its ``url`` and its bytes in a column named by their format; one without such a column, as lies
beside each tar, has no images. What was never fetched has a status other than success, or no bytes.
So has a finished corpus of ours: its images table, with the bytes in ``bytes`` and all URLs in
``urls``.

Archives know no headers: of an owner's will only lists of opt-outs tell. img2dataset
may have resized and re-encoded what it fetched: `ImageRecord.source` tells such images apart.

Source: img2dataset 1.47 (writer.py); webdataset's naming convention (the key ends at the first dot
of the file's name).
"""

import json
import posixpath
import tarfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa

from schemas.image import ImageLocation
from stages import files
from stages.imaging.refusal import Reason, Refused
from stages.imaging.sources import Check, Payload, Source

_IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
_PATTERNS = ("*.tar", "*.parquet")
_MAX_JSON = 1 << 20


@dataclass(frozen=True)
class Archives(Source):
    """Attributes:
    paths: tars, Parquet files, folders of them, or globs of the last part of a path.
    """

    name: ClassVar[str] = "webdataset"
    paths: tuple[str, ...] = ()

    def files(self) -> Iterable[str]:
        for path in self.paths:
            yield from archives_of(path)

    def places(self, path: str) -> Iterator[ImageLocation]:
        return _in_tar(path) if path.endswith(".tar") else _in_parquet(path)

    def read(self, place: ImageLocation, max_bytes: int, check: Check) -> Payload:
        check(())
        if place.length > max_bytes:
            raise Refused(Reason.TOO_LARGE, f"{place.length} bytes")
        if place.path.endswith(".tar"):
            with files.opened(place.path) as file:
                file.seek(place.offset)
                data = file.read(place.length)
        else:
            data = _opened(place.path).data(place.offset)
        if len(data) > max_bytes:
            raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes")
        return Payload(data, (), place.status, self.name)


def archives_of(path: str) -> list[str]:
    """The archives that a setting names.

    Raises:
      ValueError: there is none.
    """
    folder, name = posixpath.split(path)
    if "*" in name or "?" in name:
        found = files.listed(folder, name)
    elif name.endswith(tuple(pattern[1:] for pattern in _PATTERNS)):
        found = [path] if files.exists(path) else []
    else:
        found = [file for pattern in _PATTERNS for file in files.listed(path, pattern)]
    if not found:
        raise ValueError(f"webdataset: {path} names no .tar and no .parquet file")
    return found


def _in_tar(path: str) -> Iterator[ImageLocation]:
    """The images of a tar; of one that was cut off, those before the cut."""
    key, image, url = "", None, ""
    with files.opened(path) as opened, tarfile.open(fileobj=opened, mode="r:") as archive:
        for member in _members(archive):
            folder, name = posixpath.split(member.name)
            stem, _, extension = name.partition(".")
            if (at := posixpath.join(folder, stem)) != key:
                if image and url:
                    yield _location(path, url, image.offset_data, image.size)
                key, image, url = at, None, ""
            if extension.lower() in _IMAGES:
                image = member
            elif extension.lower() == "json":
                url = _url(archive.extractfile(member), member.size)
    if image and url:
        yield _location(path, url, image.offset_data, image.size)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    try:
        for member in archive:
            if member.isfile():
                yield member
    except tarfile.ReadError:  # an archive that was not finished has no end
        return


def _url(file: Any, size: int) -> str:
    if file is None or size > _MAX_JSON:
        return ""
    try:
        told = json.loads(file.read())
    except (ValueError, tarfile.ReadError, RecursionError):
        return ""
    if not isinstance(told, dict) or told.get("status", "success") != "success":
        return ""
    return told["url"] if isinstance(told.get("url"), str) else ""


def _in_parquet(path: str) -> Iterator[ImageLocation]:
    rows = _opened(path)
    if not rows.column:
        return
    number = 0
    columns = rows.file.schema_arrow.names
    names = [name for name in ("url", "urls", "status") if name in columns]
    for batch in rows.file.iter_batches(columns=names):
        for row in batch.to_pylist():
            # A corpus has the HTTP status there; whatever it was, the bytes were a picture.
            if row.get("url") and (row.get("status", "success") == "success" or "urls" in names):
                for url in row.get("urls") or [row["url"]]:
                    yield _location(path, url, number, 0)
            number += 1


def _location(path: str, url: str, offset: int, length: int) -> ImageLocation:
    name = posixpath.basename(path)
    return ImageLocation(url, path, name, offset, length=length, source=Archives.name)


class _Rows:
    """A Parquet file whose images are read one after the other."""

    def __init__(self, path: str):
        self.file = files.open_parquet(path)
        schema = self.file.schema_arrow
        binary = {field.name for field in schema if _is_binary(field.type)}
        # Without URLs no row can be found.
        named = [name for name in (*_IMAGES, "bytes") if name in binary and "url" in schema.names]
        self.column = next(iter(named), "")
        self._start, self._data = 0, pa.chunked_array([], pa.binary())
        self._reading = threading.Lock()

    def data(self, row: int) -> bytes:
        with self._reading:
            if not self._start <= row < self._start + len(self._data):
                self._start = 0
                for group in range(self.file.num_row_groups):
                    size = self.file.metadata.row_group(group).num_rows
                    if row < self._start + size:
                        table = self.file.read_row_group(group, columns=[self.column])
                        self._data = table.column(self.column)
                        break
                    self._start += size
            return bytes(self._data[row - self._start].as_py() or b"")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@lru_cache(maxsize=2)  # places are read file by file
def _opened(path: str) -> _Rows:
    return _Rows(path)
