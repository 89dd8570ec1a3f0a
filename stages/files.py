"""Files on any filesystem that Beam knows: local, gs://, s3://."""

import copy
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.value_provider import RuntimeValueProvider

# What opens s3:// asks for options, and refuses where no pipeline has set any: in a command that
# builds none. With none in them boto3 looks in its own environment for keys and address.
if RuntimeValueProvider.runtime_options is None:
    RuntimeValueProvider.set_runtime_options({})

_S3 = "s3://"
_S3_CLIENTS: dict[str, Any] = {}
# Beam's own, of 16 MB, would be filled for each image in a WARC file.
_S3_BUFFER = 256 * 1024


def join(directory: str, *names: str) -> str:
    return FileSystems.join(directory, *names)


def opened(path: str) -> BinaryIO:
    """Opens a file for reading, as it is stored."""
    if "://" not in path:
        return open(path, "rb")
    if path.startswith(_S3):
        return cast(BinaryIO, _s3().open(path, "rb", read_buffer_size=_S3_BUFFER))
    return cast(BinaryIO, FileSystems.open(path, compression_type="uncompressed"))


def _s3() -> Any:
    """What Beam reads and writes s3:// with, by a client that is made once a process: to make one
    takes a tenth of a CPU second, and Beam makes one for each file."""
    from apache_beam.io.aws.clients.s3.boto3_client import Client
    from apache_beam.io.aws.s3io import S3IO

    options = cast(Any, FileSystems.get_filesystem(_S3))._options
    key = f"{os.getpid()} {options}"  # no forked process takes its parent's connections
    if key not in _S3_CLIENTS:
        _S3_CLIENTS[key] = Client(options)
    # A copy for each file: it holds the stream that it reads from.
    return S3IO(client=copy.copy(_S3_CLIENTS[key]))


def read_bytes(path: str) -> bytes:
    with opened(path) as file:
        return file.read()


def sha256_of(path: str) -> str:
    """SHA-256 of a small file, empty where there is none."""
    return hashlib.sha256(read_bytes(path)).hexdigest() if exists(path) else ""


def exists(path: str) -> bool:
    return bool(_s3().exists(path) if path.startswith(_S3) else FileSystems.exists(path))


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
    """A file being written: counts and hashes what goes in.

    Args:
      create: opens the file, when the first bytes come.
    """

    def __init__(self, create: Callable[[], Any]):
        super().__init__()
        self._create = create
        self._file: Any = None
        self._sha256 = hashlib.sha256()
        self.n_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if not view.nbytes:
            return 0
        self._file = self._file or self._create()
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
            with ExitStack() as stack:
                output = Output(lambda: stack.enter_context(_created(path)))
                yield output
            if not output.n_bytes:
                _create_empty(path)
        except BaseException:
            # Closing made a visible object of what was written so far.
            delete([path])
            raise
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = _temporary(path)
    try:
        with open(temporary, "wb") as file:
            yield Output(lambda: file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _created(path: str) -> Any:
    if path.startswith(_S3):
        return _s3().open(path, "wb")
    return FileSystems.create(path, compression_type="uncompressed")


def _create_empty(path: str) -> None:
    if not path.startswith(_S3):
        _created(path).close()
        return
    # Beam uploads in parts, and S3 refuses an upload of none.
    bucket, _, key = path.removeprefix(_S3).partition("/")
    _s3().client.client.put_object(Bucket=bucket, Key=key, Body=b"")


def _temporary(path: str) -> str:
    # A name of its own for every attempt: two workers may try the same file at once.
    return f"{path}.{uuid.uuid4().hex}.tmp"


def open_parquet(path: str) -> pq.ParquetFile:
    """Opens a Parquet file for reading; local files are not read into memory."""
    return pq.ParquetFile(opened(path) if "://" in path else path)


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
