"""The rules on placed documents: exact bounds, checked config."""

import pytest

from filters.base import Score
from filters.placed.image_count import ImageCount
from filters.placed.matched_share import MatchedShare
from filters.placed.sentence_count import SentenceCount
from schemas.document import Document, PlacedDocument, Placement, Sentence

DOCUMENT = Document("d", "")


def placed(*sims):
    """A document of as many images; None is an unplaced one."""
    placements = tuple(Placement(i, None if sim is None else 0, sim) for i, sim in enumerate(sims))
    similarity = tuple((0.1 if sim is None else sim,) for sim in sims)
    return PlacedDocument(DOCUMENT, (Sentence("s", 0),), placements, similarity)


def reason(rule, element):
    return rule.judge(rule.score(element))


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [(3, "too_few"), (4, None), (40, None), (41, "too_many"), (0, "too_few")],
)
def test_sentence_count(sentences, expected):
    element = PlacedDocument(DOCUMENT, (Sentence("s", 0),) * sentences)
    assert SentenceCount().score(element) == Score(sentences)
    assert reason(SentenceCount(), element) == expected


@pytest.mark.parametrize(
    ("images", "expected"), [(1, "too_few"), (2, None), (15, None), (16, "too_many")]
)
def test_image_count(images, expected):
    assert reason(ImageCount(), placed(*[None] * images)) == expected


@pytest.mark.parametrize(
    ("sims", "share", "expected"),
    [
        ((0.3, 0.3, 0.3, 0.1), 0.75, None),
        ((0.3, 0.3, 0.3, 0.25), 0.75, None),
        ((0.3, 0.3, 0.25, 0.25), 0.5, "too_low"),  # above, not at
        ((0.3, 0.3, None), 2 / 3, "too_low"),
        ((0.26,), 1.0, None),
    ],
)
def test_matched_share(sims, share, expected):
    score = MatchedShare().score(placed(*sims))
    assert score.value == share
    assert MatchedShare().judge(score) == expected


def test_matched_share_says_on_how_many_images():
    assert MatchedShare().score(placed(0.3, 0.1)).detail == "1 of 2 images"


def test_what_no_model_saw_is_rejected_as_not_scored():
    assert reason(MatchedShare(min_share=0.0), PlacedDocument(DOCUMENT)) == "not_scored"


def test_bad_config():
    with pytest.raises(ValueError, match="min_sim"):
        MatchedShare(min_sim=1.1)
    with pytest.raises(ValueError, match="min_share"):
        MatchedShare(min_share=-0.1)
    with pytest.raises(ValueError, match="sentence_count: bad range"):
        SentenceCount(5, 4)
    with pytest.raises(ValueError, match="image_count: bad range"):
        ImageCount(5, 4)
