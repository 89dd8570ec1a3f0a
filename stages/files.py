"""Files on any filesystem that Beam knows: local, gs://, s3://."""

import io
import os
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems


def join(directory: str, *names: str) -> str:
    return FileSystems.join(directory, *names)


def read_bytes(path: str) -> bytes:
    with FileSystems.open(path, compression_type="uncompressed") as file:
        return file.read()


def exists(path: str) -> bool:
    return FileSystems.exists(path)


def write_atomically(path: str, content: bytes) -> None:
    """Writes a file so that it is either whole or not there.

    An object store makes an object visible when it is closed; a local file is written beside its
    place and renamed.
    """
    if "://" in path:
        with FileSystems.create(path, compression_type="uncompressed") as file:
            file.write(content)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    # The process id keeps two attempts at the same file apart.
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def parquet_bytes(
    write: Callable[[pq.ParquetWriter], None], schema: pa.Schema, **options: object
) -> bytes:
    """One Parquet file in memory; `write` is given the open `pyarrow.parquet.ParquetWriter`."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, **options) as writer:
        write(writer)
    return buffer.getvalue()


def open_parquet(path: str) -> pq.ParquetFile:
    """Opens a Parquet file for reading; local files are not read into memory."""
    if "://" in path:
        return pq.ParquetFile(FileSystems.open(path, compression_type="uncompressed"))
    return pq.ParquetFile(path)


def delete(paths: Sequence[str]) -> None:
    """Deletes files and folders with all they hold; what is not there is not missed."""
    present = [path for path in paths if exists(path)]
    if present:
        FileSystems.delete(present)
