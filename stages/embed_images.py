"""Takes the CLIP feature and the NSFW score of decoded images, in batches over documents.

In: GatheredImage with pixels.  Out: GatheredImage whose record has `clip` and, with a scorer,
`nsfw`; its pixels are gone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.outcome import Failure
from stages.clip import ClipConfig, load_clip
from stages.doors import REJECTED, at_bundle_end, count_doors, to_failure
from stages.imaging.elements import GatheredImage
from stages.nsfw import NsfwConfig, NsfwScorer

STAGE = "embed_images"
FAILED: Final = "failed"


@dataclass
class EmbedImages(beam.PTransform):
    clip: ClipConfig
    nsfw: NsfwConfig | None = None

    def expand(self, images: PCollection[GatheredImage]) -> Any:
        out = images | "Embed" >> beam.ParDo(_Embed(self.clip, self.nsfw)).with_outputs(
            REJECTED, FAILED, main="kept"
        )
        return count_doors(out, out[FAILED], STAGE)


class _Embed(beam.DoFn):
    """Gathers images until a batch is full; a bundle's end empties it."""

    def __init__(self, clip: ClipConfig, nsfw: NsfwConfig | None):
        self._clip_config = clip
        self._nsfw_config = nsfw

    def setup(self):
        self._clip = load_clip(self._clip_config)
        self._nsfw = NsfwScorer(self._nsfw_config, self._clip) if self._nsfw_config else None

    def start_bundle(self):
        self._waiting: list[GatheredImage] = []

    def process(
        self, image: GatheredImage
    ) -> Iterable[GatheredImage | TaggedOutput[Literal["failed"], Failure]]:
        self._waiting.append(image)
        if len(self._waiting) >= self._clip_config.batch_size:
            yield from self._empty()

    def finish_bundle(self) -> Iterable[Any]:
        yield from at_bundle_end(self._empty())

    def _empty(self) -> Iterator[Any]:
        waiting, self._waiting = self._waiting, []
        try:
            yield from self._embed(waiting)
        except Exception:  # noqa: BLE001  one of them broke the batch: each gets its own try
            for image in waiting:
                try:
                    yield from self._embed([image])
                except Exception as error:  # noqa: BLE001  the failed door
                    yield TaggedOutput(FAILED, to_failure(image, error, STAGE))

    def _embed(self, images: list[GatheredImage]) -> list[GatheredImage]:
        pixels = [image.pixels for image in images]
        if None in pixels:
            raise ValueError("an image came without pixels")
        features = self._clip.images([p for p in pixels if p is not None])
        if not np.isfinite(features).all():
            raise ValueError("the model gave a feature that is not finite")
        return [
            replace(
                image,
                pixels=None,
                record=replace(
                    image.record,
                    clip=feature.astype("<f4").tobytes(),
                    nsfw=self._nsfw(feature) if self._nsfw else None,
                ),
            )
            for image, feature in zip(images, features, strict=True)
        ]
