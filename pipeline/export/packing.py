"""Best-fit packing: pieces into sequences of one length, with as little truncation as can be.

Source: Ding et al., Fewer Truncations Improve Language Modeling, arXiv:2404.10830, section 3: a
document longer than a sequence is cut into pieces of that length and a rest; pieces are then put,
longest first, where the least room is left that still holds them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which pieces each sequence holds.

    Args:
      lengths: of the pieces, each in 1..capacity.

    Returns:
      Indices into `lengths`, ascending in each sequence; sequences by their first piece.
    """
    bins: list[list[int]] = []
    room: list[int] = []  # distinct rooms left, ascending
    with_room: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        at = bisect_left(room, length)
        if at == len(room):
            number, left = len(bins), capacity
            bins.append([])
        else:
            left = room[at]
            number = with_room[left].pop()
            if not with_room[left]:
                room.pop(at)
        bins[number].append(index)
        left -= length
        if left:
            if not with_room[left]:
                room.insert(bisect_left(room, left), left)
            with_room[left].append(number)
    return sorted(sorted(pieces) for pieces in bins)


def cut(blocks: Sequence[int], capacity: int) -> list[tuple[int, int]]:
    """Where a document is cut, so that no piece is longer than `capacity`.

    Args:
      blocks: lengths of what must stay whole (a token of text, all tokens of an image), each in
        1..capacity, in order.

    Returns:
      Ranges of blocks, in order.
    """
    pieces = []
    start, length = 0, 0
    for index, block in enumerate(blocks):
        if length + block > capacity:
            pieces.append((start, index))
            start, length = index, 0
        length += block
    return [*pieces, (start, len(blocks))] if blocks else []
