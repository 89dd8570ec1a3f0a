import pytest

from filters.base import Passage, is_letter


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t\u3000", []),
        ("The Lamp, (lit) at 9 o'clock!", ["the", "lamp", "lit", "at", "o'clock"]),
        ("don\u2019t \u2018quote\u2019 'it'", ["don't", "quote", "it"]),
        ("covid19 2nd 3.14 -- B2B", ["covid", "nd", "b2b"]),  # inner digits stay, outer go
        ("state-of-the-art \u2014 \U0001f600 na\u00efve", ["state-of-the-art", "na\u00efve"]),
        ("\u00c9T\u00c9 \u0130", ["\u00e9t\u00e9", "i\u0307"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u0964", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
    ],
)
def test_words(text, words):
    assert Passage(text).words == words


def test_a_letter_is_a_word_where_no_spaces_are_written():
    assert Passage("\u706f\u5854\u3002A 1", "zh").words == ["\u706f", "\u5854", "a"]
    assert Passage("\u706f\u5854\u3002A 1", "en").words == ["\u706f\u5854\u3002a"]


@pytest.mark.parametrize("text", ["", "abba a", "".join(map(chr, range(32, 1_000))) * 2])
def test_characters_are_counted(text):
    assert Passage(text).characters == {c: text.count(c) for c in text}


def test_letters_and_their_marks():
    assert [c for c in "aZ\u00e9\u4e16\u0301\u093f 1\u00bd_.\u20ac\U0001f600" if is_letter(c)] == [
        *"aZ\u00e9\u4e16\u0301\u093f"
    ]
