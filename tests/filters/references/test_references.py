import pytest

from filters.base import judge
from filters.references.reference_count import ReferenceCount
from filters.references.url_extension import UrlExtension
from filters.references.url_scheme import UrlScheme
from filters.references.url_words import UrlWords, tokens
from schemas.image import ImageReference


def reason(rule, url="http://a.example/i.png", documents=1):
    _, objection = judge([rule], ImageReference(url, documents))
    return objection.reason if objection else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("siteLogo2x.PNG", ["site", "logo", "x", "png"]),
        ("/img/LOGO_final-1.png", ["img", "logo", "final", "png"]),
        ("HTMLButton", ["html", "button"]),
        ("catalogo", ["catalogo"]),
        ("\u6d77\u5cb8/logo.png", ["\u6d77\u5cb8", "logo", "png"]),
        ("", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/logo.png",
        "http://a.example/LOGO.png",
        "http://a.example/img/siteLogo2.png",
        "http://a.example/icons/arrow.png",
        "http://a.example/play%20button.png",
        "http://a.example/widget/photo.jpg",
    ],
)
def test_words_of_furniture_are_found(url):
    assert reason(UrlWords(), url) == "listed_word"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/catalogo/photo.jpg",  # what a substring test gets wrong
        "http://a.example/silicon.png",
        "http://a.example/iconic-building.jpg",
        "http://a.example/wp-content/plugins/gallery/1.jpg",
        "http://logo.example/photo.jpg",
        "http://a.example/photo.jpg?size=icon",
        "http://[broken/photo.jpg",
    ],
)
def test_words_inside_words_are_not(url):
    assert reason(UrlWords(), url) is None


def test_the_config_says_where_words_are_looked_for():
    folder, query = "http://a.example/icons/a.png", "http://a.example/a.png?icon"
    assert reason(UrlWords(where="file"), folder) is None
    assert reason(UrlWords(where="path"), folder) == "listed_word"
    assert reason(UrlWords(where="path"), query) is None
    assert reason(UrlWords(where="url"), query) == "listed_word"
    unsafe = UrlWords(words=("sex",), where="url")
    assert reason(unsafe, "http://www.essex.ac.uk/a.png") is None
    assert reason(unsafe, "http://sex.example/a.png") == "listed_word"


def test_the_score_counts_words_and_names_the_first():
    score = UrlWords().score(ImageReference("http://a/icons/logo.png"))
    assert (score.value, score.detail) == (2, "icons")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/i.png", None),
        ("http://a/i.JPG?width=3", None),
        ("http://a/i.x.jpeg", None),
        ("http://a/i.webp", "not_listed"),
        ("http://a/i.png/resize", "no_extension"),
        ("http://a.png", "no_extension"),
        ("http://a/.png", "no_extension"),
        ("http://a/i?name=i.png", "no_extension"),
        ("http://[/i.png", "no_extension"),
    ],
)
def test_extensions(url, expected):
    assert reason(UrlExtension(), url) == expected
    kept = None if expected == "no_extension" else expected
    assert reason(UrlExtension(keep_missing=True), url) == kept


@pytest.mark.parametrize(("documents", "expected"), [(10, None), (11, "too_frequent")])
def test_more_than_ten_documents_are_too_many(documents, expected):
    assert reason(ReferenceCount(), documents=documents) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/i.png", None),
        ("HTTPS://a/i.png", None),
        ("ftp://a/i.png", "not_listed"),
        ("file:///etc/passwd", "not_listed"),
        ("data:image/png;base64,AAAA", "not_listed"),
        ("javascript:alert(1)", "not_listed"),
        ("/i.png", "malformed"),
        ("http:///i.png", "malformed"),
        ("http://[::1/i.png", "malformed"),
        ("", "malformed"),
    ],
)
def test_schemes(url, expected):
    assert reason(UrlScheme(), url) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UrlWords(words=("Logo",)), "'Logo' is not one word in lower case"),
        (lambda: UrlWords(words=("a b",)), "not one word"),
        (lambda: UrlWords(where="host"), "not a valid Where"),
        (lambda: UrlExtension(extensions=(".png",)), "no extension in lower case"),
        (lambda: ReferenceCount(max_documents=0), "below 1"),
        (lambda: UrlScheme(schemes=("file",)), "never read over 'file'"),
    ],
)
def test_config_is_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
