"""Rejects images of benchmarks, known by the hash of their bytes or by a perceptual hash.

Source: none of the published interleaved corpora does it; CLIP (arXiv 2103.00020, section 5) and
DataComp (arXiv 2304.14108) look for the images of their evaluation sets in what they train on. mmc4
(arXiv 2304.06939, section 3.1) calls two images the same at a distance of at most 5 of 64 bits.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from filters.base import On, Score, register
from filters.benchmark import read_hashes
from schemas.image import ImageRecord

_BITS = 64


class Reason(StrEnum):
    IN_BENCHMARK = "in_benchmark"


@register(On.IMAGE)
@dataclass(frozen=True)
class BenchmarkHash:
    """The score is the least number of bits in which the perceptual hash differs from a listed one:
    -1 for listed bytes, 65 where there is nothing to compare.

    Every hash is compared, 1 ms for a million. To reject whole documents name the rule in
    `join_images.reject_document`.

    Attributes:
      file: see `filters.benchmark.read_hashes`.
      max_hamming: greatest distance of a match; -1 for bytes alone. Plain pictures have much the
        same hash, so put `blank` before this rule.
    """

    name: ClassVar[str] = "benchmark_hash"

    file: str
    max_hamming: int = 0

    def __post_init__(self) -> None:
        if not -1 <= self.max_hamming <= _BITS:
            raise ValueError(f"benchmark_hash: max_hamming is {self.max_hamming}, not in -1..64")
        read_hashes(self.file)

    def score(self, element: ImageRecord) -> Score:
        hashes = read_hashes(self.file)
        if element.image_id in hashes.sha256:
            return Score(-1.0, "the same bytes")
        if not hashes.phash.size or not element.phash:
            return Score(_BITS + 1.0, "no perceptual hash to compare")
        bits = np.uint64(int(element.phash, 16))
        distances = np.bitwise_count(hashes.phash ^ bits)
        best = int(distances.argmin())
        return Score(float(distances[best]), f"perceptual hash {int(hashes.phash[best]):016x}")

    def judge(self, score: Score) -> StrEnum | None:
        return Reason.IN_BENCHMARK if score.value <= self.max_hamming else None
