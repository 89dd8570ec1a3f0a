import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.base import On, load_all
from filters.opt_out_lists import Reason, load
from schemas.image import ImageRecord, ImageReference
from schemas.page import Page

SHA256 = "ab" * 32
TEXT = f"""\ufeff# asked by mail
example.org   # and all below
*.cdn.example.net

https://a.example/b%20c.png?x=1#top
{SHA256.upper()}
b\u00fccher.example
fa\u00df.example
"""


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "asked.txt"
    path.write_text(TEXT)
    return load(str(path))


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("https://example.org/", "host_listed: example.org in asked.txt line 2"),
        ("http://img.EXAMPLE.org.:8080/i", "host_listed: example.org in asked.txt line 2"),
        ("https://cdn.example.net/1.png", "host_listed: cdn.example.net in asked.txt line 3"),
        ("https://b\u00fccher.example/", "host_listed: xn--bcher-kva.example in asked.txt line 7"),
        # As browsers and crawlers write it.
        ("https://i.xn--fa-hia.example/", "host_listed: xn--fa-hia.example in asked.txt line 8"),
        (
            "http://a.example:80/b c.png?x=1",
            "url_listed: http://a.example:80/b c.png?x=1 in asked.txt line 5",
        ),
        (
            "https://a.example/./z/%2E%2e/b%20c.png?x=1",
            "url_listed: https://a.example/./z/%2E%2e/b%20c.png?x=1 in asked.txt line 5",
        ),
        ("https://a.example/b%20c.png?x=2", ""),
        ("https://a.example/B%20c.png?x=1", ""),
        ("https://notexample.org/", ""),
        ("https://org/", ""),
        ("", ""),
        ("http://[::1", ""),
    ],
)
def test_urls_and_hosts(listed, url, detail):
    found = listed.find_url(url)
    assert (found.detail if found else "") == detail


def test_bytes(listed):
    assert listed.find_image(SHA256).detail == f"sha256_listed: {SHA256} in asked.txt line 6"
    assert listed.find_image("cd" * 32) is None


def test_parquet(tmp_path):
    path = tmp_path / "asked.parquet"
    columns = {"url": ["https://a.example/1", None], "sha256": [None, SHA256], "since": [1, 2]}
    pq.write_table(pa.table(columns), path)
    found = load(str(path))
    assert found.find_url("http://a.example/1").where == "asked.parquet line 1"
    assert found.find_image(SHA256).where == "asked.parquet line 2"
    pq.write_table(pa.table({"entry": ["example.org"]}), tmp_path / "other.parquet")
    assert load(str(tmp_path / "other.parquet")).hosts == {"example.org": "other.parquet line 1"}


def test_the_log_of_takedowns(tmp_path):
    path = tmp_path / "takedowns.jsonl"
    request = {"date": "2024-01-01", "hosts": ["example.org"], "urls": [], "sha256": [SHA256]}
    path.write_text(json.dumps(request) + "\n")
    assert load(str(path)).find_url("https://example.org/x").reason is Reason.HOST_LISTED
    assert load(str(path)).find_image(SHA256).reason is Reason.SHA256_LISTED


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("example.org/private", "line 1: 'example.org/private' is no host"),
        ("two words", "line 1: 'two words' is no host"),
        ("https:///x", "is a URL without a host"),
        ("*.", "is no host"),
    ],
)
def test_a_bad_line_is_named_before_a_worker_starts(tmp_path, line, message):
    path = tmp_path / "bad.txt"
    path.write_text(line)
    rule = load_all()[On.PAGE, "opt_out_list"]
    with pytest.raises(ValueError, match=message):
        rule((str(path),))
    with pytest.raises(ValueError, match="cannot be read"):
        rule((str(tmp_path / "nowhere.txt"),))
    pq.write_table(pa.table({"domain": ["x"]}), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match="none of the columns"):
        rule((str(tmp_path / "bad.parquet"),))


def test_rules_on_pages_references_and_images(tmp_path):
    path = tmp_path / "asked.txt"
    path.write_text(TEXT)
    rules = load_all()

    def reason(on, element):
        rule = rules[on, "opt_out_list"]((str(path),))
        return rule.judge(rule.score(element))

    url = "https://example.org/i.png"
    page = Page("0", url, "", 0, 0, "", 200, "text/html", (), b"")
    assert reason(On.PAGE, page) is Reason.HOST_LISTED
    assert reason(On.REFERENCE, ImageReference(url)) is Reason.HOST_LISTED
    assert reason(On.REFERENCE, ImageReference("https://b.example/i.png")) is None
    image = ImageRecord(SHA256, "https://b.example/i.png", "png", 1, 1, 1, "0" * 16)
    assert reason(On.IMAGE, image) is Reason.SHA256_LISTED


def test_a_list_that_changed_is_read_again(tmp_path):
    path = tmp_path / "asked.txt"
    rule = load_all()[On.REFERENCE, "opt_out_list"]
    element = ImageReference("https://example.org/i.png")
    for text, value in (("", 0), ("example.org", 1), ("# example.org", 0)):
        path.write_text(text)
        assert rule((str(path),)).score(element).value == value
