"""Makes smaller files of kept images, without what they say of people and places.

In: GatheredImage with pixels.  Out: kept GatheredImage with other bytes, failed Failure.

It stands behind the rules on decoded images, so that those look at what the owner published (also
the lists of SHA-256), and before the images are stored: `image_id` is the hash of what is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.outcome import Rejection
from stages.doors import through_doors
from stages.imaging.elements import GatheredImage
from stages.imaging.encode import EncodeConfig, re_encode

STAGE = "re_encode_images"


@dataclass
class ReEncodeImages(beam.PTransform):
    config: EncodeConfig

    def expand(self, images: PCollection[GatheredImage]) -> Any:
        """Returns `Doors`; Beam does not know the type and would warn of it."""
        return through_doors(images, _ReEncode(self.config), STAGE)


class _ReEncode(beam.DoFn):
    def __init__(self, config: EncodeConfig):
        self._config = config

    def process(
        self, image: GatheredImage
    ) -> Iterable[GatheredImage | TaggedOutput[Literal["rejected"], Rejection]]:
        yield re_encode(image, self._config)
