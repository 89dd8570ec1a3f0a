"""The same corpus comes out, digest for digest, whatever runs it and however often it is killed."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.run import run as run_in_process
from schemas.dedup import Sameness

WEFT = Path(sys.executable).parent / "weft"
SPARK = Path(__file__).parents[2] / "scripts" / "spark"
PHASES = ["extract", "dedup", "images", "dedup_images", "assemble"]


# Every kind of deduplication, beside what the preset does.
CONFIG = """
extends: sample
filter_text: {{mask: {{}}}}
deduplicate:
  url: {{canonical_link: true}}
  benchmarks: {{texts: [{folder}/benchmark.txt], ngram: 8}}
  against: [{folder}/earlier]
filter_images:
  decoded:
    - blank
    - short_side: {{min_pixels: 150}}
    - aspect_ratio: {{min_ratio: 0.5, max_ratio: 2.0}}
    - benchmark_hash: {{file: {folder}/hashes.txt}}
deduplicate_by_images: {{image_set: {{}}, joint: {{}}}}
deduplicate_images: {{threshold: 0.98, cells: 3}}
"""
TEXT_ONLY = """
extends: sample
deduplicate: {url: {canonical_link: true}}
gather_images: null
clip: null
heads: null
deduplicate_by_images: null
place_images: {method: dom, min_max_similarity: null, min_similarity: null}
filter_images: null
"""


def paragraphs(page):
    return [n["text"] for n in page["nodes"] if n["type"] == "text" and n["role"] == "paragraph"]


def images(page):
    return [node["url"] for node in page["nodes"] if node["type"] == "image"]


@pytest.fixture(scope="module")
def ordinary(gold):
    """Pages with three images, and pages with one, that are not in the earlier corpus."""
    found = [page for page in gold["pages"]
             if page["kind"] == "ordinary" and "00003" not in page["warc_file"]]  # fmt: skip
    return [[page for page in found if len(images(page)) == count] for count in (3, 1)]


@pytest.fixture(scope="module")
def crawl(sample_crawl, ordinary, tmp_path_factory):
    """The sample crawl and a file of older pages: the first shows the images of a page beside
    text of others, the second most of the images of a page and two thirds of its text."""
    folder = tmp_path_factory.mktemp("crawl")
    for file in sample_crawl.glob("*.warc*"):
        shutil.copy(file, folder)
    [same, near, *_], [other, more, *_] = ordinary
    two_thirds = paragraphs(near)[: round(2 / 3 * len(paragraphs(near)))]
    pages = {
        "set": ([*paragraphs(other)[::2], *paragraphs(more)[::2]], images(same)),
        "joint": ([*two_thirds, *paragraphs(more)[1:3]], images(near)[1:]),
    }
    with (folder / "older.warc.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for name, (texts, urls) in pages.items():
            body = "".join(f"<p>{text}" for text in texts)
            body += "".join(f'<p><img src="{url}" width=640 height=480>' for url in urls)
            html = f"<html lang=en><head><title>{name}</title></head><body>{body}</body></html>"
            record = writer.create_warc_record(
                f"https://{name}.example/",
                "response",
                io.BytesIO(html.encode()),
                http_headers=StatusAndHeaders(
                    "200 OK", [("Content-Type", "text/html")], "HTTP/1.1"
                ),
                warc_headers_dict={"WARC-Date": "2024-01-01T00:00:00Z"},
            )
            writer.write_record(record)
    return folder


@pytest.fixture(scope="module")
def config(sample_crawl, gold, ordinary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    text_only = folder / "text_only.yaml"
    text_only.write_text(TEXT_ONLY)
    earlier = folder / "earlier"
    run_in_process(str(text_only), [str(sample_crawl / "sample-00003.warc")], str(earlier))
    [row, *_] = pq.read_table(earlier / "documents", columns=["text_list"]).to_pylist()
    (folder / "benchmark.txt").write_text(" ".join(row["text_list"][:3]))
    [shown] = images(ordinary[1][0])
    [image] = [image for image in gold["resources"] if image["url"] == shown]
    (folder / "hashes.txt").write_text(image["sha256"])
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def corpus(crawl, config, tmp_path_factory):
    """What one worker makes."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    run_in_process(str(config), [str(crawl)], str(folder))
    return folder


def command(config, crawl, output, *beam):
    return [WEFT, "run", config, "--input", crawl, "--output", output, "--", *beam]


def command_in_parts(config, crawl, output, *beam):
    """The same of the files in another order, each read in several parts."""
    warcs = sorted(crawl.glob("*.warc*"), reverse=True)
    inputs = [part for warc in warcs for part in ("--input", warc)]
    small = ["--set", "read.split_bytes=50000"]
    return [WEFT, "run", config, *small, *inputs, "--output", output, *beam]


def run(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def digest(corpus):
    return json.loads((corpus / "manifest.json").read_text())["digest"]


def kill_in(phase, config, crawl, output):
    """Starts a run and kills it with all its children as soon as it works on a phase."""
    process = subprocess.Popen(command(config, crawl, output), start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    started = output / "_work" / phase / "started"
    while not started.exists():
        assert process.poll() is None, f"the run ended before {phase}"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_every_kind_of_deduplication_finds_something(corpus):
    rejected = pq.read_table(corpus / "rejected", columns=["stage", "rule", "reason"]).to_pylist()
    rules = {row["rule"] for row in rejected if row["stage"].startswith("deduplicate")}
    assert rules == {str(same) for same in Sameness} | {"repeated_paragraph"}
    assert "benchmark_hash" in {row["rule"] for row in rejected}
    kept = pq.read_table(corpus / "documents", columns=["warc_file"])["warc_file"].to_pylist()
    assert set(kept) == {f"sample-0000{i}.warc.gz" for i in range(3)}, "the fourth was seen earlier"


def test_killed_in_every_phase_and_run_again(config, crawl, corpus, tmp_path):
    for phase in PHASES:
        kill_in(phase, config, crawl, tmp_path)
        assert not (tmp_path / "manifest.json").exists()
    said = run(config, crawl, tmp_path)
    for phase in PHASES[:-1]:
        assert f"{phase}: finished earlier, skipped" in said
    assert "assemble: done" in said
    assert digest(tmp_path) == digest(corpus)


def test_a_changed_placement_fetches_and_extracts_nothing_again(config, crawl, corpus, tmp_path):
    output = tmp_path / "corpus"
    shutil.copytree(corpus, output)
    again = command(config, crawl, output)
    again[3:3] = ["--set", "place_images.min_similarity=0.95"]
    said = subprocess.run(again, check=True, capture_output=True, text=True)
    for phase in PHASES[:-1]:
        assert f"{phase}: finished earlier, skipped" in said.stdout + said.stderr
    assert digest(output) != digest(corpus)


@pytest.mark.parametrize(
    "workers",
    [
        ["--direct_num_workers=4", "--direct_running_mode=multi_processing"],
        ["--direct_num_workers=2", "--direct_running_mode=multi_threading"],
    ],
    ids=["four processes", "two threads"],
)
def test_other_workers_and_another_order_make_the_same_corpus(
    workers, config, crawl, corpus, tmp_path
):
    arguments = command_in_parts(config, crawl, tmp_path, "--", *workers)
    subprocess.run(arguments, check=True, capture_output=True)
    assert digest(tmp_path) == digest(corpus)


def test_spark_makes_the_same_corpus(config, crawl, corpus, spark_jars, tmp_path):
    spark = [SPARK, "--cores", "4", "--workers", "1", "--class-path", spark_jars, "--"]
    arguments = [*spark, *command_in_parts(config, crawl, tmp_path)]
    subprocess.run(arguments, check=True, capture_output=True)
    assert digest(tmp_path) == digest(corpus)
