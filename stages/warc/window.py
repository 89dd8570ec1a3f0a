"""Byte windows: a seekable file, and what one compressed member of it inflates to.

A window hands out bytes in order, can look ahead, and can go back; it never holds much more than
what was asked for. Positions count from the start of the window.
"""

import re
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import zstandard
from isal import igzip_lib, isal_zlib
from lz4 import frame as lz4_frame

READ_BYTES = 128 * 1024
INFLATE_BYTES = 256 * 1024
_PADDING = re.compile(rb"[\r\n\t \0]*")
_ISAL_ERROR: Any = igzip_lib.IsalError  # its stub says an instance

# A member whose records all lie about their length would be inflated once for each of them.
MAX_REWINDS = 4


class Damaged(Exception):
    """The bytes at hand are not what they should be."""


class Window:
    """The common part: a buffer over `pull`, which returns the next bytes or b"" at the end.

    Attributes:
      bounded: whether reaching the end proves that nothing is missing before it.
      record_at: the position of the record that is being read.
    """

    bounded = False
    record_at = 0

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._data_position = 0

    @property
    def position(self) -> int:
        return self._data_position + self._at

    def pull(self) -> bytes:
        raise NotImplementedError

    def restart(self, position: int) -> None:
        """Makes the next `pull` return the bytes from `position` on."""
        raise NotImplementedError

    def place(self, position: int) -> tuple[int, int]:
        """Where a position is: offset in the file, and in what is inflated from there."""
        raise NotImplementedError

    def stored(self, start: int, end: int) -> int:
        """The stored bytes of a record that was just taken, 0 where it has none of its own."""
        raise NotImplementedError

    def peek(self, size: int) -> bytes:
        """Returns the next `size` bytes without taking them, fewer at the end."""
        self._fill(size)
        return self._data[self._at : self._at + size]

    def look(self, size: int) -> bytes:
        """As `peek`, but stops before a damage, and raises only where it is at one."""
        try:
            return self.peek(size)
        except Damaged:
            if self._at == len(self._data):
                raise
            return self._data[self._at :]

    def take(self, size: int) -> bytes:
        data = self.peek(size)
        self._at += len(data)
        return data

    def skip(self, size: int) -> int:
        """Returns how many bytes could be skipped."""
        left = size
        while left:
            step = min(left, len(self._data) - self._at)
            self._at += step
            left -= step
            if left and not self._next():
                break
        return size - left

    def push_back(self, data: bytes) -> None:
        """Undoes the last `take` of exactly these bytes."""
        self._data_position = self.position - len(data)
        self._data = data + self._data[self._at :]
        self._at = 0

    def rewind(self, position: int) -> None:
        if self._data_position <= position <= self._data_position + len(self._data):
            self._at = position - self._data_position
            return
        self._data, self._at, self._data_position = b"", 0, position
        self.restart(position)

    def take_padding(self, limit: int) -> tuple[bytes, int]:
        """Skips line ends, blanks and zeros.

        Returns:
          The first bytes of them, at least `limit` where there are so many, and their number.
        """
        kept, number = b"", 0
        while self._fill(1):
            end = _PADDING.match(self._data, self._at).end()  # type: ignore[union-attr]
            if number < limit:
                kept += self._data[self._at : end]
            number += end - self._at
            self._at = end
            if end < len(self._data):
                break
        return kept, number

    def _fill(self, size: int) -> int:
        have = len(self._data) - self._at
        if have >= size:
            return have
        parts = [self._data[self._at :]] if have else []
        self._data_position += self._at
        self._at = 0
        try:
            while have < size and (chunk := self.pull()):
                parts.append(chunk)
                have += len(chunk)
        finally:
            self._data = parts[0] if len(parts) == 1 else b"".join(parts)
        return have

    def _next(self) -> bool:
        self._data_position += len(self._data)
        self._data = b""
        self._at = 0
        self._data = self.pull()
        return bool(self._data)


class FileWindow(Window):
    """A seekable binary file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def pull(self) -> bytes:
        return self._file.read(READ_BYTES)

    def place(self, position: int) -> tuple[int, int]:
        return position, 0

    def stored(self, start: int, end: int) -> int:
        return end - start

    def restart(self, position: int) -> None:
        self._file.seek(position)

    def skip(self, size: int) -> int:
        if size <= len(self._data) - self._at + READ_BYTES:
            return super().skip(size)
        # Seeking past the end of a file is no error: only reading the last byte shows it is there.
        self.rewind(self.position + size - 1)
        return size - 1 + super().skip(1)

    def next_bytes(self, size: int) -> memoryview:
        """Some of the next bytes, at most `size`, empty only at the end; does not take them."""
        self._fill(1)
        return memoryview(self._data)[self._at : self._at + size]

    def advance(self, size: int) -> None:
        self._at += size

    def find(self, pattern: bytes, stop: int | None = None) -> bool:
        """Moves to the next occurrence of `pattern` that starts before `stop`, if there is one."""
        while len(ahead := self.peek(READ_BYTES)) >= len(pattern):
            left = len(ahead) if stop is None else stop - self.position
            if left <= 0:
                return False
            at = ahead.find(pattern, 0, left + len(pattern) - 1)
            if at >= 0:
                self._at += at
                return True
            self._at += len(ahead) - len(pattern) + 1
        self._at += len(ahead)
        return False


class Inflater(Protocol):
    """One compressed member.

    Attributes:
      input_bytes: how much to offer at once.
      eof: whether the member ended, its checksum verified.
    """

    input_bytes: int

    @property
    def eof(self) -> bool: ...

    def inflate(self, data: bytes | memoryview, limit: int = INFLATE_BYTES) -> tuple[bytes, int]:
        """Returns some output and how many bytes of `data` were used.

        The output has at most `limit` bytes, but for zstd, which is bounded by its input.

        Raises:
          Damaged: the data are corrupt.
        """


class GzipInflater:
    """gzip (`wbits` 31), zlib (15) or raw deflate (-15)."""

    input_bytes = 16 * 1024

    def __init__(self, wbits: int = 31) -> None:
        self._inner = isal_zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    def inflate(self, data: bytes | memoryview, limit: int = INFLATE_BYTES) -> tuple[bytes, int]:
        try:
            out = self._inner.decompress(data, limit)
        except _ISAL_ERROR as error:
            raise Damaged(f"corrupt deflate data: {error}") from error
        left = len(self._inner.unconsumed_tail) or len(self._inner.unused_data)
        return out, len(data) - left


class Lz4Inflater:
    input_bytes = 16 * 1024

    def __init__(self) -> None:
        self._inner = lz4_frame.LZ4FrameDecompressor()
        self._held = 0  # bytes that the library has and is not through with

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    def inflate(self, data: bytes | memoryview, limit: int = INFLATE_BYTES) -> tuple[bytes, int]:
        offered = b"" if self._held else bytes(data)
        held = self._held or len(data)
        try:
            out = self._inner.decompress(offered, limit)
        except RuntimeError as error:
            raise Damaged(f"corrupt lz4 data: {error}") from error
        # Only at the end of the frame does it say how much of them was of the frame.
        self._held = 0 if self._inner.needs_input or self._inner.eof else held
        return out, 0 if self._held else held - len(self._inner.unused_data or b"")


class ZstdInflater:
    # The library takes no bound for its output, and a block of 4 bytes may stand for 128 KiB.
    input_bytes = 1024

    def __init__(self, dictionary: bytes = b"") -> None:
        dict_data = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._inner = zstandard.ZstdDecompressor(dict_data=dict_data).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    def inflate(self, data: bytes | memoryview, limit: int = INFLATE_BYTES) -> tuple[bytes, int]:
        try:
            out = self._inner.decompress(bytes(data[: self.input_bytes]))
        except zstandard.ZstdError as error:
            raise Damaged(f"corrupt zstd data: {error}") from error
        return out, min(len(data), self.input_bytes) - len(self._inner.unused_data)


class MemberWindow(Window):
    """What the compressed member at `offset` of a file inflates to.

    Raises:
      Damaged: from any reading method: the member is corrupt, or the file ends inside it.
    """

    bounded = True  # the member's checksum was verified

    def __init__(self, file: FileWindow, offset: int, new_inflater: Callable[[], Inflater]) -> None:
        super().__init__()
        self.file = file
        self.offset = offset
        self.new_inflater = new_inflater
        self._inflater = new_inflater()
        self._members_left = 0
        self._members = 0
        self._rewinds = 0
        self._pulled = 0
        self._error_at: int | None = None
        self._damage: Damaged | None = None

    def extend(self) -> None:
        """Goes on into the next member, which `file` is at: one record may span several."""
        self._members += 1
        self._members_left += 1

    def place(self, position: int) -> tuple[int, int]:
        return self.offset, position

    def stored(self, start: int, end: int) -> int:
        alone = start == 0 and not self.look(1)
        return self.file.position - self.offset if alone else 0

    def pull(self) -> bytes:
        if self._damage:
            raise self._damage
        try:
            try:
                out = self._inflate()
            except Damaged:
                if self._error_at is not None:
                    raise
                out = self._salvage()
        except Damaged as error:
            self._damage = error
            raise
        self._pulled += len(out)
        return out

    def restart(self, position: int) -> None:
        self._rewinds += 1
        if self._rewinds > MAX_REWINDS:
            raise Damaged("too many wrong record lengths in one compressed member")
        self._reopen()
        self._damage = None
        self._data_position = self._pulled = 0
        self.skip(position)

    def _reopen(self) -> None:
        self.file.rewind(self.offset)
        self._inflater = self.new_inflater()
        self._members_left = self._members

    def _inflate(self) -> bytes:
        while True:
            if self._inflater.eof:
                if not self._members_left:
                    return b""
                self._members_left -= 1
                self._inflater = self.new_inflater()
            size = self._inflater.input_bytes
            if self._error_at is not None:
                size = min(size, max(1, self._error_at - self.file.position))
            data = self.file.next_bytes(size)
            out, used = self._inflater.inflate(data)
            self.file.advance(used)
            if out:
                return out
            if not data and not self._inflater.eof:
                raise Damaged("the file ends inside a compressed member")

    def _salvage(self) -> bytes:
        """What a failed call would have returned, had it stopped before the error.

        An inflater that fails keeps what it had made; so go back, and then on byte by byte.
        """
        self._error_at = self.file.position
        self._reopen()
        passed = 0
        while passed < self._pulled:
            out = self._inflate()
            passed += len(out)
        if surplus := passed - self._pulled:
            return out[-surplus:]
        return self._inflate()
