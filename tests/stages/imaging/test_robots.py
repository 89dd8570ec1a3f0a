import asyncio

import pytest

from stages.imaging.robots import Robots, Verdict, read

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
        verdicts = await asyncio.gather(*map(rules.verdict, urls))
        return verdicts, [await rules.delay(url) for url in urls]

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
    assert read(status, b"User-agent: *\nDisallow: /\n") is verdict


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"<html>not found</html>"])
def test_what_is_no_robots_txt_forbids_nothing(body):
    assert asked("weft", ["http://a/i.png"], body=body)[0] == [Verdict.ALLOWED]
