import hashlib
import pathlib
import threading
import zipfile
from collections import Counter

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment
from fastwarc.warc import ArchiveIterator as FastWarc
from fastwarc.warc import WarcRecordType

from schemas.image import ImageLocation
from schemas.outcome import Failure, Kind, Rejection
from schemas.page import Page
from stages.inputs import WarcFile, list_inputs
from stages.read_pages import (
    STAGE,
    ReadConfig,
    ReadPages,
    open_files,
    page_id,
    read_captures,
    read_opened,
)

BROKEN = pathlib.Path(__file__).parents[1] / "data" / "warc"


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def warc(*records):
    """A plain WARC of (type, url, content type, block) and further header lines."""
    out = b""
    for kind, url, mime, block, *more in records:
        lines = [
            "WARC/1.1",
            f"WARC-Type: {kind}",
            "WARC-Date: 2024-05-18T09:30:00Z",
            *([f"WARC-Target-URI: {url}"] if url else []),
            f"Content-Type: {mime}",
            *more,
            f"Content-Length: {len(block)}",
        ]
        out += "\r\n".join([*lines, "", ""]).encode() + block + b"\r\n\r\n"
    return out


HTTP = "application/http; msgtype=response"


def http(body, *headers, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.warc"
    page = http(b"<p>x", "Content-Type: Text/HTML; charset=utf-8", "X-Robots-Tag: noai")
    path.write_bytes(
        warc(
            ("warcinfo", "", "application/warc-fields", b"software: x\r\n"),
            ("request", "http://a.example/", "application/http", b"GET / HTTP/1.1\r\n\r\n"),
            ("response", "<http://a.example/a b>", HTTP, page),
            ("response", "http://a.example/cut", HTTP, page, "WARC-Truncated: length"),
            ("response", "http://a.example/404", HTTP, http(b"gone", status="404 Not Found")),
            ("response", "http://a.example/i.png", HTTP, http(b"png", "Content-Type: image/png")),
            (
                "response",
                "http://a.example/j",
                HTTP,
                http(b"jpg", "Content-Type: text/plain"),
                "WARC-Identified-Payload-Type: image/jpeg",
            ),
            (
                "response",
                "http://a.example/k.png",
                HTTP,
                http(b"no", "Content-Type: image/png", status="403 Forbidden"),
            ),
            ("resource", "http://a.example/r.gif", "image/gif", b"gif"),
            ("resource", "file:///r.html", "text/html", b"<p>r"),
            ("revisit", "http://a.example/", HTTP, http(b"")),
            ("response", "dns:a.example", "text/dns", b"a.example. 1 IN A 192.0.2.1"),
            ("response", "http://a.example/none", HTTP, http(b"")),
            ("response", "http://a.example/big", HTTP, http(b"x" * 5001)),
            ("conversion", "http://a.example/", "text/plain", b"x"),
            ("response", "", HTTP, page),
            (
                "response",
                "http://a.example/br",
                HTTP,
                http(b"\x93\x00\xff", "content-encoding: br"),
            ),
            ("metadata", "http://a.example/", "application/warc-fields", b"x: y\r\n"),
        )
    )
    return WarcFile("small.warc", str(path))


def test_each_capture_leaves_by_one_door(beam_pipeline, small):
    with beam_pipeline as p:
        out = p | beam.Create([small]) | ReadPages(ReadConfig(max_payload_bytes=5000))
        assert out.kept.element_type is Page
        kept = out.kept | "Kept" >> beam.Map(
            lambda x: (x.url, x.status, x.mime, x.body, x.truncated)
        )
        images = out.images | "Images" >> beam.Map(lambda x: (x.url, x.mime, x.path, x.warc_file))
        rejected = out.rejected | "Why" >> beam.Map(lambda x: (x.url, x.kind, x.rule, x.reason))
        failed = out.failed | "What" >> beam.Map(lambda x: (x.url, x.kind, x.error.split("(")[0]))
        where = (small.path, small.name)
        assert_that(
            kept,
            equal_to(
                [
                    ("http://a.example/a%20b", 200, "text/html", b"<p>x", ""),
                    ("http://a.example/cut", 200, "text/html", b"<p>x", "length"),
                    ("http://a.example/404", 404, "", b"gone", ""),
                    ("http://a.example/k.png", 403, "image/png", b"no", ""),
                    ("file:///r.html", 200, "text/html", b"<p>r", ""),
                ]
            ),
            label="kept",
        )
        assert_that(
            images,
            equal_to(
                [
                    ("http://a.example/i.png", "image/png", *where),
                    ("http://a.example/j", "image/jpeg", *where),
                    ("http://a.example/r.gif", "image/gif", *where),
                ]
            ),
            label="images",
        )
        assert_that(
            rejected,
            equal_to(
                [
                    ("http://a.example/", Kind.PAGE, "record", "revisit"),
                    ("dns:a.example", Kind.PAGE, "record", "not_http"),
                    ("http://a.example/none", Kind.PAGE, "record", "empty_body"),
                    ("http://a.example/big", Kind.PAGE, "record", "too_large"),
                    ("http://a.example/", Kind.PAGE, "record", "other_type"),
                ]
            ),
            label="rejected",
        )
        assert_that(
            failed,
            equal_to(
                [("", Kind.PAGE, "ValueError"), ("http://a.example/br", Kind.PAGE, "PayloadError")]
            ),
            label="failed",
        )
    assert counters(p) == {
        "kept": 5,
        "images": 3,
        "rejected.record.revisit": 1,
        "rejected.record.not_http": 1,
        "rejected.record.empty_body": 1,
        "rejected.record.too_large": 1,
        "rejected.record.other_type": 1,
        "failed": 2,
    }


def test_a_page_says_where_it_lies(small):
    page = next(c for c in read_captures(small, ReadConfig()) if isinstance(c, Page))
    data = pathlib.Path(small.path).read_bytes()
    start = data.index(b"WARC/1.1\r\nWARC-Type: response")
    assert page.warc_offset == start
    assert data[start : start + page.warc_length].endswith(b"\r\n\r\n<p>x")
    key = f"small.warc\n{start}\n0\nhttp://a.example/a%20b"
    assert page.page_id == hashlib.sha256(key.encode()).hexdigest()[:32]
    assert page.page_id == page_id("small.warc", start, 0, "http://a.example/a%20b")
    assert page.crawl_time == "2024-05-18T09:30:00Z"
    assert page.headers == (
        ("content-type", "Text/HTML; charset=utf-8"),
        ("x-robots-tag", "noai"),
    )


def test_a_damaged_record_costs_that_record(beam_pipeline):
    files = list_inputs([str(BROKEN / "corrupt-deflate.warc.gz"), str(BROKEN / "whole.warc.gz")])
    with beam_pipeline as p:
        out = p | beam.Create(files) | ReadPages()
        urls = out.kept | beam.Map(lambda page: (page.warc_file, page.url))
        lost = out.failed | beam.Map(lambda f: (f.kind, f.warc_file, f.stage, f.warc_offset > 0))
        expected = [
            (name, f"http://site.example/{n}")
            for name in ("corrupt-deflate.warc.gz", "whole.warc.gz")
            for n in range(20)
            if (name, n) != ("corrupt-deflate.warc.gz", 5)
        ]
        assert_that(urls, equal_to(expected), label="kept")
        assert_that(
            lost, equal_to([(Kind.PAGE, "corrupt-deflate.warc.gz", STAGE, True)]), label="failed"
        )
    assert counters(p) == {"kept": 39, "failed": 1}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("not-read.warc.bz2", "bzip2 is not read"),
        ("damaged.wacz", "BadZipFile"),
        ("absent.warc.gz", "FileNotFoundError"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_failure(beam_pipeline, name, error):
    with beam_pipeline as p:
        out = p | beam.Create([WarcFile(name, str(BROKEN / name))]) | ReadPages()
        found = out.failed | beam.Map(
            lambda f: (f.element_id, f.kind, error in f.error, str(BROKEN) in f.error)
        )
        assert_that(found, equal_to([(name, Kind.FILE, True, False)]))
    assert counters(p) == {"failed": 1}


def test_what_is_no_warc_is_one_located_failure():
    path = str(BROKEN / "not-a-warc.warc.gz")
    (failure,) = read_captures(WarcFile("x.warc.gz", path), ReadConfig())
    assert (failure.error, failure.warc_offset) == ("no gzip member starts here", 0)


def test_an_empty_file_is_a_failure_of_its_own():
    file = WarcFile("x", str(BROKEN / "empty.warc.gz"))
    (failure,) = read_captures(file, ReadConfig())
    assert (failure.kind, failure.element_id, failure.error) == (
        "file",
        "x",
        "ValueError('the file is empty')",
    )


@pytest.mark.parametrize("name", ["stored.wacz", "deflated.wacz"])
def test_the_warcs_of_a_wacz_are_read(name):
    captures = list(read_captures(WarcFile(name, str(BROKEN / name)), ReadConfig()))
    whole = WarcFile("whole.warc.gz", str(BROKEN / "whole.warc.gz"))
    assert [(c.url, c.body, c.warc_offset, c.warc_length) for c in captures] == [
        (c.url, c.body, c.warc_offset, c.warc_length) for c in read_captures(whole, ReadConfig())
    ]
    assert {c.warc_file for c in captures} == {f"{name}!archive/data.warc.gz"}


def test_a_name_that_stands_twice_in_a_wacz_is_read_once(tmp_path):
    path = tmp_path / "twice.wacz"
    data = (BROKEN / "whole.warc.gz").read_bytes()
    with zipfile.ZipFile(path, "w") as wacz:
        wacz.writestr("archive/data.warc.gz", data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            wacz.writestr("archive/data.warc.gz", data)
    assert len([*read_captures(WarcFile("twice.wacz", str(path)), ReadConfig())]) == 20


def test_a_failure_inside_a_wacz_does_not_say_where_it_lay(tmp_path):
    path = tmp_path / "moved.wacz"
    data = (BROKEN / "stored.wacz").read_bytes()
    path.write_bytes(b"xx" + data[2:])
    (failure,) = read_captures(WarcFile("moved.wacz", str(path)), ReadConfig())
    assert "does not start where the directory says" in failure.error
    assert str(tmp_path) not in failure.error


# Captures that differ from an independent count, and why.
CAPTURES = {
    "clipped.warc.gz": 1,  # the only record is cut: one failure
    "example-space-in-url.arc": 1,
    "example-wrong-chunks.warc.gz": 1,
    "valid_example_2.wacz": 1,
    "invalid_signed_example_1.wacz": 2,
    "valid_signed_example_1.wacz": 2,
}


def count_independently(path):
    kinds = WarcRecordType.warcinfo | WarcRecordType.request | WarcRecordType.metadata
    with open(path, "rb") as stream:
        return sum(
            1
            for record in FastWarc(stream, parse_http=False, quirks_mode=True)
            if not record.record_type & kinds
        )


def test_every_real_capture_is_accounted_for(shared_data):
    files = list_inputs([str(shared_data / folder) for folder in ("warc", "pages", "books")])
    assert len(files) == 51
    total = Counter()
    for file in files:
        captures = list(read_captures(file, ReadConfig()))
        basename = file.name.rpartition("/")[2]
        expected = CAPTURES.get(basename)
        if expected is None:
            expected = count_independently(file.path)
        assert len(captures) == expected, file.name
        total.update(type(c) for c in captures)
    assert (total[Page], total[ImageLocation], total[Rejection], total[Failure]) == (
        1339,
        787,
        126,
        2,
    )


def test_ids_are_unique(shared_data):
    ids = []
    for file in list_inputs([str(shared_data / "warc")]):
        for capture in read_captures(file, ReadConfig()):
            if isinstance(capture, Page):
                ids.append(capture.page_id)
            elif isinstance(capture, Rejection):
                ids.append(capture.element_id)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("key", ["max_payload_bytes", "split_bytes"])
def test_config_is_checked(key):
    with pytest.raises(ValueError, match=f"read: {key} is 0, less than 1"):
        ReadConfig(**{key: 0})


READ = "ReadPages/Read/ParDo(_Read)"  # what the runner calls the step
SPLIT_FILES = [
    "two-damaged.warc.gz",
    "whole.warc",
    "whole.warc.zst",
    "stored.wacz",
    "deflated.wacz",
]


def rows_of(p, out):
    """All that leaves the stage, as one collection."""
    return (
        (out.kept, out.rejected, out.failed, out.images)
        | beam.Flatten()
        | "Show" >> beam.Map(lambda row: (type(row).__name__, repr(row)))
    )


def expected_rows(files):
    captures = (c for file in files for c in read_captures(file, ReadConfig()))
    return [(type(c).__name__, repr(c)) for c in captures]


@pytest.mark.parametrize("split_bytes", [97, 5_000])
def test_parts_of_files_give_what_the_files_give(beam_pipeline, split_bytes):
    files = list_inputs([str(BROKEN / name) for name in SPLIT_FILES])
    with beam_pipeline as p:
        out = p | beam.Create(files) | ReadPages(ReadConfig(split_bytes=split_bytes))
        assert_that(rows_of(p, out), equal_to(expected_rows(files)))
    assert counters(p) == {"kept": 98, "failed": 2}


class _Gate:
    """Holds the reader at a page until the runner has cut what is left."""

    reached, cut = threading.Event(), threading.Event()

    @classmethod
    def hold(cls, page, url):
        if page.url == url:
            cls.reached.set()
            assert cls.cut.wait(20)


@pytest.mark.parametrize("name", ["two-damaged.warc.gz", "whole.warc"])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.7])
def test_a_part_that_a_runner_cuts_while_it_is_read(name, fraction):
    file = WarcFile(name, str(BROKEN / name))
    _Gate.reached.clear()
    _Gate.cut.clear()
    splits = []

    def split_manager(number):
        yield
        if number and not splits:
            assert _Gate.reached.wait(20)
            splits.append((yield fraction))
        _Gate.cut.set()

    # Only over gRPC does a bundle run beside the runner.
    runner = fn_runner.FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment.default())
    with fn_runner.split_manager(READ, split_manager), TestPipeline(runner=runner) as p:
        out = p | beam.Create([file]) | ReadPages()
        out.kept | "Hold" >> beam.Map(_Gate.hold, "http://site.example/2")
        assert_that(rows_of(p, out), equal_to(expected_rows([file])))
    assert len(splits[0].residual_roots) == 1
    lost = name.startswith("two") * 2
    assert counters(p) == {"kept": 20 - lost} | ({"failed": lost} if lost else {})


class _Cutting(OffsetRestrictionTracker):
    """Lets a runner cut what is left at each chosen claim."""

    def __init__(self, part, at, fraction):
        super().__init__(part)
        self.at, self.fraction, self.claims, self.rest = at, fraction, 0, []

    def try_claim(self, position):
        claimed = super().try_claim(position)
        self.claims += 1
        if self.claims == self.at and (split := self.try_split(self.fraction)):
            self.rest.append(split[1])
        return claimed


@pytest.mark.parametrize("name", ["two-damaged.warc.gz", "garbage-between.warc.gz", "whole.warc"])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.99])
def test_a_part_that_is_cut_at_each_of_its_claims(name, fraction):
    file = WarcFile(name, str(BROKEN / name))
    (opened,) = open_files(file, ReadConfig())
    whole = list(read_captures(file, ReadConfig()))
    for at in (1, 6, 7, 8, 20) if fraction else (3,):
        found, parts = [], [OffsetRange(0, opened.file.size)]
        while parts:
            tracker = _Cutting(parts.pop(0), at, fraction)
            for output in read_opened(opened, ReadConfig(), tracker):
                found.append(output.value if isinstance(output, TaggedOutput) else output)
            tracker.check_done()
            parts += tracker.rest
        assert Counter(map(repr, found)) == Counter(map(repr, whole))


def test_a_file_that_cannot_be_cut_is_one_part():
    (opened,) = open_files(WarcFile("x.wacz", str(BROKEN / "deflated.wacz")), ReadConfig())
    assert opened.split_bytes == 0
    (opened,) = open_files(WarcFile("x.wacz", str(BROKEN / "stored.wacz")), ReadConfig())
    assert (opened.split_bytes, opened.file.size) == (64 * 1024 * 1024, 10_045)
