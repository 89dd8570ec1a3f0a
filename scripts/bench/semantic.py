"""Measures semantic deduplication of images: time, memory, and what cells miss of all pairs.

Usage: python -m scripts.bench.semantic [--images N] [--dimension D] [--queries N] [--threshold T]

Features are drawn: around centres, as many as cells ("clustered"), or around none ("even", where
every cell has its neighbours right behind the border). A twentieth of them are copies of others
with a cosine from the threshold to 1. CLIP's features lie between the two.

recall  of the pairs that comparing some images with all images finds, those in a common cell, by
        the number of cells an image is looked at in. What is found is never wrong: cosines are
        exact.
time    CPU seconds of one thread for training, assigning and comparing, and for comparing all with
        all, which is not run but worked out from those some.
memory  peak of the process with what drawing took, against the features alone; a run holds a part
        of the cells at a time
"""

import argparse
import resource
import time

import numpy as np

from stages.dedup.semantic import Features, SemanticConfig, alike, assign, train


def draw(images: int, dimension: int, centres: int, threshold: float, seed: int = 0) -> Features:
    """Unit features of shape [images, dimension] in a random order."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((images, dimension), np.float32)
    if centres:
        around = rng.standard_normal((centres, dimension), np.float32)
        features += around[rng.integers(0, centres, images)]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    copies = images // 20
    noise = rng.standard_normal((copies, dimension), np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    cosine = rng.uniform(threshold, 1, (copies, 1)).astype(np.float32)
    copied = features[copies : 2 * copies] + noise * np.sqrt(1 / cosine**2 - 1)
    features[:copies] = copied / np.linalg.norm(copied, axis=1, keepdims=True)
    order = rng.permutation(images)
    return np.ascontiguousarray(features[order])


def true_pairs(features: Features, queries: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    left, right = [], []
    for start in range(0, queries, 512):
        stop = min(start + 512, queries)
        a, b = np.nonzero(features[start:stop] @ features.T >= threshold)
        left.append(a + start)
        right.append(b)
    a, b = np.concatenate(left), np.concatenate(right)
    return a[a != b], b[a != b]


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, features: Features, queries: int, threshold: float) -> None:
    images = len(features)
    config = SemanticConfig(threshold=threshold)
    print(f"\n{name}: {images:,} images of {features.shape[1]} values, threshold {threshold}")
    start = time.process_time()
    centroids = train(features[: config.training], config.cells_for(images), config.seed)
    trained = time.process_time() - start
    # Once for the most cells: nearest come first, so fewer are a part of it.
    start = time.process_time()
    cells = assign(features, centroids, 3)
    assigned = time.process_time() - start

    start = time.process_time()
    left, right = true_pairs(features, queries, threshold)
    whole = (time.process_time() - start) * images / queries / 2
    print(f"{len(centroids)} cells; training {trained:.1f} s, assigning {assigned:.1f} s; "
          f"all pairs would take {whole:.0f} s")  # fmt: skip
    for probes in (1, 2, 3):
        common = (cells[left, :probes, None] == cells[right, None, :probes]).any((1, 2))
        start = time.process_time()
        sizes = compare(features, cells[:, :probes], threshold)
        compared = time.process_time() - start
        total = trained + assigned + compared
        print(f"probes {probes}: recall {common.mean():.4f} of {len(left):,} pairs; comparing "
              f"{compared:.1f} s, all {total:.1f} s, {whole / total:.0f} times as fast as all "
              f"pairs; largest cell {max(sizes):,}")  # fmt: skip
    print(f"peak memory {peak():,.0f} MB, features {features.nbytes / 2**20:,.0f} MB")


def compare(features: Features, cells: np.ndarray, threshold: float) -> list[int]:
    """Compares the images of each cell; returns the sizes of the cells."""
    owners, chosen = np.repeat(np.arange(len(cells)), cells.shape[1]), cells.ravel()
    order = np.argsort(chosen, kind="stable")
    parts = np.split(owners[order], np.flatnonzero(np.diff(chosen[order])) + 1)
    for part in parts:
        alike(features[part], threshold)
    return [len(part) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--queries", type=int, default=4_096)
    parser.add_argument("--threshold", type=float, default=0.95)
    arguments = parser.parse_args()
    images, dimension, threshold = arguments.images, arguments.dimension, arguments.threshold
    centres = SemanticConfig().cells_for(images)
    for name, around in (("clustered", centres), ("even", 0)):
        features = draw(images, dimension, around, threshold)
        measure(name, features, min(arguments.queries, images), threshold)


if __name__ == "__main__":
    main()
