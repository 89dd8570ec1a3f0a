import pytest

from stages.extraction.extract import parse
from stages.extraction.metadata import Metadata, iso_date, linked_data, read_metadata

BASE = "https://www.example.org/p"


def read(head, body=""):
    root = parse(f'<html lang="en-GB"><head>{head}</head><body>{body}</body></html>')
    return read_metadata(root, linked_data(root.iter("script")), BASE)


def test_meta_elements():
    found = read(
        '<meta property="og:title" content="A  title"><title>A title | Site</title>'
        '<meta name="author" content="A. Writer"><meta property="og:site_name" content="Site">'
        '<meta property="article:published_time" content="2024-05-01T23:30:00-08:00">'
        '<meta property="og:image" content="/lead.jpg">'
    )
    assert found == Metadata(
        "A title", "2024-05-01", "A. Writer", "Site", "", "en-GB", (f"{BASE[:-1]}lead.jpg",)
    )


def test_linked_data():
    found = read(
        '<script type="application/ld+json">{"@graph": [{"@type": "NewsArticle", "headline": "H",'
        '"datePublished": "2024-05-01", "author": [{"name": "A"}, {"name": "B"}], "publisher":'
        '{"name": "P"}, "license": "https://creativecommons.org/licenses/by/4.0/",'
        '"image": ["/a.jpg", {"url": "/b.jpg"}]}]}</script>'
    )
    assert (found.title, found.date, found.author, found.site) == ("H", "2024-05-01", "A; B", "P")
    assert found.licence == "https://creativecommons.org/licenses/by/4.0/"
    assert found.images == ("https://www.example.org/a.jpg", "https://www.example.org/b.jpg")


def test_a_creative_commons_link_wins_over_the_terms_of_the_site():
    found = read(
        '<link rel="license" href="/terms">',
        '<a rel="license nofollow" href="http://creativecommons.org/licenses/by-sa/3.0/">CC</a>',
    )
    assert found.licence == "http://creativecommons.org/licenses/by-sa/3.0/"
    assert read('<link rel="license" href="/terms">').licence == "https://www.example.org/terms"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ('<meta name="DCTERMS.license" content="/by">', ""),
        ('<meta property="cc:license" content="/by">', ""),
        ("", '<a property="cc:license" href="/by">CC</a>'),
        ("", '<a rel="cc:license" href="/by">CC</a>'),
        ("", '<a itemprop="license" href="/by">CC</a>'),
        (
            '<script type="application/ld+json">{"@type": "Article", "license": '
            '{"@id": "/by"}}</script>',
            "",
        ),
    ],
)
def test_where_a_licence_is_said(head, body):
    assert read(head, body).licence == "https://www.example.org/by"


def test_a_link_to_a_deed_that_does_not_call_itself_the_licence_says_nothing():
    assert (
        read("", '<a href="https://creativecommons.org/licenses/by/4.0/">photo</a>').licence == ""
    )


def test_the_only_headline_then_the_title_element():
    assert read("<title>T</title>", "<h1> H\n h</h1><h1> </h1>").title == "H h"
    assert read("<title> T\n t</title>", "<h1>H</h1><h1>I</h1>").title == "T t"
    assert read("<title> T\n t</title>").title == "T t"
    assert read("") == Metadata(language="en-GB")


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01T10:00:00Z", "2024-05-01"),
        ("2024/05/01 10:00", "2024-05-01"),
        ("20240501", "2024-05-01"),
        ("2024-13-01", ""),
        ("0000-00-00", ""),
        ("May 1, 2024", ""),
        ("1714521600", ""),
        ("", ""),
    ],
)
def test_dates(written, day):
    assert iso_date(written) == day


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        "null",
        "[1, null, []]",
        '{"@type": ["Article"], "author": 7, "image": {"url": 3}, "publisher": [null]}',
        '{"@type": "Article", "headline": {"a": 1}, "license": ["x"], "datePublished": 2024}',
        "[" * 50_000,
    ],
)
def test_odd_linked_data_is_passed_over(data):
    assert read(f'<script type="application/ld+json">{data}</script>').title == ""
