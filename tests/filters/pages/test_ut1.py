import pytest

from filters.pages.ut1 import Ut1
from schemas.page import Page


def page(url):
    return Page("0", url, "", 0, 0, "", 200, "text/html", (), b"")


@pytest.fixture
def lists(tmp_path):
    for name, lines in {
        "adult/domains": "bad.example\nDEEP.Sub.example\n10.0.0.7\nxn--bse-sna.example\n",
        "adult/urls": "mixed.example/bad\nmixed.example/dir/page.html\nq.example/?id=1\n",
        "gambling/domains": "dice.example\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://bad.example/", "adult: bad.example"),
        ("https://BAD.example./x", "adult: bad.example"),
        ("http://www.bad.example:8080/x?y", "adult: bad.example"),
        ("https://notbad.example/", None),
        ("https://sub.example/", None),
        ("https://a.deep.sub.example/", "adult: deep.sub.example"),
        ("http://10.0.0.7/", "adult: 10.0.0.7"),
        ("http://böse.example/", "adult: xn--bse-sna.example"),
        ("http://mixed.example/", None),
        ("http://mixed.example/b%61d", "adult: mixed.example/bad"),
        ("http://mixed.example/bad", "adult: mixed.example/bad"),
        ("http://www.mixed.example/bad/more?x", "adult: mixed.example/bad"),
        ("http://mixed.example/badly", None),
        ("http://mixed.example/dir/page.html#top", "adult: mixed.example/dir/page.html"),
        ("http://q.example/?id=1", "adult: q.example/?id=1"),
        ("http://q.example/?id=2", None),
        ("http://dice.example/", None),
        ("http://[broken", None),
        ("", None),
    ],
)
def test_hosts_and_urls(lists, url, entry):
    rule = Ut1(lists)
    score = rule.score(page(url))
    assert (score.detail or None) == entry
    assert rule.judge(score) == ("listed" if entry else None)


def test_categories_are_chosen(lists):
    rule = Ut1(lists, ("gambling", "adult"))
    assert rule.score(page("http://dice.example/")).detail == ("gambling: dice.example")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "directory must be given"),
        ({"directory": "/nonexistent"}, "no folder"),
        ({"categories": ("malware",)}, "malware has neither"),
    ],
)
def test_what_is_missing_is_said_at_once(lists, options, message):
    with pytest.raises(ValueError, match=message):
        Ut1(**({"directory": lists} if "categories" in options else {}) | options)
