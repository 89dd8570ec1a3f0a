"""Finds where a record starts in compressed bytes, without having read what precedes them.

The bytes that start a member also occur inside members: by chance, and where a crawler stored an
archive file, which deflate keeps as it is. A place is taken for the start of a record if a member
starts there that inflates to the start of a record, and if it lies inside no whole member:

- Members that follow one another without a gap for more than one stored block are no copy inside
  another member, since a compressor puts a header before each block that it keeps as it was.
- Otherwise the members before the place are looked for, back to such a run or to the start of the
  file; a whole member, its checksum verified, that reaches over the place holds it.

Both look only at the bytes of the file, so every reader of a file finds the same places, and a
reader of the whole file comes by all of them. Damage next to a stored copy is beyond that: what was
copied is then read as records, by all readers alike.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stages.warc.window import READ_BYTES, Damaged, FileWindow, Inflater

MEMBER_START = re.compile(rb"[\r\n\t \0]*(?:WARC/\d|[a-z][a-z0-9+.-]{1,20}://|dns:)")
_START_BYTES = 64
_OFFERED = 8 * 1024


class Codec(NamedTuple):
    """A compression of which each record is a member of its own.

    Attributes:
      magic: the bytes that start a member.
      stored_block: the most bytes that it may keep as they were in one run.
    """

    name: str
    magic: bytes
    new_inflater: Callable[[], Inflater]
    stored_block: int


def find_boundary(
    file: FileWindow, codec: Codec, start: int, stop: int | None, floor: int = 0
) -> bool:
    """Moves to the first place in `start`..`stop` where a record starts, if there is one.

    Args:
      stop: None for the end of the file.
      floor: a place before `start` that no member reaches over.
    """
    file.rewind(start)
    while file.find(codec.magic, stop):
        position = file.position
        further = position + 1
        if holds_record(file, codec):
            end = _end_of_holder(file, codec, position, floor)
            if end is None:
                file.rewind(position)
                return True
            further = end
        file.rewind(further)
    return False


def holds_record(file: FileWindow, codec: Codec) -> bool:
    """Whether the member that starts here starts like a record."""
    return bool(MEMBER_START.match(inflated_start(file, codec.new_inflater) or b""))


def inflated_start(file: FileWindow, new_inflater: Callable[[], Inflater]) -> bytes | None:
    """The first bytes that the next member inflates to; None where none starts here.

    Few bytes, so that a member that is damaged further on is still a member. Does not move.
    """
    inflater, start, out = new_inflater(), file.position, b""
    try:
        # Some inflaters give nothing before they have a whole block.
        while len(out) < _START_BYTES and not inflater.eof and (data := file.peek(_OFFERED)):
            some, used = inflater.inflate(data, _START_BYTES)
            if not some and not used:
                break
            out += some
            file.advance(used)
    except Damaged:
        return None
    finally:
        file.rewind(start)
    return out


def skip_frame(file: FileWindow) -> bool:
    """Skips a whole frame that is no data, in lz4 and zstd alike; whether there was one."""
    start, head = file.position, file.peek(8)
    if head[1:4] != b"\x2a\x4d\x18" or not 0x50 <= head[0] <= 0x5F:
        return False
    size = 8 + int.from_bytes(head[4:8], "little")
    if file.skip(size) < size:
        file.rewind(start)
        return False
    return True


class _Run(NamedTuple):
    """Whole members without a gap: where they end, whether the file does, too, or goes past."""

    end: int
    at_end: bool = False


def _end_of_holder(file: FileWindow, codec: Codec, position: int, floor: int) -> int | None:
    """Where a whole member ends that starts after `floor` and reaches over a place."""
    run = _follow(file, codec, position, position + codec.stored_block + 1)
    if run.at_end or run.end - position > codec.stored_block:
        return None
    ends: dict[int, int] = {position: run.end}  # of the runs that start at each place
    for before in _members_before(file, codec, position, floor):
        at: int | None = before
        while at is not None and at < position and at not in ends:
            last, at = at, _member_end(file, codec, at)
        if at is None:
            ends[before] = last
        elif at > position:
            return at
        else:
            ends[before] = ends[at]
        if ends[before] - before > codec.stored_block:
            return None
    return None


def _follow(file: FileWindow, codec: Codec, start: int, enough: int) -> _Run:
    """Follows whole members up to a place."""
    at = start
    while at < enough:
        end = _member_end(file, codec, at)
        if end is None:
            return _Run(at)
        at = end
        if not file.peek(1):
            return _Run(at, at_end=True)
    return _Run(at)


def _member_end(file: FileWindow, codec: Codec, start: int) -> int | None:
    """Where what follows a whole member starts; None where there is no whole member."""
    file.rewind(start)
    if not file.peek(len(codec.magic)).startswith(codec.magic):
        return None
    inflater = codec.new_inflater()
    try:
        while not inflater.eof:
            data = file.next_bytes(inflater.input_bytes)
            out, used = inflater.inflate(data)
            file.advance(used)
            if not out and not data:
                return None
    except Damaged:
        return None
    file.take_padding(0)
    while skip_frame(file):
        file.take_padding(0)
    return file.position


def _members_before(file: FileWindow, codec: Codec, position: int, floor: int) -> Iterator[int]:
    """Places that look like the start of a record, from the last before `position` back."""
    high = position
    while high > floor:
        low = max(floor, high - 8 * READ_BYTES)
        file.rewind(low)
        block = file.peek(high - low + len(codec.magic) - 1)
        at = len(block)
        while (at := block.rfind(codec.magic, 0, at)) >= 0:
            file.rewind(low + at)
            if low + at == floor or holds_record(file, codec):
                yield low + at
            at += len(codec.magic) - 1
        high = low
