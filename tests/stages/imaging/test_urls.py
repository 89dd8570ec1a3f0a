import pytest

from stages.imaging.urls import comparable, host_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://A.Example:80/i.png#top", "http://a.example/i.png"),
        ("https://a.example:443", "https://a.example/"),
        ("https://a.example:8443/i", "https://a.example:8443/i"),
        ("http://a.example/a b.png", "http://a.example/a%20b.png"),
        ("http://a.example/a%20b%c3%a9.png", "http://a.example/a%20b%C3%A9.png"),
        ("http://a.example/\u00e9.png?q=\u00e9", "http://a.example/%C3%A9.png?q=%C3%A9"),
        ("http://b\u00fccher.example/i.png", "http://xn--bcher-kva.example/i.png"),
        (" http://a.example/i\n.png ", "http://a.example/i.png"),
        ("http://u:p@a.example./i.png", "http://u:p@a.example/i.png"),
        ("http://[::1]:80/i.png", "http://[::1]/i.png"),
        ("http://fa\u00df.example/i.png", "http://xn--fa-hia.example/i.png"),
        ("http://a.example/a/../b/%2E%2E/./i.png", "http://a.example/i.png"),
        ("http:\\\\a.example\\i.png", "http://a.example/i.png"),
        ("http://0x7f.1/i.png", "http://127.0.0.1/i.png"),
        ("http://a.example/i|j.png", "http://a.example/i%7Cj.png"),
        ("http://a.example/i.png?", "http://a.example/i.png"),
    ],
)
def test_one_spelling(url, expected):
    assert comparable(url) == expected
    assert comparable(expected) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a/i.png", "https://a/i.png"),
        ("http://a/i.png?w=1", "http://a/i.png?w=2"),
        ("http://a/i", "http://a/i/"),
        ("http://a/I.png", "http://a/i.png"),
        ("http://a/a%2Fb", "http://a/a/b"),
    ],
)
def test_what_may_be_another_picture_stays_apart(one, other):
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(
    "url", ["", "/i.png", "http://", "http://[::1", "http://a:port/", "data:image/png,A", "\ud800"]
)
def test_what_is_no_url_equals_only_itself(url):
    assert comparable(url) == url
    assert host_of(url) == ""


def test_host_of():
    assert host_of("http://User@A.example/i") == "a.example"
    assert host_of("https://a.example:99/i") == "a.example"
    assert host_of("http://[::1]:80/") == "[::1]"
