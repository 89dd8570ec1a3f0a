import pytest

from stages.imaging.robots import Robots, Verdict, read

BODY = b"""\xef\xbb\xbfUser-agent: *
Disallow: /private/
Crawl-delay: 2

User-agent: weft
Disallow: /ours/
Allow: /ours/but/
"""


def robots(agent, status=200, body=BODY):
    asked = []

    def fetch(url):
        asked.append(url)
        return status, body

    return Robots(agent, fetch), asked


def test_the_group_of_the_agent_wins():
    ours, _ = robots("weft")
    assert ours.verdict("https://a.example/ours/i.png") is Verdict.DISALLOWED
    assert ours.verdict("https://a.example/ours/but/i.png") is Verdict.ALLOWED
    assert ours.verdict("https://a.example/private/i.png") is Verdict.ALLOWED
    assert ours.delay("https://a.example/") == 0
    others, _ = robots("otherbot")
    assert others.verdict("https://a.example/private/i.png") is Verdict.DISALLOWED
    assert others.delay("https://a.example/") == 2


def test_a_site_is_asked_once_and_sites_are_told_apart():
    ours, asked = robots("weft")
    for url in ("http://a/1", "http://u:p@a/2", "https://a/3", "http://a:81/4", "http://a/5"):
        ours.verdict(url)
    assert asked == ["http://a/robots.txt", "https://a/robots.txt", "http://a:81/robots.txt"]


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
    ours, _ = robots("weft", body=body)
    assert ours.verdict("http://a/i.png") is Verdict.ALLOWED
