"""Names for pictures: the hash of the bytes and hashes of what they look like."""

import hashlib

import numpy as np
from PIL import Image

from schemas.image import LUMA_SIDE

_SIZE, _KEPT = 32, 8


def _dct_basis() -> np.ndarray:
    k = np.arange(_KEPT)[:, None]
    n = np.arange(_SIZE)[None, :]
    return 2.0 * np.cos(np.pi * k * (2 * n + 1) / (2 * _SIZE))


_BASIS = _dct_basis()  # rows are the 8 lowest of 32 frequencies


def sha256(data: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def phash(image: Image.Image) -> str:
    """The 64-bit DCT perceptual hash as 16 hex digits, most significant bit first.

    Luma, 32 x 32 by Lanczos, DCT-II, the 8 x 8 lowest frequencies compared with their median; the
    bits of `imagehash.phash`. Two hashes of pictures that look alike differ in few bits.

    Source: imagehash 4.3 and Hacker Factor, "Looks Like It" (2011).
    """
    luma = _grey(image).resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)
    spectrum = _BASIS @ np.asarray(luma, dtype=np.float64) @ _BASIS.T
    # A picture without detail has frequencies of zero, of which arithmetic makes +-1e-12 in a way
    # that differs from machine to machine.
    spectrum = spectrum.round(6)
    ranked = np.sort(spectrum, axis=None)
    median = (ranked[31] + ranked[32]) / 2  # by `np.median` it takes longer than the transform
    return np.packbits(spectrum > median).tobytes().hex()


def dhash(image: Image.Image) -> str:
    """The 64-bit difference hash as 16 hex digits, most significant bit first: luma, 9 x 8 by
    Lanczos, each pixel compared with its left neighbour; the bits of `imagehash.dhash`. It looks at
    gradients where `phash` looks at frequencies, so that what fools one rarely fools both.

    Source: imagehash 4.3 and Hacker Factor, "Kind of Like That" (2013).
    """
    luma = np.asarray(_grey(image).resize((9, 8), Image.Resampling.LANCZOS))
    return np.packbits(luma[:, 1:] > luma[:, :-1]).tobytes().hex()


def luma(image: Image.Image) -> bytes:
    """Grey thumbnail, `schemas.image.LUMA_SIDE` squared, the whole image scaled into it."""
    return _grey(image).resize((LUMA_SIDE, LUMA_SIDE), Image.Resampling.BOX).tobytes()


def _grey(image: Image.Image) -> Image.Image:
    return image if image.mode == "L" else image.convert("L")


def mean_colour(image: Image.Image) -> str:
    """The mean of an RGB image as 6 hex digits, red first."""
    return bytes(np.asarray(image.resize((1, 1), Image.Resampling.BOX)).ravel()).hex()


def distance(first: str, second: str) -> int:
    """How many of the 64 bits of two perceptual hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def contrast(image: Image.Image) -> float:
    """RMS contrast: the standard deviation of luma in [0, 1], thus in [0, 0.5].

    Source: E. Peli, Contrast in complex images, JOSA A 7 (1990).
    """
    histogram = np.asarray(_grey(image).histogram(), dtype=np.float64)
    levels = np.arange(256) / 255
    total = histogram.sum()
    mean = (histogram * levels).sum() / total
    variance = (histogram * (levels - mean) ** 2).sum() / total
    return float(np.sqrt(variance).round(6))
