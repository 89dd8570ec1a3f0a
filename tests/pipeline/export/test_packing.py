import random

import pytest

from pipeline.export.packing import cut, pack


def test_a_piece_goes_where_it_fits_best():
    # 7 leaves 3, 6 leaves 4; the 3 goes into the tighter room, the 4 fills the other.
    assert pack([6, 3, 7, 4], 10) == [[0, 3], [1, 2]]


@pytest.mark.parametrize(
    ("lengths", "packed"),
    [([], []), ([10], [[0]]), ([5, 5, 5], [[0, 1], [2]]), ([1] * 4, [[0, 1, 2, 3]])],
)
def test_small_cases(lengths, packed):
    assert pack(lengths, 10) == packed


@pytest.mark.parametrize("seed", range(20))
def test_every_piece_once_and_no_sequence_overfull(seed):
    draw = random.Random(seed)
    capacity = draw.randint(1, 64)
    lengths = [draw.randint(1, capacity) for _ in range(draw.randint(0, 200))]
    packed = pack(lengths, capacity)
    assert sorted(i for members in packed for i in members) == list(range(len(lengths)))
    sums = [sum(lengths[i] for i in members) for members in packed]
    assert all(total <= capacity for total in sums)
    # No two sequences could be one.
    assert all(a + b > capacity for a, b in zip(sorted(sums), sorted(sums)[1:], strict=False))


@pytest.mark.parametrize(
    ("blocks", "pieces"),
    [
        ([], []),
        ([1] * 4, [(0, 4)]),
        ([1] * 9, [(0, 4), (4, 8), (8, 9)]),
        ([1, 1, 3, 1, 1], [(0, 2), (2, 4), (4, 5)]),  # the block of 3 stays whole
        ([4, 4], [(0, 1), (1, 2)]),
    ],
)
def test_cuts(blocks, pieces):
    assert cut(blocks, 4) == pieces
