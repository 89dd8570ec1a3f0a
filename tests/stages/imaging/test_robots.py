import asyncio

import pytest

from schemas.consent import Answer
from stages.imaging.robots import Robots, Ruling, Verdict, deciding_line, lines_for, read

BODY = b"""\xef\xbb\xbfUser-agent: *
Disallow: /private/
Crawl-delay: 2

User-agent: weft
Disallow: /ours/
Allow: /ours/but/
"""


def asked(agent, urls, status=200, body=BODY):
    """The verdict and the delay of each URL, all asked for at once, and what was fetched."""
    fetched = []

    async def fetch(url):
        fetched.append(url)
        await asyncio.sleep(0)
        return status, body

    async def ask():
        rules = Robots(agent, fetch)
        rulings = await asyncio.gather(*map(rules.ruling, urls))
        return [ruling.verdict for ruling in rulings], [await rules.delay(url) for url in urls]

    return *asyncio.run(ask()), fetched


def test_the_group_of_the_agent_wins():
    urls = [f"https://a.example/{path}" for path in ("ours/i", "ours/but/i", "private/i")]
    no, yes = Verdict.DISALLOWED, Verdict.ALLOWED
    assert asked("weft", urls)[:2] == ([no, yes, yes], [0, 0, 0])
    assert asked("otherbot", urls)[:2] == ([yes, yes, no], [2, 2, 2])


def test_a_site_is_asked_once_and_sites_are_told_apart():
    urls = ("http://a/1", "http://u:p@a/2", "https://a/3", "http://a:81/4", "http://a/5")
    fetched = asked("weft", urls)[2]
    assert fetched == ["http://a/robots.txt", "https://a/robots.txt", "http://a:81/robots.txt"]


EVERYBODY = b"User-agent: *\nDisallow: /\n"


@pytest.mark.parametrize("line", [b"weft", b"WEFT/1.0", b"weft (a bot) # comment", b"weft # x"])
def test_a_group_is_ours_by_the_product_token(line):
    body = b"User-agent: %s\nDisallow: /i\n" % line
    assert asked("weft", ["http://a/i.png", "http://a/j.png"], body=body)[0] == [
        Verdict.DISALLOWED,
        Verdict.ALLOWED,
    ]


@pytest.mark.parametrize("line", [b"we", b"weftbot", b"weft-images", b"bot weft", b"*bot", b"w*"])
def test_a_group_of_a_like_name_is_not_ours(line):
    allowed = b"User-agent: %s\nDisallow:\n\n" % line + EVERYBODY
    forbidden = b"User-agent: %s\nDisallow: /\n" % line
    assert asked("weft", ["http://a/i.png"], body=allowed)[0] == [Verdict.DISALLOWED]
    assert asked("weft", ["http://a/i.png"], body=forbidden)[0] == [Verdict.ALLOWED]


@pytest.mark.parametrize("body", [b"Disalow: /i", b"Dissallow: /i", b"Disallow /i"])
def test_a_misspelt_line_is_evidence_too(body):
    async def fetch(url):
        return 200, b"User-agent: *\r" + body

    ruling = asyncio.run(Robots("weft", fetch).ruling("http://a/i.png"))
    assert (ruling.verdict, ruling.said) == (Verdict.DISALLOWED, body.decode())


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0, Verdict.UNREACHABLE),
        (304, Verdict.ALLOWED),
        (401, Verdict.ALLOWED),
        (404, Verdict.ALLOWED),
        (429, Verdict.UNREACHABLE),
        (500, Verdict.UNREACHABLE),
    ],
)
def test_no_rules(status, verdict):
    assert read(status, b"User-agent: *\nDisallow: /\n", "weft") is verdict


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"<html>not found</html>"])
def test_what_is_no_robots_txt_forbids_nothing(body):
    assert asked("weft", ["http://a/i.png"], body=body)[0] == [Verdict.ALLOWED]


@pytest.mark.parametrize(("agent", "path", "said"), [
    ("weft", "ours/i", "Disallow: /ours/"), ("weft", "ours/but/i", "Allow: /ours/but/"),
    ("weft", "private/i", ""), ("otherbot", "private/i", "Disallow: /private/"),
    ("otherbot", "i", ""),
])  # fmt: skip
def test_the_line_that_decides_is_named(agent, path, said):
    url = f"https://a.example/{path}"
    allowed = read(200, BODY, agent).can_fetch(url, agent)
    assert deciding_line(lines_for(BODY, agent), url, allowed) == said


def test_lines_are_told_of_all_groups_of_an_agent_and_as_they_stand():
    body = (
        b"User-agent: a\nUser-agent: WEFT\nDisallow: /*.png$  # none\nCrawl-delay: 1\n"
        b"Allow: /caf%C3%A9\nSitemap: /s\n\nUser-agent: *\nDisallow: /\n"
        b"User-agent: weft\nDisallow:\nDisallow: /later\n"
    )
    lines = [line.text for line in lines_for(body, "weft")]
    wanted = ["Disallow: /*.png$  # none", "Allow: /caf%C3%A9", "Disallow: /later"]
    assert lines == wanted
    assert deciding_line(lines_for(body, "weft"), "http://a/caf\u00e9/i", True) == wanted[1]
    assert deciding_line(lines_for(body, "weft"), "http://a/x.png", False) == wanted[0]
    assert [line.text for line in lines_for(body, "other")] == ["Disallow: /"]


@pytest.mark.parametrize(("status", "ruling"), [
    (404, Ruling(Verdict.ALLOWED, "status 404", Answer.SILENT)),
    (503, Ruling(Verdict.ALLOWED, "status 503", Answer.UNREACHABLE)),
    (0, Ruling(Verdict.ALLOWED, "status 0", Answer.UNREACHABLE)),
])  # fmt: skip
def test_a_file_that_was_not_had_is_named_by_its_status(status, ruling):
    async def fetch(url):
        return status, b""

    robots = Robots("weft", fetch, Verdict.ALLOWED)
    assert asyncio.run(robots.ruling("http://a/i.png")) == ruling
