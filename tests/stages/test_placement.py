import itertools

import numpy as np
import pytest

from stages.placement import assign, unplaced_below


def brute_force(similarity):
    images, sentences = similarity.shape
    choices = itertools.permutations(range(sentences), images)
    return max(choices, key=lambda columns: similarity[range(images), columns].sum())


@pytest.mark.parametrize("seed", range(30))
def test_one_image_a_sentence_and_the_best_sum(seed):
    rng = np.random.default_rng(seed)
    images = int(rng.integers(1, 5))
    similarity = rng.random((images, int(rng.integers(images, 7)))).astype(np.float32)
    assert assign(similarity) == list(brute_force(similarity))


def test_surplus_images_take_the_best_sentence_of_their_own_row():
    # mmc4, footnote 11: three images, two sentences. Images 0 and 2 win the assignment.
    similarity = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.7]], np.float32)
    assert assign(similarity) == [0, 0, 1]


def test_equal_rows_give_the_same_answer_every_time():
    similarity = np.full((2, 3), 0.5, np.float32)
    answers = {tuple(assign(similarity.copy())) for _ in range(20)}
    assert len(answers) == 1
    assert len(set(answers.pop())) == 2


def test_no_sentence_is_an_error_and_no_image_is_none():
    with pytest.raises(ValueError, match="no sentence"):
        assign(np.empty((2, 0)))
    assert assign(np.empty((0, 3))) == []


def test_a_value_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="invalid"):
        assign(np.array([[np.nan, 0.1]]))


def test_below_the_floor_an_image_stays_unplaced():
    similarity = np.array([[0.30, 0.10], [0.20, 0.14]], np.float32)
    assert unplaced_below(similarity, [0, 1], 0.15) == [0, None]
    assert unplaced_below(similarity, [0, 1], 0.30) == [0, None]
