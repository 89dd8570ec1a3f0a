import pytest

from filters.base import Score
from filters.pages.language_hint import LanguageHint
from schemas.page import Page

GERMAN = "Der alte Leuchtturm steht auf einem Felsen über dem Hafen, abends brennt sein Licht. "
ENGLISH = "The old lighthouse stands on a rock above the harbour, its lamp is lit at dusk. "


def score(body, rule=LanguageHint()):  # noqa: B008
    body = body.encode() if isinstance(body, str) else body
    return rule.score(Page("0", "http://a/", "", 0, 0, "", 200, "text/html", (), body))


def html(text, attributes):
    script = "<script>var words = 'the of and to in is that it was for';</script>"
    return f"<!DOCTYPE html><html {attributes}><head><title>x</title></head>{script}<p>{text * 5}"


@pytest.mark.parametrize("attributes", ["lang=de", 'class="a" LANG = "de-AT"', "xml:lang='de'"])
def test_two_witnesses(attributes):
    found = score(html(GERMAN, attributes))
    assert found == Score(1.0, "de, looks like de")
    assert LanguageHint().judge(found) == "unwanted"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", ""),
        (html(GERMAN, ""), ""),  # it does not say
        (html(GERMAN, "lang=en"), ""),
        (html(ENGLISH, "lang=de"), "de, looks like en"),
        (html("Kurz. ", "lang=de"), "de, little text"),
        (html("Маяк стоит на скале над гаванью. ", "lang=ru").encode("cp1251"), "ru, little text"),
    ],
)
def test_what_is_kept(body, detail):
    assert score(body) == Score(0.0, detail)
    assert LanguageHint().judge(score(body)) is None


def test_the_config_chooses_the_languages():
    assert score(html(GERMAN, "lang=de"), LanguageHint(("en", "de"))).value == 0.0
    with pytest.raises(ValueError, match="no language is wanted"):
        LanguageHint(())
    with pytest.raises(ValueError, match="min_characters"):
        LanguageHint(min_characters=-1)
