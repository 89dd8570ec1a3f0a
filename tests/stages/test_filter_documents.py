import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.base import On
from filters.documents.image_count import ImageCount
from filters.documents.text_present import TextPresent
from filters.placed.sentence_count import SentenceCount
from schemas.document import Document, Image, PlacedDocument, Sentence, Signal, Text
from schemas.outcome import Kind, Rejection
from stages.filter_documents import STAGE, FilterDocuments

BEFORE = (Signal("word_count", 3),)
TWO = Document(
    "two", "http://a/2", (Text("text"), Image("http://a/i"), Image("http://a/j")), signals=BEFORE
)
NONE = Document("none", "http://a/0", (Text("text"),))


def counters(p, stage):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == stage}


def test_documents_leave_by_one_door(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([TWO, NONE]) | FilterDocuments([TextPresent(), ImageCount()])
        assert out.kept.element_type is Document
        signals = (*BEFORE, Signal("text_present", 4), Signal("image_count", 2))
        assert_that(
            out.kept,
            equal_to([Document("two", TWO.url, TWO.nodes, signals=signals)]),
            label="kept",
        )
        refused = Rejection(
            "none", Kind.DOCUMENT, "none", NONE.url, STAGE, "image_count", "too_few", 0
        )
        assert_that(out.rejected, equal_to([refused]), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p, STAGE) == {"kept": 1, "rejected.image_count.too_few": 1}


def test_placed_documents_leave_by_one_door(beam_pipeline):
    long = PlacedDocument(TWO, tuple(Sentence(str(i), 0) for i in range(4)))
    short = PlacedDocument(NONE)
    with beam_pipeline as p:
        stage = FilterDocuments([SentenceCount()], "filter_placed", On.PLACED)
        out = p | beam.Create([long, short]) | stage
        assert out.kept.element_type is PlacedDocument
        signals = (*BEFORE, Signal("sentence_count", 4))
        document = Document("two", TWO.url, TWO.nodes, signals=signals)
        assert_that(out.kept, equal_to([PlacedDocument(document, long.sentences)]), label="kept")
        refused = Rejection(
            "none",
            Kind.DOCUMENT,
            "none",
            NONE.url,
            "filter_placed",
            "sentence_count",
            "too_few",
            0,
        )
        assert_that(out.rejected, equal_to([refused]), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p, "filter_placed") == {"kept": 1, "rejected.sentence_count.too_few": 1}


class Explodes:
    name = "explodes"
    on = On.DOCUMENT

    def score(self, element):
        raise RuntimeError("boom")


def test_a_crashing_rule_is_a_failure(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([TWO]) | FilterDocuments([Explodes()])
        found = out.failed | beam.Map(lambda f: (f.element_id, f.error))
        assert_that(found, equal_to([("two", "RuntimeError('boom')")]))
    assert counters(p, STAGE) == {"failed": 1}


def test_rules_must_fit_what_is_judged():
    with pytest.raises(ValueError, match="sentence_count looks at placed, not document"):
        FilterDocuments([SentenceCount()])
    with pytest.raises(ValueError, match="image_count looks at document, not placed"):
        FilterDocuments([ImageCount()], on=On.PLACED)
    with pytest.raises(ValueError, match="page is neither"):
        FilterDocuments([], on=On.PAGE)
