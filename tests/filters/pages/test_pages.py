"""The short rules on pages: exact bounds, what they find, checked config."""

import pytest

from filters.base import Score
from filters.pages.body_size import BodySize
from filters.pages.has_image import HasImage
from filters.pages.mime import Mime
from filters.pages.status import Status
from filters.pages.truncated import Truncated
from filters.pages.url_hosts import UrlHosts
from filters.pages.url_words import UrlWords
from schemas.page import Page


def page(url="http://a.example/", status=200, mime="text/html", body=b"", truncated=""):
    return Page("0", url, "", 0, 0, "", status, mime, (), body, truncated)


def reason(rule, element):
    return rule.judge(rule.score(element))


def test_status():
    assert reason(Status(), page(status=200)) is None
    for status in (0, 203, 206, 301, 404):
        assert reason(Status(), page(status=status)) == "unwanted"
    assert reason(Status((200, 203)), page(status=203)) is None
    with pytest.raises(ValueError, match="status"):
        Status(())


def test_mime():
    for mime in ("text/html", "application/xhtml+xml"):
        assert reason(Mime(), page(mime=mime)) is None
    for mime in ("", "text/plain", "image/png"):
        assert reason(Mime(), page(mime=mime)) == "unwanted"
    assert Mime().score(page(mime="image/png")) == Score(0.0, "image/png")
    with pytest.raises(ValueError, match="mime"):
        Mime(())


@pytest.mark.parametrize(
    ("size", "expected"), [(1, "too_small"), (2, None), (3, None), (4, "too_large")]
)
def test_body_size(size, expected):
    assert reason(BodySize(2, 3), page(body=b"x" * size)) == expected


def test_body_size_config():
    with pytest.raises(ValueError, match="body_size: bad range"):
        BodySize(3, 2)


def test_truncated():
    assert reason(Truncated(), page()) is None
    assert reason(Truncated(), page(truncated="length")) == "truncated"
    assert reason(Truncated(("length",)), page(truncated="length")) is None
    assert reason(Truncated(("length",)), page(truncated="time")) == "truncated"


@pytest.mark.parametrize(
    ("body", "images"),
    [
        (b"", 0),
        (b"<p>imgage picture</p>", 0),
        (b"<IMG src=a.jpg><img\nsrc=b>", 2),
        (b"<picture><source></picture>", 1),
        (b"<amp-img src=a>", 1),
        (b"<image href=a>", 1),
        ("<html><img src=a>".encode("utf-16"), 1),
        (b"<noscript>&lt;img src=a&gt;</noscript>", 1),
        (b'{"html": "\\u003cimg src=a>"}', 1),
        # Nothing that could be fetched.
        (b'<meta property="og:image" content="a.jpg">', 0),
        (b"<img><img src><img src=''><img alt=a class=b>", 0),
        (b'<img src="data:image/gif;base64,R0lG"><img src="/a.SVG?v=1" alt="a">', 0),
        (b'<img src="/a.svg/b.jpg"><img src="a.jpg?b=.svg">', 2),
        # It may be elsewhere.
        (b'<img src="data:," data-x="a.jpg"><img srcset="a 2x"><img href=a>', 3),
        # Declared sizes.
        (
            b'<img src=a width=63 height="10px"/><img src=a width=0 height=0>',
            0,
        ),
        (b"<img src=a width=64 height=1><img src=a width=9%><img src=a width=0 height=200>", 3),
        (b'<img src=a width=0><img src=a width=9 style="width:200px">', 2),
        # Not plainly written.
        (b'<img alt="5" tall" src="data:,"><img alt="<b>" src=a.svg><img src=a.svg', 3),
    ],
)
def test_has_image(body, images):
    assert HasImage().score(page(body=body)).value == images
    assert reason(HasImage(), page(body=body)) == (None if images else "no_image")


def test_has_image_bounds():
    assert HasImage(2).judge(Score(2)) is None
    assert HasImage(2).judge(Score(1)) == "no_image"
    assert (
        HasImage(min_side=9).score(page(body=b"<img src=a width=9><img src=a width=8>")).value == 1
    )
    with pytest.raises(ValueError, match="min_images"):
        HasImage(0)
    with pytest.raises(ValueError, match="min_side"):
        HasImage(min_side=-1)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://www.essex.ac.uk/middlesex/Sussex-county", ""),
        ("http://a.example/?q=porn#xxx", ""),
        ("http://a.example/sexton/xxxl", ""),
        ("http://sex.example/", "sex"),
        ("http://A.example/Free-PORN_videos.html", "porn"),
        ("http://a.example/%70orn/xxx", "porn, xxx"),
        ("http://a.example:80/a/SEX/", "sex"),
        ("http://[broken/porn", "porn"),
        ("", ""),
    ],
)
def test_url_words(url, found):
    rule = UrlWords(("porn", "xxx", "sex"))
    score = rule.score(page(url))
    assert score == Score(len(found.split(", ")) if found else 0, found)
    assert rule.judge(score) == ("found" if found else None)


def test_url_words_from_a_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# bets\nCasino\npoker\n")
    rule = UrlWords(("porn",), str(file), max_found=1)
    assert reason(rule, page("http://casino.example/")) is None
    assert rule.score(page("http://casino.example/poker/porn")) == Score(3, "casino, poker, porn")
    assert reason(rule, page("http://casino.example/poker")) == "found"


def test_url_words_config(tmp_path):
    for word in ("Porn", "live sex", "", "a-b"):
        with pytest.raises(ValueError, match="is not a word in lower case"):
            UrlWords((word,))
    with pytest.raises(ValueError, match="max_found"):
        UrlWords(max_found=-1)
    with pytest.raises(ValueError, match="url_words: no file"):
        UrlWords(file=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("http://bad.example/", "bad.example"),
        ("https://WWW.Bad.Example.:443/x", "bad.example"),
        ("http://a.b.bad.example/", "bad.example"),
        ("http://notbad.example/", ""),
        ("http://bad.example.org/", ""),
        ("http://example/", ""),
        ("http://listed.test/", "listed.test"),
        ("http://user@bad.example:x/", "bad.example"),
        ("http://[broken/", ""),
        ("", ""),
    ],
)
def test_url_hosts(url, entry, tmp_path):
    file = tmp_path / "domains"
    file.write_text("listed.test\n")
    rule = UrlHosts(("bad.example",), str(file))
    assert rule.score(page(url)) == Score(1.0 if entry else 0.0, entry)
    assert reason(rule, page(url)) == ("blocked" if entry else None)


def test_url_hosts_config(tmp_path):
    for host in ("Bad.example", "bad.example/x", "", ".bad.example"):
        with pytest.raises(ValueError, match="is not a host name"):
            UrlHosts((host,))
    with pytest.raises(ValueError, match="url_hosts: no file"):
        UrlHosts(file=str(tmp_path / "absent"))
