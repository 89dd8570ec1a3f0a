"""Rules whose score is a ratio: hand-computed scores, exact bounds, checked config."""

import pytest

from filters.base import Passage, Score
from filters.texts.bullet_lines import BulletLines
from filters.texts.digits import Digits
from filters.texts.ellipsis_lines import EllipsisLines
from filters.texts.flagged_words import FlaggedWords
from filters.texts.mean_word_length import MeanWordLength
from filters.texts.punctuation import Punctuation
from filters.texts.spam_words import SpamWords
from filters.texts.special_characters import SpecialCharacters
from filters.texts.stop_words import StopWords
from filters.texts.uppercase import Uppercase


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (SpecialCharacters(), "", 0.0),
        (SpecialCharacters(), "abc", 0.0),
        (SpecialCharacters(), "a b, c 1", 5 / 8),
        (SpecialCharacters(), "\U0001f600\u200b", 1.0),
        (SpecialCharacters(), "\u0939\u093f\u0928\u094d\u0926\u0940", 0.0),  # vowel signs
        (Uppercase(), "", 0.0),
        (Uppercase(), "AB cd 1\n", 2 / 5),
        (Digits(), "  ", 0.0),
        (Digits(), "12 ab\t3", 3 / 5),
        (StopWords(), "", 0.0),
        (StopWords(), "1999 --", 0.0),
        (StopWords(), "The lamp is lit, and don\u2019t", 4 / 6),
        (FlaggedWords(), "", 0.0),
        (FlaggedWords(), "Essex, Middlesex and Scunthorpe", 0.0),
        (SpamWords(), "Share this on Facebook!", 2 / 4),
        (SpamWords(), "", 0.0),
        (Punctuation(), "", 0.0),
        (Punctuation(), "\u2014 *", 0.0),
        (Punctuation(), "don't stop, please.", 2 / 5),
        (Punctuation(), "\u706f\u3002\u5854\u3002", 2 / 4),
        (Punctuation(min_tokens=5), "a b c d e", 0.0),
        (MeanWordLength(), "", 0.0),
        (MeanWordLength(), "a, bcd 1999", 2.0),
        (BulletLines(), "", 0.0),
        (BulletLines(), "- one\n\n \u2022 two\nthree", 2 / 3),
        (EllipsisLines(), "one...\ntwo\u2026 \n\nthree\nfour", 2 / 4),
        (EllipsisLines(), " \n ", 0.0),
    ],
)
def test_scores_by_hand(rule, text, value):
    assert rule.score(Passage(text, "en")).value == value


@pytest.mark.parametrize(
    ("rule", "bound", "reason"),
    [
        (SpecialCharacters(0.25), 0.25, "too_many"),
        (Uppercase(0.25), 0.25, "too_many"),
        (Digits(0.25), 0.25, "too_many"),
        (FlaggedWords(0.25), 0.25, "too_many"),
        (BulletLines(0.25), 0.25, "too_many"),
        (EllipsisLines(0.25), 0.25, "too_many"),
        (MeanWordLength(3, 10), 10, "too_long"),
    ],
)
def test_a_maximum_is_inclusive(rule, bound, reason):
    assert rule.judge(Score(bound)) is None
    assert rule.judge(Score(bound + 1e-9)) == reason


@pytest.mark.parametrize(
    ("rule", "bound", "reason"),
    [
        (StopWords(0.25), 0.25, "too_few"),
        (Punctuation(0.25), 0.25, "too_little"),
        (MeanWordLength(3, 10), 3, "too_short"),
    ],
)
def test_a_minimum_is_inclusive(rule, bound, reason):
    assert rule.judge(Score(bound)) is None
    assert rule.judge(Score(bound - 1e-9)) == reason


def test_spam_words_are_kept_below_the_ratio_only():
    assert SpamWords(0.12).judge(Score(0.1199)) is None
    assert SpamWords(0.12).judge(Score(0.12)) == "too_many"


def test_a_short_text_is_not_judged_by_its_punctuation():
    assert Punctuation(min_tokens=12).score(Passage("one two")) == Score(1.0, "2 tokens")
    assert Punctuation(min_tokens=12).score(Passage("w " * 12)) == Score(0.0)
    assert Punctuation(min_tokens=12).score(Passage("w " * 11)) == Score(1.0, "11 tokens")


@pytest.mark.parametrize("language", ["", "xx", "../stop/en"])
@pytest.mark.parametrize("rule", [StopWords(1.0), FlaggedWords(0.0), SpamWords()])
def test_without_a_list_the_rule_does_not_apply(rule, language):
    score = rule.score(Passage("share porn", language))
    assert score.detail == f"no list for {language or 'an unknown language'}"
    assert rule.judge(score) is None


def test_mean_word_length_does_not_apply_without_spaces():
    rule = MeanWordLength()
    score = rule.score(Passage("\u706f\u5854", "zh"))
    assert score == Score(3.0, "no spaces in zh")
    assert rule.judge(score) is None


def test_flagged_words_names_what_it_found():
    score = FlaggedWords().score(Passage("Porn! porn, xxx and the lamp", "en"))
    assert score == Score(3 / 6, "porn xxx")


@pytest.mark.parametrize("cls", [StopWords, FlaggedWords, SpamWords])
def test_lists_of_ones_own(cls, tmp_path):
    (tmp_path / "xx").write_text("# a comment\nLamp\n\nrock # another\n")
    rule = cls(directory=str(tmp_path))
    assert rule.score(Passage("lamp rock comment another", "xx")).value == 2 / 4


@pytest.mark.parametrize("cls", [StopWords, FlaggedWords, SpamWords])
def test_a_missing_folder_is_an_error_at_once(cls, tmp_path):
    with pytest.raises(ValueError, match=f"{cls.name}: no folder"):
        cls(directory=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    "cls", [SpecialCharacters, Uppercase, Digits, FlaggedWords, BulletLines, EllipsisLines]
)
def test_a_maximum_lies_between_0_and_1(cls):
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match=cls.name):
            cls(max_ratio=bad)


@pytest.mark.parametrize("cls", [StopWords, Punctuation])
def test_a_minimum_lies_between_0_and_1(cls):
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match=cls.name):
            cls(min_ratio=bad)


def test_other_bad_config():
    with pytest.raises(ValueError, match="min_tokens"):
        Punctuation(min_tokens=-1)
    with pytest.raises(ValueError, match="mean_word_length: bad range"):
        MeanWordLength(5, 4)
    with pytest.raises(ValueError, match="spam_words"):
        SpamWords(ratio=0)
