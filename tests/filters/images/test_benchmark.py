import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.base import judge
from filters.images.benchmark_feature import BenchmarkFeature
from filters.images.benchmark_hash import BenchmarkHash
from schemas.image import ImageRecord

SHA = "ab" * 32
PHASH = 0x0123456789ABCDEF


def image(image_id="0" * 64, phash=0, feature=()):
    clip = np.array(feature, "<f4").tobytes()
    return ImageRecord(image_id, "http://a/i", "png", 9, 9, 9, f"{phash:016x}", clip=clip)


def outcome(rule, element):
    [signal], objection = judge([rule], element)
    return signal.score, objection.reason if objection else None


@pytest.fixture
def hashes(tmp_path):
    path = tmp_path / "hashes.txt"
    path.write_text(f"# the test set\n{SHA}\n\n{PHASH:016X}  # a photo\n{0xFF << 32:016x}\n")
    return str(path)


@pytest.mark.parametrize(
    ("element", "max_hamming", "expected"),
    [
        (image(SHA), -1, (-1, "in_benchmark")),
        (image(phash=PHASH), -1, (0, None)),
        (image(phash=PHASH), 0, (0, "in_benchmark")),
        (image(phash=PHASH ^ 0b111), 2, (3, None)),
        (image(phash=PHASH ^ 0b111), 3, (3, "in_benchmark")),
        (image(phash=0xFE << 32), 3, (1, "in_benchmark")),  # the nearest of all counts
    ],
)
def test_bytes_or_a_near_perceptual_hash(element, max_hamming, expected, hashes):
    assert outcome(BenchmarkHash(hashes, max_hamming), element) == expected


def test_without_perceptual_hashes_bytes_are_compared(tmp_path):
    (tmp_path / "h.txt").write_text(SHA)
    rule = BenchmarkHash(str(tmp_path / "h.txt"), 64)
    assert outcome(rule, image(phash=PHASH)) == (65, None)
    assert outcome(rule, image(SHA)) == (-1, "in_benchmark")


def test_the_images_table_of_a_corpus_is_a_list_of_hashes_and_features(tmp_path):
    path = str(tmp_path / "part-0.parquet")
    features = pa.array([[0.6, 0.8], None], pa.list_(pa.float16()))
    columns = {"image_id": [SHA, "cd" * 32], "phash": [f"{PHASH:016x}", None]}
    pq.write_table(pa.table({**columns, "clip_feature": features}), path)
    assert outcome(BenchmarkHash(path), image("cd" * 32)) == (-1, "in_benchmark")
    assert outcome(BenchmarkHash(path), image(phash=PHASH)) == (0, "in_benchmark")
    score, reason = outcome(BenchmarkFeature(path), image(feature=[0.6, 0.8]))
    assert score == pytest.approx(1, abs=1e-3)
    assert reason == "in_benchmark"


def test_the_highest_cosine_decides(tmp_path):
    path = str(tmp_path / "features.npy")
    np.save(path, np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32))
    rule = BenchmarkFeature(path, max_similarity=0.79)
    score, reason = outcome(rule, image(feature=[0, 0, 1]))
    assert score == pytest.approx(0.8)
    assert reason == "in_benchmark"
    assert outcome(rule, image(feature=[0, 1, 0])) == (pytest.approx(0.6), None)


@pytest.mark.parametrize("feature", [(), (1.0, 0.0)])
def test_what_cannot_be_compared_is_not_kept(feature, tmp_path):
    path = str(tmp_path / "features.npy")
    np.save(path, np.eye(3, dtype=np.float32))
    score, reason = outcome(BenchmarkFeature(path), image(feature=feature))
    assert math.isnan(score)
    assert reason == "not_scored"


@pytest.mark.parametrize(
    ("rule", "name", "content", "message"),
    [
        (BenchmarkHash, "h.txt", b"", "holds no hash"),
        (BenchmarkHash, "h.txt", b"abc\n", "'abc' is no hash of 64 or 16 hex digits"),
        (BenchmarkHash, "h.txt", b"\xff\xfe", "cannot be read"),
        (BenchmarkHash, "h.parquet", b"PAR", "cannot be read"),
        (BenchmarkFeature, "f.npy", b"abc", "cannot be read"),
        (BenchmarkFeature, "f.parquet", b"abc", "cannot be read"),
    ],
)
def test_a_file_that_is_no_list_is_refused_at_the_start(rule, name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        rule(str(tmp_path / name))
    with pytest.raises(ValueError, match="cannot be read"):
        rule(str(tmp_path / "absent.npy"))


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "h.txt"
    path.write_text(SHA)
    assert outcome(BenchmarkHash(str(path)), image(SHA)) == (-1, "in_benchmark")
    path.write_text(f"# another\n{'cd' * 32}")
    assert outcome(BenchmarkHash(str(path)), image(SHA)) == (65, None)


@pytest.mark.parametrize(
    ("features", "message"),
    [(np.ones(3), r"of shape \(3,\)"), (np.ones((2, 3)), "not of unit length")],
)
def test_features_are_rows_of_unit_length(features, message, tmp_path):
    np.save(tmp_path / "f.npy", features)
    with pytest.raises(ValueError, match=message):
        BenchmarkFeature(str(tmp_path / "f.npy"))


def test_bounds_are_checked(hashes):
    with pytest.raises(ValueError, match="max_hamming is 65"):
        BenchmarkHash(hashes, 65)
    with pytest.raises(ValueError, match="max_similarity is 2"):
        BenchmarkFeature(hashes, 2)
