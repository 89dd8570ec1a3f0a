import json

import numpy as np
import pytest
from scipy.integrate import quad
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import UserError
from pipeline.explain import explain_dedup, verified
from stages.dedup.config import DedupConfig, MinHashConfig


def invoke(*arguments):
    return CliRunner().invoke(app, arguments)


def test_the_curve_of_the_default():
    found = explain_dedup(DedupConfig())["minhash"]
    assert found["half"] == pytest.approx(0.567, abs=0.001)
    curve = {p["jaccard"]: (p["candidate"], p["near_duplicate"]) for p in found["curve"]}
    assert list(curve) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0]
    assert curve[0.5] == (pytest.approx(0.2460, abs=1e-4), pytest.approx(0, abs=1e-3))
    assert curve[0.6][1] == pytest.approx(0.33, abs=0.02)  # half of .64 reaches the threshold
    assert curve[0.85] == (pytest.approx(1, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert curve[1.0] == (1, 1)
    areas = found["error_areas"]
    below, _ = quad(lambda j: 1 - (1 - j**7) ** 36, 0, 0.6)
    above, _ = quad(lambda j: (1 - j**7) ** 36, 0.6, 1)
    assert areas["bands"]["false_positives"] == pytest.approx(below, abs=1e-3)
    assert areas["bands"]["false_negatives"] == pytest.approx(above, abs=1e-3)
    assert areas["verified"]["false_positives"] < 0.01
    assert areas["verified"]["false_negatives"] < 0.06


def test_the_curve_is_what_signatures_do():
    """Drawn from the same distribution: values agree with the similarity, bytes by chance too."""
    rng = np.random.default_rng(0)
    config = MinHashConfig(permutations=64, bands=16, rows=4, threshold=0.7)
    for jaccard in (0.6, 0.7, 0.8):
        same = rng.random((20_000, 64)) < jaccard
        chance = same | (rng.random((20_000, 64)) < 1 / 256)
        candidate = same.reshape(-1, 16, 4).all(axis=2).any(axis=1)
        passed = (chance.mean(axis=1) - 1 / 256) / (255 / 256) >= 0.7 - 1e-12
        assert verified(jaccard, config) == pytest.approx((candidate & passed).mean(), abs=0.03)


def test_without_a_threshold_every_candidate_counts():
    found = explain_dedup(DedupConfig(minhash=MinHashConfig(threshold=0)))["minhash"]
    assert all(p["candidate"] == p["near_duplicate"] for p in found["curve"])
    assert found["error_areas"]["bands"] == found["error_areas"]["verified"]
    assert found["half"] in {p["jaccard"] for p in found["curve"]}


def test_what_is_off_is_said():
    assert explain_dedup(DedupConfig(minhash=None))["minhash"] is None
    with pytest.raises(UserError, match="deduplicate: null"):
        explain_dedup(None)


def test_the_command():
    result = invoke("explain", "sample", "--dedup")
    assert result.exit_code == 0
    assert "3-grams, 256 permutations, 36 bands of 7 rows" in result.stdout
    assert "      0.60        0.6402" in result.stdout
    found = json.loads(invoke("explain", "sample", "--dedup", "--json").stdout)
    assert found["paragraphs"] == 3
    off = invoke("explain", "sample", "--dedup", "--set", "deduplicate.minhash=null")
    assert "minhash: off" in off.stdout
    assert invoke("explain", "sample").exit_code == 2
