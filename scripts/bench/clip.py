"""Measures CLIP features through the stages against the bare model, on one core or a GPU.

Usage: python scripts/bench/clip.py [--model NAME] [--backend B] [--precision P] [--device D]
                                    [--images N] [--sentences N] [--data DIR]

A model other than the embedded one has random weights: what is measured is speed. On a CPU the
seconds are those of this process, on a GPU of the clock.

images  bare: forward passes over ready batches. stage: `embed_images`, from decoded pictures.
texts   full: forward passes over token rows of the whole context, as open_clip's `encode_text`
        wants them. bare: of the same texts, each padded to its own length, in full batches.
        stage: `place_images`, from documents: sentences split, repeated ones found, tokens made,
        encoded, assigned.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from schemas.document import Document, Image, Text
from schemas.image import ImageRecord
from scripts.scenes import all_scenes, draw
from stages import embed_images, place_images
from stages.clip import EMBEDDED, Clip, ClipConfig, load_clip
from stages.imaging.elements import GatheredImage
from stages.place_images import PlaceConfig
from stages.sentences import split_sentences

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RECORD = ImageRecord("1" * 64, "http://i.example/", "png", 400, 300, 1, "0" * 16)


def load(options: argparse.Namespace) -> tuple[Clip, ClipConfig]:
    config = ClipConfig(
        precision=options.precision,
        backend=options.backend,
        device=options.device,
        batch_size=options.batch_size,
    )
    if options.model == EMBEDDED:
        return load_clip(config), config
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        weights = Path(folder) / "random.pt"
        torch.save(open_clip.create_model(options.model).state_dict(), weights)
        config = replace(config, model=options.model, pretrained=str(weights))
        return load_clip(config), config


def seconds(work: Callable[[], Any], clip: Clip) -> float:
    on_gpu = clip._device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def through(fn: Any, elements: list[Any]) -> int:
    """What a stage makes of a bundle; returns how many outputs it gave."""
    fn.setup()
    fn.start_bundle()
    count = sum(len(list(fn.process(element))) for element in elements)
    return count + len(list(fn.finish_bundle()))


def report_images(clip: Clip, config: ClipConfig, count: int) -> None:
    rng = random.Random(0)
    scenes = rng.sample(all_scenes(), count)
    pictures = [draw(scene, (400, 300), rng) for scene in scenes]
    ready = torch.stack([clip._preprocess(picture) for picture in pictures]).to(clip._pixels)
    clip._encode(clip._encode_image, ready[:1])  # what is done once only
    bare = count / seconds(lambda: clip._encode(clip._encode_image, ready), clip)
    gathered = [GatheredImage(RECORD, b"", picture) for picture in pictures]
    stage = count / seconds(lambda: through(embed_images._Embed(config, {}), gathered), clip)
    print(f"images/s  bare {bare:8.1f}  stage {stage:8.1f}  {stage / bare:6.1%}", flush=True)


def report_texts(clip: Clip, config: ClipConfig, count: int, data: Path) -> None:
    documents = _documents(data, count, clip.dimension)
    listed = [s.text for document in documents for s in split_sentences(document)]
    texts = list(dict.fromkeys(listed))
    tokens = clip._tokenize(texts)
    lengths = np.array([*clip._lengths, tokens.shape[1]])
    ends = tokens.argmax(dim=1).numpy() if clip._lengths else np.full(len(texts), lengths[-1])
    bucket = np.searchsorted(lengths[:-1], ends, side="right")
    size = clip._batch_size
    clip.texts(texts[:1])
    full = _rate(clip, tokens[:size])
    cost = sum((bucket == i).sum() / _rate(clip, tokens[:size, :n]) for i, n in enumerate(lengths))
    bare = len(texts) / cost
    stage = len(texts) / seconds(
        lambda: through(place_images._Place(PlaceConfig(), config), documents), clip
    )
    print(
        f"texts/s   full {full:8.1f}  bare {bare:8.1f}  stage {stage:8.1f}  {stage / bare:6.1%} of "
        f"bare, {stage / full:.2f} x full  ({len(texts)} distinct of {len(listed)} sentences)"
    )


def _rate(clip: Clip, tokens: torch.Tensor, least: float = 1.0) -> float:
    """Rows a second of passes of one shape, over at least so many seconds."""
    clip._encode(clip._encode_text, tokens)
    rows, spent = 0, 0.0
    while spent < least:
        spent += seconds(lambda: clip._encode(clip._encode_text, tokens), clip)
        rows += len(tokens)
    return rows / spent


def _documents(data: Path, sentences: int, dimension: int) -> list[Document]:
    """News articles, each with two images of random features, of so many sentences at least."""
    rng = np.random.default_rng(0)
    documents: list[Document] = []
    for line in (data / "pages" / "scrapinghub.gold.jsonl").read_text().splitlines():
        row = json.loads(line)
        nodes: list[Text | Image] = [Text(t) for t in row["article_body"].split("\n") if t.strip()]
        for position in (0, len(nodes)):
            feature = rng.normal(size=dimension)
            clip = (feature / np.linalg.norm(feature)).astype("<f4").tobytes()
            nodes.insert(position, Image("http://i", record=replace(RECORD, clip=clip)))
        documents.append(Document(row["url"], row["url"], tuple(nodes), language="en"))
        if (sentences := sentences - len(split_sentences(documents[-1]))) <= 0:
            break
    return documents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=EMBEDDED, help="embedded, or a name of open_clip")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--sentences", type=int, default=6000)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    options = parser.parse_args()
    clip, config = load(options)
    print(f"{options.model} {config.backend} {config.precision} {clip._device}")
    report_images(clip, config, options.images)
    report_texts(clip, config, options.sentences, options.data)


if __name__ == "__main__":
    main()
