"""Rules that look for words, phrases and endings."""

import pytest

from filters.base import Passage, Score
from filters.texts.bad_words import BadWords
from filters.texts.banned_phrases import BannedPhrases
from filters.texts.common_words import CommonWords
from filters.texts.terminal_punctuation import TerminalPunctuation


def test_banned_phrases():
    rule = BannedPhrases(("lorem ipsum", "{"))
    assert rule.score(Passage("A plain text.")) == Score(0, "")
    assert rule.score(Passage("LOREM Ipsum dolor {")) == Score(2, "lorem ipsum, {")
    assert rule.judge(Score(0)) is None
    assert rule.judge(Score(1)) == "found"
    for bad in ((), ("",)):
        with pytest.raises(ValueError, match="banned_phrases"):
            BannedPhrases(bad)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The lamp is lit.", 1),
        ("Is it lit? \n", 1),
        ("He said: \u201cyes\u201d", 1),
        ("\u706f\u5854\u3002", 1),
        ("Read more", 0),
        ("Read more ...", 0),
        ("Read more\u2026", 0),
        ("", 0),
    ],
)
def test_terminal_punctuation(text, value):
    assert TerminalPunctuation().score(Passage(text)).value == value


def test_an_ellipsis_may_end_a_sentence_by_config():
    assert TerminalPunctuation(ellipsis=True).score(Passage("Well ...")).value == 1
    assert TerminalPunctuation().judge(Score(1)) is None
    assert TerminalPunctuation().judge(Score(0)) == "no_sentence_end"


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "en").write_text("sex\nhot stuff\na$$\n")
    (tmp_path / "zh").write_text("\u706f\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Essex, sexton, hot  stuff, a$$b", ""),
        ("Sex!", "sex"),
        ("very HOT stuff; a$$. Sex sex", "a$$, hot stuff, sex"),
        ("", ""),
    ],
)
def test_bad_words_are_whole_words(lists, text, found):
    score = BadWords(lists).score(Passage(text, "en"))
    assert score == Score(len(found.split(", ")) if found else 0, found)


def test_bad_words_where_no_spaces_are_written(lists):
    assert BadWords(lists).score(Passage("\u5854\u706f\u5854", "zh")) == Score(1, "\u706f")


def test_bad_words_bound_and_lists(lists, tmp_path):
    assert BadWords(max_found=2).judge(Score(2)) is None
    assert BadWords(max_found=2).judge(Score(3)) == "found"
    assert BadWords(lists).score(Passage("sex", "de")) == Score(0, "no list for de")
    assert BadWords().score(Passage("porn", "en")) == Score(1, "porn")  # our own list
    with pytest.raises(ValueError, match="bad_words: no folder"):
        BadWords(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="max_found"):
        BadWords(max_found=-1)


def test_bad_words_reads_ldnoobw(shared_data):
    rule = BadWords(str(shared_data / "lists" / "LDNOOBW"))
    assert rule.score(Passage("The lamp of Essex is lit at dusk.", "en")).value == 0
    assert rule.score(Passage("Nothing but porn here", "en")) == Score(1, "porn")
    assert rule.score(Passage("\u8fd9\u662f\u706f\u5854", "zh")).detail == ""


def test_common_words(tmp_path):
    file = tmp_path / "common.txt"
    file.write_text("the\nlamp\nis\n")
    rule = CommonWords(str(file), min_ratio=0.75)
    assert rule.score(Passage("The lamp is qwxz.", "en")) == Score(0.75)
    assert rule.judge(Score(0.75)) is None
    assert rule.judge(Score(0.7499)) == "too_few"
    assert rule.score(Passage("", "en")) == Score(0.0)
    assert rule.judge(rule.score(Passage("Die Lampe", "de"))) is None
    with pytest.raises(ValueError, match="a file is required"):
        CommonWords("")
    with pytest.raises(ValueError, match="no file"):
        CommonWords(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="min_ratio"):
        CommonWords(str(file), min_ratio=2)
