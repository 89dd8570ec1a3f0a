"""What flows while images are gathered."""

from dataclasses import dataclass, field

from PIL import Image

from schemas.image import ImageLocation, ImageRecord, ImageReference
from schemas.outcome import Kind
from stages.doors import Identity


@dataclass(frozen=True)
class ImageTask:
    """A distinct image URL and where the crawl holds it, best place first."""

    reference: ImageReference
    locations: tuple[ImageLocation, ...] = ()

    @property
    def identity(self) -> Identity:
        return Identity(self.reference.url, Kind.IMAGE, self.reference.url)


@dataclass(frozen=True)
class GatheredImage:
    """A decoded image with its bytes. It stays inside fused steps and is never shuffled.

    Attributes:
      data: the bytes to store: as they came, or encoded anew.
      pixels: `stages.imaging.decode.Decoded.pixels`, so that nobody decodes again; None once they
        are of no more use.
    """

    record: ImageRecord
    data: bytes
    pixels: Image.Image | None = field(default=None, compare=False)

    @property
    def identity(self) -> Identity:
        return Identity(self.record.url, Kind.IMAGE, self.record.url)
