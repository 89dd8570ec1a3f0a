import pytest

from stages.extraction.urls import Candidate, absolute, parse_srcset, rank

BASE = "https://www.example.org/a/b/page.html?x=1"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("c.jpg", "https://www.example.org/a/b/c.jpg"),
        ("../c.jpg", "https://www.example.org/a/c.jpg"),
        ("/c.jpg", "https://www.example.org/c.jpg"),
        ("/../c.jpg", "https://www.example.org/c.jpg"),
        ("//cdn.example.org/c.jpg", "https://cdn.example.org/c.jpg"),
        ("http://x.example/c.jpg#top", "http://x.example/c.jpg"),
        ("  c d.jpg\n", "https://www.example.org/a/b/c%20d.jpg"),
        ("c\n.jpg", "https://www.example.org/a/b/c.jpg"),
        ("/ü.jpg", "https://www.example.org/%C3%BC.jpg"),
        ("HTTP://Cdn.Example.ORG:80/C.jpg", "http://cdn.example.org/C.jpg"),
        ("https://cdn.example.org:8443/c.jpg", "https://cdn.example.org:8443/c.jpg"),
        ("https://münchen.example/c.jpg", "https://xn--mnchen-3ya.example/c.jpg"),
        ("https://faß.example/c.jpg", "https://xn--fa-hia.example/c.jpg"),
        ("http://cdn.example/a/../c.jpg", "http://cdn.example/c.jpg"),
        ("//cdn.example/a/./c.jpg", "https://cdn.example/a/c.jpg"),
        ("/./a/%2E%2e/c.jpg", "https://www.example.org/c.jpg"),
        ("https://cdn.example", "https://cdn.example/"),
        ("\\\\cdn.example\\c.jpg", "https://cdn.example/c.jpg"),
        ("\\a\\c.jpg", "https://www.example.org/a/c.jpg"),
        ("https:///cdn.example/c.jpg", "https://cdn.example/c.jpg"),
        ("http://cdn.example:99999/c.jpg", ""),
        ("?id=7", "https://www.example.org/a/b/page.html?id=7"),
        ("", ""),
        (None, ""),
        ("#top", ""),
        ("data:image/gif;base64,R0lG", ""),
        ("javascript:void(0)", ""),
        ("file:///etc/passwd", ""),
        ("http://", ""),
        ("http://[broken/c.jpg", ""),
        ("http://host:port/c.jpg", ""),
        ("a" * 5_000, ""),
    ],
)
def test_absolute(written, expected):
    assert absolute(BASE, written) == expected


def test_a_page_without_an_address():
    assert absolute("", "http://x.example/ü.jpg") == "http://x.example/%C3%BC.jpg"
    assert absolute("", "ü.jpg") == absolute("about:blank", "c.jpg") == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.jpg 1x, b.jpg 2x", [Candidate("a.jpg", density=1), Candidate("b.jpg", density=2)]),
        ("a.jpg 480w,b.jpg 800w", [Candidate("a.jpg", 480), Candidate("b.jpg", 800)]),
        (
            "https://c.example/w_300,h_200/a.jpg 300w, https://c.example/w_600,h_400/a.jpg 600w",
            [
                Candidate("https://c.example/w_300,h_200/a.jpg", 300),
                Candidate("https://c.example/w_600,h_400/a.jpg", 600),
            ],
        ),
        ("a.jpg, b.jpg 2x", [Candidate("a.jpg"), Candidate("b.jpg", density=2)]),
        (" , a.jpg 1.5x ,, ", [Candidate("a.jpg", density=1.5)]),
        ("a.jpg 100w 50h, b.jpg", [Candidate("a.jpg", 100), Candidate("b.jpg")]),
        ("a.jpg x(1,2), b.jpg", [Candidate("a.jpg"), Candidate("b.jpg")]),
        ("", []),
        (" , ", []),
    ],
)
def test_srcset(value, expected):
    assert parse_srcset(value) == expected


def test_a_hostile_srcset_is_cut():
    assert len(parse_srcset("a.jpg 1w, " * 200_000)) == 100


def test_the_narrowest_wide_enough_comes_first():
    widths = [320, 2400, 1600, 800]
    ranked = rank([Candidate(str(w), w) for w in widths], preferred_width=1_000)
    assert [c.url for c in ranked] == ["1600", "2400", "800", "320"]


def test_twice_the_density_is_enough():
    ranked = rank([Candidate(str(d), density=d) for d in (1, 3, 2)], preferred_width=1_000)
    assert [c.url for c in ranked] == ["2", "1", "3"]
