"""Puts articles together: prose, pictures and the sentence that each picture belongs to."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from schemas.document import Role
from scripts.sample_crawl import pictures
from scripts.sample_crawl.layouts import Site
from scripts.sample_crawl.model import KEPT, Article, Block, Crawl, Expected, Resource, Shot
from scripts.sample_crawl.prose import TOPICS, Writer, repetitive
from scripts.scenes import Scene, caption

MIN_HASH_DISTANCE = 12
"""Bits of the perceptual hash by which two pictures of one article differ at least."""

_SIZES = ((400, 300), (480, 360), (480, 320), (360, 360), (320, 240), (640, 480), (300, 400))
_FORMATS = ("jpeg",) * 15 + ("png", "webp", "webp", "gif")
_ENDS_IN_LETTER = re.compile(r"\b\w\.$")
_ALT = ("photo", "IMG_{:04d}", "Picture {}", "image")
_CAPTIONS = (
    "Photograph: {person}",
    "From the collection of {person}, {year}",
    "Photo by {person}, taken in {month} {year}",
    "Courtesy of the {place} society",
)


@dataclass(frozen=True)
class Slot:
    """A picture that an article is to have.

    Attributes:
      scene: what it shows; the composer chooses one if None.
      form, orientation, size: how it is stored; the composer chooses what is left out.
      suffix: of the file name, the format's own if empty.
      body, mime, headers: what the server sends instead of or with the picture.
      in_crawl: whether the crawl holds its record.
      copy_of: number of the slot that this one shows again in a smaller file.
      name: file name instead of the numbered one; `written` what the page writes for it.
      shared: whether every article shows the same URL with the same picture.
      described: whether a sentence of the article describes it.
    """

    expected: Expected = KEPT
    kind: str = "picture"
    scene: Scene | None = None
    form: str = ""
    orientation: int = 1
    size: tuple[int, int] | None = None
    suffix: str = ""
    body: bytes | None = None
    mime: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    in_crawl: bool = True
    copy_of: int | None = None
    name: str = ""
    written: str = ""
    shared: bool = False
    described: bool = True
    alt: str | None = None
    only_smaller: bool = False


GOOD = Slot()


class Composer:
    """Makes articles; pictures become resources of the crawl as they are used."""

    def __init__(self, crawl: Crawl, seed: str) -> None:
        self._crawl = crawl
        self._seed = seed
        self._scenes = pictures.scene_turns(random.Random(f"{seed}/scenes"))
        self._articles = 0

    def next_key(self) -> str:
        """A short name for the next article, unique in the crawl."""
        self._articles += 1
        return f"p{self._articles:03d}"

    def article(
        self,
        site: Site,
        key: str,
        slots: Sequence[Slot],
        order: str = "text",
        crawl_time: str = "",
        words: tuple[int, int] = (130, 420),
    ) -> Article:
        """An article of a site.

        Args:
          key: names the pictures and seeds everything about the article.
          order: ``text``: every picture stands next to its sentence; ``far``: in the order of
            their sentences, away from them; ``shuffled``: in another order than their sentences.
        """
        rng = random.Random(f"{self._seed}/{key}")
        topic = TOPICS[int(key[1:]) % len(TOPICS)]
        writer = Writer(topic, rng)
        title, author = writer.title(), writer.byline()
        date = f"{rng.randint(2016, 2023)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        shots = self._shots(site, key, slots, writer, rng, crawl_time)
        target = rng.randint(*words)
        paragraphs = self._paragraphs(writer, rng, target, min(8, max(3, len(shots) + 1)))
        homes = sorted(
            rng.sample(range(len(paragraphs)), len(shots))
            if len(shots) <= len(paragraphs)
            else [i % len(paragraphs) for i in range(len(shots))]
        )
        for shot, home in zip(shots, homes, strict=True):
            if shot.sentence:
                spot = rng.randint(0, len(paragraphs[home]))
                paragraphs[home].insert(spot, shot.sentence)
        places = _places(homes, len(paragraphs), order, rng)
        blocks: list[Block] = []
        for i, sentences in enumerate(paragraphs):
            if i and i % 3 == 0 and site.layout in ("wiki", "theme", "tables", "news"):
                blocks.append(Block(Role.HEADING, (writer.heading(),), required=False))
            blocks.append(Block(Role.PARAGRAPH, (" ".join(sentences),)))
            for shot, place in zip(shots, places, strict=True):
                if place == i:
                    blocks.append(Block(None, shot=shot))
        blocks += _extras(site, writer, rng)
        if order == "far":
            blocks = _sort_pictures(blocks, shots)
        return Article(title, author, date, tuple(blocks), order)

    def _paragraphs(
        self, writer: Writer, rng: random.Random, target: int, at_least: int
    ) -> list[list[str]]:
        paragraphs: list[list[str]] = []
        words = 0
        while words < target or len(paragraphs) < at_least:
            sentences: list[str] = []
            length = rng.randint(2, 4)
            while len(sentences) < length:
                new = writer.sentence()
                if not repetitive(" ".join((*sentences, new))):
                    sentences.append(new)
            words += sum(len(sentence.split()) for sentence in sentences)
            paragraphs.append(sentences)
        return paragraphs

    def _shots(
        self,
        site: Site,
        key: str,
        slots: Sequence[Slot],
        writer: Writer,
        rng: random.Random,
        crawl_time: str,
    ) -> list[Shot]:
        scenes: list[Scene] = []
        hashes: list[int] = []
        shots: list[Shot] = []
        uprights: list[Image.Image] = []
        for number, slot in enumerate(slots):
            name = slot.name or f"{key}-{number + 1}"
            size = slot.size or rng.choice(_SIZES)
            form = slot.form or rng.choice(_FORMATS)
            if slot.copy_of is not None:
                upright = uprights[slot.copy_of].resize(size, Image.Resampling.LANCZOS)
                scene = scenes[slot.copy_of]
            elif slot.scene is not None:
                scene = slot.scene
                upright = pictures.render(scene, size, "shared" if slot.shared else name)
            else:
                scene, upright = self._draw(name, size, scenes, hashes)
            scenes.append(scene)
            uprights.append(upright)
            hashes.append(pictures.phash(upright))
            encoded = pictures.encode(upright, form, slot.orientation)
            file = f"{name}.{slot.suffix or pictures.SUFFIXES[form]}"
            url = site.image_url(file)
            if slot.in_crawl and not slot.only_smaller:
                self._add(url, slot, encoded, crawl_time)
            sentence = _describe(scene, rng) if slot.described and slot.copy_of is None else ""
            smaller = None
            if site.layout == "recipe" and slot.in_crawl and slot.body is None and not slot.name:
                small = f"{name}-320.{slot.suffix or pictures.SUFFIXES[form]}"
                smaller = (site.image_written(small), site.image_url(small))
                half = upright.resize(_half(size), Image.Resampling.LANCZOS)
                self._add(smaller[1], slot, pictures.encode(half, form), crawl_time)
            text, describes = _caption(scene, writer, rng)
            shots.append(
                Shot(
                    url,
                    slot.written or site.image_written(file),
                    alt=_alt(scene, rng, number) if slot.alt is None else slot.alt,
                    title=f"Picture {number + 1}" if rng.random() < 0.15 else "",
                    smaller=smaller,
                    scene=scene.key,
                    format=encoded.format,
                    width=encoded.width,
                    height=encoded.height,
                    sentence=sentence,
                    expected=slot.expected,
                    caption=text,
                    caption_describes=describes,
                )
            )
        return shots

    def _draw(
        self, name: str, size: tuple[int, int], scenes: list[Scene], hashes: list[int]
    ) -> tuple[Scene, Image.Image]:
        """A scene that is unlike the others of the article, in words and to the perceptual hash."""
        scene = next(self._scenes)
        for attempt in range(200):
            if len(scenes) > 8 or not pictures.alike(scene, scenes):
                upright = pictures.render(scene, size, f"{name}/{attempt}")
                new = pictures.phash(upright)
                if all((new ^ old).bit_count() >= MIN_HASH_DISTANCE for old in hashes):
                    return scene, upright
            scene = next(self._scenes)
        raise RuntimeError(f"no scene for {name} is unlike the other pictures of its article")

    def _add(self, url: str, slot: Slot, encoded: pictures.Encoded, crawl_time: str) -> None:
        if url in self._crawl.resources:
            return
        body = encoded.body if slot.body is None else slot.body
        if slot.kind == "broken":
            body = pictures.truncated(encoded)
        self._crawl.resources[url] = Resource(
            url, crawl_time, body, slot.mime or encoded.mime, slot.kind, headers=slot.headers
        )


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * 2 // 3, size[1] * 2 // 3


def _describe(scene: Scene, rng: random.Random) -> str:
    """A caption; one that ends in a single letter could be taken for an initial."""
    while _ENDS_IN_LETTER.search(text := caption(scene, rng)):
        pass
    return text


def _alt(scene: Scene, rng: random.Random, number: int) -> str:
    draw = rng.random()
    if draw < 0.55:
        return caption(scene, rng).rstrip(".")
    if draw < 0.8:
        return rng.choice(_ALT).format(rng.randint(1, 999))
    return ""


def _caption(scene: Scene, writer: Writer, rng: random.Random) -> tuple[str, bool]:
    """A caption, often empty, and whether it says what the picture shows."""
    draw = rng.random()
    if draw < 0.15:
        return _describe(scene, rng), True
    if draw < 0.6:
        return writer.fill(rng.choice(_CAPTIONS)), False
    return "", False


def _places(homes: list[int], paragraphs: int, order: str, rng: random.Random) -> list[int]:
    """After which paragraph each picture stands, given the paragraph of its sentence."""
    if order == "text" or paragraphs < 3:
        return list(homes)
    if order == "shuffled" and len(set(homes)) > 1:
        return homes[1:] + homes[:1]
    shift = rng.choice([s for s in range(2, paragraphs)])
    return [(home + shift) % paragraphs for home in homes]


def _sort_pictures(blocks: list[Block], shots: Sequence[Shot]) -> list[Block]:
    """The pictures in the order of their sentences, in the places that pictures have."""
    waiting = iter(shots)
    return [Block(None, shot=next(waiting)) if block.shot else block for block in blocks]


def _extras(site: Site, writer: Writer, rng: random.Random) -> Iterator[Block]:
    """Lists, tables and quotes of the layouts that have them; cutoffs may prune them."""
    if site.layout == "wiki":
        rows = tuple(
            writer.fill(row)
            for row in ("Founded | {year}", "Members | {number}", "Place | {place}, {place2}")
        )
        yield Block(Role.TABLE_ROW, rows, required=False)
    elif site.layout == "recipe":
        steps = tuple(
            writer.fill(step)
            for step in (
                "Begin on {day} and leave everything at {spot} for {span}.",
                "Take the {tool} and do as the {role} does, only with more {quality}.",
                "Serve it in {place} before anyone asks what it is.",
            )
        )
        yield Block(Role.LIST_ITEM, steps, required=False, ordered=True)
    elif site.layout == "theme" and rng.random() < 0.5:
        quote = writer.fill("It was never about the {things}, it was always about the {role}.")
        yield Block(Role.QUOTE, (quote,), required=False)
