import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.documents.language import Language
from filters.pages.has_image import HasImage
from filters.pages.status import Status
from schemas.outcome import Kind, Rejection
from schemas.page import Page
from stages.filter_pages import STAGE, FilterPages


def page(page_id, status=200, body=b"<img src=a.png>"):
    url = f"http://a.example/{page_id}"
    return Page(page_id, url, "a.warc.gz", 7, 0, "", status, "text/html", (), body)


GOOD, GONE, PLAIN = page("good"), page("gone", status=404), page("plain", body=b"<p>words")


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def test_every_page_leaves_by_one_door(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([GOOD, GONE, PLAIN]) | FilterPages([Status(), HasImage()])
        assert out.kept.element_type is Page
        assert_that(out.kept, equal_to([GOOD]), label="kept")
        rejected = [
            Rejection("gone", Kind.PAGE, "gone", GONE.url, STAGE, "status", "unwanted", 404),
            Rejection("plain", Kind.PAGE, "plain", PLAIN.url, STAGE, "has_image", "no_image", 0),
        ]
        assert_that(out.rejected, equal_to(rejected), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p) == {
        "kept": 1,
        "rejected.status.unwanted": 1,
        "rejected.has_image.no_image": 1,
    }


class Explodes:
    name = "explodes"
    on = Status.on

    def score(self, element):
        raise RuntimeError("boom")


def test_a_crashing_rule_is_a_failure(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([GOOD]) | FilterPages([Explodes()])
        found = out.failed | beam.Map(
            lambda f: (f.element_id, f.kind, f.error, f.warc_file, f.warc_offset)
        )
        expected = ("good", Kind.PAGE, "RuntimeError('boom')", "a.warc.gz", 7)
        assert_that(found, equal_to([expected]))
    assert counters(p) == {"failed": 1}


def test_without_rules_every_page_is_kept(beam_pipeline):
    with beam_pipeline as p:
        assert_that((p | beam.Create([GOOD, GONE]) | FilterPages([])).kept, equal_to([GOOD, GONE]))


def test_rules_on_something_else_are_refused():
    with pytest.raises(ValueError, match="language looks at a document, not at a page"):
        FilterPages([Language()])
