import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.candidate import Candidate
from schemas.document import Document, Image, Text
from schemas.image import ImageRecord, ImageVerdict
from schemas.outcome import Kind, Rejection
from stages.join_images import STAGE, JoinConfig, JoinImages, join


def record(url, image_id, phash="0" * 16):
    return ImageRecord(image_id * 64, url, "png", 200, 200, 1, phash)


def verdict(url, image_id, phash="0" * 16):
    return ImageVerdict("d", url, record(url, image_id, phash))


NODES = (Image("a"), Text("x"), Image("b"), Image("c"), Image("d"))
DOCUMENT = Document("d", "http://p", NODES)
VERDICTS = {
    "a": verdict("a", "1", "00000000000000ff"),
    "b": ImageVerdict("d", "b", None, "filter_images", "image_size", "too_small"),
    "c": verdict("c", "1", "00000000000000ff"),
    "d": verdict("d", "2", "00000000000000fc"),  # 2 bits from a
}


def test_every_image_stays_with_its_record_or_leaves_with_a_reason():
    document, pruned = join(DOCUMENT, VERDICTS, JoinConfig(max_hamming=1))
    assert [getattr(n, "url", None) for n in document.nodes] == ["a", None, "d"]
    assert [image.record for image in document.images] == [
        VERDICTS["a"].record,
        VERDICTS["d"].record,
    ]
    assert [(r.element_id, r.url, r.rule, r.reason, r.detail) for r in pruned] == [
        ("d#2", "b", "image_size", "too_small", "filter_images"),
        ("d#3", "c", "join_images", "same_image", ""),
    ]
    assert {r.kind for r in pruned} == {Kind.NODE}


@pytest.mark.parametrize(("max_hamming", "kept"), [(-1, 2), (1, 2), (2, 1), (64, 1)])
def test_near_duplicates_in_a_document_are_one_image(max_hamming, kept):
    document, pruned = join(DOCUMENT, VERDICTS, JoinConfig(max_hamming=max_hamming))
    assert len(document.images) == kept
    near = [r.detail for r in pruned if r.reason == "near_duplicate_in_document"]
    assert near == ["2 of 64 bits differ"] * (2 - kept)


def test_an_image_nobody_judged_is_an_error():
    with pytest.raises(KeyError):
        join(DOCUMENT, {}, JoinConfig())


def test_a_threshold_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"not in -1\.\.64"):
        JoinConfig(max_hamming=65)


def test_each_document_leaves_by_one_door(beam_pipeline):
    kept = Candidate(Document("k", "k", (Image("a"),)), (VERDICTS["a"],))
    bare = Candidate(Document("r", "r", (Image("b"),)), (VERDICTS["b"],))
    lost = Candidate(Document("f", "f", (Image("z"),)))
    with beam_pipeline as p:
        out = p | beam.Create([kept, bare, lost]) | JoinImages(JoinConfig())
        assert out.kept.element_type is Document
        joined = Document("k", "k", (Image("a", record=VERDICTS["a"].record),))
        assert_that(out.kept, equal_to([joined]), label="kept")
        no_image = Rejection("r", Kind.DOCUMENT, "r", "r", STAGE, STAGE, "no_image", 0.0)
        assert_that(out.rejected, equal_to([no_image]), label="rejected")
        pruned = out.pruned | beam.Map(lambda r: (r.element_id, r.reason))
        assert_that(pruned, equal_to([("r#0", "too_small")]), label="pruned")
        failed = out.failed | beam.Map(lambda f: (f.element_id, f.error))
        assert_that(failed, equal_to([("f", "KeyError('z')")]), label="failed")
    found = p.result.metrics().query()["counters"]
    counters = {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}
    assert counters == {"kept": 1, "rejected.join_images.no_image": 1, "failed": 1}


def test_a_rule_may_cost_the_whole_document(beam_pipeline):
    candidate = Candidate(DOCUMENT, tuple(VERDICTS.values()))
    with beam_pipeline as p:
        out = p | beam.Create([candidate]) | JoinImages(JoinConfig(reject_document=("image_size",)))
        assert_that(out.kept, equal_to([]), label="kept")
        why = out.rejected | beam.Map(lambda r: (r.element_id, r.reason, r.score, r.detail))
        assert_that(why, equal_to([("d", "shows_rejected_image", 1, "image_size: b")]))
