import json

import pytest

from stages.imaging.tdmrep import Reservations, read

RULES = [
    {"location": "/", "tdm-reservation": 0},
    {"location": "/images/", "tdm-reservation": 1, "tdm-policy": "https://a.example/policy"},
    {"location": "/images/free/*", "tdm-reservation": 0},
    {"location": "*.svg$", "tdm-reservation": "1"},
    {"location": "/caf%C3%A9/", "tdm-reservation": 1},
]


def reserved(url, rules=RULES, status=200):
    rule = read(status, json.dumps(rules).encode()).rule_for(url)
    return bool(rule and rule.reserved)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", False),
        ("/page", False),
        ("/images/a.png", True),
        ("/images/a.png?x=1", True),
        ("/images/free/a.png", False),
        ("/drawn.svg", True),
        ("/drawn.svg?x", False),
        ("/caf\u00e9/a.png", True),
        ("/caf%c3%a9/a.png", True),
        ("/Images/a.png", False),
    ],
)
def test_the_longest_location_decides(path, expected):
    assert reserved(f"https://a.example{path}") is expected


def test_of_two_as_long_the_one_that_reserves_decides():
    rules = [{"location": "/a*", "tdm-reservation": 0}, {"location": "/*b", "tdm-reservation": 1}]
    assert reserved("https://a.example/ab", rules)
    assert reserved("https://a.example/ab", rules[::-1])


def test_one_rule_may_stand_alone():
    assert reserved("https://a.example/x", {"location": "/", "tdm-reservation": 1})


@pytest.mark.parametrize("status", [0, 301, 404, 503])
def test_a_file_that_cannot_be_had_reserves_nothing(status):
    assert not reserved("https://a.example/images/a.png", status=status)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"null", b"7", b'["/"]', b'[{"location": 7}]', b"[" * 100_000,
     b'[{"tdm-reservation": 1}]', b'[{"location": "/", "tdm-reservation": false}]',
     b'[{"location": "/", "tdm-reservation": "yes"}]'],
)  # fmt: skip
def test_what_is_no_reservation(body):
    rule = read(200, body).rule_for("https://a.example/x")
    assert not (rule and rule.reserved)


@pytest.mark.parametrize("value", [1, "1", " 1 ", 1.0, True])
@pytest.mark.parametrize(
    "location", ["/i/", "i/", "https://a.example/i/", "HTTPS://A.example/i/", "*", "", "/i/*.png"]
)
def test_what_reserves(location, value):
    rules = [{"location": location, "tdm-reservation": value}]
    assert reserved("https://a.example/i/a.png", rules)


def test_the_rule_is_evidence():
    found = read(200, json.dumps(RULES).encode()).rule_for("https://a.example/images/a.png")
    assert found.line == "/images/ 1"
    assert Reservations().rule_for("https://a.example/") is None


def test_hostile_patterns_end():
    rules = [{"location": "/" + "a*" * 1_000 + "b$", "tdm-reservation": 1}]
    assert not reserved("https://a.example/" + "a" * 2_000, rules)
