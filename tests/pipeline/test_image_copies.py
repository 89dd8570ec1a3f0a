"""Pages with planted copies of images: each is found once, by the rule that it was planted for."""

import hashlib
import io
import random
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.config import load_config, resolved
from pipeline.run import named_files, run
from pipeline.validate import validate
from scripts.scenes import Kind, Scene, draw
from stages.clip import ClipConfig, load_clip

SCENES = [
    Scene(Kind.SHAPE, "star", "red"),
    Scene(Kind.OBJECT, "house", "blue", "noon"),
    Scene(Kind.GLYPH, "A", "green"),
    Scene(Kind.PATTERN, "horizontal stripes", "purple", other_colour="white"),
    Scene(Kind.COUNT, "circle", "yellow", "4"),
    Scene(Kind.OBJECT, "flower", "white", "night"),
    Scene(Kind.SHAPE, "heart", "pink"),
    Scene(Kind.GLYPH, "D", "blue"),
]
# The embedded model's cosine of a picture with a smaller JPEG of it is .999, with another one of
# these at most .54.
CONFIG = """
extends: extract
gather_images: {{}}
filter_images:
  decoded:
    - benchmark_hash: {{file: {folder}/hashes.txt}}
  embedded:
    - benchmark_feature: {{file: {folder}/features.npy}}
clip: {{}}
deduplicate: {{}}
deduplicate_by_images: {{image_set: {{}}, joint: {{}}}}
deduplicate_images: {{threshold: 0.98, cells: 3}}
join_images: {{reject_document: [benchmark_hash]}}
write: {{shards: 2}}
"""
WORDS = Path(__file__).read_text("utf-8").lower().translate({ord(c): " " for c in "\"'(){}[].,:=_"})


def picture(number, form="PNG", size=(240, 200)):
    out = io.BytesIO()
    draw(SCENES[number], (240, 200), random.Random(number)).resize(size).save(out, form)
    return out.getvalue()


SMALL = ("JPEG", (216, 180))
# Name of a page -> day of the crawl, seed of its text, sentences of it that are its own, images.
PAGES = {
    "set-old": (1, 1, 20, [(0,), (1,)]),
    "set-new": (3, 2, 20, [(1,), (0,)]),
    "one-shared": (2, 3, 20, [(0,)]),  # one picture is no set
    "joint-old": (1, 4, 20, [(2,), (3,)]),
    "joint-new": (2, 4, 13, [(3,), (2,), (4,)]),  # text of Jaccard .48, 2 of 3 images
    "small": (1, 6, 20, [(5, *SMALL), (6, *SMALL)]),  # see large and in-benchmark
    "large": (1, 7, 20, [(5,), (4,)]),
    "in-benchmark": (1, 8, 20, [(7,), (6,)]),
    "near-benchmark": (1, 9, 20, [(7, *SMALL), (1, *SMALL)]),
}


def sentences(seed, count):
    rng, words = random.Random(seed), [word for word in WORDS.split() if word.isalpha()]
    made = [" ".join(rng.choices(words, k=12)).capitalize() + "." for _ in range(20 + count)]
    return made[:count] if count == 20 else [*made[:count], *made[20 : 40 - count]]


def html(name, seed, own, images):
    lines = sentences(seed, own)
    parts = [f"<h1>{lines[0]}</h1>"]
    for number in range(4):
        parts.append(f"<p>{' '.join(lines[5 * number : 5 * number + 5])}</p>")
        if number < len(images):
            parts.append(f'<figure><img src="/{number}.png" width=240 height=200></figure>')
    body = f"<article>{''.join(parts)}</article>"
    return f"<html lang=en><head><title>{name}</title></head><body>{body}</body></html>".encode()


def crawl(folder):
    """Two WARC files of the pages and their images, each image under a URL of its page's host."""
    folder.mkdir()
    for half in (0, 1):
        with (folder / f"{half}.warc.gz").open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            for name in sorted(PAGES)[half::2]:
                day, seed, own, images = PAGES[name]
                url = f"https://{name}.example/"
                files = [(url, "text/html", html(name, seed, own, images))]
                files += [
                    (f"{url}{number}.png", "image/png", picture(*image))
                    for number, image in enumerate(images)
                ]
                for target, mime, data in files:
                    headers = StatusAndHeaders("200 OK", [("Content-Type", mime)], "HTTP/1.1")
                    dated = {"WARC-Date": f"2024-05-0{day}T00:00:00Z"}
                    record = writer.create_warc_record(target, "response", io.BytesIO(data),
                                                       http_headers=headers,
                                                       warc_headers_dict=dated)  # fmt: skip
                    writer.write_record(record)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Folder of the crawl, config and corpus."""
    folder = tmp_path_factory.mktemp("image-copies")
    crawl(folder / "crawl")
    (folder / "hashes.txt").write_text(hashlib.sha256(picture(7)).hexdigest())
    features = load_clip(ClipConfig()).images([draw(SCENES[7], (240, 200), random.Random(7))])
    np.save(folder / "features.npy", features)
    (folder / "my.yaml").write_text(CONFIG.format(folder=folder))
    run(str(folder / "my.yaml"), [str(folder / "crawl")], str(folder / "corpus"))
    return folder


def rows(planted, table):
    return pq.read_table(planted / "corpus" / table).to_pylist()


@cache
def _names(planted):
    """doc_id -> name of the page."""
    found = rows(planted, "documents") + rows(planted, "rejected")
    return {row["doc_id"]: row["url"].split("/")[2].removesuffix(".example") for row in found}


def rejections(planted, stage, kind):
    return sorted(
        (row["rule"], row["url"].removeprefix("https://").replace(".example", ""), row["detail"])
        for row in rows(planted, "rejected")
        if row["stage"] == stage and row["kind"] == kind
    )


def test_documents_are_copies_by_their_images(planted):
    ids = {name: doc_id for doc_id, name in _names(planted).items()}
    assert rejections(planted, "deduplicate", "document") == []
    assert rejections(planted, "deduplicate_by_images", "document") == [
        ("image_set", "set-old/", ids["set-new"]),
        ("text_and_images", "joint-old/", ids["joint-new"]),
    ]
    clusters = {
        _names(planted)[row["doc_id"]]: row["text_dedup"] for row in rows(planted, "documents")
    }
    assert clusters["set-new"] == {
        "cluster_id": min(ids["set-new"], ids["set-old"]),
        "cluster_size": 2,
    }
    assert clusters["joint-new"]["cluster_size"] == 2
    assert clusters["one-shared"] == {"cluster_id": ids["one-shared"], "cluster_size": 1}


def test_of_images_that_look_alike_the_largest_stays(planted):
    """The images of `in-benchmark` go with it, so nothing goes for them."""
    assert rejections(planted, "deduplicate_images", "image") == [
        ("semantic_duplicate", f"{url}.png", hashlib.sha256(picture(number)).hexdigest())
        for url, number in (("near-benchmark/1", 1), ("small/0", 5))
    ]


def test_images_of_a_benchmark_go_and_a_policy_takes_the_document(planted):
    [(rule, url, _)] = rejections(planted, "filter_images", "image")
    assert (rule, url) == ("benchmark_hash", "in-benchmark/0.png")
    [(rule, url, _)] = rejections(planted, "filter_embedded_images", "image")
    assert (rule, url) == ("benchmark_feature", "near-benchmark/0.png")
    assert rejections(planted, "join_images", "document") == [
        ("join_images", "in-benchmark/", "benchmark_hash: https://in-benchmark.example/0.png"),
        ("join_images", "near-benchmark/", ""),  # no image is left
    ]


def test_what_is_left(planted):
    left = {
        _names(planted)[row["doc_id"]]: [info["url"][-5] for info in row["image_info"]]
        for row in rows(planted, "documents")
    }
    assert left == {
        "set-new": ["0", "1"],
        "one-shared": ["0"],
        "joint-new": ["0", "1", "2"],
        "small": ["1"],
        "large": ["0", "1"],
    }
    assert list(validate(str(planted / "corpus"))) == []


def test_the_lists_of_a_benchmark_are_part_of_the_settings(planted):
    config = load_config(str(planted / "my.yaml"))
    named = named_files([resolved(config)["filter_images"]])
    assert set(named) == {str(planted / name) for name in ("hashes.txt", "features.npy")}
