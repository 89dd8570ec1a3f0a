import math
import random

import numpy as np
import pytest
from datasketch import MinHash

from stages.dedup.config import MinHashConfig
from stages.dedup.minhash import bands, jaccard, probability, shingles, signature, sketch, words


def pair(rng, similarity, size=400):
    """Two sets of random hashes with a given Jaccard similarity."""
    common = round(size * similarity)
    values = np.array(rng.sample(range(2**32), size), np.uint32)
    middle = common + (size - common) // 2
    left = np.concatenate([values[:common], values[common:middle]])
    right = np.concatenate([values[:common], values[middle:]])
    return np.unique(left), np.unique(right)


@pytest.mark.parametrize("count", [1, 5, 127, 128, 129, 3000])
@pytest.mark.parametrize(("permutations", "seed"), [(1, 1), (128, 1), (256, 7), (333, 2**32 - 1)])
def test_signatures_are_those_of_datasketch(count, permutations, seed):
    hashes = np.array(random.Random(count).sample(range(2**32), count), np.uint32)
    theirs = MinHash(permutations, seed, hashfunc=int, scheme="affine32")
    theirs.update_batch(hashes.tolist())
    ours = signature(hashes, permutations, seed)
    assert ours.dtype == theirs.hashvalues.dtype == np.uint32
    assert ours.tolist() == theirs.hashvalues.tolist()


def test_shingles_are_sets_of_ordered_words():
    assert len(shingles("a b c d", 3)) == 2
    assert len(shingles("a b a b a b", 2)) == 2
    assert shingles("a b c", 3).tolist() != shingles("c b a", 3).tolist()
    assert shingles("A  b\nC", 3).tolist() == shingles("a b c", 3).tolist()
    assert len(shingles("a b", 5)) == 1  # fewer words than a shingle: all of them
    assert shingles("a b", 5).tolist() != shingles("b a", 5).tolist()
    assert shingles(" \n", 5).size == 0
    assert len(np.intersect1d(shingles("a b c d e", 3), shingles("x b c d y", 3))) == 1


def test_distinct_shingles_hash_apart():
    numbers = " ".join(map(str, range(20_002)))
    assert 20_000 - len(shingles(numbers, 3)) <= 1  # 0.05 collisions are expected in 32 bits


def test_scripts_without_blanks_are_words_by_character():
    assert words("Straße 東京タワー 한국어 사람") == ["straße", *"東京タワ", "ー", "한국어", "사람"]
    assert words("ไทย") == list("ไทย")


def test_a_lone_surrogate_is_an_error():
    with pytest.raises(UnicodeEncodeError):
        shingles("a \ud800 b", 3)


def test_probability():
    assert probability(0, 36, 7) == 0
    assert probability(1, 36, 7) == 1
    assert probability(0.5, 1, 1) == 0.5
    # the figures in the docstring of MinHashConfig
    config = MinHashConfig()
    curve = {j: round(probability(j, config.bands, config.rows), 4) for j in (0.5, 0.6, 0.7, 0.8)}
    assert curve == {0.5: 0.246, 0.6: 0.6402, 0.7: 0.9547, 0.8: 0.9998}


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.9])
def test_shared_bands_follow_the_curve(similarity):
    rng = random.Random(3)
    pairs = 300
    found = 0
    for _ in range(pairs):
        left, right = (bands(signature(s, 256, 1), 28, 9) for s in pair(rng, similarity))
        found += bool((left == right).any())
    expected = probability(similarity, 28, 9)
    spread = math.sqrt(pairs * expected * (1 - expected))
    assert abs(found - pairs * expected) <= 4 * spread + 1


@pytest.mark.parametrize("similarity", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_sketches_estimate_similarity(similarity):
    rng = random.Random(5)
    errors = []
    for _ in range(100):
        left, right = (sketch(signature(s, 256, 1)) for s in pair(rng, similarity))
        assert len(left) == 256
        errors.append(jaccard(left, right) - similarity)
    assert abs(np.mean(errors)) < 0.015
    assert np.std(errors) < 0.04  # sqrt(j * (1 - j) / 256) is at most 0.031


def test_bands_depend_on_their_place_and_use_every_row():
    values = np.arange(6, dtype=np.uint32)
    keys = bands(values, 3, 2)
    assert len(set(keys.tolist())) == 3
    changed = values.copy()
    changed[3] = 9
    assert (keys == bands(changed, 3, 2)).tolist() == [True, False, True]
    assert len(set(bands(np.zeros(6, np.uint32), 3, 2).tolist())) == 3
