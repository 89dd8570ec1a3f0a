import json

import pytest

from filters.pages.opt_out import OptOut
from filters.pages.robots_tag import Directive, header_directives, meta_directives
from schemas.page import Page

LIMIT = ("unavailable_after", "25 jun 2030 15:00:00 pst")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        (":, :, ,;: -:: ", [(";", "-::")]),
        ("NoIndex , NOFOLLOW", ["noindex", "nofollow"]),
        # Valued directives do not hide their neighbours.
        ("noindex, max-image-preview:large", ["noindex", ("max-image-preview", "large")]),
        ("max-snippet: -1, noai", [("max-snippet", "-1"), "noai"]),
        ("unavailable_after: 25 Jun 2030 15:00:00 PST, noai", [LIMIT, "noai"]),
        # The comma of a date parts no directives.
        (
            "unavailable_after: Tue, 25 Jun 2030 15:00:00 PST, noai",
            [("unavailable_after", "tue, 25 jun 2030 15:00:00 pst"), "noai"],
        ),
        ("noai, unavailable_after: tue", ["noai", ("unavailable_after", "tue,")]),
        (
            "unavailable_after: 2030-06-25T15:00:00Z, noai",
            [("unavailable_after", "2030-06-25t15:00:00z"), "noai"],
        ),
        # A user agent holds up to the next one.
        ("googlebot: noindex, noai", []),
        ("ccbot: noindex, noai", ["noindex", "noai"]),
        ("noml, googlebot: noindex, ccbot:noai", ["noml", "noai"]),
        ("other-bot/1.0: noai", []),
        ("ccbot: unavailable_after: 25 Jun 2030 15:00:00 PST, noai", [LIMIT, "noai"]),
        ("googlebot: unavailable_after: Tue, 25 Jun 2030 15:00:00 PST, noai", []),
        ("ccbot:, noai", ["noai"]),
    ],
)
def test_header(value, expected):
    assert header_directives(value, ("ccbot",)) == directives(expected)


def directives(expected):
    return [Directive(*([one] if isinstance(one, str) else one)) for one in expected]


def test_meta():
    content = " NOAI,noimageai , max-image-preview:large,,unavailable_after: 25 Jun 2030 15:00:00"
    expected = ["noai", "noimageai", ("max-image-preview", "large"),
                ("unavailable_after", "25 jun 2030 15:00:00")]  # fmt: skip
    assert meta_directives(content) == directives(expected)


def test_the_vectors_of_datadiligence(shared_data):
    vectors = json.loads((shared_data / "robots" / "datadiligence_header_vectors.json").read_text())
    assert len(vectors) >= 42
    wrong = []
    for vector in vectors:
        noindex = ("noindex",) if vector.get("respect_noindex") else ()
        agent = vector.get("user_agent")
        rule = OptOut(("noai", "noimageai", *noindex), (agent,) if agent else ())
        headers = ((vector["header"].lower(), vector["value"]),)
        page = Page("0", "http://a/", "", 0, 0, "", 200, "text/html", headers, b"")
        if (rule.judge(rule.score(page)) is None) != vector["allowed"]:
            wrong.append(vector)
    assert wrong == []
