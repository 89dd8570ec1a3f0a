"""Images that look alike to CLIP: k-means cells over features, then every pair inside a cell.

Source: SemDeDup (arXiv 2303.09540). Other than there, an image is looked at in the cells of its
two nearest centroids, which finds pairs that a border between cells would part, and clusters are
connected components, so that what stays does not depend on an order.

Results repeat on one kind of machine: k-means runs in one thread over samples sorted by id, and
products that choose a cell are taken in float64 and rounded, since how a matrix product rounds
depends on what else is in the matrix (measured: in float32 by a row's place).
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.dedup.components import component_labels
from stages.dedup.config import ComponentsConfig

Features = NDArray[np.float32]

IMAGES_A_CELL = 1024
_LEAST_TRAINING = 32  # images a cell; faiss warns below 39
_ROUNDS = 10
_BLOCK = 1024
_PAIRS = 1 << 22  # compared at once
_SLACK = 1e-6  # the cosine of a feature with itself may fall so short of 1


@dataclass(frozen=True)
class SemanticConfig:
    """Which images are semantic duplicates of each other, and what becomes of them.

    Of a cluster the image with the most pixels stays, then that of the smallest id.

    Attributes:
      threshold: least cosine of two duplicates: 1 - epsilon in SemDeDup, which chooses it by the
        share of a corpus that is to stay. The default is ours and was not tried on the features of
        a large model: `policy: flag` shows what another one would take.
      cells: number of k-means cells; None takes one for each 1,024 images.
      probes: in how many cells an image is looked at, its nearest ones.
      training: images that k-means sees at most, those of the smallest ids, which are hashes; they
        are held by one worker, at four bytes a value.
      seed: of k-means.
      policy: "drop" rejects all but the one that stays; "flag" keeps them, with the cosine to the
        nearest duplicate as the score `semantic_duplicate` in the images table.
      components: as in `stages.dedup.config.DedupConfig`.
    """

    threshold: float = 0.95
    cells: int | None = None
    probes: int = 2
    training: int = 65_536
    seed: int = 1
    policy: Literal["drop", "flag"] = "drop"
    components: ComponentsConfig = field(default_factory=ComponentsConfig)

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"deduplicate_images: threshold is {self.threshold}, not in ]0, 1]")
        for name in ("cells", "probes", "training"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"deduplicate_images: {name} is {value}, less than 1")
        if self.cells and self.cells > self.training:
            raise ValueError(
                f"deduplicate_images: cells is {self.cells}, more than {self.training} training"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"deduplicate_images: seed is {self.seed}, not in [0, 2**31)")
        if self.policy not in ("drop", "flag"):
            raise ValueError(f"deduplicate_images: policy is {self.policy!r}, not drop or flag")

    def cells_for(self, images: int) -> int:
        """How many cells so many images are put in, never more than are trained well."""
        most = max(1, min(images, self.training) // _LEAST_TRAINING)
        return self.cells or min(ceil(images / IMAGES_A_CELL), most) or 1


def train(features: Features, cells: int, seed: int) -> Features:
    """Centroids by spherical k-means in one thread.

    Args:
      features: unit length, shape [n, d], in an order that does not depend on the run.

    Returns:
      Shape [min(cells, n), d], unit length.
    """
    import faiss  # takes a while, and only one worker needs it

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        kmeans = faiss.Kmeans(
            features.shape[1],
            min(cells, len(features)),
            niter=_ROUNDS,
            seed=seed,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=max(1, len(features)),
        )
        kmeans.train(features)
    finally:
        faiss.omp_set_num_threads(threads)
    return np.ascontiguousarray(kmeans.centroids)


def assign(features: Features, centroids: Features, probes: int) -> NDArray[np.int64]:
    """The cells of each image, nearest first.

    Args:
      features: shape [n, d].
      centroids: shape [k, d].

    Returns:
      Shape [n, min(probes, k)].
    """
    found = np.empty((len(features), min(probes, len(centroids))), np.int64)
    centres = centroids.astype(np.float64).T
    for start in range(0, len(features), _BLOCK):
        near = (features[start : start + _BLOCK].astype(np.float64) @ centres).astype(np.float32)
        for place in range(found.shape[1]):
            best = near.argmax(axis=1)
            found[start : start + _BLOCK, place] = best
            near[np.arange(len(near)), best] = -np.inf
    return found


def alike(features: Features, threshold: float) -> tuple[NDArray[np.int32], Features]:
    """Compares every image of a cell with every other.

    Takes time for n * n / 2 products and memory for 4 million of them, whatever n is.

    Args:
      features: unit length, shape [n, d].

    Returns:
      labels: shape [n], equal for images that pairs of at least the threshold connect.
      nearest: shape [n], the highest such cosine of each image; 0 where it has none.
    """
    count = len(features)
    labels = np.arange(count, dtype=np.int32)
    nearest = np.zeros(count, np.float32)
    step = max(1, _PAIRS // max(1, count))
    for start in range(0, count, step):
        cosines = features[start : start + step] @ features[start:].T
        left, right = np.nonzero(np.triu(cosines >= threshold - _SLACK, 1))
        if not left.size:
            continue
        values = cosines[left, right]
        left, right = left + start, right + start
        np.maximum.at(nearest, left, values)
        np.maximum.at(nearest, right, values)
        labels = component_labels(labels[left], labels[right], count)[labels]
    return labels, nearest
