from dataclasses import replace

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from filters.base import On, Score
from filters.images.blank import Blank
from filters.images.short_side import ShortSide
from filters.references.reference_count import ReferenceCount
from filters.references.url_words import UrlWords
from schemas.image import ImageRecord, ImageReference, ImageScore
from schemas.outcome import Kind, Rejection
from stages.filter_images import FilterImages, FilterReferences
from stages.imaging.elements import GatheredImage


def counters(p, stage):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == stage}


def record(name, width=200, height=200, nsfw=None):
    url = f"http://a.example/{name}.png"
    return ImageRecord("0" * 64, url, "png", width, height, 1_000, "0" * 16, nsfw=nsfw)


def rejection(url, stage, rule, reason, score, detail=""):
    return Rejection(url, Kind.IMAGE, "", url, stage, rule, reason, score, detail)


class Explodes:
    name = "explodes"
    on = On.IMAGE

    def score(self, element):
        raise RuntimeError("boom")

    def judge(self, score: Score):
        return None


def test_references_leave_by_one_door(beam_pipeline):
    kept = ImageReference("http://a.example/photo.png", 10)
    logo = ImageReference("http://a.example/logo.png", 99)
    often = ImageReference("http://a.example/line.png", 11)
    with beam_pipeline as p:
        rules = [UrlWords(), ReferenceCount()]
        out = p | beam.Create([kept, logo, often]) | FilterReferences(rules)
        assert out.kept.element_type is ImageReference
        assert_that(out.kept, equal_to([kept]), label="kept")
        stage = "filter_references"
        refused = [
            rejection(logo.url, stage, "url_words", "listed_word", 1, "logo"),
            rejection(often.url, stage, "reference_count", "too_frequent", 11),
        ]
        assert_that(out.rejected, equal_to(refused), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p, stage) == {
        "kept": 1,
        "rejected.url_words.listed_word": 1,
        "rejected.reference_count.too_frequent": 1,
    }


def test_gathered_images_leave_by_one_door_with_all_they_carry(beam_pipeline):
    large = GatheredImage(record("large"), b"large", Image.new("RGB", (20, 10)))
    small = GatheredImage(record("small", 200, 149), b"small")
    with beam_pipeline as p:
        images = p | beam.Create([large, small]).with_output_types(GatheredImage)
        out = images | FilterImages([ShortSide()])
        assert out.kept.element_type is GatheredImage
        carried = out.kept | beam.Map(lambda g: (g.record, g.data, g.pixels.size))
        assert_that(carried, equal_to([(large.record, b"large", (20, 10))]), label="kept")
        refused = rejection(
            small.record.url, "filter_images", "short_side", "too_small", 149, "200x149"
        )
        assert_that(out.rejected, equal_to([refused]), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p, "filter_images") == {"kept": 1, "rejected.short_side.too_small": 1}


def test_records_are_judged_under_a_stage_of_their_own_and_not_scored_is_no_score(beam_pipeline):
    unknown = record("unknown")
    seen, blank = (
        replace(record(str(contrast)), scores=(ImageScore("contrast", contrast),))
        for contrast in (0.5, 0.0)
    )
    with beam_pipeline as p:
        records = p | beam.Create([seen, blank, unknown])
        out = records | FilterImages([Blank()], "filter_scored_images")
        assert out.kept.element_type is ImageRecord
        assert_that(out.kept, equal_to([seen]), label="kept")
        stage = "filter_scored_images"
        refused = [
            rejection(blank.url, stage, "blank", "blank", 0.0),
            rejection(unknown.url, stage, "blank", "not_scored", None, "not scored"),
        ]
        assert_that(out.rejected, equal_to(refused), label="rejected")
    assert counters(p, stage) == {
        "kept": 1,
        "rejected.blank.blank": 1,
        "rejected.blank.not_scored": 1,
    }


def test_a_crashing_rule_is_a_failure_and_not_a_rejection(beam_pipeline):
    image = GatheredImage(record("a"), b"")
    with beam_pipeline as p:
        images = p | beam.Create([image]).with_output_types(GatheredImage)
        out = images | FilterImages([Explodes()])
        rows = out.failed | beam.Map(lambda f: (f.element_id, f.kind, f.stage, f.error))
        expected = (image.record.url, Kind.IMAGE, "filter_images", "RuntimeError('boom')")
        assert_that(rows, equal_to([expected]))
    assert counters(p, "filter_images") == {"failed": 1}


def test_rules_look_at_what_is_there():
    with pytest.raises(ValueError, match="filter_references: short_side looks at image"):
        FilterReferences([ShortSide()])
    with pytest.raises(ValueError, match="filter_images: url_words looks at reference"):
        FilterImages([UrlWords()])


def test_elements_that_are_no_images_are_noticed_before_anything_runs():
    p = beam.Pipeline(runner="FnApiRunner")
    with pytest.raises(ValueError, match="are no images"):
        _ = p | beam.Create(["text"]) | FilterImages([])
