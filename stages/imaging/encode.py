"""From a decoded picture to a file of bounded size that says nothing of where it was taken."""

import contextlib
import re
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Literal

from PIL import ExifTags, Image, PngImagePlugin

from stages.imaging.decode import BROKEN
from stages.imaging.elements import GatheredImage
from stages.imaging.hashing import sha256

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))[2-8]")
_RGB_PROFILE = slice(16, 20)  # ICC.1:2022, section 7.2.6: the colour space of the data


@dataclass(frozen=True)
class EncodeConfig:
    """How images are stored anew.

    What is stored is RGB, upright, one frame, transparency on white. The ICC profile is kept where
    it is one of RGB, because without it the colours are others; EXIF, XMP and comments are left
    out.

    Attributes:
      max_side: the longer side in pixels at most; a smaller image keeps its size. Source: mmc4
        (arXiv 2304.06939, README of allenai/mmc4) stores images at most 800 pixels wide.
      format: png is lossless.
      quality: of jpeg and webp, 1 to 100. Source: img2dataset's default is 95, the highest that
        libjpeg advises.
      keep_metadata: keep EXIF and XMP, but for the orientation, which was applied.
    """

    max_side: int = 800
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: int = 95
    keep_metadata: bool = False

    def __post_init__(self) -> None:
        if not 32 <= self.max_side <= 16_383:  # what webp can hold
            raise ValueError(f"re_encode: max_side is {self.max_side}, not in 32..16383")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"re_encode: quality is {self.quality}, not in 1..100")


def re_encode(image: GatheredImage, config: EncodeConfig) -> GatheredImage:
    """The image in another file. Its hashes, scores and pixels stay those of the picture as it was
    decoded; `pixels` must be at least `max_side` long if the picture is."""
    assert image.pixels
    pixels, record = image.pixels, image.record
    longer = max(record.width, record.height)
    scale = min(1.0, config.max_side / longer)
    size = max(1, round(record.width * scale)), max(1, round(record.height * scale))
    if size != pixels.size:
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)
    data = _encoded(pixels, image.data, config)
    record = replace(
        record,
        image_id=sha256(data),
        format=config.format,
        width=size[0],
        height=size[1],
        n_bytes=len(data),
        frames=1,
    )
    return replace(image, record=record, data=data)


def _encoded(pixels: Image.Image, original: bytes, config: EncodeConfig) -> bytes:
    fields = _metadata(original, config.keep_metadata)
    xmp = fields.pop("xmp", None)
    match config.format:
        case "jpeg":
            fields |= {"quality": config.quality, "optimize": True}
        case "webp":
            fields |= {"quality": config.quality, "method": 4}
    if xmp and config.format == "png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        fields["pnginfo"] = text
    elif xmp:
        fields["xmp"] = xmp
    bare = pixels.copy()
    bare.info = {}  # Pillow writes comments and profiles that it finds here
    out = BytesIO()
    bare.save(out, config.format, **fields)
    return out.getvalue()


def _metadata(data: bytes, keep: bool) -> dict[str, Any]:
    """What is taken over from a file; its pixels are not decoded."""
    fields: dict[str, Any] = {}
    # Broken metadata of a whole picture.
    with contextlib.suppress(*BROKEN), Image.open(BytesIO(data)) as image:
        profile = image.info.get("icc_profile") or b""
        if profile[_RGB_PROFILE] == b"RGB ":
            fields["icc_profile"] = profile
        if keep:
            exif = image.getexif()
            exif.pop(ExifTags.Base.Orientation, None)
            if len(exif):
                fields["exif"] = exif.tobytes()
            if xmp := image.info.get("xmp"):
                xmp = xmp if isinstance(xmp, bytes) else xmp.encode()
                fields["xmp"] = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    return fields
