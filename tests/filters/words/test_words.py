from importlib import resources

import pytest

from filters import words
from filters.words import word_list

LISTS = [
    (folder.name, file.name.removesuffix(".txt"))
    for folder in resources.files(words).iterdir()
    if folder.is_dir() and folder.name != "__pycache__"
    for file in folder.iterdir()
]


@pytest.mark.parametrize(("kind", "language"), LISTS)
def test_every_list_is_of_single_lower_case_words(kind, language):
    found = word_list(kind, language)
    assert len(found) >= 30
    for word in found:
        assert word == word.lower()
        assert " " not in word
        assert word.strip("'") == word


def test_the_lists_that_rules_rely_on():
    assert {language for kind, language in LISTS if kind == "stop"} == {
        *("de", "en", "es", "fr", "it", "nl", "pt")
    }
    assert ("flagged", "en") in LISTS
    assert ("spam", "en") in LISTS


def test_lists_do_not_overlap():
    stop = word_list("stop", "en")
    assert not stop & word_list("flagged", "en")
    assert not stop & word_list("spam", "en")


def test_no_list():
    assert word_list("stop", "xx") is None
    assert word_list("stop", "") is None
    assert word_list("stop", "../stop/en") is None
