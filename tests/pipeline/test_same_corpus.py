"""The same corpus comes out, digest for digest, whatever runs it and however often it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WEFT = Path(sys.executable).parent / "weft"
PHASES = ["extract", "dedup", "images", "dedup_images", "assemble"]


def command(crawl, output, *beam):
    return [WEFT, "run", "sample", "--input", crawl, "--output", output, "--", *beam]


def run(crawl, output, *beam):
    done = subprocess.run(command(crawl, output, *beam), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def digest(corpus):
    return json.loads((corpus / "manifest.json").read_text())["digest"]


def kill_in(phase, crawl, output):
    """Starts a run and kills it with all its children as soon as it works on a phase."""
    process = subprocess.Popen(command(crawl, output), start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    started = output / "_work" / phase / "started"
    while not started.exists():
        assert process.poll() is None, f"the run ended before {phase}"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_in_every_phase_and_run_again(sample_crawl, sample_corpus, tmp_path):
    for phase in PHASES:
        kill_in(phase, sample_crawl, tmp_path)
        assert not (tmp_path / "manifest.json").exists()
    said = run(sample_crawl, tmp_path)
    for phase in PHASES[:-1]:
        assert f"{phase}: finished earlier, skipped" in said
    assert "assemble: done" in said
    assert digest(tmp_path) == digest(sample_corpus)


def test_a_changed_placement_fetches_and_extracts_nothing_again(
    sample_crawl, sample_corpus, tmp_path
):
    output = tmp_path / "corpus"
    shutil.copytree(sample_corpus, output)
    change = ["--set", "place_images.min_similarity=0.95"]
    again = command(sample_crawl, output)
    again[3:3] = change
    said = subprocess.run(again, check=True, capture_output=True, text=True)
    for phase in PHASES[:-1]:
        assert f"{phase}: finished earlier, skipped" in said.stdout + said.stderr
    assert digest(output) != digest(sample_corpus)


@pytest.mark.parametrize(
    "beam",
    [
        ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
        ["--runner=pipeline.spark.PySparkRunner", "--spark_master=local[4]"],
    ],
    ids=["two workers", "spark"],
)
def test_another_engine_makes_the_same_corpus(beam, sample_crawl, sample_corpus, tmp_path):
    split = command(sample_crawl, tmp_path, *beam)
    split[3:3] = ["--set", "read.split_bytes=50000"]  # each WARC is read in several parts
    subprocess.run(split, check=True, capture_output=True)
    assert digest(tmp_path) == digest(sample_corpus)


def test_the_order_of_the_inputs_does_not_matter(sample_crawl, sample_corpus, tmp_path):
    warcs = sorted(sample_crawl.glob("*.warc*"), reverse=True)
    inputs = [part for warc in warcs for part in ("--input", warc)]
    arguments = [WEFT, "run", "sample", *inputs, "--output", tmp_path]
    subprocess.run(arguments, check=True, capture_output=True)
    assert digest(tmp_path) == digest(sample_corpus)
