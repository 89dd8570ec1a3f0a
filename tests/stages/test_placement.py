import itertools

import numpy as np
import pytest

from stages.placement import Method, Surplus, assign, distances, in_sentence_order, order_bonus

ASSIGNING = [method for method in Method if method is not Method.DOM]
ONE_A_SENTENCE = [method for method in ASSIGNING if method is not Method.MAX]


def brute_force(similarity, floor, in_order=False):
    """The best sum over all choices of a sentence or of none, which is worth the floor."""
    images, sentences = similarity.shape
    best, answer = -np.inf, None
    for choice in itertools.product([*range(sentences), None], repeat=images):
        placed = [column for column in choice if column is not None]
        if len(set(placed)) < len(placed) or (in_order and placed != sorted(placed)):
            continue
        if floor is None and len(placed) < images:
            continue
        values = [
            floor if column is None else similarity[row, column]
            for row, column in enumerate(choice)
        ]
        too_low = any(v < floor for v in values) if floor is not None else False
        if not too_low and sum(values) > best:
            best, answer = sum(values), list(choice)
    return answer


def drawn(seed, most=6):
    rng = np.random.default_rng(seed)
    images = int(rng.integers(1, 5))
    similarity = rng.random((images, int(rng.integers(images, most)))).astype(np.float32)
    return similarity, np.sort(rng.integers(0, similarity.shape[1] + 1, images))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("floor", [None, 0.4, 0.8])
@pytest.mark.parametrize("method", [Method.CLIP, Method.ORDERED])
def test_the_best_sum_is_found(seed, floor, method):
    similarity, places = drawn(seed)
    found = assign(similarity, places, method, floor=floor)
    if floor is None and method is Method.ORDERED:
        floor = similarity.min()  # it may leave an image unplaced
    assert found == brute_force(similarity, floor, in_order=method is Method.ORDERED)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("method", ONE_A_SENTENCE)
def test_what_every_method_keeps(seed, method):
    similarity, places = drawn(seed, most=9)
    bonus = order_bonus(similarity, places, trust=0.5, reach=2, logit_scale=5)
    for floor in (None, 0.5):
        found = assign(similarity, places, method, floor=floor, bonus=bonus)
        placed = [(row, column) for row, column in enumerate(found) if column is not None]
        assert len({column for _, column in placed}) == len(placed)
        if floor is not None:
            assert all(similarity[row, column] >= floor for row, column in placed)
        elif method is not Method.ORDERED:
            assert len(placed) == len(similarity)
        if method is Method.ORDERED:
            assert placed == sorted(placed, key=lambda pair: pair[1])
        assert found == assign(similarity.copy(), places, method, floor=floor, bonus=bonus)


MATRIX = np.array([[0.9, 0.8, 0.1], [0.85, 0.1, 0.2], [0.3, 0.4, 0.35]], np.float32)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method.MAX, [0, 0, 1]),
        (Method.GREEDY, [0, 2, 1]),
        (Method.CLIP, [1, 0, 2]),
        (Method.HYBRID, [1, 0, 2]),
        (Method.ORDERED, [0, None, 1]),
    ],
)
def test_the_methods_by_hand(method, expected):
    # Only the linear assignment takes the best of image 0 away from it, and gains .8 + .85.
    assert assign(MATRIX, np.array([1, 2, 3]), method) == expected


def test_surplus_images_take_the_best_sentence_of_their_own_row():
    # mmc4, footnote 11: three images, two sentences. Images 0 and 2 win the assignment.
    similarity = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.7]], np.float32)
    places = np.zeros(3, int)
    assert assign(similarity, places) == [0, 0, 1]
    assert assign(similarity, places, Method.GREEDY) == [0, 0, 1]
    assert assign(similarity, places, surplus=Surplus.UNPLACED) == [0, None, 1]
    assert assign(similarity, places, floor=0.85) == [0, None, None]
    # In order two images share a sentence only where there are more images than sentences.
    assert assign(similarity, places, Method.ORDERED) == [0, 0, 1]


def test_an_image_that_fits_nothing_takes_no_sentence_from_one_that_does():
    # Without a floor the assignment gives sentence 0 to image 1, whose other choice is worse.
    similarity = np.array([[0.50, 0.40], [0.30, 0.10]], np.float32)
    places = np.array([1, 2])
    assert assign(similarity, places) == [1, 0]
    assert assign(similarity, places, floor=0.15) == [1, 0]
    assert assign(similarity, places, floor=0.25) == [0, None]
    assert assign(similarity, places, floor=0.5) == [0, None]
    assert assign(similarity, places, floor=0.6) == [None, None]


@pytest.mark.parametrize("method", [Method.MAX, Method.GREEDY, Method.CLIP, Method.HYBRID])
def test_of_equal_sentences_the_nearest_is_taken(method):
    repeated = np.full((1, 5), 0.5, np.float32)
    assert [assign(repeated, np.array([place]), method) for place in range(6)] == [
        [0],
        [0],
        [1],
        [2],
        [3],
        [4],
    ]


@pytest.mark.parametrize("method", ASSIGNING)
def test_no_sentence_is_an_error_and_no_image_is_none(method):
    with pytest.raises(ValueError, match="no sentence"):
        assign(np.empty((2, 0)), np.zeros(2, int), method)
    assert assign(np.empty((0, 3)), np.zeros(0, int), method) == []


@pytest.mark.parametrize("method", ASSIGNING)
def test_a_value_that_is_not_finite_is_an_error(method):
    with pytest.raises(ValueError, match="not finite"):
        assign(np.array([[np.nan, 0.1]]), np.zeros(1, int), method)


def test_both_sentences_beside_an_image_are_near():
    assert distances(np.array([0, 2, 3]), 3).tolist() == [[0, 1, 2], [1, 0, 0], [2, 1, 0]]


def agreeing(images, order):
    """Similarities of a page whose image i belongs to sentence ``order[i]``, three after each."""
    similarity = np.full((images, 3 * images), 0.2)
    similarity[range(images), 3 * np.array(order)] = 0.3
    return similarity, 3 * np.arange(images) + 1


def test_a_page_that_is_in_order_gets_a_bonus_and_another_next_to_none():
    settings = {"trust": 0.5, "reach": 3.0, "logit_scale": 100.0}
    bonus = order_bonus(*agreeing(10, range(10)), **settings)
    near = bonus[range(10), 3 * np.arange(10)]
    assert bonus.min() >= 0
    assert near.min() > 0.03  # a third of what tells a right sentence from a wrong one
    far = bonus[distances(3 * np.arange(10) + 1, 30) > 12]
    assert far.max() < near.min() / 3
    shuffled = order_bonus(*agreeing(10, [5, 9, 7, 8, 0, 1, 2, 3, 4, 6][::-1]), **settings)
    assert shuffled.max() < near.min() / 2


def test_the_bonus_decides_where_the_similarity_cannot():
    similarity = np.full((4, 12), 0.2, np.float32)
    places = np.array([1, 4, 7, 10])
    for image, right in enumerate([0, 3, 6, 9]):
        similarity[image, right] = 0.3
    similarity[1, 6] = 0.301  # image 1 looks a little more like the sentence of image 2
    similarity[2, 3] = 0.301
    assert assign(similarity, places) == [0, 6, 3, 9]
    bonus = order_bonus(similarity, places, trust=0.5, reach=3.0, logit_scale=100.0)
    assert assign(similarity, places, Method.HYBRID, bonus=bonus) == [0, 3, 6, 9]
    assert assign(similarity, places, Method.ORDERED, bonus=bonus) == [0, 3, 6, 9]


def pairs_of_a_reader(matched):
    """What a reader of mmc4 pairs, as OpenFlamingo does: the pictures come in the order of the
    rows, the tokens in the order of the sentences. Returns (row, sentence) pairs."""
    rows = [row for row, sentence in enumerate(matched) if sentence is not None]
    sentences = sorted(sentence for sentence in matched if sentence is not None)
    return list(zip(rows, sentences, strict=True))


def test_a_reader_that_walks_rows_and_sentences_pairs_them_rightly():
    rng = np.random.default_rng(0)
    wrong = {"rows": 0, "sorted": 0, "ordered": 0}
    for _ in range(500):
        images, sentences = int(rng.integers(2, 9)), int(rng.integers(9, 30))
        similarity = rng.random((images, sentences))
        places = np.sort(rng.integers(0, sentences + 1, images))
        matched = assign(similarity, places)
        right = list(enumerate(matched))
        wrong["rows"] += pairs_of_a_reader(matched) != right
        order = in_sentence_order(matched)
        moved = [(order[row], s) for row, s in pairs_of_a_reader([matched[row] for row in order])]
        wrong["sorted"] += sorted(moved) != right
        kept = assign(similarity, places, Method.ORDERED)
        wrong["ordered"] += pairs_of_a_reader(kept) != [
            pair for pair in enumerate(kept) if pair[1] is not None
        ]
    assert 0.8 < wrong["rows"] / 500 < 0.95  # rows in any other order, as mmc4's
    assert wrong["sorted"] == wrong["ordered"] == 0


def test_unplaced_images_have_no_place_among_the_sentences():
    assert in_sentence_order([4, None, 0, 4, 2]) == [2, 4, 0, 3]
    assert in_sentence_order([None]) == []
