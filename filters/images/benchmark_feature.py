"""Rejects images that look to CLIP like those of a benchmark.

It fails closed: an image without a feature, or with one of another model, has a reason of its own.

Source: none of the published interleaved corpora does it; DataComp (arXiv 2304.14108) removes
images that are near those of its evaluation sets by the features of a model that detects copies.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from filters.base import On, Score, register
from filters.benchmark import read_features
from schemas.image import ImageRecord


class Reason(StrEnum):
    NOT_SCORED = "not_scored"
    IN_BENCHMARK = "in_benchmark"


@register(On.IMAGE)
@dataclass(frozen=True)
class BenchmarkFeature:
    """The score is the highest cosine with a feature of the benchmark.

    It stands in `filter_images.embedded`, where images have features. All are compared: 10 ms an
    image for 50,000 of 512 values. To reject whole documents name the rule in
    `join_images.reject_document`.

    Attributes:
      file: see `filters.benchmark.read_features`; of the model that the config names in `clip`.
      max_similarity: the highest cosine that is kept; ours, see `deduplicate_images.threshold`.
    """

    name: ClassVar[str] = "benchmark_feature"

    file: str
    max_similarity: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.max_similarity <= 1:
            raise ValueError(
                f"benchmark_feature: max_similarity is {self.max_similarity}, not in [0, 1]"
            )
        read_features(self.file)

    def score(self, element: ImageRecord) -> Score:
        features = read_features(self.file)
        feature = np.frombuffer(element.clip, "<f4")
        if feature.size != features.shape[1]:
            return Score(math.nan, f"a feature of {feature.size} values, not {features.shape[1]}")
        cosines = features @ feature
        best = int(cosines.argmax())
        return Score(float(cosines[best]), f"row {best} of the benchmark")

    def judge(self, score: Score) -> StrEnum | None:
        if math.isnan(score.value):
            return Reason.NOT_SCORED
        return Reason.IN_BENCHMARK if score.value > self.max_similarity else None
