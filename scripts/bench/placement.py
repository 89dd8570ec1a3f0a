"""Measures where each method places the images of documents whose image places are known.

Usage: python scripts/bench/placement.py [--documents N] [--seed N] [--data DIR]

Each document is made of held-out scenes (`scripts.scenes.is_held_out`), which the embedded model
never saw: a caption for each image, other sentences, and images that no sentence describes. What is
varied is how many images, how many sentences and images are distractors, and how true the page's
order is. Everything is seeded, so a second run prints the same.

distractor sentences  share of all sentences; half of them captions of further held-out scenes, half
                      prose of no scene
distractor images     share of all images; scenes that no sentence describes, wherever in the page
order                 "near": an image stands right after its sentence, or 1 to 3 sentences away;
                      "page": so do 70 % of the images, the others anywhere; "none": all anywhere.
                      No method is told which, and the defaults of the prior are those of the config

accuracy    of the images that have a sentence, the share that a method gave that sentence
precision   with a floor: of the placed images, the share placed right
recall      with a floor: of the images that have a sentence, the share placed right
unplaced    with a floor: of the distractor images, the share left unplaced
books       the illustrated books of --data as they are extracted: of the gold images, the share
            that a method gave the sentence after which the book has it (at a page's start, the
            first). No model knows these pictures, so all similarities are 0 and the order places
blurred     the accuracy after noise of a standard deviation was added to each similarity: the
            embedded model knows its scenes too well to tell the methods apart, a real one does not
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from schemas.document import Document, Image, Node, Text, sentences_before
from scripts.bench.extraction import SHARED_DATA, load, same_picture, squash
from scripts.bench.extraction import run as extracted
from scripts.scenes import Scene, all_scenes, caption, draw, is_held_out
from scripts.train_tiny_clip import by_kind, pick_scene, prose, save_and_reopen
from stages.clip import Clip, ClipConfig, load_clip
from stages.place_images import PlaceConfig
from stages.placement import Method, Surplus, assign, order_bonus
from stages.sentences import split_sentences

# Between the similarity of an image and its own sentence (99 % above .68) and that of another
# scene's (99 % below .65): the embedded model's card.
FLOOR = 0.66
PRIOR = PlaceConfig()
HELD_OUT = by_kind(scene for scene in all_scenes() if is_held_out(scene))


@dataclass(frozen=True)
class Page:
    """similarity: [images, sentences]; places: sentences before each image, ascending; gold: the
    sentence of each image, -1 for a distractor."""

    similarity: np.ndarray
    places: np.ndarray
    gold: np.ndarray


def make_page(
    clip: Clip, rng: random.Random, images: int, noise: float, strangers: float, order: str
) -> Page:
    """A document of `images` images that have a sentence, and distractors by their shares."""
    n_strangers = round(images * strangers / (1 - strangers))
    n_noise = round(images * noise / (1 - noise))
    scenes: dict[str, Scene] = {}
    while len(scenes) < images + n_strangers + n_noise:
        scene = pick_scene(HELD_OUT, rng)
        scenes.setdefault(scene.key, scene)
    shown = list(scenes.values())
    texts = [(caption(scene, rng), i) for i, scene in enumerate(shown[:images])]
    for i, scene in enumerate(shown[images + n_strangers :]):
        texts.append((caption(scene, rng) if i % 2 else prose(rng), -1))
    rng.shuffle(texts)
    gold = [-1] * (images + n_strangers)
    for column, (_, i) in enumerate(texts):
        if i >= 0:
            gold[i] = column
    places = [_place(column, len(texts), order, rng) for column in gold]
    rows = sorted(range(len(gold)), key=lambda i: (places[i], rng.random()))
    features = clip.images([_picture(shown[i], rng) for i in rows])
    similarity = features @ clip.texts([text for text, _ in texts]).T
    return Page(similarity, np.array(places)[rows], np.array(gold)[rows])


def _place(gold: int, sentences: int, order: str, rng: random.Random) -> int:
    if gold < 0 or order == "none" or (order == "page" and rng.random() < 0.3):
        return rng.randint(0, sentences)
    moved = 0 if rng.random() < 0.5 else rng.choice((-3, -2, -1, 1, 2, 3))
    return min(max(gold + 1 + moved, 0), sentences)


def _picture(scene: Scene, rng: random.Random):
    width = rng.randint(200, 400)
    return save_and_reopen(draw(scene, (width, width * 3 // 4), rng), rng)


def matched(
    page: Page, method: Method, scale: float, floor: float | None = None
) -> list[int | None]:
    if method is Method.DOM:
        return [max(0, place - 1) for place in page.places.tolist()]
    bonus = order_bonus(
        page.similarity,
        page.places,
        trust=PRIOR.order_trust,
        reach=PRIOR.order_reach,
        logit_scale=scale,
    )
    surplus = Surplus.BEST if floor is None else Surplus.UNPLACED
    return assign(page.similarity, page.places, method, floor=floor, surplus=surplus, bonus=bonus)


def accuracy(pages: list[Page], method: Method, scale: float) -> float:
    right = [
        column == gold
        for page in pages
        for column, gold in zip(matched(page, method, scale), page.gold, strict=True)
        if gold >= 0
    ]
    return float(np.mean(right))


def with_floor(pages: list[Page], method: Method, scale: float) -> tuple[float, float, float]:
    """Precision, recall, and the share of distractor images that stay unplaced."""
    pairs = [
        pair
        for page in pages
        for pair in zip(matched(page, method, scale, FLOOR), page.gold.tolist(), strict=True)
    ]
    right = sum(column == gold for column, gold in pairs if gold >= 0)
    placed = sum(column is not None for column, _ in pairs)
    owned = sum(gold >= 0 for _, gold in pairs)
    strangers = [column is None for column, gold in pairs if gold < 0]
    return right / max(1, placed), right / owned, float(np.mean(strangers)) if strangers else 1.0


def used(pages: list[Page], method: Method, scale: float) -> tuple[float, float]:
    """mmc4's own statistics: mean similarity of the images, mean share of sentences with one."""
    sims, shares = [], []
    for page in pages:
        found = enumerate(matched(page, method, scale))
        placed = [(row, column) for row, column in found if column is not None]
        sims += [page.similarity[pair] for pair in placed]
        shares.append(len({column for _, column in placed}) / page.similarity.shape[1])
    return float(np.mean(sims)), float(np.mean(shares))


def books(data: Path) -> tuple[list[Page], int]:
    """Pages of books whose images have no similarity to anything, and how many images are gold."""
    samples = load(sorted((data / "books").glob("*.warc.gz")), data / "books" / "gold.jsonl")
    pages, count = [], 0
    for sample in samples:
        gold = [Image(entry["image"]) if "image" in entry else Text(_text(entry))
                for entry in sample.gold["gold"]]  # fmt: skip
        before = {same_picture(url): squash(text) for url, _, text in _with_sentences(gold)}
        count += len(before)
        nodes = extracted(sample).nodes
        found = _with_sentences(nodes)
        sentences = [squash(s.text) for s in split_sentences(_document(nodes))]
        rows = [(place, before[same_picture(url)]) for url, place, _ in found
                if same_picture(url) in before]  # fmt: skip
        if rows and sentences:
            places = np.array([place for place, _ in rows])
            # The sentence of the same text that is nearest, for a text may come twice; -2 for none.
            columns = [
                min(
                    (i for i, text in enumerate(sentences) if text == wanted),
                    key=lambda i, place=place: abs(i + 1 - place),
                    default=-2,
                )
                for place, wanted in rows
            ]
            zeros = np.zeros((len(rows), len(sentences)), np.float32)
            pages.append(Page(zeros, places, np.array(columns)))
    return pages, count


def _text(entry: dict[str, str]) -> str:
    return entry.get("heading") or entry.get("text") or ""


def _document(nodes: Sequence[Node]) -> Document:
    return Document("", "", tuple(nodes), language="en")


def _with_sentences(nodes: Sequence[Node]) -> list[tuple[str, int, str]]:
    """Of each image its URL, how many sentences stand before it, and the last of them."""
    sentences = split_sentences(_document(nodes))
    out = []
    for index, node in enumerate(nodes):
        if isinstance(node, Image):
            place = sentences_before(sentences, index)
            out.append((node.url, place, sentences[max(0, place - 1)].text if sentences else ""))
    return out


def report_books(data: Path) -> None:
    pages, count = books(data)
    print(f"\nbooks, order only: accuracy of {count} images on {len(pages)} pages")
    for method in Method:
        right = sum(
            column == gold
            for page in pages
            for column, gold in zip(matched(page, method, 1.0), page.gold, strict=True)
        )
        print(f"  {method:8} {right / count:6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=40, help="of each setting")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    options = parser.parse_args()
    clip = load_clip(ClipConfig())
    methods = list(Method)
    print("accuracy, % of the images that have a sentence")
    print("images  distractors       order  " + "".join(f"{m:>9}" for m in methods))
    print("        sentences images")
    settings = [(10, 0.3, 0.3, order) for order in ("near", "page", "none")]
    settings += [(n, 0.3, 0.3, "page") for n in (1, 3, 30)]
    settings += [(10, noise, strangers, "page") for noise, strangers in (
        (0.0, 0.0), (0.3, 0.0), (0.6, 0.0), (0.0, 0.3), (0.6, 0.3))]  # fmt: skip
    made = {}
    for setting in settings:
        images, noise, strangers, order = setting
        rng = random.Random(f"{options.seed}/{setting}")
        count = options.documents * 10 // min(images, 10)
        pages = made[setting] = [make_page(clip, rng, *setting) for _ in range(count)]
        row = "".join(f"{accuracy(pages, m, clip.logit_scale):9.1%}" for m in methods)
        print(f"{images:6d}  {noise:9.0%} {strangers:6.0%}  {order:>8}  {row}", flush=True)
    print(f"\nfloor {FLOOR}, 10 images, 30 % distractors: precision, recall, strangers unplaced")
    for order in ("near", "page", "none"):
        for method in methods[1:]:
            numbers = with_floor(made[10, 0.3, 0.3, order], method, clip.logit_scale)
            print(f"  {order:5} {method:8}" + "".join(f"{number:8.1%}" for number in numbers))
    for noise in (0.1, 0.2):
        print(f"\nblurred by {noise}, 10 images, 30 % distractors: accuracy")
        for order in ("near", "page", "none"):
            rng_of = np.random.default_rng(options.seed)
            blurred = [
                replace(p, similarity=p.similarity + rng_of.normal(0, noise, p.similarity.shape))
                for p in made[10, 0.3, 0.3, order]
            ]
            row = "".join(f"{accuracy(blurred, m, clip.logit_scale):9.1%}" for m in methods)
            print(f"  {order:5} {row}")
    print("\nmmc4's statistics, order page: mean similarity, share of sentences used")
    for method in methods:
        sim, share = used(made[10, 0.3, 0.3, "page"], method, clip.logit_scale)
        print(f"  {method:8} {100 * sim:5.1f} {share:6.1%}")
    report_books(options.data)


if __name__ == "__main__":
    main()
