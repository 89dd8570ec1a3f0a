import pytest

from stages.dedup.config import UrlConfig
from stages.dedup.urls import canonical_url, page_url, site_of

A = "https://a.example/p"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://a.example/p", A),
        ("http://a.example/p", A),
        ("HTTP://A.Example/p", A),
        ("  https://a.example/p\n", A),
        ("https://a.example./p", A),
        ("http://a.example:80/p", A),
        ("https://a.example:443/p", A),
        ("https://a.example:8080/p", "https://a.example:8080/p"),
        ("http://a.example:443/p", A),
        ("https://a.example/p/", A),
        ("https://a.example/p//", A),
        ("https://a.example//p", "https://a.example//p"),
        ("https://a.example//", "https://a.example/"),
        ("https://a.example", "https://a.example/"),
        ("https://a.example/", "https://a.example/"),
        ("https://a.example?", "https://a.example/"),
        ("https://a.example/p#part", A),
        ("https://a.example/p?", A),
        ("https://a.example/p?utm_source=x&UTM_Medium=y", A),
        ("https://a.example/p?fbclid=1&gclid=2&id=3&mc_cid=4", f"{A}?id=3"),
        ("https://a.example/p?b=2&a=1", f"{A}?b=2&a=1"),
        ("https://a.example/p?b=&&a", f"{A}?b=&a"),
        ("https://a.example/p?utm=1", f"{A}?utm=1"),
        ("https://a.example/p?ref=main", f"{A}?ref=main"),
        ("https://a.example/p;jsessionid=0A1B?x=1", f"{A}?x=1"),
        ("https://a.example/P", "https://a.example/P"),
        ("https://a.example/q/../p", A),
        ("https://a.example/./p/.", A),
        ("https://a.example/../../p", A),
        ("https://a.example/%70", A),
        ("https://a.example/%c3%a9%2f", "https://a.example/%C3%A9%2F"),
        ("https://a.example/é", "https://a.example/%C3%A9"),
        ("https://a.example/a b", "https://a.example/a%20b"),
        ("https://a.example/100%", "https://a.example/100%"),
        ("https://münchen.example/", "https://xn--mnchen-3ya.example/"),
        ("https://www.a.example/p", "https://www.a.example/p"),
        ("https://[2001:DB8::1]:443/p", "https://[2001:db8::1]/p"),
        ("https://user@a.example/p", "https://user@a.example/p"),
        # not http, or no URL at all: only equal to themselves
        ("ftp://a.example/p/#x", "ftp://a.example/p/#x"),
        ("urn:uuid:1", "urn:uuid:1"),
        ("https://a.example:port/p", "https://a.example:port/p"),
        ("https://[a.example/p", "https://[a.example/p"),
        ("https:///p", "https:///p"),
        ("", ""),
    ],
)
def test_canonical_url(url, canonical):
    assert canonical_url(url) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    ("url", "host", "domain"),
    [
        ("https://News.BBC.co.uk:8080/x", "news.bbc.co.uk", "bbc.co.uk"),
        ("https://bbc.co.uk", "bbc.co.uk", "bbc.co.uk"),
        ("https://localhost/x", "localhost", "localhost"),
        ("https://192.0.2.1/x", "192.0.2.1", "192.0.2.1"),
        ("https://[a", "", ""),
        ("", "", ""),
    ],
)
def test_site(url, host, domain):
    assert site_of(url, "host") == host
    assert site_of(url, "domain") == domain


def test_further_parameters_and_slashes_by_config():
    config = UrlConfig(parameters=("ref",), trailing_slash="keep")
    assert canonical_url("http://a.example/p/?ref=x&REF=y&id=1", config) == f"{A}/?id=1"
    assert canonical_url(A, config) == A
    assert canonical_url("https://a.example/q/..", config) == "https://a.example/"


@pytest.mark.parametrize(
    ("declared", "taken"),
    [
        ("https://a.co.uk/article", True),
        ("http://www.a.co.uk/article/?utm_source=x", True),
        ("https://b.co.uk/article", False),  # another site
        ("https://a.co.uk/", False),  # every page of a faulty template
        ("https://www.a.co.uk", False),
        ("", False),
        ("urn:uuid:1", False),
    ],
)
def test_a_declared_url_is_believed_within_its_site(declared, taken):
    own = "https://a.co.uk/print?id=7"
    asked = UrlConfig(canonical_link=True)
    assert page_url(own, declared, asked) == (canonical_url(declared) if taken else own)
    assert page_url(own, declared, UrlConfig()) == own
