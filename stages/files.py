"""Files on any filesystem that Beam knows: local, gs://, s3://."""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems


def join(directory: str, *names: str) -> str:
    return FileSystems.join(directory, *names)


def read_bytes(path: str) -> bytes:
    with FileSystems.open(path, compression_type="uncompressed") as file:
        return file.read()


def sha256_of(path: str) -> str:
    """SHA-256 of a small file, empty where there is none."""
    return hashlib.sha256(read_bytes(path)).hexdigest() if exists(path) else ""


def exists(path: str) -> bool:
    return FileSystems.exists(path)


def write_atomically(path: str, content: bytes) -> None:
    """Writes a file so that it is either whole or not there.

    An object store makes an object visible when it is closed; a local file is written beside its
    place and renamed.
    """
    with atomic_output(path) as output:
        output.write(content)


def parquet_bytes(
    write: Callable[[pq.ParquetWriter], None], schema: pa.Schema, **options: object
) -> bytes:
    """One Parquet file in memory; `write` is given the open `pyarrow.parquet.ParquetWriter`."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, **options) as writer:
        write(writer)
    return buffer.getvalue()


class Output(io.RawIOBase):
    """A file being written: counts and hashes what goes in."""

    def __init__(self, file: Any):
        super().__init__()
        self._file = file
        self._sha256 = hashlib.sha256()
        self.n_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._file.write(view)
        self._sha256.update(view)
        self.n_bytes += view.nbytes
        return view.nbytes

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


@contextmanager
def atomic_output(path: str) -> Iterator[Output]:
    """Opens a file for writing in constant memory; it is in its place only when the block ends."""
    if "://" in path:
        try:
            with FileSystems.create(path, compression_type="uncompressed") as file:
                yield Output(file)
        except BaseException:
            # Closing made a visible object of what was written so far.
            delete([path])
            raise
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = _temporary(path)
    try:
        with open(temporary, "wb") as file:
            yield Output(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _temporary(path: str) -> str:
    # A name of its own for every attempt: two workers may try the same file at once.
    return f"{path}.{uuid.uuid4().hex}.tmp"


def open_parquet(path: str) -> pq.ParquetFile:
    """Opens a Parquet file for reading; local files are not read into memory."""
    if "://" in path:
        return pq.ParquetFile(FileSystems.open(path, compression_type="uncompressed"))
    return pq.ParquetFile(path)


def listed(folder: str, pattern: str) -> list[str]:
    """Paths below a folder that match a glob pattern, sorted."""
    if "://" not in folder:
        # Beam has no way to escape a bracket in the folder's own name.
        return sorted(str(path) for path in Path(folder).glob(pattern))
    [match] = FileSystems.match([join(folder, pattern)])
    return sorted(metadata.path for metadata in match.metadata_list)


def delete(paths: Sequence[str]) -> None:
    """Deletes files and folders with all they hold; what is not there is not missed."""
    remote = [path for path in paths if "://" in path]
    for path in paths:
        # Beam would take a bracket or star in a local name for a pattern.
        if path not in remote and os.path.isdir(path):
            shutil.rmtree(path)
        elif path not in remote and os.path.exists(path):
            os.remove(path)
    present = [path for path in remote if exists(path)]
    # An object store has no folders, only names that begin alike.
    present += [found for path in remote for found in listed(path, "**")]
    if present:
        FileSystems.delete(present)
