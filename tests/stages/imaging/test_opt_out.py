import json

import pytest

from filters.consent import evidence
from stages.imaging.opt_out import OptOutPolicy
from stages.imaging.refusal import Reason, Refused


def says_no(headers, agents=(), **policy):
    """The header that refuses, or empty."""
    try:
        OptOutPolicy(**policy).check(tuple(headers), user_agents=agents)
    except Refused as refusal:
        return f"{refusal.detail}" if refusal.reason is Reason.OPTED_OUT else f"{refusal!r}"
    return ""


def test_the_vectors_of_datadiligence(shared_data):
    path = shared_data / "robots" / "datadiligence_header_vectors.json"
    vectors = json.loads(path.read_text())
    for vector in vectors:
        directives = ("noai", "noimageai")
        if vector.get("respect_noindex"):
            directives += ("noindex",)
        agent = vector.get("user_agent")
        said = says_no(
            [(vector["header"].lower(), vector["value"])],
            [agent] if agent else (),
            directives=directives,
            user_agents=(),
        )
        assert (not said) == vector["allowed"], vector
    assert len(vectors) > 30


@pytest.mark.parametrize(
    "value",
    ["noai, max-snippet:-1", "max-image-preview:large, noai", "NOAI", "ccbot: noimageai", "noml"],
)
def test_refusals_that_others_overlook(value):
    assert says_no([("x-robots-tag", value)]) == f"x-robots-tag: {value}"


@pytest.mark.parametrize("value", ["", "noindex", "all", "googlebot: noai", "max-snippet:-1"])
def test_what_is_none(value):
    assert says_no([("x-robots-tag", value), ("x-robots", "noai")]) == ""


def test_each_header_is_read_by_itself():
    headers = [("x-robots-tag", "googlebot: nofollow"), ("x-robots-tag", "noai")]
    assert says_no(headers) == "x-robots-tag: noai"


def test_tdm_reservation():
    headers = [("tdm-reservation", " 1 ")]
    assert says_no(headers)
    assert not says_no(headers, tdm_reservation=False)


def test_evidence_is_what_was_looked_at():
    headers = (("server", "x"), ("x-robots-tag", "all"), ("tdm-reservation", "0"))
    assert evidence(headers) == "x-robots-tag: all\ntdm-reservation: 0"
    assert evidence((("server", "x"),)) == ""
