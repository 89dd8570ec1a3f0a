"""Images among sentences: the pure function by hand, the stage with the embedded model."""

import random
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.base import Objection
from schemas.document import Document, Image, PlacedDocument, Placement, Sentence, Signal, Text
from schemas.image import ImageRecord
from schemas.outcome import Kind, Rejection
from scripts.scenes import Kind as SceneKind
from scripts.scenes import Scene, draw
from stages import place_images
from stages.clip import ClipConfig, load_clip
from stages.place_images import (
    STAGE,
    PlaceConfig,
    PlaceImages,
    place,
    with_signals,
    without_features,
)
from stages.placement import Method, Surplus
from stages.sentences import split_sentences

CLIP = ClipConfig()
KEEP_ALL = PlaceConfig()
AXES = np.eye(3, dtype=np.float32)  # three sentences, one a direction


def image(name, *feature):
    record = ImageRecord("1" * 64, f"http://i/{name}", "png", 9, 9, 1, "0" * 16)
    clip = np.array(feature, "<f4").tobytes()
    return Image(record.url, record=replace(record, clip=clip))


def document(*nodes, doc_id="d", language="en"):
    return Document(doc_id, f"http://{doc_id}", nodes, language=language)


A, B, C = Text("A."), Text("B."), Text("C.")
SENTENCES = (Sentence("A.", 1), Sentence("B.", 2), Sentence("C.", 4))
FIRST, SECOND = image("first", 0.0, 0.75, 0.25), image("second", 0.5, 0.25, 0.0)
WEAK = image("weak", 0.0, 0.125, 0.0625)
PAGE = document(FIRST, A, B, SECOND, C, WEAK)
FIRST_ROW, SECOND_ROW, WEAK_ROW = (0.0, 0.75, 0.25), (0.5, 0.25, 0.0), (0.0, 0.125, 0.0625)


def test_each_image_gets_its_sentence_and_the_matrix_has_its_row():
    placed, pruned = place(PAGE, SENTENCES, AXES, KEEP_ALL)
    assert pruned == []
    assert placed == PlacedDocument(
        PAGE,
        SENTENCES,
        (Placement(0, 1, 0.75), Placement(3, 0, 0.5), Placement(5, 2, 0.0625)),
        (FIRST_ROW, SECOND_ROW, WEAK_ROW),
    )


def test_below_the_floor_an_image_stays_unplaced():
    placed, pruned = place(PAGE, SENTENCES, AXES, PlaceConfig(min_similarity=0.5))
    assert pruned == []
    assert placed == PlacedDocument(
        PAGE,
        SENTENCES,
        (Placement(0, 1, 0.75), Placement(3, 0, 0.5), Placement(5, None, None)),
        (FIRST_ROW, SECOND_ROW, WEAK_ROW),
    )


def low(index, name, score, doc_id="d"):
    return Rejection(
        f"{doc_id}#{index}",
        Kind.NODE,
        doc_id,
        f"http://i/{name}",
        STAGE,
        STAGE,
        "low_similarity",
        score,
    )


def test_when_an_image_leaves_all_that_points_at_nodes_moves():
    page = document(WEAK, A, FIRST, B, WEAK, SECOND, C)
    sentences = (Sentence("A.", 1), Sentence("B.", 3), Sentence("C.", 6))
    placed, pruned = place(page, sentences, AXES, PlaceConfig(min_max_similarity=0.5))
    assert pruned == [low(0, "weak", 0.125), low(4, "weak", 0.125)]
    assert placed == PlacedDocument(
        document(A, FIRST, B, SECOND, C),
        (Sentence("A.", 0), Sentence("B.", 2), Sentence("C.", 4)),
        (Placement(1, 1, 0.75), Placement(3, 0, 0.5)),
        (FIRST_ROW, SECOND_ROW),
    )


def test_an_image_at_the_bound_stays():
    placed, pruned = place(PAGE, SENTENCES, AXES, PlaceConfig(min_max_similarity=0.125))
    assert pruned == []
    assert len(placed.placements) == 3


def test_images_beyond_the_sentences_share_the_best_of_their_own_row():
    page = document(FIRST, A, SECOND, WEAK)
    placed, _ = place(page, SENTENCES[:1], AXES[1:2], KEEP_ALL)
    assert placed.placements == (
        Placement(0, 0, 0.75),
        Placement(2, 0, 0.25),
        Placement(3, 0, 0.125),
    )
    assert placed.similarity == ((0.75,), (0.25,), (0.125,))


@pytest.mark.parametrize(
    ("page", "sentences", "reason", "detail", "left"),
    [
        (document(A), SENTENCES[:1], "no_image", "", 0),
        (document(), (), "no_image", "", 0),
        (document(FIRST, SECOND), (), "no_sentence", "", 0),
        (document(WEAK, A), SENTENCES[:1], "no_image", "no image is similar to a sentence", 1),
    ],
)
def test_what_cannot_be_placed_is_objected_to(page, sentences, reason, detail, left):
    config = PlaceConfig(min_max_similarity=0.5)
    found, pruned = place(page, sentences, AXES[: len(sentences)], config)
    assert found == Objection(STAGE, reason, 0.0, detail)
    assert len(pruned) == left


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (image("x", 1.0, 0.0), "http://i/x has a CLIP feature of 2 values, not 3"),
        (image("x"), "http://i/x has a CLIP feature of 0 values, not 3"),
        (Image("http://i/x"), "http://i/x has a CLIP feature of 0 values, not 3"),
        (image("x", 1.0, float("nan"), 0.0), "a similarity is not finite"),
    ],
)
@pytest.mark.parametrize("least", [None, 0.15])
def test_a_feature_that_cannot_be_compared_is_an_error(broken, message, least):
    with pytest.raises(ValueError, match=message):
        place(document(FIRST, A, broken), SENTENCES, AXES, PlaceConfig(min_max_similarity=least))


def test_natural_order_places_nothing_and_keeps_all():
    config = PlaceConfig(Method.DOM, min_max_similarity=0.9, min_similarity=0.9)
    nothing = np.empty((3, 0), np.float32)
    assert place(PAGE, SENTENCES, nothing, config) == (
        PlacedDocument(PAGE, SENTENCES, tuple(Placement(i, None, None) for i in (0, 3, 5))),
        [],
    )
    for bare in (document(A), document(), document(Image("http://i/x"))):
        images = tuple(Placement(i, None, None) for i in range(len(bare.images)))
        assert place(bare, (), nothing, config) == (PlacedDocument(bare, (), images), [])


def test_features_leave_and_all_else_stays():
    placed, _ = place(PAGE, SENTENCES, AXES, KEEP_ALL)
    bare = without_features(placed)
    assert [i.record.clip for i in bare.document.images] == [b""] * 3
    back = [
        replace(node, record=replace(node.record, clip=old.record.clip))
        if isinstance(node, Image)
        else node
        for node, old in zip(bare.document.nodes, PAGE.nodes, strict=True)
    ]
    assert replace(bare, document=replace(bare.document, nodes=tuple(back))) == placed
    unknown = PlacedDocument(document(Image("http://i/x")))
    assert without_features(unknown) == unknown


def test_surplus_images_stay_unplaced_where_that_is_asked():
    page = document(FIRST, A, SECOND, WEAK)
    config = PlaceConfig(surplus=Surplus.UNPLACED)
    placed, _ = place(page, SENTENCES[:1], AXES[1:2], config)
    assert [p.matched_text_index for p in placed.placements] == [0, None, None]
    assert placed.similarity == ((0.75,), (0.25,), (0.125,))


def test_the_place_in_the_page_counts_by_the_scale_of_the_model():
    # Two pictures that fit both sentences almost alike, and stand beside the worse one.
    first, second = image("first", 0.5, 0.51, 0.0), image("second", 0.51, 0.5, 0.0)
    page = document(A, first, Text("C."), Text("C."), Text("C."), B, second)
    sentences = (Sentence("A.", 0), *(Sentence("C.", i) for i in (2, 3, 4)), Sentence("B.", 5))
    features = AXES[[0, 2, 2, 2, 1]]

    def matched(method, logit_scale):
        placed, _ = place(page, sentences, features, PlaceConfig(method), logit_scale)
        return [placement.matched_text_index for placement in placed.placements]

    assert matched(Method.CLIP, 10.0) == [4, 0]
    for method in (Method.HYBRID, Method.ORDERED):
        assert matched(method, 10.0) == [0, 4]
    assert matched(Method.HYBRID, 1000.0) == [4, 0]


def test_natural_order_is_told_beside_every_placement():
    placed, _ = place(PAGE, SENTENCES, AXES, PlaceConfig(min_similarity=0.5))
    assert [placed.natural_text_index(p) for p in placed.placements] == [0, 1, 2]
    assert [placed.is_before_text(p) for p in placed.placements] == [True, False, None]
    bare, _ = place(document(FIRST), (), AXES[:0], PlaceConfig(Method.DOM))
    assert [bare.natural_text_index(p) for p in bare.placements] == [None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order_trust": 0.0}, "order_trust is 0.0, not between 0 and 1"),
        ({"order_trust": 1.0}, "order_trust is 1.0, not between 0 and 1"),
        ({"order_reach": 0.0}, "order_reach is 0.0, not above 0"),
    ],
)
def test_a_prior_that_is_none_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PlaceConfig(**options)


@pytest.mark.parametrize("name", ["min_max_similarity", "min_similarity"])
@pytest.mark.parametrize("value", [-1.1, 1.1, float("nan")])
def test_a_bound_that_is_no_cosine_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"place_images: {name} is .*, a cosine lies in -1\.\.1"):
        PlaceConfig(**{name: value})


def test_a_document_of_too_many_pairs_is_objected_to():
    page, words = document(FIRST, SECOND), tuple(Sentence(f"Sentence {i}.", 0) for i in range(3))
    none = np.empty((0, 0), np.float32)
    objection, pruned = place(page, words, none, PlaceConfig(max_pairs=5))
    assert (objection.reason, objection.score, pruned) == ("too_large", 6.0, [])
    assert objection.detail == "2 images and 3 sentences"


def test_a_batch_of_no_sentence_is_refused():
    with pytest.raises(ValueError, match="sentences_a_batch must be at least 1"):
        PlaceConfig(sentences_a_batch=0)


# --- The stage, on drawn scenes ---------------------------------------------------------------

SCENES = {
    "A photo of a red circle.": Scene(SceneKind.SHAPE, "circle", "red"),
    "A photo of a blue house at night.": Scene(SceneKind.OBJECT, "house", "blue", "night"),
    "A picture of the green letter K.": Scene(SceneKind.GLYPH, "K", "green"),
    "There are three yellow stars.": Scene(SceneKind.COUNT, "star", "yellow", "3"),
}


def drawn(name, scene):
    [feature] = load_clip(CLIP).images([draw(scene, (160, 120), random.Random(1))])
    return image(name, *feature)


@pytest.fixture(scope="module")
def pages():
    """Two documents whose images stand in another order than their sentences."""
    texts = list(SCENES)
    images = [drawn(str(i), SCENES[text]) for i, text in enumerate(texts)]
    all_four = Text(" ".join(texts))
    return [
        document(*reversed(images), all_four, doc_id="reversed"),
        document(images[2], Text(texts[0]), images[0], Text(texts[2]), doc_id="crossed"),
    ]


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def alone(page, config):
    """What the pure function says of a document."""
    sentences = split_sentences(page)
    features = load_clip(CLIP).texts([s.text for s in sentences])
    placed, pruned = place(page, sentences, features, config)
    return with_signals(placed) if isinstance(placed, PlacedDocument) else placed, pruned


def test_each_scene_finds_its_sentence(pages):
    first, _ = alone(pages[0], KEEP_ALL)
    assert [s.text for s in first.sentences] == list(SCENES)
    assert [p.matched_text_index for p in first.placements] == [3, 2, 1, 0]
    second, _ = alone(pages[1], KEEP_ALL)
    assert [p.matched_text_index for p in second.placements] == [1, 0]
    assert all(p.matched_sim > 0.3 for p in (*first.placements, *second.placements))


@pytest.mark.parametrize("sentences_a_batch", [1, 7, 512])
def test_documents_leave_by_one_door_whatever_the_batch(beam_pipeline, pages, sentences_a_batch):
    config = PlaceConfig(min_max_similarity=0.3, sentences_a_batch=sentences_a_batch)
    hidden = drawn("hidden", Scene(SceneKind.HAZARD, "flame", "red", "octagon", "", "white"))
    lost = document(Text("A photo of a red circle."), hidden, doc_id="lost")
    silent = document(hidden, doc_id="silent")
    bare = document(Text("A photo of a red circle."), doc_id="bare")
    broken = document(A, image("x", 1.0), doc_id="broken")
    unreadable = replace(broken, doc_id="unreadable", nodes=(Text(None),))
    expected = [alone(page, config) for page in pages]
    assert all(not pruned for _, pruned in expected)
    objection, [gone] = alone(lost, config)
    assert (objection.reason, gone.element_id, gone.url) == (
        "no_image",
        "lost#1",
        "http://i/hidden",
    )
    assert gone.score < 0.3
    with beam_pipeline as p:
        documents = [pages[0], broken, lost, silent, bare, pages[1], unreadable]
        out = p | beam.Create(documents, reshuffle=False) | PlaceImages(config, CLIP)
        assert out.kept.element_type is PlacedDocument
        assert_that(out.kept, equal_to([placed for placed, _ in expected]), label="kept")
        refused = out.rejected | beam.Map(lambda r: (r.element_id, r.kind, r.rule, r.reason))
        assert_that(
            refused,
            equal_to(
                [
                    ("lost", Kind.DOCUMENT, STAGE, "no_image"),
                    ("silent", Kind.DOCUMENT, STAGE, "no_sentence"),
                    ("bare", Kind.DOCUMENT, STAGE, "no_image"),
                ]
            ),
            label="rejected",
        )
        assert_that(out.pruned, equal_to([gone]), label="pruned")
        failed = out.failed | beam.Map(lambda f: (f.element_id, f.error.partition("(")[0]))
        assert_that(
            failed,
            equal_to([("broken", "ValueError"), ("unreadable", "TypeError")]),
            label="failed",
        )
    assert counters(p) == {
        "kept": 2,
        "rejected.place_images.no_image": 2,
        "rejected.place_images.no_sentence": 1,
        "failed": 2,
    }


def test_only_what_can_be_matched_is_encoded_and_only_once(beam_pipeline, pages, monkeypatch):
    encoded = []
    clip = load_clip(CLIP)
    monkeypatch.setattr(type(clip), "texts", lambda self, texts: encoded.extend(texts) or AXES_128)
    AXES_128 = np.eye(4, 128, dtype=np.float32)
    bare = document(Text("Nobody looks at this."), doc_id="bare")
    with beam_pipeline as p:
        large = document(*pages[0].images, Text("Far too. Many. For the. Pairs. Of it."))
        documents = [pages[0], bare, large, replace(pages[0], doc_id="again")]
        config = PlaceConfig(max_pairs=16)
        out = p | beam.Create(documents, reshuffle=False) | PlaceImages(config, CLIP)
        assert_that(out.kept | beam.combiners.Count.Globally(), equal_to([2]))
    assert encoded == list(SCENES)


def test_signals_say_how_images_and_text_go_together():
    placed, _ = place(PAGE, SENTENCES, AXES, KEEP_ALL)
    placed = replace(placed, document=replace(placed.document, signals=(Signal("length", 3.0),)))
    found = with_signals(placed)
    assert [(s.rule, s.score) for s in found.document.signals] == [
        ("length", 3.0),
        ("image_sequence_coherence", (0.1875 + 0.03125) / 2 - (0.09375 + 0.015625)),
        ("image_text_alignment", (0.75 + 0.5 + 0.125) / 3),
    ]
    grey = [
        replace(node, record=replace(node.record, luma=bytes(64 * 64)))
        if isinstance(node, Image)
        else node
        for node in PAGE.nodes
    ]
    with_lumas = with_signals(replace(placed, document=document(*grey)))
    scores = {s.rule: s.score for s in with_lumas.document.signals}
    # Three black thumbnails are alike: 1. The cosines are .1875, .09375 + .015625 and .03125.
    assert scores["in_sample_similarity"] == pytest.approx((1 + 0.328125 / 3) / 2)
    assert all(image.record.luma == b"" for image in with_lumas.document.images)


def test_without_a_model_there_is_no_signal():
    bare = PlacedDocument(
        document(A, Image("http://i/x")), SENTENCES[:1], (Placement(1, None, None),)
    )
    assert with_signals(bare) == bare


def no_model(config):
    raise AssertionError("a model was loaded")


def test_natural_order_loads_no_model(beam_pipeline, monkeypatch):
    monkeypatch.setattr(place_images, "load_clip", no_model)
    bare = document(A, doc_id="bare")
    natural = tuple(Placement(i, None, None) for i in (0, 3, 5))
    with beam_pipeline as p:
        documents = p | beam.Create([PAGE, bare])
        out = documents | PlaceImages(PlaceConfig(Method.DOM), CLIP)
        assert_that(
            out.kept,
            equal_to(
                [
                    with_signals(PlacedDocument(PAGE, SENTENCES, natural)),
                    PlacedDocument(bare, (Sentence("A.", 0),)),
                ]
            ),
            label="kept",
        )
        for door in ("rejected", "pruned", "failed"):
            assert_that(getattr(out, door), equal_to([]), label=door)
    assert counters(p) == {"kept": 2}
