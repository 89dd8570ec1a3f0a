import pytest

from schemas.document import Document, Image, Signal, Text
from stages.pii import Masked, PiiMask, mask_document, mask_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.b+c@mail.example.co.uk, please.", "Write to [email], please."),
        ("<jürgen@münchen.example>", "<[email]>"),
        ("ann@xn--mnchen-3ya.xn--p1ai now", "[email] now"),
        ("a@b.example b@c.example", "[email] [email]"),
        ("https://user@host/", "https://user@host/"),
        ("@handle and 3 @ 5.00 and a@b", "@handle and 3 @ 5.00 and a@b"),
        ("image@2x.png2", "image@2x.png2"),
    ],
)
def test_email(text, expected):
    found = Masked()
    assert mask_text(text, PiiMask(), found) == expected
    assert found == Masked(email=expected.count("[email]"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 8.8.8.8.", "from [ip]."),
        ("at 8.8.4.4:80", "at [ip]:80"),
        ("ping 2001:4860:4860::8888!", "ping [ip]!"),
        ("home is 127.0.0.1, 192.168.0.1 and ::1", "home is 127.0.0.1, 192.168.0.1 and ::1"),
        ("version 1.2.3.4.5 or v1.2.3.4", "version 1.2.3.4.5 or v1.2.3.4"),
        ("999.8.8.8", "999.8.8.8"),
        ("at 12:30:45, ratio 4:3", "at 12:30:45, ratio 4:3"),
        ("std::vector::begin", "std::vector::begin"),
    ],
)
def test_ip(text, expected):
    found = Masked()
    assert mask_text(text, PiiMask(phone=False), found) == expected
    assert found == Masked(ip=expected.count("[ip]"))


@pytest.mark.parametrize(
    ("text", "regions", "expected"),
    [
        ("Call +44 20 7031 3000 now", (), "Call [phone] now"),
        ("Call (415) 555-2671 now", (), "Call (415) 555-2671 now"),
        ("Call (415) 555-2671 now", ("US",), "Call [phone] now"),
        ("020 7031 3000 or 415-555-2671", ("US", "GB"), "[phone] or [phone]"),
        ("In 2019, 1234567 people; ISBN 978-3-16-148410-0", ("US",), None),
        ("It was 1994-1998 and 10 000 000 of them", ("US", "DE"), None),
    ],
)
def test_phone(text, regions, expected):
    found = Masked()
    masked = mask_text(text, PiiMask(phone_regions=regions), found)
    assert masked == (text if expected is None else expected)
    assert found == Masked(phone=masked.count("[phone]"))


def test_what_is_not_asked_for_stays():
    text = "a@b.example 8.8.8.8 +44 20 7031 3000"
    assert mask_text(text, PiiMask(email=False, ip=False, phone=False), Masked()) == text


def test_a_region_must_exist():
    with pytest.raises(ValueError, match="'XX' is no country's code"):
        PiiMask(phone_regions=("XX",))


def test_a_document_is_masked_whole_and_says_how_often():
    document = Document(
        "d",
        "https://a.example/",
        (
            Text("a@b.example and c@d.example"),
            Image("https://a.example/i.png", alt="8.8.8.8", title="t", caption="x@y.example"),
        ),
        title="Of +44 20 7031 3000",
        signals=(Signal("before", 1.0),),
    )
    masked = mask_document(document, PiiMask())
    assert masked.nodes == (
        Text("[email] and [email]"),
        Image("https://a.example/i.png", alt="[ip]", title="t", caption="[email]"),
    )
    assert masked.title == "Of [phone]"
    assert masked.signals == (
        Signal("before", 1.0),
        Signal("pii_email", 3.0),
        Signal("pii_ip", 1.0),
        Signal("pii_phone", 1.0),
    )
    assert mask_document(document, PiiMask(ip=False, phone=False)).signals[1:] == (
        Signal("pii_email", 3.0),
    )


@pytest.mark.parametrize("text", ["a" * 50_000 + "@", "1." * 50_000, "a:" * 50_000, "a.b@" * 20_000,
                                  "1 " * 50_000, "x@" + "a." * 50_000])  # fmt: skip
def test_no_text_takes_long(text):
    assert mask_text(text, PiiMask(phone_regions=("US",)), Masked())
