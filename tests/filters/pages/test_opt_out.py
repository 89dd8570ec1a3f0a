import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from filters.base import Score
from filters.pages.markup import find_meta
from filters.pages.opt_out import OptOut
from schemas.page import Page


def page(body=b"", *headers):
    if isinstance(body, str):
        body = body.encode()
    return Page("0", "http://a/", "", 0, 0, "", 200, "text/html", headers, body)


def reason(rule, element):
    return rule.judge(rule.score(element))


@pytest.mark.parametrize(
    "body",
    [
        '<meta name="robots" content="noai">',
        "<META CONTENT='NOAI' NAME='ROBOTS'>",
        "<meta name=robots content=noai>",
        "<meta name=robots content=noai />",
        '<meta\n data-x="1"\n name = "robots"\tcontent = "index, noai, follow"/>',
        '<meta name="robots" content="noai&#44;nofollow">',
        '<meta name="ccbot" content="noai">',
        '<!-- a comment --><title>x</title><meta name="robots" content="noai">',
        '<meta name="description" content="x > y"><meta name="robots" content="noai">',
        '<meta name="robots" content="index"><meta name="robots" content="noai">',
        "\n" * 100_000 + '<meta name="robots" content="noai">',
    ],
)
def test_meta_tags_that_opt_out(body):
    assert reason(OptOut(), page(body)) == "noai"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_whatever_the_encoding(codec):
    body = '<html><meta name="robots" content="noai">\u706f'.encode(codec)
    assert reason(OptOut(), page(body)) == "noai"


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<meta name="robots" content="index, follow, max-image-preview:large">',
        '<meta name="robots" content="noaimage">',
        '<meta name="googlebot" content="noai">',
        '<meta name="robots" property="noai">',
        '<meta property="robots" content="noai">',
        '<metadata name="robots" content="noai">',
        '<!-- <meta name="robots" content="noai"> -->',
        '<script>s = "<meta name=robots content=noai>"</script>',
        '<!-- <meta name="robots" content="noai">',
        '<meta name="robots" content="index" content="noai">',
        '<p>&lt;meta name="robots" content="noai"&gt;',
    ],
)
def test_what_does_not_opt_out(body):
    assert OptOut().score(page(body)) == Score(0)
    assert reason(OptOut(), page(body)) is None


def test_several_headers_are_read_one_by_one():
    headers = (("x-robots-tag", "googlebot: nofollow"), ("x-robots-tag", "noai"))
    assert reason(OptOut(), page(b"", *headers)) == "noai"


@pytest.mark.parametrize(
    ("directive", "named"),
    [(name, name) for name in ("noai", "noimageai", "noml", "none", "noindex", "noimageindex")],
)
def test_the_config_chooses_the_directives(directive, named):
    element = page(b"", ("x-robots-tag", directive))
    assert reason(OptOut((directive,)), element) == named
    assert reason(OptOut((), ()), element) is None


def test_tdm_reservation():
    header, meta = (
        page(b"", ("tdm-reservation", " 1 ")),
        page("<meta name=TDM-Reservation content=1>"),
    )
    zero = page("<meta name=tdm-reservation content=0>", ("tdm-reservation", "0"))
    for element in (header, meta):
        assert reason(OptOut(), element) == "tdm_reservation"
        assert reason(OptOut(tdm_reservation=False), element) is None
    assert reason(OptOut(), zero) is None


def test_the_detail_lists_what_was_found_once():
    element = page(
        "<meta name=robots content='noml, noai'><meta name=robots content=noml>",
        ("x-robots-tag", "noai, ccbot: noai"),
        ("tdm-reservation", "1"),
    )
    score = OptOut().score(element)
    expected = (
        "noai in x-robots-tag: noai, ccbot: noai; "
        "tdm_reservation in tdm-reservation: 1; "
        "noml in meta robots: noml, noai; "
        "noai in meta robots: noml, noai; "
        "noml in meta robots: noml"
    )
    assert score == Score(5, expected)
    assert OptOut().judge(score) == "noai"


def test_bad_config():
    with pytest.raises(ValueError, match="unknown directives nosnippet"):
        OptOut(("noai", "nosnippet"))
    with pytest.raises(ValueError, match="unknown directives tdm_reservation"):
        OptOut(("tdm_reservation",))
    with pytest.raises(ValueError, match="lower case"):
        OptOut(user_agents=("CCBot",))


@pytest.mark.parametrize(
    "piece", [b"<meta name='", b"<!--", b"<script>", b"<meta ", b'a="', b"<", b"<meta robots "]
)
def test_hostile_heads_end(piece):
    for anywhere in (False, True):
        assert find_meta(piece * 100_000, ("robots",), anywhere) == []


def test_every_live_tag_is_among_those_anywhere(shared_data):
    for file in sorted((shared_data / "pages").glob("*.warc.gz")):
        for record in ArchiveIterator(file.open("rb"), record_types=WarcRecordType.response):
            body = record.reader.read()
            live = find_meta(body, ("robots", "description"))
            assert set(live) <= set(find_meta(body, ("robots", "description"), anywhere=True))
