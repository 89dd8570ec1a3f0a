import pytest

from filters.base import Passage, Score
from filters.texts.word_repetition import Reason, WordRepetition


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("", 0.0),
        ("one", 0.0),
        ("one two one three", 0.0),  # one two, two one, one three
        ("one two one two", 2 / 3),  # one two x2, two one
        ("One, two. ONE two 1999 three", 2 / 4),  # case, marks and numbers do not count
        ("a a a a", 1.0),
    ],
)
def test_bigrams_by_hand(text, ratio):
    assert WordRepetition(n=2).score(Passage(text)) == Score(ratio)


def test_the_default_is_five_words():
    words = "the lamp is lit at dusk"
    assert WordRepetition().score(Passage(words)) == Score(0.0)
    assert WordRepetition().score(Passage(f"{words} {words}")) == Score(4 / 8)


def test_the_bound_is_inclusive():
    rule = WordRepetition(max_ratio=0.5)
    assert rule.judge(Score(0.5)) is None
    assert rule.judge(Score(0.5001)) is Reason.REPETITIVE


@pytest.mark.parametrize("config", [{"n": 0}, {"max_ratio": 1.1}, {"max_ratio": -0.1}])
def test_bad_config(config):
    with pytest.raises(ValueError, match="word_repetition"):
        WordRepetition(**config)
