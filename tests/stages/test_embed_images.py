"""CLIP features in batches, by the embedded model."""

import random
import threading
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import BeamAssertException, assert_that, equal_to
from safetensors.numpy import save_file

from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Kind
from scripts.scenes import Kind as SceneKind
from scripts.scenes import all_scenes, draw
from stages.clip import Clip, ClipConfig, load_clip
from stages.embed_images import STAGE, EmbedImages
from stages.heads import Head, HeadConfig, Policy
from stages.imaging.elements import GatheredImage

CLIP = ClipConfig(batch_size=4)
HAZARD = HeadConfig(("a hazard sign",), ("a picture",), policy=Policy.FLAG)
HEADS = {"nsfw": HAZARD}


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
    scorer = Head("nsfw", HAZARD, clip)
    found = {}
    for image in IMAGES:
        [feature] = clip.images([image.pixels])
        score = scorer(feature)
        flags = ("nsfw",) if score > 0.5 else ()
        record = replace(image.record, clip=feature.tobytes(), nsfw=score, flags=flags)
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
        out = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP, HEADS)
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
        replace(image, record=replace(image.record, nsfw=None, flags=()))
        for image in expected.values()
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
        out = p | beam.Create(images, reshuffle=False) | EmbedImages(CLIP, HEADS)
        kept = [image for image in expected.values() if image.record.url != url]
        assert_that(out.kept, are(kept), label="kept")
        error = "ValueError('an image came without pixels')"
        assert_that(out.failed, fail({url: error}), label="failed")
    assert counters(p) == {"kept": 8, "failed": 1}


def reject(expected):
    """Rejections by URL with these rules."""

    def check(found):
        rows = {(r.url, r.stage, r.rule, r.reason, r.score) for r in found}
        if rows != {(url, STAGE, rule, "unwanted", score) for url, rule, score in expected}:
            raise BeamAssertException(f"{rows} != {expected}")

    return check


def test_heads_drop_and_name_what_they_score(beam_pipeline, expected):
    heads = {
        "hazard": replace(HAZARD, policy=Policy.DROP_DOCUMENT, max_score=0.9),
        "picture": HeadConfig(("a picture",), ("a hazard sign",), policy=Policy.FLAG),
    }
    url = IMAGES[5].record.url
    score = expected[url].record.nsfw
    with beam_pipeline as p:
        out = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP, heads)
        assert_that(out.rejected, reject([(url, "hazard", score)]), label="rejected")
        kept = []
        for image in expected.values():
            hazard = image.record.nsfw
            scores = (
                ImageScore("hazard", hazard),
                ImageScore("picture", pytest.approx(1 - hazard)),
            )
            record = replace(image.record, nsfw=None, scores=scores, flags=("picture",))
            kept.append(replace(image, record=record))
        assert_that(out.kept, are(i for i in kept if i.record.url != url), label="kept")
    assert counters(p) == {"kept": 8, "rejected.hazard.unwanted": 1}


def test_images_that_heads_do_not_score_in_time_fail(beam_pipeline, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(Head, "__call__", lambda head, feature: released.wait() and 0.0)
    heads = {"nsfw": HeadConfig(("a photo",), ("a drawing",), timeout=0.05)}
    with beam_pipeline as p:
        out = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP, heads)
        assert_that(out.kept, are([]), label="kept")
        error = "TimeoutError('the heads gave no scores in 0.05 s')"
        assert_that(out.failed, fail({i.record.url: error for i in IMAGES}), label="failed")
    released.set()


def test_a_head_that_breaks_fails_its_images(beam_pipeline, tmp_path):
    path = tmp_path / "head.safetensors"
    weight, bias = np.full((1, 128), np.nan, np.float32), np.zeros(1, np.float32)
    save_file({"0.weight": weight, "0.bias": bias}, path)
    with beam_pipeline as p:
        images = p | beam.Create(IMAGES, reshuffle=False)
        out = images | EmbedImages(CLIP, {"nsfw": HeadConfig(file=str(path))})
        assert_that(out.kept, are([]), label="kept")
        error = "ValueError('head nsfw gave nan, no score in [0, 1]')"
        assert_that(out.failed, fail({i.record.url: error for i in IMAGES}), label="failed")


def test_a_head_whose_file_went_stops_the_run(tmp_path):
    path = tmp_path / "head.safetensors"
    path.touch()
    heads = {"nsfw": HeadConfig(file=str(path))}
    path.unlink()
    p = TestPipeline(runner="FnApiRunner")
    _ = p | beam.Create(IMAGES, reshuffle=False) | EmbedImages(CLIP, heads)
    with pytest.raises(Exception, match="head nsfw: there is no file"):
        p.run().wait_until_finish()


def test_each_distinct_image_is_encoded_once(beam_pipeline, expected, monkeypatch):
    encoded = []
    encode = Clip.images

    def counted(clip, images):
        encoded.append(len(images))
        return encode(clip, images)

    monkeypatch.setattr(Clip, "images", counted)
    copies = [
        replace(image, record=replace(image.record, url=f"{image.record.url}?{copy}"))
        for copy in range(3)
        for image in IMAGES
    ]
    with beam_pipeline as p:
        out = p | beam.Create(copies, reshuffle=False) | EmbedImages(CLIP, HEADS)
        features = out.kept | beam.Map(lambda image: (image.record.image_id, image.record.clip))
        wanted = [(i.record.image_id, i.record.clip) for i in expected.values() for _ in range(3)]
        assert_that(features, equal_to(wanted))
    assert sum(encoded) == len(IMAGES)


def test_nothing_in_nothing_out(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([]) | EmbedImages(CLIP, HEADS)
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
        out = images | EmbedImages(CLIP, HEADS)
        assert_that(out.kept, are(expected.values()), label="kept")
        assert_that(out.failed, fail({}), label="failed")
