import re

import numpy as np
import pytest

from stages.dedup import semantic
from stages.dedup.components import component_labels
from stages.dedup.semantic import SemanticConfig, alike, assign, train


def unit(features):
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def clustered(count, dimension=32, clusters=20, spread=0.7, seed=0):
    """Features around centres, a tenth of them small changes of another one."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimension))
    features = centres[rng.integers(0, clusters, count)]
    features = unit(features + spread * rng.standard_normal((count, dimension)))
    copies = count // 10
    change = 0.2 / dimension**0.5 * rng.standard_normal((copies, dimension))
    features[:copies] = unit(features[copies : 2 * copies] + change)
    return features[rng.permutation(count)]


def same_groups(left, right):
    return len(set(zip(left, right, strict=True))) == len(set(left)) == len(set(right))


@pytest.mark.parametrize("pairs", [1, 700, 1 << 22])
def test_every_pair_of_a_cell_is_compared_whatever_is_held_at_once(pairs, monkeypatch):
    monkeypatch.setattr(semantic, "_PAIRS", pairs)
    features = clustered(300)
    cosines = features.astype(np.float64) @ features.T
    np.fill_diagonal(cosines, 0)
    left, right = np.nonzero(cosines >= 0.9)
    assert len(left) > 60

    labels, nearest = alike(features, 0.9)
    assert same_groups(labels, component_labels(left, right, 300))
    expected = np.where(cosines.max(1) >= 0.9, cosines.max(1), 0)
    assert nearest == pytest.approx(expected, abs=1e-6)


def test_a_chain_is_one_cluster():
    angles = np.radians([0, 10, 20, 30, 90])
    labels, nearest = alike(unit(np.stack([np.cos(angles), np.sin(angles)], 1)), 0.98)
    assert labels[0] == labels[1] == labels[2] == labels[3] != labels[4]
    assert nearest == pytest.approx([*[np.cos(np.radians(10))] * 4, 0])


def test_equal_features_are_alike_at_any_threshold():
    features = np.repeat(clustered(5, 512), 2, axis=0)
    labels, _ = alike(features, 1.0)
    assert len(set(labels)) == 5


def test_the_nearest_cells_come_first_and_do_not_depend_on_the_neighbours():
    features, centroids = clustered(3_000), clustered(40, seed=1)
    cells = assign(features, centroids, 3)
    order = np.argsort(-(features @ centroids.T), axis=1)
    assert (cells == order[:, :3]).all()
    some = np.random.default_rng(2).permutation(3_000)[:77]
    assert (assign(features[some], centroids, 3) == cells[some]).all()
    assert assign(features, centroids[:2], 3).shape == (3_000, 2)
    assert assign(features[:0], centroids, 3).shape == (0, 3)


def test_training_repeats_and_gives_unit_centroids():
    features = clustered(2_000)
    centroids = train(features, 16, seed=1)
    assert centroids.shape == (16, 32)
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(np.ones(16))
    assert (train(features, 16, seed=1) == centroids).all()
    assert train(features[:3], 16, seed=1).shape == (3, 32)


@pytest.mark.parametrize(("probes", "least"), [(1, 0.8), (2, 0.98)])
def test_pairs_are_found_across_the_border_of_a_cell(probes, least):
    features = clustered(4_000, clusters=1, spread=1)  # no structure at all: the worst case
    centroids = train(features, 16, seed=1)
    cells = assign(features, centroids, probes)
    cosines = np.triu(features @ features.T, 1)
    left, right = np.nonzero(cosines >= 0.95)
    assert len(left) > 300
    together = (cells[left][:, :, None] == cells[right][:, None, :]).any((1, 2))
    assert together.mean() >= least


@pytest.mark.parametrize(
    ("images", "cells"), [(0, 1), (1, 1), (1_024, 1), (1_025, 2), (1_000_000, 977), (10**9, 2_048)]
)
def test_the_number_of_cells_follows_the_images_and_what_can_be_trained(images, cells):
    assert SemanticConfig().cells_for(images) == cells
    assert SemanticConfig(cells=5).cells_for(images) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": 0}, "threshold is 0, not in ]0, 1]"),
        ({"threshold": 1.1}, "threshold is 1.1, not in ]0, 1]"),
        ({"cells": 0}, "cells is 0, less than 1"),
        ({"probes": 0}, "probes is 0, less than 1"),
        ({"cells": 9, "training": 8}, "cells is 9, more than 8 training"),
        ({"seed": -1}, "seed is -1"),
        ({"policy": "hide"}, "policy is 'hide'"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(f"deduplicate_images: {message}")):
        SemanticConfig(**fields)
