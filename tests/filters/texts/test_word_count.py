import pytest

from filters.base import Passage
from filters.texts.word_count import Reason, WordCount


@pytest.mark.parametrize(
    ("words", "reason"),
    [(0, Reason.TOO_SHORT), (1, Reason.TOO_SHORT), (2, None), (3, None), (4, Reason.TOO_LONG)],
)
def test_bounds_are_inclusive(words, reason):
    rule = WordCount(min_words=2, max_words=3)
    score = rule.score(Passage("word " * words))
    assert score.value == words
    assert rule.judge(score) is reason


def test_numbers_are_no_words():
    assert WordCount().score(Passage("1 2 3 four")).value == 1


def test_rejects_an_empty_range():
    with pytest.raises(ValueError, match="bad range"):
        WordCount(min_words=5, max_words=4)
