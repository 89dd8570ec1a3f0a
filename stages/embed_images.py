"""Takes the CLIP feature of decoded images and what the heads score on it, in batches over
documents.

In: GatheredImage with pixels.  Out: kept GatheredImage whose record has its feature and scores and
whose pixels are gone; rejected Rejection where a head drops the image; failed Failure where there
is no feature or a head gave no score.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection
from schemas.image import NSFW, ImageScore
from schemas.outcome import Failure, Rejection
from stages.clip import ClipConfig, load_clip
from stages.doors import REJECTED, at_bundle_end, count_doors, rejected, to_failure
from stages.heads import HeadConfig, Heads, Reason
from stages.imaging.elements import GatheredImage

STAGE = "embed_images"
# Images whose features a bundle remembers, 16 MB at 512 values: one picture has many URLs.
_REMEMBERED = 8192
FAILED: Final = "failed"


@dataclass
class EmbedImages(beam.PTransform):
    """See the module.

    Attributes:
      heads: by name.
    """

    clip: ClipConfig
    heads: Mapping[str, HeadConfig] = field(default_factory=dict)

    def expand(self, images: PCollection[GatheredImage]) -> Any:
        out = images | "Embed" >> beam.ParDo(_Embed(self.clip, self.heads)).with_outputs(
            REJECTED, FAILED, main="kept"
        )
        return count_doors(out, out[FAILED], STAGE)


class _Embed(beam.DoFn):
    """Gathers images until a batch is full; a bundle's end empties it."""

    def __init__(self, clip: ClipConfig, heads: Mapping[str, HeadConfig]):
        self._clip_config = clip
        self._head_configs = heads

    def setup(self):
        self._clip = load_clip(self._clip_config)
        self._heads = Heads(self._head_configs, self._clip)

    def start_bundle(self):
        self._waiting: list[GatheredImage] = []
        self._known: dict[str, np.ndarray] = {}

    def process(
        self, image: GatheredImage
    ) -> Iterable[
        GatheredImage
        | TaggedOutput[Literal["failed"], Failure]
        | TaggedOutput[Literal["rejected"], Rejection]
    ]:
        self._waiting.append(image)
        if len(self._waiting) >= self._clip_config.batch_size:
            yield from self._empty()

    def finish_bundle(self) -> Iterable[Any]:
        yield from at_bundle_end(self._empty())
        self._known = {}

    def _empty(self) -> Iterator[Any]:
        waiting, self._waiting = self._waiting, []
        try:
            yield from self._embed(waiting)
        except TimeoutError as error:
            for image in waiting:
                yield TaggedOutput(FAILED, to_failure(image, error, STAGE))
        except Exception:  # noqa: BLE001  one of them broke the batch: each gets its own try
            for image in waiting:
                try:
                    yield from self._embed([image])
                except Exception as error:  # noqa: BLE001  the failed door
                    yield TaggedOutput(FAILED, to_failure(image, error, STAGE))

    def _embed(self, images: list[GatheredImage]) -> list[Any]:
        features = self._features(images)
        scores = self._heads.scores(features)
        return [
            self._judged(image, feature, of_heads)
            for image, feature, of_heads in zip(images, features, scores, strict=True)
        ]

    def _features(self, images: list[GatheredImage]) -> np.ndarray:
        """One row an image; each distinct one is encoded once."""
        new = {image.record.image_id: image.pixels for image in images
               if image.record.image_id not in self._known}  # fmt: skip
        if None in new.values():
            raise ValueError("an image came without pixels")
        found = self._clip.images([pixels for pixels in new.values() if pixels is not None])
        if not np.isfinite(found).all():
            raise ValueError("the model gave a feature that is not finite")
        known = {**self._known, **dict(zip(new, found, strict=True))}
        self._known = known if len(known) <= _REMEMBERED else {}
        return np.stack([known[image.record.image_id] for image in images])

    def _judged(
        self, image: GatheredImage, feature: np.ndarray, scores: Mapping[str, float]
    ) -> GatheredImage | TaggedOutput:
        if head := self._heads.objection(scores):
            return rejected(image, STAGE, Objection(head, Reason.UNWANTED, scores[head], ""))
        named = tuple(ImageScore(name, score) for name, score in scores.items() if name != NSFW)
        record = replace(
            image.record,
            clip=feature.astype("<f4").tobytes(),
            nsfw=scores.get(NSFW),
            scores=image.record.scores + named,
            flags=self._heads.flags(scores),
        )
        return replace(image, pixels=None, record=record)
