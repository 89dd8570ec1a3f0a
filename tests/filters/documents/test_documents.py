"""The rules on documents: exact bounds, checked config."""

import pytest

from filters.base import Score
from filters.documents.image_count import ImageCount
from filters.documents.language import Language
from filters.documents.text_present import TextPresent
from schemas.document import Document, Image, Text


def reason(rule, element):
    return rule.judge(rule.score(element))


@pytest.mark.parametrize(
    ("language", "probability", "value", "expected"),
    [
        ("en", 0.8, 0.8, None),
        ("en", 0.7999, 0.7999, "unsure"),
        ("de", 0.99, 0.0, "unwanted"),
        ("", 0.0, 0.0, "unwanted"),
    ],
)
def test_language(language, probability, value, expected):
    document = Document("d", "", language=language, language_score=probability)
    score = Language(("en",), 0.8).score(document)
    assert score == Score(value, language or "no language")
    assert Language(("en",), 0.8).judge(score) == expected


def test_any_language_will_do_if_it_is_sure():
    rule = Language((), 0.5)
    assert reason(rule, Document("d", "", language="de", language_score=0.5)) is None
    assert reason(rule, Document("d", "", language="de", language_score=0.4)) == "unsure"
    assert reason(rule, Document("d", "")) == "unwanted"


def test_language_config():
    for bad in ("EN", "en-GB", "", "英"):
        with pytest.raises(ValueError, match="is not an ISO 639 code"):
            Language((bad,))
    with pytest.raises(ValueError, match="min_score"):
        Language(min_score=1.1)


@pytest.mark.parametrize(
    ("images", "expected"), [(1, "too_few"), (2, None), (3, None), (4, "too_many")]
)
def test_image_count(images, expected):
    document = Document("d", "", (Text("t"), *[Image("http://a/1")] * images))
    assert ImageCount(2, 3).score(document) == Score(images)
    assert reason(ImageCount(2, 3), document) == expected


def test_image_count_config():
    with pytest.raises(ValueError, match="image_count: bad range"):
        ImageCount(3, 2)


def test_text_present():
    document = Document("d", "", (Text(" ab\n"), Image("http://a/1"), Text("c d")))
    assert TextPresent().score(document) == Score(5)
    assert reason(TextPresent(5), document) is None
    assert reason(TextPresent(6), document) == "too_short"
    assert reason(TextPresent(), Document("d", "", (Text(" \n"),))) == "too_short"
    with pytest.raises(ValueError, match="min_characters"):
        TextPresent(0)
