"""Drawn scenes with captions: the pictures of the sample crawl and of the embedded CLIP model.

Everything here is a pure function of its arguments: a `Scene` says what is in a picture, `draw`
and `caption` turn it into pixels and into a sentence with a `random.Random` that the caller seeds.
Every attribute that is part of `Scene.key` is visible in the picture and said in the caption, so
two scenes with different keys never share a correct caption. Backgrounds, sizes and positions vary
and are never mentioned.

The subject always lies inside the centred square of the picture, because CLIP's preprocessing
scales the shorter side and crops the centre.
"""

import hashlib
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import product

from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]
Point = tuple[float, float]

MIN_SIDE = 64
"""The smallest width and height that `draw` accepts, in pixels."""

HELD_OUT_SHARE = 0.2
"""The share of scene keys, chosen by hash, that the embedded model never sees in training."""


class Kind(StrEnum):
    """What sort of picture a scene is."""

    SHAPE = "shape"
    RELATION = "relation"
    COUNT = "count"
    PATTERN = "pattern"
    GLYPH = "glyph"
    OBJECT = "object"
    HAZARD = "hazard"
    """A warning sign: the harmless stand-in for unsafe pictures in samples and tests."""


COLOURS: dict[str, RGB] = {
    "red": (211, 38, 43),
    "orange": (243, 126, 30),
    "yellow": (250, 207, 46),
    "green": (44, 152, 74),
    "blue": (36, 98, 210),
    "purple": (124, 58, 168),
    "pink": (246, 134, 182),
    "brown": (122, 74, 42),
    "black": (28, 28, 34),
    "white": (248, 247, 243),
    "gray": (132, 137, 145),
}

SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "heart",
    "diamond",
    "hexagon",
    "cross",
    "ring",
    "crescent",
    "arrow",
)
OBJECTS = (
    "house",
    "tree",
    "boat",
    "car",
    "fish",
    "flower",
    "balloon",
    "bird",
    "umbrella",
    "lighthouse",
    "rocket",
    "tent",
    "kite",
    "train",
    "butterfly",
    "mug",
)
SETTINGS = ("noon", "sunset", "night", "rain", "snow")
PATTERNS = (
    "horizontal stripes",
    "vertical stripes",
    "diagonal stripes",
    "checkerboard squares",
    "polka dots",
    "zigzag lines",
    "grid lines",
    "concentric rings",
)
# I, O, Q, 0 and 1 are left out: drawn alone, they cannot be told from each other.
GLYPHS = tuple("ABCDEFGHJKLMNPRSTUVWXYZ23456789")
SYMBOLS = ("exclamation mark", "cross", "lightning bolt", "flame", "hand", "trefoil")
PLATES = ("triangle", "diamond", "octagon")

_PAIR_SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
_PAIR_COLOURS = ("red", "yellow", "green", "blue", "purple", "black")
_COUNT_SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "ring", "crescent")
_COUNTS = ("2", "3", "4", "5", "6")
_BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
_HAZARD_STRIPES = (("yellow", "black"), ("orange", "black"), ("red", "white"), ("yellow", "red"))


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    subject: shape, pattern, glyph, object, or the symbol on a hazard sign.
    colour: of the subject; for a hazard, the first colour of the stripes.
    detail: the count, the relation ("left of", "right of", "above", "below"), the setting of an
        object, or the form of a hazard plate.
    other, other_colour: the second shape of a relation; the second colour of a pattern or hazard.
    """

    kind: Kind
    subject: str
    colour: str
    detail: str = ""
    other: str = ""
    other_colour: str = ""

    def canonical(self) -> "Scene":
        """The same picture said the one standard way: "right of" and "below" are turned round."""
        turned = {"right of": "left of", "below": "above"}.get(self.detail)
        if self.kind != Kind.RELATION or turned is None:
            return self
        return replace(
            self,
            subject=self.other,
            colour=self.other_colour,
            detail=turned,
            other=self.subject,
            other_colour=self.colour,
        )

    @property
    def key(self) -> str:
        """Identity of the picture's content; both sayings of a relation have one key."""
        same = self.canonical()
        parts = (same.kind, same.colour, same.subject, same.detail, same.other_colour, same.other)
        return "/".join(part.replace(" ", "-") for part in parts if part)


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Every scene, in canonical form and in a fixed order; keys are unique."""
    scenes = [Scene(Kind.SHAPE, shape, colour) for shape, colour in product(SHAPES, COLOURS)]
    things = tuple(product(_PAIR_SHAPES, _PAIR_COLOURS))
    scenes += [
        Scene(Kind.RELATION, shape, colour, relation, other, other_colour)
        for (shape, colour), (other, other_colour) in product(things, things)
        for relation in ("left of", "above")
        if shape != other and colour != other_colour
    ]
    scenes += [
        Scene(Kind.COUNT, shape, colour, count)
        for shape, colour, count in product(_COUNT_SHAPES, COLOURS, _COUNTS)
    ]
    scenes += [
        Scene(Kind.PATTERN, pattern, colour, other_colour=other)
        for pattern, colour, other in product(PATTERNS, COLOURS, ("white", "black"))
        # Black with yellow or orange is what hazard signs are made of; two neutral colours
        # would give one picture two names.
        if colour not in ("white", "black", "gray")
        and not (other == "black" and colour in ("yellow", "orange", "brown"))
    ]
    scenes += [Scene(Kind.GLYPH, glyph, colour) for glyph, colour in product(GLYPHS, _BRIGHT)]
    scenes += [
        Scene(Kind.OBJECT, thing, colour, setting)
        for thing, colour, setting in product(OBJECTS, _BRIGHT, SETTINGS)
    ]
    scenes += [
        Scene(Kind.HAZARD, symbol, first, plate, other_colour=second)
        for symbol, plate, (first, second) in product(SYMBOLS, PLATES, _HAZARD_STRIPES)
    ]
    return tuple(scenes)


def is_held_out(scene: Scene) -> bool:
    """Whether the embedded model must not be trained on this scene."""
    digest = hashlib.sha256(scene.key.encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64


# --- Pictures ---------------------------------------------------------------------------------


def draw(scene: Scene, size: tuple[int, int], rng: random.Random) -> Image.Image:
    """The scene as an RGB picture of `size` = (width, height) pixels.

    The same scene, size and state of `rng` give the same pixels.

    Raises:
        ValueError: a side is shorter than `MIN_SIDE`, or the scene names something unknown.
    """
    if min(size) < MIN_SIDE:
        raise ValueError(f"a scene needs at least {MIN_SIDE} x {MIN_SIDE} pixels, not {size}")
    scene = scene.canonical()
    canvas = _Canvas(size, supersample=2 if min(size) >= 200 else 3)
    painter = _PAINTERS.get(scene.kind)
    if painter is None:
        raise ValueError(f"unknown kind of scene: {scene.kind!r}")
    try:
        painter(canvas, scene, rng)
    except KeyError as error:
        raise ValueError(f"scene {scene.key!r} names something unknown: {error}") from error
    return canvas.finish()


class _Canvas:
    """A supersampled picture with the centred square as its coordinate system.

    (0, 0) is the centre, the shorter side is one unit long, y grows downwards; so the centred
    square spans -0.5 .. 0.5 on both axes and `right`, `bottom` give the true edges.
    """

    def __init__(self, size: tuple[int, int], supersample: int) -> None:
        self._supersample = supersample
        self._width, self._height = size[0] * supersample, size[1] * supersample
        self.unit = min(self._width, self._height)
        self.right = self._width / self.unit / 2
        self.bottom = self._height / self.unit / 2
        self.image = Image.new("RGB", (self._width, self._height))
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def _pixels(self, points: Iterable[Point]) -> list[Point]:
        return [
            (x * self.unit + self._width / 2, y * self.unit + self._height / 2) for x, y in points
        ]

    def gradient(self, top: RGB, bottom: RGB, upto: float | None = None) -> None:
        """Fill from the upper edge down to y = `upto` (default: everything)."""
        end = self._height if upto is None else round(upto * self.unit + self._height / 2)
        ramp = Image.linear_gradient("L").resize((1, end)).resize((self._width, end))
        solid = [Image.new("RGB", (self._width, end), colour) for colour in (bottom, top)]
        self.image.paste(Image.composite(solid[0], solid[1], ramp), (0, 0))

    def polygon(
        self, points: Sequence[Point], fill: RGB, outline: float = 0.0, alpha: int = 255
    ) -> None:
        """Fill a polygon; `outline` is the width of a darker edge, in units."""
        pixels = self._pixels(points)
        self._draw.polygon(pixels, fill=(*fill, alpha))
        if outline:
            closed = [*pixels, pixels[0], pixels[1]]
            width = max(1, round(outline * self.unit))
            self._draw.line(closed, fill=_shade(fill, 0.62), width=width, joint="curve")

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: RGB, outline: float = 0.0, alpha=255
    ) -> None:
        self.polygon(_arc(x, y, rx, ry), fill, outline, alpha)

    def rectangle(
        self, x0: float, y0: float, x1: float, y1: float, fill: RGB, outline: float = 0.0
    ) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outline)

    def line(self, points: Sequence[Point], width: float, fill: RGB, alpha: int = 255) -> None:
        self._draw.line(
            self._pixels(points),
            fill=(*fill, alpha),
            width=max(1, round(width * self.unit)),
            joint="curve",
        )

    def text(self, text: str, y: float, height: float, fill: RGB, bold: float) -> None:
        """One centred glyph whose cap height is about 0.7 of `height`; `bold` is a stroke width."""
        font = ImageFont.load_default(height * self.unit)
        stroke = round(bold * self.unit)
        left, top, right, bottom = self._draw.textbbox((0, 0), text, font=font, stroke_width=stroke)
        (cx, cy), *_ = self._pixels([(0.0, y)])
        corner = (cx - (left + right) / 2, cy - (top + bottom) / 2)
        self._draw.text(corner, text, font=font, fill=fill, stroke_width=stroke, stroke_fill=fill)

    def finish(self) -> Image.Image:
        return self.image.reduce(self._supersample)


def _shade(colour: RGB, factor: float) -> RGB:
    """Darker for a factor below 1, mixed with white above 1 (2 is white)."""
    if factor <= 1:
        mixed = [round(c * factor) for c in colour]
    else:
        mixed = [round(c + (255 - c) * (factor - 1)) for c in colour]
    return mixed[0], mixed[1], mixed[2]


def _paint(name: str, rng: random.Random, spread: int = 10) -> RGB:
    """A colour by name, a little different every time."""
    mixed = [min(255, max(0, c + rng.randint(-spread, spread))) for c in COLOURS[name]]
    return mixed[0], mixed[1], mixed[2]


def _arc(
    x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0
) -> list[Point]:
    """Points of an elliptic arc in degrees, clockwise from the right (y grows downwards)."""
    steps = 40
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def _regular(corners: int, start: float, inner: float = 1.0) -> list[Point]:
    """A regular polygon of radius 1; `inner` < 1 adds the inner corners of a star."""
    points = []
    for i in range(corners):
        for radius, offset in ((1.0, 0.0), (inner, 0.5)):
            if offset and inner == 1.0:
                continue
            angle = math.radians(start + 360 * (i + offset) / corners)
            points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return points


@cache
def _outline(shape: str) -> tuple[Point, ...]:
    """A shape as one polygon, about one unit from the centre to the edge."""
    if shape == "circle":
        return tuple(_arc(0, 0, 0.95, 0.95))
    if shape == "square":
        return ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85))
    if shape == "triangle":
        return ((0, -0.95), (1.0, 0.8), (-1.0, 0.8))
    if shape == "star":
        return tuple(_regular(5, -90, 0.42))
    if shape == "diamond":
        return ((0, -1.1), (0.72, 0), (0, 1.1), (-0.72, 0))
    if shape == "hexagon":
        return tuple(_regular(6, 0))
    if shape == "octagon":
        return tuple(_regular(8, 22.5))
    if shape == "cross":
        a, b = 0.34, 0.95
        return (
            *((-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)),
            *((a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)),
        )
    if shape == "ring":
        return (*_arc(0, 0, 1, 1), *reversed(_arc(0, 0, 0.55, 0.55)))
    if shape == "crescent":
        return (*_arc(0.1, 0, 1, 1, 50, 310), *reversed(_arc(0.5, 0, 0.78, 0.78, 72, 288)))
    if shape == "arrow":
        return (
            *((1.0, 0), (0.2, -0.8), (0.2, -0.32), (-1.0, -0.32)),
            *((-1.0, 0.32), (0.2, 0.32), (0.2, 0.8)),
        )
    if shape == "heart":
        angles = [math.radians(9 * i) for i in range(40)]
        return tuple(
            (
                math.sin(a) ** 3,
                -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a))
                / 16
                - 0.1,
            )
            for a in angles
        )
    raise KeyError(shape)


def _shape(
    canvas: _Canvas, shape: str, colour: RGB, x: float, y: float, radius: float, turn: float
) -> None:
    """One shape with a soft shadow, turned by `turn` degrees."""
    sin, cos = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    points = [(px * cos - py * sin, px * sin + py * cos) for px, py in _outline(shape)]
    for offset in (0.1, 0.07):
        shadow = [(x + (px + offset) * radius, y + (py + offset) * radius) for px, py in points]
        canvas.polygon(shadow, (20, 20, 40), alpha=32)
    placed = [(x + px * radius, y + py * radius) for px, py in points]
    # A ring's polygon has a seam that an outline would show.
    canvas.polygon(placed, colour, outline=0.0 if shape == "ring" else 0.008)


_BACKDROPS: tuple[tuple[RGB, RGB], ...] = (
    ((247, 240, 226), (231, 218, 195)),
    ((226, 238, 246), (192, 214, 230)),
    ((228, 242, 230), (196, 222, 202)),
    ((238, 232, 246), (214, 204, 230)),
    ((250, 232, 224), (234, 206, 196)),
    ((236, 236, 236), (206, 208, 212)),
    ((58, 72, 102), (34, 44, 68)),
    ((44, 84, 88), (26, 54, 60)),
    ((84, 72, 92), (54, 46, 64)),
)


def _backdrop(canvas: _Canvas, colours: Sequence[str], rng: random.Random) -> None:
    """A quiet gradient that every colour of the scene stands out from."""

    def distance(backdrop: tuple[RGB, RGB]) -> float:
        return min(math.dist(COLOURS[name], end) for name in colours for end in backdrop)

    clear = [backdrop for backdrop in _BACKDROPS if distance(backdrop) > 85]
    top, bottom = rng.choice(clear or [max(_BACKDROPS, key=distance)])
    canvas.gradient(top, bottom)
    glow = _shade(top, 1.25)
    x, y = rng.uniform(-0.4, 0.4), rng.uniform(-0.5, -0.2)
    for radius in (0.75, 0.55, 0.35):
        canvas.ellipse(x, y, radius, radius, glow, alpha=26)


def _draw_shape(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    _backdrop(canvas, [scene.colour], rng)
    radius = rng.uniform(0.22, 0.33)
    x, y = rng.uniform(-0.07, 0.07), rng.uniform(-0.07, 0.07)
    _shape(canvas, scene.subject, _paint(scene.colour, rng), x, y, radius, rng.uniform(-12, 12))


def _draw_relation(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    _backdrop(canvas, [scene.colour, scene.other_colour], rng)
    apart, slip = rng.uniform(0.21, 0.25), rng.uniform(-0.05, 0.05)
    if scene.detail == "left of":
        places = ((-apart, slip), (apart, -slip))
    elif scene.detail == "above":
        places = ((slip, -apart), (-slip, apart))
    else:
        raise KeyError(scene.detail)
    pair = ((scene.subject, scene.colour), (scene.other, scene.other_colour))
    for (shape, colour), (x, y) in zip(pair, places, strict=True):
        radius = rng.uniform(0.15, 0.19)
        _shape(canvas, shape, _paint(colour, rng), x, y, radius, rng.uniform(-10, 10))


def _draw_count(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    _backdrop(canvas, [scene.colour], rng)
    cells = rng.sample([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], int(scene.detail))
    radius = rng.uniform(0.095, 0.125)
    for column, row in sorted(cells):
        x = column * 0.31 + rng.uniform(-0.025, 0.025)
        y = row * 0.31 + rng.uniform(-0.025, 0.025)
        turn = rng.uniform(-10, 10)
        _shape(canvas, scene.subject, _paint(scene.colour, rng), x, y, radius, turn)


def _draw_pattern(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    first, second = _paint(scene.colour, rng), _paint(scene.other_colour, rng, spread=5)
    canvas.gradient(second, _shade(second, 0.94))
    step = 1 / rng.uniform(3.2, 5.5)
    reach = canvas.right + canvas.bottom
    offset = rng.uniform(0, step)
    marks = [
        offset + i * step for i in range(-math.ceil(reach / step) - 2, math.ceil(reach / step))
    ]
    if scene.subject == "horizontal stripes":
        for y in marks:
            canvas.rectangle(-reach, y, reach, y + step / 2, first)
    elif scene.subject == "vertical stripes":
        for x in marks:
            canvas.rectangle(x, -reach, x + step / 2, reach, first)
    elif scene.subject == "diagonal stripes":
        _stripes(canvas, first, marks, step, reach)
    elif scene.subject == "checkerboard squares":
        for i, y in enumerate(marks):
            for j, x in enumerate(marks):
                if (i + j) % 2:
                    canvas.rectangle(x, y, x + step, y + step, first)
    elif scene.subject == "polka dots":
        for i, y in enumerate(marks):
            for x in marks:
                shift = step / 2 if i % 2 else 0.0
                canvas.ellipse(x + shift, y, step * 0.3, step * 0.3, first)
    elif scene.subject == "zigzag lines":
        for y in marks:
            tooth = [(x, y + (0.35 * step if i % 2 else -0.15 * step)) for i, x in enumerate(marks)]
            canvas.line(tooth, step * 0.32, first)
    elif scene.subject == "grid lines":
        for at in marks:
            canvas.line([(-reach, at), (reach, at)], step * 0.16, first)
            canvas.line([(at, -reach), (at, reach)], step * 0.16, first)
    elif scene.subject == "concentric rings":
        for i in range(math.ceil(reach / step), 0, -1):
            canvas.ellipse(0, 0, i * step, i * step, first)
            canvas.ellipse(0, 0, (i - 0.5) * step, (i - 0.5) * step, second)
    else:
        raise KeyError(scene.subject)


def _stripes(
    canvas: _Canvas, colour: RGB, marks: Sequence[float], step: float, reach: float
) -> None:
    """Diagonal stripes, rising to the right, over the whole picture."""
    for at in marks:
        x = at * math.sqrt(2)
        width = step * math.sqrt(2) / 2
        canvas.polygon(
            (
                *((x + reach, -reach), (x + width + reach, -reach)),
                *((x + width - reach, reach), (x - reach, reach)),
            ),
            colour,
        )


def _draw_glyph(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    if scene.subject not in GLYPHS:
        raise KeyError(scene.subject)
    _backdrop(canvas, [scene.colour], rng)
    colour = _paint(scene.colour, rng)
    size, bold = rng.uniform(0.72, 0.95), rng.uniform(0.02, 0.045)
    canvas.text(scene.subject, 0.012, size, _shade(colour, 0.55), bold)
    canvas.text(scene.subject, 0.0, size, colour, bold * 0.8)


# --- Objects in a setting ---


@dataclass(frozen=True)
class _Light:
    """How a setting colours the world."""

    top: RGB
    horizon: RGB
    far: RGB
    near: RGB
    sea: RGB
    dim: float = 1.0


_LIGHTS: dict[str, _Light] = {
    "noon": _Light(
        (92, 170, 232), (206, 233, 248), (134, 186, 120), (104, 166, 92), (62, 142, 196)
    ),
    "sunset": _Light(
        (96, 58, 118), (252, 152, 78), (128, 82, 90), (98, 66, 74), (164, 92, 96), dim=0.95
    ),
    "night": _Light(
        (12, 18, 48), (40, 56, 104), (30, 48, 62), (22, 38, 50), (20, 40, 82), dim=0.88
    ),
    "rain": _Light(
        (104, 114, 126), (158, 166, 174), (104, 124, 112), (86, 106, 94), (84, 104, 120), dim=0.93
    ),
    "snow": _Light(
        (176, 190, 206), (222, 229, 236), (226, 233, 240), (240, 244, 248), (126, 154, 178)
    ),
}
_HORIZON = 0.16
_ON_WATER = ("boat", "fish")


def _draw_object(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    light = _LIGHTS[scene.detail]
    _sky(canvas, scene.detail, light, rng)
    if scene.subject in _ON_WATER:
        _water(canvas, light, rng, level=-0.14 if scene.subject == "fish" else _HORIZON + 0.06)
    else:
        _land(canvas, light, rng)
    paint = _shade(_paint(scene.colour, rng), light.dim)
    _OBJECTS[scene.subject](canvas, paint, rng.uniform(-0.04, 0.04), light)
    _weather(canvas, scene.detail, rng)


def _sky(canvas: _Canvas, setting: str, light: _Light, rng: random.Random) -> None:
    canvas.gradient(light.top, light.horizon, upto=0.3)
    side = rng.choice((-1, 1))
    if setting == "noon":
        x = side * rng.uniform(0.27, 0.4)
        canvas.ellipse(x, -0.36, 0.13, 0.13, (255, 246, 200), alpha=90)
        canvas.ellipse(x, -0.36, 0.085, 0.085, (255, 226, 92))
        for _ in range(3):
            _cloud(canvas, rng.uniform(-canvas.right, canvas.right), rng.uniform(-0.42, -0.2), 255)
    elif setting == "sunset":
        x = side * rng.uniform(0.2, 0.36)
        for radius, alpha in ((0.26, 46), (0.19, 70)):
            canvas.ellipse(x, _HORIZON - 0.06, radius, radius, (255, 214, 120), alpha=alpha)
        canvas.ellipse(x, _HORIZON - 0.06, 0.13, 0.13, (255, 226, 140))
    elif setting == "night":
        for _ in range(60):
            x = rng.uniform(-canvas.right, canvas.right)
            y = rng.uniform(-canvas.bottom, 0.1)
            radius = rng.uniform(0.003, 0.008)
            canvas.ellipse(x, y, radius, radius, (240, 240, 220))
        x = side * rng.uniform(0.27, 0.4)
        canvas.ellipse(x, -0.35, 0.12, 0.12, (210, 215, 240), alpha=40)
        canvas.ellipse(x, -0.35, 0.08, 0.08, (244, 242, 222))
        canvas.ellipse(x + 0.02, -0.37, 0.018, 0.018, (222, 220, 202))
    else:
        for _ in range(5):
            x = rng.uniform(-canvas.right, canvas.right)
            _cloud(canvas, x, rng.uniform(-0.48, -0.32), 120)


def _cloud(canvas: _Canvas, x: float, y: float, alpha: int) -> None:
    puffs = ((-0.09, 0.01, 0.06), (0.0, -0.02, 0.08), (0.09, 0.01, 0.06), (0.0, 0.02, 0.13))
    for dx, dy, radius in puffs:
        canvas.ellipse(x + dx, y + dy, radius, min(radius, 0.05), (250, 252, 255), alpha=alpha)


def _land(canvas: _Canvas, light: _Light, rng: random.Random) -> None:
    phase = rng.uniform(0, 6)
    edge = canvas.right + 0.1
    for level, height, waves, colour in (
        (_HORIZON, 0.06, 4.0, light.far),
        (_HORIZON + 0.13, 0.02, 2.3, light.near),
    ):
        xs = [-edge + 2 * edge * i / 40 for i in range(41)]
        ridge = [(x, level - height * math.sin(waves * x + phase)) for x in xs]
        canvas.polygon([*ridge, (edge, 1.5), (-edge, 1.5)], colour)
        phase += 2


def _water(canvas: _Canvas, light: _Light, rng: random.Random, level: float) -> None:
    canvas.rectangle(-2, level, 2, 2, light.sea)
    canvas.polygon(
        [(-2, level + 0.2), (2, level + 0.2), (2, 2), (-2, 2)], _shade(light.sea, 0.8), alpha=120
    )
    for _ in range(26):
        x, y = rng.uniform(-canvas.right, canvas.right), rng.uniform(level + 0.02, canvas.bottom)
        length = rng.uniform(0.03, 0.09)
        canvas.line([(x, y), (x + length, y)], 0.006, _shade(light.sea, 1.35), alpha=150)


def _weather(canvas: _Canvas, setting: str, rng: random.Random) -> None:
    if setting == "rain":
        for _ in range(90):
            x = rng.uniform(-canvas.right, canvas.right)
            y = rng.uniform(-canvas.bottom, canvas.bottom)
            canvas.line([(x, y), (x - 0.018, y + 0.07)], 0.006, (214, 226, 240), alpha=170)
    elif setting == "snow":
        for _ in range(90):
            x = rng.uniform(-canvas.right, canvas.right)
            y = rng.uniform(-canvas.bottom, canvas.bottom)
            radius = rng.uniform(0.005, 0.013)
            canvas.ellipse(x, y, radius, radius, (255, 255, 255), alpha=235)


_EDGE = 0.009
_GLASS: RGB = (206, 230, 242)
_DARK: RGB = (44, 44, 52)
_CREAM: RGB = (246, 236, 214)
_WOOD: RGB = (116, 78, 50)


def _lamp(light: _Light) -> RGB:
    """Windows are lit after dark."""
    return (255, 222, 122) if light.dim < 0.9 else _GLASS


def _house(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    canvas.rectangle(x + 0.12, -0.26, x + 0.18, -0.08, _WOOD, _EDGE)
    canvas.rectangle(x - 0.24, -0.08, x + 0.24, 0.32, paint, _EDGE)
    canvas.polygon([(x - 0.31, -0.07), (x, -0.33), (x + 0.31, -0.07)], _shade(paint, 0.7), _EDGE)
    canvas.rectangle(x - 0.05, 0.12, x + 0.06, 0.32, _WOOD, _EDGE)
    for left in (-0.19, 0.1):
        canvas.rectangle(x + left, 0.02, x + left + 0.09, 0.12, _lamp(light), _EDGE)


def _tree(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    trunk = [(x - 0.04, 0.02), (x + 0.04, 0.02), (x + 0.065, 0.35), (x - 0.065, 0.35)]
    canvas.polygon(trunk, _WOOD, _EDGE)
    puffs = ((-0.15, 0.0, 0.14), (0.15, 0.0, 0.14), (-0.08, -0.17, 0.14), (0.09, -0.17, 0.14))
    for dx, dy, radius in puffs:
        canvas.ellipse(x + dx, dy, radius, radius, paint, _EDGE)
    canvas.ellipse(x, -0.07, 0.17, 0.17, paint)
    for dx, dy in ((-0.1, -0.08), (0.07, -0.17), (0.13, 0.0), (-0.03, 0.03)):
        canvas.ellipse(x + dx, dy, 0.03, 0.02, _shade(paint, 1.3))


def _boat(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    hull = [(x - 0.32, 0.14), (x + 0.32, 0.14), (x + 0.22, 0.3), (x - 0.22, 0.3)]
    canvas.line([(x, 0.14), (x, -0.37)], 0.018, _WOOD)
    canvas.polygon([(x + 0.025, -0.35), (x + 0.025, 0.09), (x + 0.27, 0.09)], paint, _EDGE)
    canvas.polygon([(x - 0.025, -0.28), (x - 0.025, 0.09), (x - 0.2, 0.09)], paint, _EDGE)
    canvas.polygon(hull, _shade(paint, 0.85), _EDGE)
    canvas.line([(x - 0.29, 0.18), (x + 0.29, 0.18)], 0.02, _CREAM)


def _car(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    cabin = [(x - 0.2, 0.06), (x - 0.12, -0.1), (x + 0.1, -0.1), (x + 0.2, 0.06)]
    canvas.polygon(cabin, paint, _EDGE)
    window = [(x - 0.15, 0.05), (x - 0.1, -0.07), (x + 0.08, -0.07), (x + 0.15, 0.05)]
    canvas.polygon(window, _lamp(light), _EDGE)
    canvas.line([(x, -0.08), (x, 0.06)], 0.02, paint)
    body = [(x - 0.36, 0.09), (x - 0.33, 0.05), (x + 0.3, 0.05), (x + 0.37, 0.12), (x + 0.37, 0.22)]
    canvas.polygon([*body, (x - 0.36, 0.22)], paint, _EDGE)
    for dx in (-0.21, 0.21):
        canvas.ellipse(x + dx, 0.22, 0.085, 0.085, _DARK)
        canvas.ellipse(x + dx, 0.22, 0.04, 0.04, (190, 194, 200))
    canvas.ellipse(x + 0.345, 0.13, 0.02, 0.025, (255, 240, 170))


def _fish(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    tail = [(x + 0.17, 0.14), (x + 0.36, 0.0), (x + 0.31, 0.14), (x + 0.36, 0.28)]
    canvas.polygon(tail, _shade(paint, 0.85), _EDGE)
    fin = [(x - 0.06, 0.02), (x + 0.05, -0.08), (x + 0.12, 0.04)]
    canvas.polygon(fin, _shade(paint, 0.85), _EDGE)
    canvas.ellipse(x - 0.02, 0.14, 0.25, 0.15, paint, _EDGE)
    canvas.line(_arc(x - 0.16, 0.14, 0.06, 0.11, -60, 60), 0.012, _shade(paint, 0.6))
    canvas.ellipse(x - 0.17, 0.1, 0.028, 0.028, (255, 255, 255))
    canvas.ellipse(x - 0.175, 0.1, 0.014, 0.014, _DARK)


def _flower(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    stem = (62, 120, 60)
    canvas.line([(x, -0.05), (x + 0.01, 0.4)], 0.028, stem)
    canvas.polygon(_arc(x + 0.1, 0.24, 0.1, 0.045), stem, _EDGE)
    canvas.polygon(_arc(x - 0.09, 0.3, 0.09, 0.04), stem, _EDGE)
    for px, py in _regular(7, -90):
        canvas.ellipse(x + px * 0.15, -0.12 + py * 0.15, 0.085, 0.085, paint, _EDGE)
    canvas.ellipse(x, -0.12, 0.085, 0.085, (98, 66, 38), _EDGE)


def _balloon(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    for side in (-1, 1):
        canvas.line([(x + side * 0.12, 0.05), (x + side * 0.055, 0.25)], 0.008, _DARK)
    neck = [(x - 0.19, -0.04), (x + 0.19, -0.04), (x + 0.06, 0.15), (x - 0.06, 0.15)]
    canvas.polygon(neck, paint, _EDGE)
    canvas.ellipse(x, -0.14, 0.23, 0.23, paint, _EDGE)
    canvas.polygon(neck, paint)
    canvas.ellipse(x, -0.14, 0.09, 0.225, _shade(paint, 1.3))
    canvas.rectangle(x - 0.06, 0.24, x + 0.06, 0.33, _WOOD, _EDGE)


def _bird(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    tail = [(x + 0.15, 0.0), (x + 0.36, -0.06), (x + 0.35, 0.07)]
    canvas.polygon(tail, _shade(paint, 0.8), _EDGE)
    beak = [(x - 0.27, -0.1), (x - 0.37, -0.06), (x - 0.26, -0.04)]
    canvas.polygon(beak, (244, 166, 40), _EDGE)
    canvas.ellipse(x, 0.0, 0.22, 0.12, paint, _EDGE)
    canvas.ellipse(x - 0.19, -0.08, 0.095, 0.09, paint, _EDGE)
    canvas.ellipse(x - 0.14, -0.03, 0.1, 0.07, paint)
    wing = [(x - 0.09, -0.02), (x + 0.02, -0.34), (x + 0.15, -0.26), (x + 0.13, 0.02)]
    canvas.polygon(wing, _shade(paint, 0.85), _EDGE)
    canvas.ellipse(x - 0.215, -0.1, 0.02, 0.02, _DARK)


def _umbrella(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    handle = [(x, -0.2), (x, 0.3), *_arc(x + 0.05, 0.3, 0.05, 0.05, 180, 20)]
    canvas.line(handle, 0.02, _WOOD)
    dome = _arc(x, -0.02, 0.35, 0.3, 180, 360)
    canvas.polygon(dome, paint, _EDGE)
    for left, right in ((-0.35, -0.12), (-0.12, 0.12), (0.12, 0.35)):
        centre, half = x + (left + right) / 2, (right - left) / 2
        canvas.line([(x, -0.32), (centre - half, -0.02)], 0.008, _shade(paint, 0.62))
        canvas.line([(x, -0.32), (centre + half, -0.02)], 0.008, _shade(paint, 0.62))
    canvas.line([(x, -0.32), (x, -0.37)], 0.014, _WOOD)


def _lighthouse(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    if light.dim < 0.9:
        beam = [(x, -0.28), (x + 1.2, -0.48), (x + 1.2, -0.12)]
        canvas.polygon(beam, (255, 240, 170), alpha=70)
    for i in range(4):
        y0, y1 = -0.22 + i * 0.15, -0.22 + (i + 1) * 0.15
        w0, w1 = 0.085 + i * 0.018, 0.085 + (i + 1) * 0.018
        band = paint if i % 2 == 0 else _CREAM
        canvas.polygon([(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)], band, _EDGE)
    canvas.rectangle(x - 0.065, -0.32, x + 0.065, -0.22, (255, 232, 140), _EDGE)
    canvas.polygon([(x - 0.09, -0.32), (x, -0.42), (x + 0.09, -0.32)], paint, _EDGE)
    canvas.rectangle(x - 0.11, -0.24, x + 0.11, -0.215, _DARK)


def _rocket(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    flame = [(x - 0.07, 0.2), (x + 0.07, 0.2), (x + 0.03, 0.31), (x, 0.42), (x - 0.03, 0.31)]
    canvas.polygon(flame, (255, 170, 50))
    canvas.polygon([(x - 0.035, 0.2), (x + 0.035, 0.2), (x, 0.33)], (255, 236, 130))
    for side in (-1, 1):
        fin = [(x + side * 0.1, 0.02), (x + side * 0.22, 0.24), (x + side * 0.08, 0.2)]
        canvas.polygon(fin, _shade(paint, 0.75), _EDGE)
    body = [(x, -0.42), (x + 0.09, -0.26), (x + 0.12, -0.05), (x + 0.09, 0.2)]
    canvas.polygon([*body, *[(2 * x - px, py) for px, py in reversed(body)]], paint, _EDGE)
    canvas.ellipse(x, -0.14, 0.055, 0.055, _lamp(light), _EDGE)


def _tent(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    canvas.polygon([(x, -0.24), (x + 0.38, 0.3), (x - 0.38, 0.3)], paint, _EDGE)
    inside = (255, 222, 122) if light.dim < 0.9 else _DARK
    canvas.polygon([(x, -0.1), (x + 0.12, 0.3), (x - 0.12, 0.3)], inside, _EDGE)
    canvas.polygon([(x, -0.1), (x + 0.12, 0.3), (x + 0.2, 0.3)], _shade(paint, 1.35), _EDGE)
    canvas.line([(x, -0.24), (x, -0.32)], 0.014, _WOOD)
    canvas.polygon([(x, -0.32), (x + 0.08, -0.29), (x, -0.26)], paint, _EDGE)


def _kite(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    string = [(x, 0.1), (x - 0.07, 0.18), (x + 0.05, 0.27), (x - 0.04, 0.36), (x + 0.03, 0.44)]
    canvas.line(string, 0.008, _CREAM)
    for px, py in string[1:4]:
        for side in (-1, 1):
            bow = [(px, py), (px + side * 0.05, py - 0.025), (px + side * 0.05, py + 0.025)]
            canvas.polygon(bow, paint, _EDGE)
    top, right, low, left = (x, -0.4), (x + 0.22, -0.16), (x, 0.12), (x - 0.22, -0.16)
    canvas.polygon([top, right, low, left], paint, _EDGE)
    canvas.polygon([top, right, (x, -0.16)], _shade(paint, 1.3))
    canvas.polygon([low, left, (x, -0.16)], _shade(paint, 0.8))
    canvas.line([top, low], 0.008, _shade(paint, 0.6))
    canvas.line([left, right], 0.008, _shade(paint, 0.6))


def _train(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    for dx, dy, radius in ((0.2, -0.27, 0.045), (0.13, -0.34, 0.06), (0.02, -0.4, 0.07)):
        canvas.ellipse(x + dx, dy, radius, radius * 0.8, (236, 238, 242), alpha=190)
    canvas.line([(-2, 0.31), (2, 0.31)], 0.018, (90, 88, 92))
    canvas.rectangle(x + 0.19, -0.2, x + 0.26, 0.0, _DARK)
    canvas.rectangle(x - 0.06, -0.03, x + 0.34, 0.2, paint, _EDGE)
    canvas.rectangle(x - 0.33, -0.2, x - 0.06, 0.2, paint, _EDGE)
    canvas.rectangle(x - 0.37, -0.24, x - 0.02, -0.19, _shade(paint, 0.65), _EDGE)
    canvas.rectangle(x - 0.26, -0.13, x - 0.13, 0.0, _lamp(light), _EDGE)
    canvas.ellipse(x + 0.34, 0.06, 0.03, 0.035, (255, 240, 170))
    for dx, radius in ((-0.22, 0.09), (0.03, 0.075), (0.22, 0.075)):
        canvas.ellipse(x + dx, 0.3 - radius, radius, radius, _DARK)
        canvas.ellipse(x + dx, 0.3 - radius, radius * 0.45, radius * 0.45, (190, 60, 50))


def _butterfly(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    for side in (-1, 1):
        upper = [(x, -0.06), (x + side * 0.12, -0.32), (x + side * 0.33, -0.34)]
        upper += [(x + side * 0.38, -0.17), (x + side * 0.24, 0.02), (x, 0.04)]
        lower = [(x, 0.0), (x + side * 0.25, 0.05), (x + side * 0.28, 0.2), (x + side * 0.15, 0.28)]
        canvas.polygon([*lower, (x, 0.12)], _shade(paint, 0.85), _EDGE)
        canvas.polygon(upper, paint, _EDGE)
        canvas.ellipse(x + side * 0.24, -0.2, 0.05, 0.05, _CREAM, _EDGE)
        canvas.ellipse(x + side * 0.17, 0.13, 0.03, 0.03, _CREAM, _EDGE)
        canvas.line([(x, -0.15), (x + side * 0.07, -0.3)], 0.008, _DARK)
    canvas.ellipse(x, 0.0, 0.026, 0.17, _DARK)


def _mug(canvas: _Canvas, paint: RGB, x: float, light: _Light) -> None:
    canvas.rectangle(-2, 0.26, 2, 2, _WOOD)
    canvas.line([(-2, 0.27), (2, 0.27)], 0.012, _shade(_WOOD, 1.25))
    canvas.line(_arc(x + 0.21, 0.06, 0.12, 0.12), 0.045, _shade(paint, 0.7))
    body = [(x - 0.21, -0.15), (x + 0.21, -0.15), (x + 0.19, 0.29), (x - 0.19, 0.29)]
    canvas.polygon(body, paint, _EDGE)
    canvas.ellipse(x, -0.15, 0.21, 0.05, _shade(paint, 0.75), _EDGE)
    canvas.ellipse(x, -0.145, 0.17, 0.035, (84, 52, 34))
    for dx in (-0.07, 0.06):
        steam = [(x + dx, -0.22), (x + dx + 0.03, -0.28), (x + dx - 0.02, -0.34)]
        canvas.line([*steam, (x + dx + 0.02, -0.4)], 0.014, (244, 244, 248), alpha=150)


_OBJECTS: dict[str, Callable[[_Canvas, RGB, float, _Light], None]] = {
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "car": _car,
    "fish": _fish,
    "flower": _flower,
    "balloon": _balloon,
    "bird": _bird,
    "umbrella": _umbrella,
    "lighthouse": _lighthouse,
    "rocket": _rocket,
    "tent": _tent,
    "kite": _kite,
    "train": _train,
    "butterfly": _butterfly,
    "mug": _mug,
}


# --- Hazard signs ---

_SYMBOLS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "exclamation mark": (
        ((-0.2, -0.95), (0.2, -0.95), (0.11, 0.32), (-0.11, 0.32)),
        tuple(_arc(0, 0.72, 0.2, 0.2)),
    ),
    "cross": (
        ((-0.8, -0.55), (-0.55, -0.8), (0.8, 0.55), (0.55, 0.8)),
        ((0.55, -0.8), (0.8, -0.55), (-0.55, 0.8), (-0.8, 0.55)),
    ),
    "lightning bolt": (
        ((0.25, -1.0), (-0.5, 0.15), (-0.06, 0.15), (-0.25, 1.0), (0.5, -0.2), (0.06, -0.2)),
    ),
    "flame": (
        (
            *((0.0, -1.0), (0.35, -0.45), (0.6, 0.1), (0.55, 0.6), (0.25, 0.92), (-0.25, 0.92)),
            *((-0.55, 0.6), (-0.6, 0.1), (-0.38, -0.25), (-0.22, 0.02), (-0.1, -0.4)),
        ),
    ),
    "hand": (
        ((-0.5, 0.0), (0.5, 0.0), (0.45, 0.7), (0.25, 0.95), (-0.25, 0.95), (-0.45, 0.6)),
        *(
            ((left, top), (left + 0.2, top), (left + 0.2, 0.1), (left, 0.1))
            for left, top in ((-0.5, -0.65), (-0.235, -0.9), (0.035, -0.85), (0.3, -0.6))
        ),
        ((-0.45, 0.55), (-0.95, 0.12), (-0.82, -0.02), (-0.4, 0.25)),
    ),
    "trefoil": (
        tuple(_arc(0, 0, 0.18, 0.18)),
        *(
            (*_arc(0, 0, 0.95, 0.95, at, at + 60), *_arc(0, 0, 0.3, 0.3, at + 60, at))
            for at in (0, 120, 240)
        ),
    ),
}
_PLATE_FILLS: tuple[RGB, ...] = ((255, 214, 44), (250, 248, 240), (255, 170, 40))


def _draw_hazard(canvas: _Canvas, scene: Scene, rng: random.Random) -> None:
    first, second = _paint(scene.colour, rng), _paint(scene.other_colour, rng)
    canvas.gradient(second, second)
    step = 1 / rng.uniform(3.5, 5.0)
    reach = canvas.right + canvas.bottom
    count = math.ceil(reach / step) + 2
    offset = rng.uniform(0, step)
    _stripes(canvas, first, [offset + i * step for i in range(-count, count)], step, reach)
    radius, fill = rng.uniform(0.37, 0.41), rng.choice(_PLATE_FILLS)
    drop = 0.06 if scene.detail == "triangle" else 0.0
    wide = 1.35 if scene.detail == "diamond" else 1.0
    for scale, colour in ((1.0, _DARK), (0.9, (246, 244, 238)), (0.82, fill)):
        plate = [
            (x * radius * scale * wide, y * radius * scale + drop * (scale - 0.4))
            for x, y in _outline(scene.detail)
        ]
        canvas.polygon(plate, colour)
    size = radius * (0.38 if scene.detail == "triangle" else 0.46)
    for part in _SYMBOLS[scene.subject]:
        canvas.polygon([(x * size, y * size + drop * 1.3) for x, y in part], _DARK)


_PAINTERS: dict[str, Callable[[_Canvas, Scene, random.Random], None]] = {
    Kind.SHAPE: _draw_shape,
    Kind.RELATION: _draw_relation,
    Kind.COUNT: _draw_count,
    Kind.PATTERN: _draw_pattern,
    Kind.GLYPH: _draw_glyph,
    Kind.OBJECT: _draw_object,
    Kind.HAZARD: _draw_hazard,
}


# --- Captions ---------------------------------------------------------------------------------

_LEADS = (
    "{}.",
    "{}.",
    "A picture of {}.",
    "A drawing of {}.",
    "An illustration of {}.",
    "This picture shows {}.",
    "The next image shows {}.",
    "Here you can see {}.",
    "Here is {}, drawn by hand.",
    "In this drawing we find {}.",
    "The illustration has {} in the middle.",
    "Our readers sent us {}.",
    "The postcard shows {}.",
    "On the poster there is {}.",
    "The first page of the book has {} on it.",
    "Look closely and you will notice {}.",
    "The artist chose {} for the cover.",
    "{}, seen from the front.",
    "{}, as printed in the catalogue.",
    "{}, drawn with a steady hand.",
    "{}, a favourite of the children.",
    "Among the prints on the wall is {}.",
    "My sister painted {} last week.",
    "The teacher pinned up {} for the class.",
)
_SETTING_WORDS = {
    "noon": ("at noon", "on a sunny day", "in bright daylight", "in the midday sun"),
    "sunset": ("at sunset", "in the evening glow", "as the sun goes down", "at dusk"),
    "night": ("at night", "under the moon", "after dark", "below the stars"),
    "rain": ("in the rain", "on a rainy day", "in a heavy shower", "in wet weather"),
    "snow": ("in the snow", "on a snowy day", "while snow is falling", "in falling snow"),
}
_COUNT_WORDS = {"2": "two", "3": "three", "4": "four", "5": "five", "6": "six"}
_SIGN_WORDS = ("hazard sign", "hazard warning sign", "danger sign", "warning sign for a hazard")


def caption(scene: Scene, rng: random.Random) -> str:
    """One English sentence that says everything in `scene.key`, for an alt text or for prose."""
    phrase = _PHRASES[scene.kind](scene, rng)
    sentence = rng.choice(_LEADS).format(phrase)
    return sentence[0].upper() + sentence[1:]


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _thing(noun: str, colour: str, rng: random.Random) -> str:
    """A coloured thing with its article."""
    return rng.choice(
        (
            _a(f"{colour} {noun}"),
            _a(f"{colour} {noun}"),
            _a(f"{noun} painted {colour}"),
            _a(f"bright {colour} {noun}") if colour not in ("black", "white", "gray") else "",
        )
    ) or _a(f"plain {colour} {noun}")


def _say_shape(scene: Scene, rng: random.Random) -> str:
    thing = _thing(scene.subject, scene.colour, rng)
    single = f"a single {scene.colour} {scene.subject}"
    return rng.choice((thing, thing, single, f"{thing} and nothing else"))


def _say_relation(scene: Scene, rng: random.Random) -> str:
    scene = scene.canonical()
    first = _a(f"{scene.colour} {scene.subject}")
    second = _a(f"{scene.other_colour} {scene.other}")
    if scene.detail == "left of":
        return rng.choice(
            (
                f"{first} to the left of {second}",
                f"{second} to the right of {first}",
                f"{first} on the left and {second} on the right",
                f"{first} left of {second}",
            )
        )
    return rng.choice(
        (
            f"{first} above {second}",
            f"{second} below {first}",
            f"{first} on top and {second} underneath",
            f"{second} under {first}",
        )
    )


def _say_count(scene: Scene, rng: random.Random) -> str:
    number = _COUNT_WORDS[scene.detail]
    plural = "crosses" if scene.subject == "cross" else f"{scene.subject}s"
    return rng.choice(
        (
            f"{number} {scene.colour} {plural}",
            f"{scene.detail} {scene.colour} {plural}",
            f"a group of {number} {scene.colour} {plural}",
            f"{number} {plural}, all of them {scene.colour}",
        )
    )


def _say_pattern(scene: Scene, rng: random.Random) -> str:
    pair = f"{scene.colour} and {scene.other_colour}"
    return rng.choice(
        (
            f"a pattern of {pair} {scene.subject}",
            f"a wallpaper of {scene.subject} in {pair}",
            f"{scene.subject} in {pair}",
            f"{pair} {scene.subject}",
        )
    )


def _say_glyph(scene: Scene, rng: random.Random) -> str:
    sort = rng.choice(("digit", "number")) if scene.subject.isdigit() else "letter"
    return rng.choice(
        (
            f"the {sort} {scene.subject} in {scene.colour}",
            f"a {scene.colour} {sort} {scene.subject}",
            f"a big {scene.colour} {sort} {scene.subject}",
            f"the {scene.colour} {sort} {scene.subject}",
        )
    )


def _say_object(scene: Scene, rng: random.Random) -> str:
    return f"{_thing(scene.subject, scene.colour, rng)} {rng.choice(_SETTING_WORDS[scene.detail])}"


def _say_hazard(scene: Scene, rng: random.Random) -> str:
    sign = rng.choice(_SIGN_WORDS)
    stripes = f"{scene.colour} and {scene.other_colour} stripes"
    return rng.choice(
        (
            f"{_a(f'{scene.detail}-shaped {sign}')} with {_a(scene.subject)} on {stripes}",
            f"a {sign}, {_a(scene.subject)} in {_a(scene.detail)}, on {stripes}",
            f"a {sign} with {_a(scene.subject)} in {_a(scene.detail)} over {stripes}",
        )
    )


_PHRASES: dict[str, Callable[[Scene, random.Random], str]] = {
    Kind.SHAPE: _say_shape,
    Kind.RELATION: _say_relation,
    Kind.COUNT: _say_count,
    Kind.PATTERN: _say_pattern,
    Kind.GLYPH: _say_glyph,
    Kind.OBJECT: _say_object,
    Kind.HAZARD: _say_hazard,
}
