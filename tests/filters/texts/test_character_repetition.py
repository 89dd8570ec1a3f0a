from collections import Counter
from math import sqrt

import numpy as np
import pytest

from filters.base import Passage, Score
from filters.texts import character_repetition
from filters.texts.character_repetition import CharacterRepetition, Reason


def by_strings(text, n):
    """The formula as OBELICS writes it."""
    counts = sorted(Counter(text[i : i + n] for i in range(len(text) - n + 1)).values())[::-1]
    if not counts:
        return 0.0
    k = min(int(sqrt(len(counts))), len(counts) - counts.count(1))
    return sum(counts[:k]) / sum(counts)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("", 0.0),
        ("abc", 0.0),  # ab, bc: none is repeated
        ("aaaa", 1.0),  # aa x3: one distinct, root 1, one repeated: 3 / 3
        ("abab", 2 / 3),  # ab x2, ba x1: root of 2 is 1: 2 / 3
        ("abcabdabe", 3 / 8),  # ab x3, bc ca bd da be: root of 6 is 2, but one repeated: 3 / 8
    ],
)
def test_bigrams_by_hand(text, ratio):
    assert CharacterRepetition(n=2).score(Passage(text)) == Score(ratio)


def test_the_square_root_caps_what_is_counted():
    # 13 bigrams, 9 of them distinct, 4 of these twice: the 3 commonest count.
    assert CharacterRepetition(n=2).score(Passage("abcdeabcdefghi")) == Score(6 / 13)


@pytest.mark.parametrize("length", [9, 10, 11, 399, 400, 401, 3_000])
@pytest.mark.parametrize("alphabet", ["ab", "abcdefgh ", "é世\U0001f600x"])
def test_hashing_agrees_with_counting_strings(length, alphabet):
    draw = np.random.default_rng(length)
    text = "".join(draw.choice(list(alphabet), length))
    assert CharacterRepetition().score(Passage(text)).value == by_strings(text, 10)


def test_windows_in_another_order_are_other_windows():
    text = "0123456789" * 30 + "9876543210" * 30
    assert len(text) > character_repetition._SHORT
    counts = character_repetition._count_ngrams(text, 10)
    assert sorted(counts) == sorted(
        Counter(text[i : i + 10] for i in range(len(text) - 9)).values()
    )


def test_the_bound_is_inclusive():
    rule = CharacterRepetition(max_ratio=0.5)
    assert rule.judge(Score(0.5)) is None
    assert rule.judge(Score(0.5001)) is Reason.REPETITIVE


@pytest.mark.parametrize("config", [{"n": 0}, {"max_ratio": 1.1}, {"max_ratio": -0.1}])
def test_bad_config(config):
    with pytest.raises(ValueError, match="character_repetition"):
        CharacterRepetition(**config)
