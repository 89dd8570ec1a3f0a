import json

import pytest

from filters.pages.opt_out import OptOut
from filters.pages.robots_tag import header_directives, meta_directives
from schemas.page import Page


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        (":, :, ,;: -:: ", [";"]),
        ("NoIndex , NOFOLLOW", ["noindex", "nofollow"]),
        # Valued directives do not hide their neighbours.
        ("noindex, max-image-preview:large", ["noindex", "max-image-preview"]),
        ("max-snippet: -1, noai", ["max-snippet", "noai"]),
        (
            "unavailable_after: 25 Jun 2030 15:00:00 PST, noai",
            ["unavailable_after", "noai"],
        ),
        (
            "unavailable_after: Tue, 25 Jun 2030 15:00:00 PST, noai",
            ["unavailable_after", "25 jun 2030 15", "noai"],
        ),
        ("unavailable_after: 2030-06-25T15:00:00Z, noai", ["unavailable_after", "noai"]),
        # A user agent holds up to the next one.
        ("googlebot: noindex, noai", []),
        ("ccbot: noindex, noai", ["noindex", "noai"]),
        ("noml, googlebot: noindex, ccbot:noai", ["noml", "noai"]),
        ("other-bot/1.0: noai", []),
        ("ccbot: unavailable_after: 25 Jun 2030 15:00:00 PST, noai", ["unavailable_after", "noai"]),
        ("ccbot:, noai", ["noai"]),
    ],
)
def test_header(value, expected):
    assert header_directives(value, ("ccbot",)) == expected


def test_meta():
    content = " NOAI,noimageai , max-image-preview:large,,unavailable_after: 25 Jun 2030 15:00:00"
    assert meta_directives(content) == [
        "noai",
        "noimageai",
        "max-image-preview",
        "unavailable_after",
    ]


def test_the_vectors_of_datadiligence(shared_data):
    vectors = json.loads((shared_data / "robots" / "datadiligence_header_vectors.json").read_text())
    assert len(vectors) >= 42
    wrong = []
    for vector in vectors:
        # "none" is noindex and nofollow, so it goes with noindex.
        noindex = ("noindex", "none") if vector.get("respect_noindex") else ()
        agent = vector.get("user_agent")
        rule = OptOut(("noai", "noimageai", *noindex), (agent,) if agent else ())
        headers = ((vector["header"].lower(), vector["value"]),)
        page = Page("0", "http://a/", "", 0, 0, "", 200, "text/html", headers, b"")
        if (rule.judge(rule.score(page)) is None) != vector["allowed"]:
            wrong.append(vector)
    assert wrong == []
