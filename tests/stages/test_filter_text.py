import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.base import Objection
from filters.documents.image_count import ImageCount
from filters.documents.language import Language
from filters.pages.status import Status
from filters.texts.banned_phrases import BannedPhrases
from filters.texts.word_count import WordCount
from schemas.document import Document, Image, Role, Signal, Text
from schemas.outcome import Kind, Rejection
from stages.filter_text import STAGE, FilterText, TextRules, filter_text
from stages.language import identify_language
from stages.pii import PiiMask

PLAIN = "The old lighthouse stands on a rock above the harbour, and its lamp is lit at dusk."
GERMAN = "Der alte Leuchtturm steht auf einem Felsen über dem Hafen, und abends brennt sein Licht."
IMAGE = Image("http://a.example/1.jpg")


def document(doc_id, *nodes):
    return Document(doc_id, f"http://a.example/{doc_id}", nodes)


GOOD = document("good", Text("Menu"), IMAGE, Text(PLAIN), Text("Share this"), IMAGE)
FOREIGN = document("foreign", Text(GERMAN), IMAGE)
PRUNED = document("bare", Text("Menu with a few"), IMAGE)
IMAGES = document("images", IMAGE)
BANNED = document("banned", Text(PLAIN + " Lorem ipsum."), IMAGE)
RULES = TextRules(
    paragraphs=(WordCount(min_words=5, max_words=100),),
    documents=(BannedPhrases(), Language(("en",), 0.5), WordCount(10, 2_000)),
)


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def pruned(doc, index, words, text):
    return Rejection(
        f"{doc.doc_id}#{index}",
        Kind.NODE,
        doc.doc_id,
        doc.url,
        STAGE,
        "word_count",
        "too_short",
        words,
        text,
    )


def refused(doc, rule, reason, score, detail=""):
    return Rejection(
        doc.doc_id, Kind.DOCUMENT, doc.doc_id, doc.url, STAGE, rule, reason, score, detail
    )


def test_every_document_leaves_by_one_door_and_every_cut_node_is_a_row(beam_pipeline):
    language, probability = identify_language(GOOD.text)
    assert language == "en"
    with beam_pipeline as p:
        inputs = [GOOD, FOREIGN, PRUNED, IMAGES, BANNED]
        out = p | beam.Create(inputs) | FilterText(RULES)
        assert out.kept.element_type is Document
        assert out.pruned.element_type is Rejection
        kept = Document(
            "good",
            "http://a.example/good",
            (IMAGE, Text(PLAIN), IMAGE),
            language="en",
            language_score=probability,
            signals=(
                Signal("language", probability),
                Signal("banned_phrases", 0),
                Signal("word_count", 17),
            ),
        )
        assert_that(out.kept, equal_to([kept]), label="kept")
        rejected = [
            refused(FOREIGN, "language", "unwanted", 0.0, "de"),
            refused(PRUNED, "filter_text", "no_text", 0.0),
            refused(IMAGES, "filter_text", "no_text", 0.0),
            refused(BANNED, "banned_phrases", "found", 1, "lorem ipsum"),
        ]
        assert_that(out.rejected, equal_to(rejected), label="rejected")
        rows = [
            pruned(GOOD, 0, 1, "Menu"),
            pruned(GOOD, 3, 2, "Share this"),
            pruned(PRUNED, 0, 4, "Menu with a few"),
        ]
        assert_that(out.pruned, equal_to(rows), label="pruned")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p) == {
        "kept": 1,
        "rejected.language.unwanted": 1,
        "rejected.filter_text.no_text": 2,
        "rejected.banned_phrases.found": 1,
        "pruned.word_count.too_short": 3,
    }


class Explodes:
    name = "explodes"
    on = WordCount.on

    def score(self, element):
        raise RuntimeError("boom")

    def judge(self, score):
        return None


def test_a_crashing_rule_is_a_failure_and_emits_no_pruned_node(beam_pipeline):
    rules = TextRules(RULES.paragraphs, (Explodes(),))
    with beam_pipeline as p:
        out = p | beam.Create([GOOD]) | FilterText(rules)
        found = out.failed | beam.Map(lambda f: (f.element_id, f.error))
        assert_that(found, equal_to([("good", "RuntimeError('boom')")]))
        assert_that(out.pruned, equal_to([]), label="pruned")
        assert_that(out.kept, equal_to([]), label="kept")
    assert counters(p) == {"failed": 1}


def test_without_rules_a_document_only_gains_its_language():
    judged, cut, objection = filter_text(FOREIGN, TextRules())
    assert (judged.nodes, judged.language, cut, objection) == (FOREIGN.nodes, "de", [], None)
    assert 0.9 < judged.language_score <= 1


def test_spared_roles_are_not_asked():
    doc = document("d", Text("Menu", Role.HEADING), Text("Share this"), Text(PLAIN))
    judged, cut, _ = filter_text(doc, TextRules(RULES.paragraphs, spared=(Role.HEADING,)))
    assert [text.text for text in judged.texts] == ["Menu", PLAIN]
    assert [rejection.element_id for rejection in cut] == ["d#1"]


def test_rules_on_documents_come_before_pruning():
    rules = TextRules(RULES.paragraphs, (WordCount(100, 200), ImageCount(3, 9)))
    judged, cut, objection = filter_text(GOOD, rules)
    assert objection == Objection("image_count", "too_few", 2, "")
    assert cut == []
    assert judged.signals == (Signal("image_count", 2),)


def test_texts_are_masked_before_a_rule_sees_them_or_a_row_quotes_them():
    mail = document("mail", Text("Write to ann@a.example"), Text(PLAIN + " Or ann@a.example."))
    judged, [row], objection = filter_text(mail, TextRules(RULES.paragraphs, (), (), PiiMask()))
    assert objection is None
    assert row.detail == "Write to [email]"
    assert judged.nodes == (Text(PLAIN + " Or [email]."),)
    assert judged.signals == tuple(
        Signal(f"pii_{kind}", n) for kind, n in (("email", 2.0), ("ip", 0.0), ("phone", 0.0))
    )


def test_earlier_signals_stay():
    doc = Document("d", "http://a.example/", (Text(PLAIN),), signals=(Signal("before", 1.0),))
    judged, _, _ = filter_text(doc, TextRules(documents=(WordCount(),)))
    assert judged.signals == (Signal("before", 1.0), Signal("word_count", 17))


def test_an_excerpt_is_one_short_line():
    doc = document("d", Text("word\n " * 100), Text(PLAIN))
    _, [cut], _ = filter_text(doc, TextRules((WordCount(1, 50),)))
    assert cut.detail == ("word " * 24)
    assert len(cut.detail) == 120


def test_rules_on_something_else_are_refused():
    with pytest.raises(ValueError, match="status looks at a page"):
        TextRules(paragraphs=(Status(),))
    with pytest.raises(ValueError, match="language looks at a document, not at a paragraph"):
        TextRules(paragraphs=(Language(),))
    with pytest.raises(ValueError, match="status looks at a page"):
        TextRules(documents=(Status(),))
