"""The bytes of the crawl's pictures: drawn scenes in several formats, and bytes that are none."""

import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from scipy.fft import dctn

from scripts.scenes import Kind, Scene, all_scenes, draw, is_held_out

MIMES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
SUFFIXES = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif"}
_ORIENTATION = 0x0112
# Relations make up most held-out scenes and are the hardest to tell apart, so kinds take turns.
_TURNS = (Kind.OBJECT, Kind.COUNT, Kind.SHAPE, Kind.OBJECT, Kind.GLYPH, Kind.RELATION, Kind.PATTERN)


@dataclass(frozen=True)
class Encoded:
    """A picture as a server would send it; width and height are those of the upright picture."""

    body: bytes
    format: str
    width: int
    height: int

    @property
    def mime(self) -> str:
        return MIMES[self.format]


@cache
def held_out() -> tuple[Scene, ...]:
    """Harmless scenes that the embedded model was not trained on."""
    return tuple(s for s in all_scenes() if is_held_out(s) and s.kind != Kind.HAZARD)


@cache
def hazards() -> tuple[Scene, ...]:
    """Warning signs that the embedded model was not trained on, the stand-in for unsafe images."""
    return tuple(s for s in all_scenes() if is_held_out(s) and s.kind == Kind.HAZARD)


def scene_turns(rng: random.Random) -> Iterator[Scene]:
    """Held-out scenes for ever, kinds taking turns, each kind used up before it starts again."""
    piles: dict[Kind, list[Scene]] = {kind: [] for kind in Kind}
    while True:
        for kind in _TURNS:
            if not piles[kind]:
                piles[kind] = [scene for scene in held_out() if scene.kind == kind]
                rng.shuffle(piles[kind])
            yield piles[kind].pop()


def alike(scene: Scene, others: Iterable[Scene]) -> bool:
    """Whether a caption of one scene could be taken for a caption of another."""
    names = {(scene.subject, scene.colour), (scene.other, scene.other_colour)}
    for other in others:
        shared = names & {(other.subject, other.colour), (other.other, other.other_colour)}
        if shared - {("", "")} or scene.subject == other.subject:
            return True
    return False


def phash(picture: Image.Image) -> int:
    """64-bit DCT hash: the sign of the 8 x 8 lowest frequencies against their median."""
    pixels = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), float)
    low = dctn(pixels)[:8, :8]
    bits = (low > np.median(low)).flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def encode(picture: Image.Image, form: str, orientation: int = 1, quality: int = 84) -> Encoded:
    """The picture in a format; `orientation` 6 stores it lying on its side with an EXIF note."""
    out = io.BytesIO()
    if form == "jpeg":
        exif = Image.Exif()
        if orientation == 6:
            exif[_ORIENTATION] = 6
            stored = picture.transpose(Image.Transpose.ROTATE_90)
        else:
            stored = picture
        stored.save(out, "JPEG", quality=quality, exif=exif.tobytes() if exif else b"")
    elif form == "gif":
        picture.quantize(128).save(out, "GIF")
    elif form == "webp":
        picture.save(out, "WEBP", quality=quality, method=2)
    else:
        picture.save(out, form.upper())
    return Encoded(out.getvalue(), form, *picture.size)


def render(scene: Scene, size: tuple[int, int], seed: str) -> Image.Image:
    return draw(scene, size, random.Random(seed))


def flat(size: tuple[int, int], colour: tuple[int, int, int], form: str) -> Encoded:
    """A page's furniture: a logo, an icon, an advertisement, a tracking pixel."""
    picture = Image.new("RGB", size, colour)
    if min(size) > 8:
        inner = (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
        picture.paste(tuple(255 - c for c in colour), inner)
    return encode(picture, form)


def truncated(picture: Encoded) -> bytes:
    """The first third of a file, as left behind by a broken connection."""
    return picture.body[: len(picture.body) // 3]


def svg(label: str) -> bytes:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300" viewBox="0 0 400 300">'
        f'<rect width="400" height="300" fill="#dde"/><text x="40" y="150">{label}</text></svg>'
    ).encode()
