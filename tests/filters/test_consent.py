import pytest

from filters.consent import ConsentPolicy, Reason, moment_of

EVERYTHING = ConsentPolicy(tuple(set(Reason) - {Reason.TDM_RESERVATION}))
JULY = "2024-07-01T00:00:00Z"


def reasons(policy, *values, dated=JULY):
    headers = tuple(("x-robots-tag", value) for value in values)
    return [refusal.reason for refusal in policy.in_headers(headers, dated)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", ["none"]),
        ("max-image-preview:none", ["no_image_preview"]),
        ("max-image-preview: large, max-snippet:-1, noimageindex", ["noimageindex"]),
        ("noindex, noai, noml", ["noindex", "noai", "noml"]),
        ("nofollow, noarchive, nosnippet, all, index", []),
    ],
)
def test_directives(value, expected):
    assert reasons(EVERYTHING, value) == expected


def test_none_means_noindex():
    assert reasons(ConsentPolicy(("noindex",)), "none") == ["none"]
    assert reasons(ConsentPolicy(("none",)), "none", "noindex") == ["none"]
    assert reasons(ConsentPolicy(("noai",)), "none") == []


@pytest.mark.parametrize(
    ("limit", "counts"),
    [
        ("30 Jun 2024 23:59:59 GMT", True),
        ("Sunday, 30-Jun-24 23:59:59 UTC", True),
        ("Sun, 30 Jun 2024 16:59:59 PDT", True),
        ("2024-06-30", True),
        ("2024-06-30T23:59:59+00:00", True),
        ("1 Jul 2024 00:00:00 GMT", False),
        ("30 Jun 2024 23:59:59 PDT", False),
        ("2030-01-01", False),
        ("soon", False),
        ("", False),
    ],
)
def test_unavailable_after_is_compared_with_the_date_of_the_record(limit, counts):
    found = reasons(EVERYTHING, f"unavailable_after: {limit}")
    assert found == (["unavailable_after"] if counts else [])
    assert reasons(ConsentPolicy(), f"unavailable_after: {limit}") == []


def test_the_config_may_name_the_date():
    limit = "unavailable_after: 2030-01-01"
    later = ConsentPolicy(("unavailable_after",), as_of="2030-06-01")
    assert reasons(later, limit) == ["unavailable_after"]


def test_the_date_header_stands_in_and_without_any_date_the_limit_has_passed():
    limit = ("x-robots-tag", "unavailable_after: 2030-01-01")
    dated = ("date", "Mon, 01 Jul 2024 00:00:00 GMT")
    assert EVERYTHING.in_headers((limit, dated)) == []
    assert [str(refusal) for refusal in EVERYTHING.in_headers((limit,))] == [
        "unavailable_after in x-robots-tag: unavailable_after: 2030-01-01"
    ]


def test_moments():
    assert moment_of("2024-07-01") == moment_of("Mon, 01 Jul 2024 00:00:00 GMT") == moment_of(JULY)
    assert moment_of("7") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directives": ("nosnippet",)}, "unknown directives nosnippet"),
        ({"user_agents": ("CCBot",)}, "lower case"),
        ({"as_of": "tomorrow"}, "as_of is 'tomorrow'"),
    ],
)
def test_config_is_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        ConsentPolicy(**fields)
