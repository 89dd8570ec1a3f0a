import gzip
import zlib

import brotli
import pytest
import zstandard

from stages.warc.payload import (
    Payload,
    PayloadError,
    PayloadTooLarge,
    decode_payload,
    parse_fields,
    parse_response,
)

HTML = b"<html><body><p>" + b"words of a page " * 200 + b"</p></body></html>"
LIMIT = 100_000


def raw_deflate(data):
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


def chunked(data, size=700, end=b"0\r\n\r\n"):
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts) + end


CODED = {
    "gzip": gzip.compress(HTML),
    "x-gzip": gzip.compress(HTML),
    "deflate": zlib.compress(HTML),
    "br": brotli.compress(HTML),
    "zstd": zstandard.compress(HTML),
}


def undo(body, *, coding="", transfer="", limit=LIMIT):
    headers = (("content-encoding", coding), ("transfer-encoding", transfer))
    return decode_payload(headers, body, limit)


@pytest.mark.parametrize("coding", CODED)
def test_content_coding_is_undone(coding):
    assert undo(CODED[coding], coding=coding) == Payload(HTML)
    assert undo(chunked(CODED[coding]), coding=coding, transfer="chunked") == Payload(HTML)


def test_deflate_may_be_raw_and_may_be_gzip():
    assert undo(raw_deflate(HTML), coding="deflate") == Payload(HTML)
    assert undo(gzip.compress(HTML), coding="deflate") == Payload(HTML)


def test_codings_are_undone_from_the_last_to_the_first():
    assert undo(gzip.compress(brotli.compress(HTML)), coding="br, GZIP") == Payload(HTML)
    assert undo(chunked(gzip.compress(HTML)), transfer="gzip, chunked") == Payload(HTML)


@pytest.mark.parametrize("coding", CODED)
def test_what_was_stored_decoded_stays(coding):
    assert undo(HTML, coding=coding) == Payload(HTML)


def test_what_was_stored_unchunked_stays():
    assert undo(HTML, transfer="chunked") == Payload(HTML)
    assert undo(b"abc\nthis is no chunk of 2748 bytes", transfer="chunked").incomplete
    assert undo(b"3\nthis is no chunk of 3 bytes", transfer="chunked") == Payload(
        b"3\nthis is no chunk of 3 bytes"
    )


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8", "UTF-8"])
def test_no_coding(coding):
    assert undo(HTML, coding=coding) == Payload(HTML)


@pytest.mark.parametrize("coding", CODED)
def test_a_body_cut_short_is_incomplete(coding):
    long = HTML * 100  # zstd gives nothing before the end of a block of 128 KiB
    coded = {
        "gzip": gzip.compress,
        "x-gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }[coding](long)
    payload = undo(coded[:-6], coding=coding, limit=len(long))
    assert payload.incomplete
    assert payload.data
    assert long.startswith(payload.data)


@pytest.mark.parametrize("coding", CODED)
def test_a_body_cut_short_before_all_of_its_content_is_an_error(coding):
    with pytest.raises(PayloadError, match="end before any of the payload"):
        undo(CODED[coding][:6], coding=coding)


@pytest.mark.parametrize(
    "body", [chunked(HTML, end=b""), chunked(HTML, end=b"2b"), chunked(HTML)[:-900]]
)
def test_chunks_cut_short_are_incomplete(body):
    payload = undo(body, transfer="chunked")
    assert payload.incomplete
    assert payload.data
    assert HTML.startswith(payload.data)


def test_trailers_and_bare_line_ends_of_chunks():
    assert undo(b"3\nabc\n0\nX-Trailer: 1\n\n", transfer="chunked") == Payload(b"abc")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_corrupt_body_is_an_error(coding):
    body = bytearray(CODED[coding])
    for at in range(8, len(body) - 8):
        body[at] = 0xFE
    with pytest.raises(PayloadError, match=f"the body is not {coding}"):
        undo(bytes(body), coding=coding)


def test_corrupt_chunks_are_an_error():
    with pytest.raises(PayloadError, match="no chunk starts at byte 7 of the body"):
        undo(b"2\r\nab\r\nwrong size line\r\nmore of it", transfer="chunked")


def test_an_unknown_coding_is_an_error_unless_the_body_is_text():
    with pytest.raises(PayloadError, match="unknown coding 'compress'"):
        undo(b"\x1f\x9d\x90\x00\x01", coding="compress")
    assert undo(HTML, coding="compress") == Payload(HTML)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_too_large(coding):
    bomb = bytes(50_000_000)
    coded = {
        "gzip": lambda: gzip.compress(bomb),
        "deflate": lambda: zlib.compress(bomb),
        "br": lambda: brotli.compress(bomb, quality=5),
        "zstd": lambda: zstandard.compress(bomb),
    }[coding]()
    with pytest.raises(PayloadTooLarge):
        undo(coded, coding=coding)


def test_the_limit_is_inclusive():
    assert undo(gzip.compress(HTML), coding="gzip", limit=len(HTML)).data == HTML
    with pytest.raises(PayloadTooLarge):
        undo(gzip.compress(HTML), coding="gzip", limit=len(HTML) - 1)
    with pytest.raises(PayloadTooLarge):
        undo(HTML, limit=len(HTML) - 1)


def test_gzip_of_several_members():
    body = b"".join(gzip.compress(b"%d," % n) for n in range(2000)) + bytes(100)
    assert undo(body, coding="gzip") == Payload(b"".join(b"%d," % n for n in range(2000)))


def test_zstd_of_several_frames():
    body = b"".join(zstandard.compress(b"%d," % n) for n in range(200)) + bytes(100)
    assert undo(body, coding="zstd") == Payload(b"".join(b"%d," % n for n in range(200)))
    cut = zstandard.compress(HTML) + zstandard.compress(HTML)[:20]
    assert undo(cut, coding="zstd") == Payload(HTML, incomplete=True)


def test_an_empty_body():
    for coding in CODED:
        assert undo(b"", coding=coding) == Payload(b"")
    assert undo(gzip.compress(b""), coding="gzip") == Payload(b"")


@pytest.mark.parametrize(
    ("block", "status", "headers", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nx", 200, (("a", "1"),), b"x"),
        (b"HTTP/1.1 200 OK\nA: 1\n\nx\r\n\r\ny", 200, (("a", "1"),), b"x\r\n\r\ny"),
        (b"HTTP/2 404\r\n\r\nx", 404, (), b"x"),
        (b"ICY 200 OK\r\n\r\nx", 200, (), b"x"),
        (b"HTTP/1.1 200 OK\r\nA: 1", 200, (("a", "1"),), b""),
        (b"HTTP/1.0 301\r\nLocation: \xc3\xa9\r\nB: \xe9\r\n\r\n", 301,
         (("location", "é"), ("b", "é")), b""),
    ],
)  # fmt: skip
def test_responses(block, status, headers, body):
    assert parse_response(block) == (status, headers, body)


@pytest.mark.parametrize(
    "block", [b"", b"<html>", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n"]
)
def test_what_is_no_response(block):
    assert parse_response(block) is None


def test_fields():
    head = b"A: 1\r\n folded\r\nno colon\r\nA:2\r\n: x\r\nB : 3: 4\r\n"
    assert parse_fields(head) == (("a", "1 folded"), ("a", "2"), ("b", "3: 4"))


def test_a_field_of_very_many_lines_is_read_in_one_pass():
    """In one for each line it takes minutes."""
    assert parse_fields(b"A: 1" + b"\r\n\tb" * 1_000_000) == (("a", "1" + " b" * 1_000_000),)
