"""Keeps images of listed formats, by what the bytes are and not by what they are called.

Source: OBELICS (obelics/configs/config_filter_web_documents.yaml): jpg, jpeg, png, webp.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.image import ImageRecord


class Reason(StrEnum):
    NOT_LISTED = "not_listed"


@register(On.IMAGE)
@dataclass(frozen=True)
class ImageFormat:
    """`formats` are Pillow's names in lower case, so jpeg and never jpg."""

    name: ClassVar[str] = "image_format"

    formats: tuple[str, ...] = ("jpeg", "png", "webp")

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(self.formats))
        for name in self.formats:
            if name != name.lower() or name in ("", "jpg", "tif"):
                raise ValueError(f"image_format: {name!r} is no format name; jpeg and tiff are")

    def score(self, element: ImageRecord) -> Score:
        """1 if the format is listed, else 0; the detail is the format."""
        return Score(float(element.format in self.formats), element.format)

    def judge(self, score: Score) -> StrEnum | None:
        return None if score.value else Reason.NOT_LISTED
