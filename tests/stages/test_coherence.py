import numpy as np
import pytest

from stages.coherence import (
    image_text_alignment,
    in_sample_similarity,
    sequence_coherence,
    ssim,
)

EAST, NORTH = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
SLANTED = np.array([0.6, 0.8], np.float32)


def test_a_sequence_is_coherent_whose_neighbours_are_alike():
    # Cosines of neighbours .6 and .8, of the two ends 0.
    assert sequence_coherence(np.stack([EAST, SLANTED, NORTH])) == pytest.approx(0.7, abs=1e-6)
    assert sequence_coherence(np.stack([EAST, NORTH, SLANTED])) == pytest.approx(
        0.4 - 0.6, abs=1e-6
    )
    assert sequence_coherence(np.stack([EAST] * 4)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("images", [1, 2])
def test_below_three_images_there_is_no_sequence(images):
    assert sequence_coherence(np.stack([EAST] * images)) is None


def test_alignment_is_the_mean_of_the_best_sentences():
    assert image_text_alignment(np.array([[0.1, 0.5], [0.25, 0.0]])) == 0.375


def by_hand(a, b):
    """SSIM window by window, as Wang et al. 2004 write it."""
    values = []
    for y in range(a.shape[0] - 6):
        for x in range(a.shape[1] - 6):
            p, q = (i[y : y + 7, x : x + 7].astype(float).ravel() for i in (a, b))
            [[vp, c], [_, vq]] = np.cov(p, q)
            c1, c2 = 6.5025, 58.5225
            top = (2 * p.mean() * q.mean() + c1) * (2 * c + c2)
            values.append(top / ((p.mean() ** 2 + q.mean() ** 2 + c1) * (vp + vq + c2)))
    return np.mean(values)


def test_structural_similarity_by_hand():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 12))
    images = np.stack([noise, np.clip(noise + 20, 0, 255), 255 - noise, np.full((12, 12), 90)])
    found = ssim(images.astype(np.uint8))
    for i in range(4):
        for j in range(4):
            assert found[i, j] == pytest.approx(by_hand(images[i], images[j]), abs=1e-9)


def test_insi_sim_is_the_mean_of_both_similarities_over_the_pairs():
    rng = np.random.default_rng(1)
    lumas = rng.integers(0, 256, (3, 64, 64)).astype(np.uint8)
    lumas[1] = lumas[0]
    matrix = ssim(lumas)
    expected = ((0.6 + 1) / 2 + (0 + matrix[0, 2]) / 2 + (0.8 + matrix[1, 2]) / 2) / 3
    found = in_sample_similarity(np.stack([EAST, SLANTED, NORTH]), lumas)
    assert found == pytest.approx(expected, abs=1e-6)
    assert in_sample_similarity(EAST[None], lumas[:1]) is None
    many = np.zeros((257, 64, 64), np.uint8)
    assert in_sample_similarity(np.tile(EAST, (257, 1)), many) is None
