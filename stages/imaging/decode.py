"""From untrusted bytes to pixels, once.

What the bytes are is sniffed, never believed; only listed decoders run; size and frames are checked
before pixels are made; a JPEG is decoded at the scale that is needed.

What a decoder may take is bounded by pixels, frames and scans, which are the same on every machine.
Behind them stands a limit of seconds: a thread cannot be interrupted in a decoder, but Pillow feeds
decoders of streams (JPEG, PNG, GIF, BMP) block by block, and once the time is up the next block is
refused. WebP, AVIF and TIFF are decoded in one call, which their pixels bound.

Source of the limits: a WebP of 371 KB decodes to 2.2 GB and Pillow only warns, so a pixel limit of
our own is checked on the header, and the warning is an error. OBELICS and img2dataset switch
Pillow's protection off.
"""

import re
import struct
import time
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from stages.imaging.hashing import contrast, dhash, luma, mean_colour, phash
from stages.imaging.refusal import Reason, Refused

FORMATS = ("jpeg", "png", "webp", "gif", "avif", "tiff", "bmp", "ico")
# Twice the input of the largest usual CLIP model, so that its resize starts from enough.
REDUCED_SIDE = 2 * 336
# A progressive JPEG has about ten. Each costs a pass over all pixels and few bytes, so thousands
# keep a decoder busy for hours. Source: "Two Issues with the JPEG Standard", libjpeg-turbo (2015).
_MAX_SCANS = 100
# Hashes look at 32 x 32 and 9 x 8 pixels, so they are taken from a reduced picture of at least
# these shorter sides: a Lanczos filter over the whole costs as much as decoding it. Of 648 copies
# of 216 pictures (half and 0.8 times the size, JPEG of quality 60) 96.0 % lie within 5 bits of
# phash (from the whole 95.8 %, from 160 pixels 94.9 %) and 99.1 % of dhash (the whole 98.8 %).
_PHASH_SIDE, _DHASH_SIDE = 192, 128
_BLOCK = 8 * 1024  # of bytes between two looks at the clock
_STRIP = 4_000_000  # pixels that are converted at a time
# A page in place of a picture: what most servers send for one that is gone.
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf|\s|<!--.*?-->)*<(?:!doctype html|html|head|body)\b", re.DOTALL
)
# What Pillow's decoders raise on broken bytes. A list, so that a fault of ours is not among them:
# only calls into Pillow stand in the try block.
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecodeError(Refused):
    """The bytes are no image that we take."""


@dataclass(frozen=True)
class DecodeLimits:
    """What may be decoded.

    Attributes:
      formats: names in `FORMATS`.
      max_pixels: width x height of the whole image; 40 million is 120 MB of RGB.
      max_frames: frames of an animation; only the first is decoded.
      max_seconds: CPU time of one image, above which it is refused.
      reduced_side: the shorter side that the pixels are kept at, at least; smaller images as is.
    """

    formats: tuple[str, ...] = ("jpeg", "png", "webp", "gif")
    max_pixels: int = 40_000_000
    max_frames: int = 1_000
    max_seconds: float = 20.0
    reduced_side: int = REDUCED_SIDE

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(self.formats))
        if unknown := sorted(set(self.formats) - set(FORMATS)):
            raise ValueError(f"decode: unknown formats {unknown}, known are {list(FORMATS)}")
        highest = Image.MAX_IMAGE_PIXELS or 0
        if not 1 <= self.max_pixels <= highest:
            raise ValueError(f"decode: max_pixels is {self.max_pixels}, not in 1..{highest}")
        if self.max_frames < 1:
            raise ValueError(f"decode: max_frames is {self.max_frames}, below 1")
        if self.max_seconds <= 0:
            raise ValueError(f"decode: max_seconds is {self.max_seconds}, not above 0")
        if self.reduced_side < 32:
            raise ValueError(f"decode: reduced_side is {self.reduced_side}, below 32")


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
      pixels: RGB, upright, transparency on white, the first frame; its shorter side is at least
        `DecodeLimits.reduced_side` or that of the image.
      format: one of `FORMATS`.
      width, height: of the whole image, upright.
      frames: 1 for a still image.
      phash, dhash: 16 hex digits, of `pixels` reduced.
      mean_colour: 6 hex digits.
      contrast: RMS contrast of `pixels`, in [0, 0.5].
      luma: grey thumbnail of `pixels`, see `stages.imaging.hashing.luma`.
    """

    pixels: Image.Image
    format: str
    width: int
    height: int
    frames: int
    phash: str
    dhash: str
    mean_colour: str
    contrast: float
    luma: bytes


def sniff(data: bytes) -> str:
    """The format that the first bytes announce: one of `FORMATS`, svg, or empty."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
        return "avif" if b"avif" in brands or b"avis" in brands else ""
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    # Text may start with BM too: the size of the header that follows tells.
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS:
        return "bmp"
    if data.startswith(b"\0\0\1\0") and data[4:6] != b"\0\0":
        return "ico"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head:
        return "svg"
    return ""


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))


def decode(data: bytes, limits: DecodeLimits) -> Decoded:
    """Decodes an image.

    Raises:
      DecodeError: it is none, or none that `limits` allow.
    """
    found = _listed(data, limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on metadata that we do not read
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(_Timed(data, limits.max_seconds), formats=[found])
            _check_pixels(image.size, limits)
            if isinstance(image, ImageFile.ImageFile):
                image.decodermaxblock = _BLOCK
            width, height = image.size
            if found == "jpeg":
                _draft(image, limits.reduced_side)
            image.load()
            _check_pixels(image.size, limits)
            if found != "jpeg":  # an icon's directory and an upright TIFF tell their size late
                width, height = image.size
            orientation = _orientation(image)
            pixels = _upright_rgb(image, orientation)
            # Counted last: some formats find out by moving on, and a JPEG with further pictures
            # behind it (MPO) is a still image.
            frames = 1 if found in ("jpeg", "ico") else getattr(image, "n_frames", 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DecodeError(Reason.TOO_MANY_PIXELS, str(error)) from error
        except UnidentifiedImageError as error:  # which names the place of our buffer in memory
            raise DecodeError(Reason.UNDECODABLE, f"{found}: its header is broken") from error
        except BROKEN as error:
            raise DecodeError(_why_broken(error), f"{found}: {error}") from error
    if frames > limits.max_frames:
        raise DecodeError(Reason.TOO_MANY_FRAMES, f"{frames} frames")
    if orientation >= 5:
        width, height = height, width
    pixels = _reduced(pixels, limits.reduced_side)
    grey = pixels.convert("L")
    return Decoded(
        pixels,
        found,
        width,
        height,
        frames,
        phash(_reduced(grey, _PHASH_SIDE)),
        dhash(_reduced(grey, _DHASH_SIDE)),
        mean_colour(_reduced(pixels, _DHASH_SIDE)),
        contrast(grey),
        luma(grey),
    )


class _Timed(BytesIO):
    """Bytes that are no longer given once the thread has worked for too long."""

    def __init__(self, data: bytes, seconds: float):
        super().__init__(data)
        self._seconds = seconds
        self._end = time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise DecodeError(Reason.TOO_SLOW, f"over {self._seconds:g} s")
        return super().read(size)


def _listed(data: bytes, limits: DecodeLimits) -> str:
    if not data:
        raise DecodeError(Reason.EMPTY)
    found = sniff(data)
    if found == "svg":
        raise DecodeError(Reason.SVG)
    if not found:
        html = _HTML.match(data[:1024].lower())
        reason = Reason.HTML if html else Reason.NOT_AN_IMAGE
        raise DecodeError(reason, f"starts with {data[:8]!r}")
    if found not in limits.formats:
        raise DecodeError(Reason.UNLISTED_FORMAT, found)
    # In coded data the byte 0xff never stands alone, so this counts scans and no accidents.
    if found == "jpeg" and (scans := data.count(b"\xff\xda")) > _MAX_SCANS:
        raise DecodeError(Reason.TOO_MANY_SCANS, f"{scans} scans")
    if found == "webp" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        # The decoder only says that it failed.
        raise DecodeError(Reason.TRUNCATED, "webp: shorter than its header says")
    return found


def _check_pixels(size: tuple[int, int], limits: DecodeLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise DecodeError(Reason.TOO_MANY_PIXELS, f"{width}x{height}")


def _draft(image: Image.Image, side: int) -> None:
    """Lets libjpeg decode at 1/2, 1/4 or 1/8 as long as the shorter side stays at least `side`."""
    if (shorter := min(image.size)) >= 2 * side:
        # Rounded up, so that the scale libjpeg picks is never below.
        width, height = (-(-length * side // shorter) for length in image.size)
        image.draft(None, (width, height))


def _reduced(pixels: Image.Image, side: int) -> Image.Image:
    factor = min(pixels.size) // side
    return pixels.reduce(factor) if factor >= 2 else pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or none that can be read."""
    if image.format == "TIFF":  # Pillow turns TIFFs as it loads them
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except BROKEN:  # broken metadata of a whole picture
        return 1
    return value if value in _TRANSPOSE else 1


def _upright_rgb(image: Image.Image, orientation: int) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        pixels = _eight_bit(image).convert("RGB")
    elif image.has_transparency_data:
        pixels = Image.new("RGB", image.size, "white")
        rows = max(1, _STRIP // image.width)  # at a time: the whole as RGBA is a copy more
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            strip = image.crop((0, top, image.width, bottom)).convert("RGBA")
            pixels.paste(strip, (0, top), mask=strip.getchannel("A"))
    else:
        pixels = image.convert("RGB")
    if orientation != 1:
        pixels = pixels.transpose(_TRANSPOSE[orientation])
    if pixels is image:  # a file's image pickles with the file
        pixels = image.copy()
    return pixels


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or of floats as 8 bits, black to white over the range of the type, or
    of the values where the type says nothing."""
    source = np.asarray(image)
    rows = max(1, _STRIP // image.width)  # at a time: as floats the whole takes 8 bytes a pixel
    strips = [slice(top, top + rows) for top in range(0, image.height, rows)]

    def values(strip: slice) -> np.ndarray:
        return np.nan_to_num(source[strip].astype(np.float64), posinf=0.0, neginf=0.0)

    lowest = min(float(values(strip).min()) for strip in strips)
    highest = max(float(values(strip).max()) for strip in strips)
    low, high = 0.0, 65_535.0
    if image.mode == "F" or lowest < 0 or highest > high:
        low, high = lowest, highest
    out = np.zeros(source.shape, np.uint8)
    for strip in strips:
        if high > low:
            out[strip] = ((values(strip) - low) * (255 / (high - low))).round()
    return Image.fromarray(out)


def _why_broken(error: Exception) -> Reason:
    said = str(error).lower()
    return Reason.TRUNCATED if "truncated" in said else Reason.UNDECODABLE
