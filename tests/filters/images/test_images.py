import math

import pytest

from filters.base import judge
from filters.images.animated import Animated
from filters.images.aspect_ratio import AspectRatio
from filters.images.blank import Blank
from filters.images.byte_count import ByteCount
from filters.images.image_format import ImageFormat
from filters.images.image_frequency import ImageFrequency
from filters.images.long_side import LongSide
from filters.images.look_frequency import LookFrequency
from filters.images.short_side import ShortSide
from schemas.image import ImageRecord, ImageScore


def reason(rule, width=300, height=200, format="png", n_bytes=5_000, **more):
    record = ImageRecord("0" * 64, "http://a/i", format, width, height, n_bytes, "0" * 16, **more)
    _, objection = judge([rule], record)
    return objection.reason if objection else None


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(150, 150, None), (149, 900, "too_small"), (900, 149, "too_small")],
)
def test_short_side(width, height, expected):
    assert reason(ShortSide(), width, height) == expected


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(20_000, 20_000, None), (20_001, 9, "too_large"), (9, 20_001, "too_large")],
)
def test_long_side(width, height, expected):
    assert reason(LongSide(), width, height) == expected


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (100, 200, None),
        (99, 200, "too_tall"),
        (200, 100, None),
        (201, 100, "too_wide"),
        (5, 0, "too_wide"),
    ],
)
def test_aspect_ratio(width, height, expected):
    assert reason(AspectRatio(), width, height) == expected


def test_image_format():
    assert reason(ImageFormat(), format="webp") is None
    assert reason(ImageFormat(), format="gif") == "not_listed"
    assert reason(ImageFormat(formats=("gif",)), format="gif") is None


def test_not_scored_is_no_score():
    record = ImageRecord("0" * 64, "http://a/i", "png", 1, 1, 1, "0" * 16)
    assert math.isnan(Blank().score(record).value)


@pytest.mark.parametrize(("documents", "expected"), [(10, None), (11, "too_frequent")])
def test_image_frequency(documents, expected):
    assert reason(ImageFrequency(), same_bytes_documents=documents, documents=1) == expected


def test_byte_count():
    assert reason(ByteCount(), n_bytes=999) == "too_few"
    assert reason(ByteCount(), n_bytes=10**9) is None
    assert reason(ByteCount(max_bytes=2_000), n_bytes=2_000) is None
    assert reason(ByteCount(max_bytes=2_000), n_bytes=2_001) == "too_many"


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((ImageScore("contrast", 0.0),), "blank"),
        ((ImageScore("other", 0.0), ImageScore("contrast", 0.01)), None),
        ((ImageScore("other", 1.0),), "not_scored"),
        ((), "not_scored"),
    ],
)
def test_blank(scores, expected):
    assert reason(Blank(), scores=scores) == expected


def test_animated():
    assert reason(Animated(), frames=1) is None
    assert reason(Animated(), frames=2) == "animated"
    assert reason(Animated(max_frames=2), frames=2) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShortSide(min_pixels=0), "below 1"),
        (lambda: LongSide(max_pixels=0), "below 1"),
        (lambda: AspectRatio(min_ratio=3), "bad range 3..2.0"),
        (lambda: ImageFormat(formats=("jpg",)), "jpeg and tiff are"),
        (lambda: ImageFrequency(max_documents=0), "below 1"),
        (lambda: ByteCount(min_bytes=10, max_bytes=9), "bad range 10..9"),
        (lambda: ByteCount(min_bytes=-1), "bad range"),
        (lambda: Blank(min_contrast=0.6), "not in"),
        (lambda: Animated(max_frames=0), "below 1"),
    ],
)
def test_config_is_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_look_frequency():
    assert reason(LookFrequency(10), same_look_documents=10) is None
    assert reason(LookFrequency(10), same_look_documents=11) == "too_frequent"
    with pytest.raises(ValueError, match="max_documents is 0"):
        LookFrequency(0)
