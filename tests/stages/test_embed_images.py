"""CLIP features in batches, by the embedded model."""

import random
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import BeamAssertException, assert_that

from schemas.image import ImageRecord
from schemas.outcome import Kind
from scripts.scenes import Kind as SceneKind
from scripts.scenes import all_scenes, draw
from stages.clip import ClipConfig, load_clip
from stages.embed_images import STAGE, EmbedImages
from stages.imaging.elements import GatheredImage
from stages.nsfw import NsfwConfig, NsfwScorer

CLIP = ClipConfig(batch_size=4)
NSFW = NsfwConfig(("a hazard sign",), ("a picture",))


def gathered(number: int) -> GatheredImage:
    kind = SceneKind.HAZARD if number == 5 else SceneKind.OBJECT
    scene = [scene for scene in all_scenes() if scene.kind == kind][number]
    pixels = draw(scene, (96, 80 + number), random.Random(number))
    record = ImageRecord(f"{number:064x}", f"http://i/{number}", "png", 96, 80, 3, "0" * 16)
    return GatheredImage(record, b"png", pixels)


IMAGES = [gathered(number) for number in range(9)]


@pytest.fixture(scope="module")
def expected() -> dict[str, GatheredImage]:
    """By URL, each image embedded alone."""
    clip = load_clip(CLIP)
    scorer = NsfwScorer(NSFW, clip)
    found = {}
    for image in IMAGES:
        [feature] = clip.images([image.pixels])
        record = replace(image.record, clip=feature.tobytes(), nsfw=scorer(feature))
        found[record.url] = GatheredImage(record, image.data)
    return found


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def are(expected):
    """Equal as sets by URL, and without pixels."""
    by_url = {image.record.url: image for image in expected}

    def check(found):
        if len(found) != len(by_url) or {i.record.url: i for i in found} != by_url:
            raise BeamAssertException(f"{sorted(i.record.url for i in found)} are not as expected")
        if any(image.pixels is not None for image in found):
            raise BeamAssertException("pixels went on")

    return check


def fail(expected):
    """Failures by URL with these errors."""

    def check(found):
        rows = {(f.element_id, f.kind, f.url, f.stage, f.error) for f in found}
        wanted = {(url, Kind.IMAGE, url, STAGE, error) for url, error in expected.items()}
        if len(found) != len(expected) or rows != wanted:
            raise BeamAssertException(f"{rows} != {wanted}")

    return check


def test_nine_images_in_batches_of_four(beam_pipeline, expected):
    with beam_pipeline as p:
        out = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP, NSFW)
        assert out.kept.element_type is GatheredImage
        assert_that(out.kept, are(expected.values()), label="kept")
        assert_that(out.rejected, fail({}), label="rejected")
        assert_that(out.failed, fail({}), label="failed")
    assert counters(p) == {"kept": 9}
    scores = [expected[image.record.url].record.nsfw for image in IMAGES]
    assert [score > 0.999 for score in scores] == [number == 5 for number in range(9)]
    assert all(0 <= score <= 1 for score in scores)


def test_without_a_scorer_nsfw_is_not_scored(beam_pipeline, expected):
    unscored = [
        replace(image, record=replace(image.record, nsfw=None)) for image in expected.values()
    ]
    with beam_pipeline as p:
        out = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP)
        assert_that(out.kept, are(unscored))
    assert counters(p) == {"kept": 9}


@pytest.mark.parametrize("broken", [0, 3, 8])
def test_an_image_without_pixels_fails_alone(beam_pipeline, expected, broken):
    images = list(IMAGES)
    images[broken] = replace(images[broken], pixels=None)
    url = images[broken].record.url
    with beam_pipeline as p:
        out = p | beam.Create(images, reshuffle=False) | EmbedImages(CLIP, NSFW)
        kept = [image for image in expected.values() if image.record.url != url]
        assert_that(out.kept, are(kept), label="kept")
        error = "ValueError('an image came without pixels')"
        assert_that(out.failed, fail({url: error}), label="failed")
    assert counters(p) == {"kept": 8, "failed": 1}


def test_nothing_in_nothing_out(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([]) | EmbedImages(CLIP, NSFW)
        assert_that(out.kept, are([]), label="kept")
        assert_that(out.failed, fail({}), label="failed")
    assert counters(p) == {}


def test_features_are_those_of_the_record_layout(expected):
    for image in expected.values():
        feature = np.frombuffer(image.record.clip, "<f4")
        assert feature.shape == (128,)
        assert np.linalg.norm(feature) == pytest.approx(1, abs=1e-6)


def test_two_workers_give_the_same_features(expected):
    options = PipelineOptions(["--direct_num_workers=2", "--direct_running_mode=multi_threading"])
    with TestPipeline(runner="FnApiRunner", options=options) as p:
        images = p | beam.Create(IMAGES) | beam.Reshuffle()
        out = images | EmbedImages(CLIP, NSFW)
        assert_that(out.kept, are(expected.values()), label="kept")
        assert_that(out.failed, fail({}), label="failed")
