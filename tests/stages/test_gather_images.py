from collections import Counter
from io import BytesIO

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from schemas.consent import Answer, Asked, Consent
from schemas.fetch import Fetched, Header
from schemas.image import ImageLocation, ImageRecord, ImageReference, ImageScore
from schemas.outcome import Kind, Rejection
from stages.gather_images import RULE, STAGE, GatherImages
from stages.imaging.config import GatherConfig
from stages.imaging.decode import FORMATS, DecodeLimits
from stages.imaging.elements import GatheredImage, ImageTask
from stages.imaging.fetched import Writer
from stages.imaging.hashing import sha256
from stages.imaging.http_client import HttpConfig
from stages.imaging.opt_out import OptOutPolicy
from stages.imaging.sources import Crawl
from stages.warc.reader import read_records

URL = "http://a.example/i.png"
FLAT = "8000000000000000"


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def task(*locations, url=URL, documents=1):
    return ImageTask(ImageReference(url, documents), locations)


def rejection(reason, detail="", url=URL):
    return Rejection(url, Kind.IMAGE, "", url, STAGE, RULE, str(reason), None, detail)


def headers_asked(said=""):
    return (Consent(Asked.HEADERS, Answer.ALLOWED if said else Answer.SILENT, said),)


def record(data, url=URL, source="warc", **more):
    fields = {"format": "png", "width": 40, "height": 30, "phash": FLAT, **more}
    fields.update(dhash="0" * 16, mean_colour="c81e1e", luma=b"Q" * 64 * 64)
    fields.setdefault("consent", headers_asked() if source != "webdataset" else ())
    scores = (ImageScore("contrast", 0.0),)
    return ImageRecord(sha256(data), url, n_bytes=len(data), scores=scores, source=source, **fields)


class Warc:
    """A WARC of image responses, written one after the other."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "wb")  # noqa: SIM115
        self._writer = WARCWriter(self._file, gzip=True)

    def add(self, body, *headers, url=URL, status="200 OK"):
        place = ImageLocation(url, str(self.path), self.path.name, self._file.tell())
        http = StatusAndHeaders(status, list(headers), protocol="HTTP/1.1")
        self._writer.write_record(
            self._writer.create_warc_record(
                url, "response", payload=BytesIO(body), http_headers=http
            )
        )
        self._file.flush()
        return place


@pytest.fixture
def warc(tmp_path):
    return Warc(tmp_path / "images.warc.gz")


def check(p, out, kept=(), rejected=(), failed=()):
    assert out.kept.element_type is GatheredImage
    records = out.kept | "Records" >> beam.Map(lambda image: image.record)
    assert_that(records, equal_to(list(kept)), label="kept")
    assert_that(out.rejected, equal_to(list(rejected)), label="rejected")
    rows = out.failed | "Failures" >> beam.Map(lambda f: (f.element_id, f.stage, f.error))
    assert_that(rows, equal_to(list(failed)), label="failed")


def test_an_image_of_the_crawl_is_decoded_once_and_keeps_its_bytes(beam_pipeline, warc, png):
    place = warc.add(png(), ("X-Robots-Tag", "max-image-preview:large"))
    with beam_pipeline as p:
        out = p | beam.Create([task(place, documents=3)]) | GatherImages()
        expected = record(
            png(),
            documents=3,
            same_bytes_documents=3,
            same_look_documents=3,
            opt_out="x-robots-tag: max-image-preview:large",
            consent=headers_asked("x-robots-tag: max-image-preview:large"),
        )
        check(p, out, kept=[expected])
        kept = out.kept | beam.Map(lambda image: (image.data, image.pixels.size, image.pixels.mode))
        assert_that(kept, equal_to([(png(), (40, 30), "RGB")]), label="pixels")
    assert counters(p) == {"kept": 1}


def test_the_next_place_is_tried_where_the_best_has_no_picture(beam_pipeline, warc, png):
    places = (
        warc.add(b"<html>", status="200 OK"),
        warc.add(png(), status="404 Not Found"),
        warc.add(png(9, 9)),
        warc.add(png(8, 8)),
    )
    with beam_pipeline as p:
        out = p | beam.Create([task(*places)]) | GatherImages()
        check(p, out, kept=[record(png(9, 9), width=9, height=9)])
    assert counters(p) == {"kept": 1}


def test_every_way_to_have_no_picture_has_a_reason(beam_pipeline, warc, png, photo):
    def at(name, *arguments, **more):
        url = f"http://a.example/{name}.png"
        return task(warc.add(*arguments, url=url, **more), url=url)

    tasks = [
        at("html", b"<html></html>"),
        at("cut", photo()[:2000]),
        at("gone", b"", status="410 Gone"),
        at("down", b"", status="503 Service Unavailable"),
        at("moved", b"", status="301 Moved Permanently"),
        at("noai", png(), ("X-Robots-Tag", "otherbot: all, ccbot: noai")),
        at("tdm", png(), ("TDM-Reservation", "1")),
        at("others", png(), ("X-Robots-Tag", "googlebot: noai")),
        at("large", bytes(2_000_000)),
        at("wide", png(2001, 1000)),
        at("drawn", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>"),
        at("coded", b"\x01\x02\x03", ("Content-Encoding", "compress")),
        task(url="http://a.example/nowhere.png"),
    ]
    config = GatherConfig(decode=DecodeLimits(max_pixels=2_000_000), max_bytes=1_000_000)
    with beam_pipeline as p:
        out = p | beam.Create(tasks) | GatherImages(config)
        reasons = out.rejected | beam.Map(lambda r: (r.url[17:-4], r.rule, r.reason))
        expected = {
            "html": "html",
            "cut": "truncated",
            "gone": "http_4xx",
            "down": "http_5xx",
            "moved": "http_3xx",
            "noai": "opted_out",
            "tdm": "opted_out",
            "large": "too_large",
            "wide": "too_many_pixels",
            "drawn": "svg",
            "coded": "content_coding",
            "nowhere": "not_in_crawl",
        }
        assert_that(reasons, equal_to([(name, RULE, reason) for name, reason in expected.items()]))
        assert_that(out.failed, equal_to([]), label="failed")
    counted = Counter(f"rejected.{RULE}.{reason}" for reason in expected.values())
    assert counters(p) == {"kept": 1, **counted}


def test_an_owners_no_ends_the_search(beam_pipeline, warc, png):
    places = (warc.add(png(), ("X-Robots-Tag", "noai")), warc.add(png()))
    with beam_pipeline as p:
        out = p | beam.Create([task(*places)]) | GatherImages()
        check(p, out, rejected=[rejection("opted_out", "x-robots-tag: noai")])


def test_what_was_found_under_a_listed_url_is_refused(beam_pipeline, warc, png, tmp_path):
    listed = tmp_path / "asked.txt"
    listed.write_text("cdn.example\n")
    elsewhere = warc.add(png(), url="http://cdn.example/i.png")
    with beam_pipeline as p:
        tasks = p | beam.Create([task(elsewhere)])
        out = tasks | GatherImages(opt_out_lists=(str(listed),))
        by_host = "host_listed: cdn.example in asked.txt line 1"
        check(p, out, rejected=[rejection("opted_out", by_host)])


def test_what_was_fetched_lies_in_the_image_store(beam_pipeline, png, tmp_path):
    writer = Writer(str(tmp_path))
    sent = (Header("x-robots-tag", "testbot: noai"), Header("etag", '"1"'))
    robots = (Consent(Asked.ROBOTS_TXT, Answer.ALLOWED, "Allow: /"),)
    for name, headers in (("a", ()), ("b", ()), ("no", sent)):
        url = f"http://a.example/{name}.png"
        row = Fetched(url, url, sha256=sha256(png()), status=200, headers=headers, consent=robots)
        writer.add(row, png())
    gone = "http://a.example/gone.png"
    writer.add(Fetched(gone, gone, status=404, reason="http_4xx", detail="404"))
    tasks = [task(known.location, url=url) for url, known in writer.close().items()]
    http = HttpConfig(user_agent="testbot/1 (+https://example.org)")
    config = GatherConfig(http=http)
    with beam_pipeline as p:
        out = p | beam.Create(tasks) | GatherImages(config, config.sources)
        consent = robots + headers_asked()
        same = [
            record(png(), f"http://a.example/{name}.png", "http", consent=consent) for name in "ab"
        ]
        no = rejection("opted_out", "x-robots-tag: testbot: noai", "http://a.example/no.png")
        check(p, out, kept=same, rejected=[no, rejection("http_4xx", "http_4xx: 404", gone)])


def test_the_config_says_what_counts_as_a_no(beam_pipeline, warc, png):
    place = warc.add(png(), ("X-Robots-Tag", "noai"), ("X-Robots-Tag", "noindex"))
    config = GatherConfig(opt_out=OptOutPolicy(directives=("noindex",)))
    with beam_pipeline as p:
        out = p | beam.Create([task(place)]) | GatherImages(config)
        check(p, out, rejected=[rejection("opted_out", "x-robots-tag: noindex")])


def test_a_damaged_record_is_refused_and_a_missing_file_is_our_failure(
    beam_pipeline, warc, png, photo, tmp_path
):
    place = warc.add(photo())
    data = bytearray(warc.path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    warc.path.write_bytes(data)
    gone = str(tmp_path / "gone.warc.gz")
    tasks = [task(place), task(ImageLocation("u", gone, "gone.warc.gz", 0), url="http://b/i.png")]
    with beam_pipeline as p:
        out = p | beam.Create(tasks) | GatherImages()
        reasons = out.rejected | beam.Map(lambda r: (r.url, r.reason))
        assert_that(reasons, equal_to([(URL, "damaged_record")]))
        errors = out.failed | beam.Map(lambda f: (f.element_id, f.kind, f.error.partition("(")[0]))
        assert_that(
            errors, equal_to([("http://b/i.png", Kind.IMAGE, "FileNotFoundError")]), label="failed"
        )
    assert counters(p) == {"failed": 1, "rejected.gather.damaged_record": 1}


def explode(path, offset, inner_offset, max_payload):
    raise RuntimeError("boom")


def test_a_fault_of_ours_is_a_failure_and_not_a_rejection(beam_pipeline):
    place = ImageLocation(URL, "a.warc.gz", "a.warc.gz", 0)
    with beam_pipeline as p:
        out = p | beam.Create([task(place)]) | GatherImages(sources=(Crawl(explode),))
        check(p, out, failed=[(URL, STAGE, "RuntimeError('boom')")])
    assert counters(p) == {"failed": 1}


def test_every_image_of_a_real_archive_leaves_by_a_door(beam_pipeline, shared_data):
    path = shared_data / "books" / "chiriqui.warc.gz"
    tasks = {}
    with open(path, "rb") as file:
        for found in read_records(file):
            if found.mime.startswith("image/"):
                place = ImageLocation(
                    found.url, str(path), path.name, found.offset, found.inner_offset
                )
                tasks[found.url] = task(place, url=found.url)
    with beam_pipeline as p:
        config = GatherConfig(decode=DecodeLimits(formats=FORMATS))
        out = p | beam.Create(list(tasks.values())) | GatherImages(config)
        urls = out.kept | beam.Map(lambda image: image.record.url)
        assert_that(urls, equal_to(list(tasks)))
        assert_that(out.rejected, equal_to([]), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p) == {"kept": len(tasks)}
    assert len(tasks) > 200


def test_config_is_checked():
    with pytest.raises(ValueError, match="max_bytes is 0"):
        GatherConfig(max_bytes=0)
    with pytest.raises(ValueError, match="unknown directives NoAI"):
        OptOutPolicy(directives=("NoAI",))
