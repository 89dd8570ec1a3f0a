"""Peak memory of each phase on the local runner, and how it grows.

    python scripts/bench/memory.py ../shared/data/books [--small 4] [--large 16]

Every measurement is a process of its own, whose peak resident set it is. Two questions:

- extract: does it grow with the number of archives? The archives as they are, and 8 and 24 copies
  of each under other names: buffers that the first did not fill are full in both others.
- all phases: how much more do 1,000 more kept documents take? The archives are rewritten with
  other words, hosts and image bytes in each copy, so that no copy is a duplicate of another, and
  without the pages that no kept image illustrates, so that every page becomes a document.
"""

import argparse
import io
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

PHASES = ("extract", "dedup", "images", "assemble")
COPIES = (1, 8, 24)
MB = 1 << 20
# The images phase with a model and the whole of placement, no rule that judges what is said.
CONFIG = """
extends: sample
filter_pages: [{status: {allowed: [200]}}, {mime: {allowed: [text/html]}}]
filter_text: {paragraphs: [], documents: []}
deduplicate: {paragraphs: null}
place_images: {min_max_similarity: null, min_similarity: null}
"""
WORD = re.compile(rb"(?<![\w&<>=/\"._-])[a-z]{5,}(?![\w=\"/;._-])")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("books", type=Path, help="folder of WARC files")
    parser.add_argument("--small", type=int, default=4, help="copies in the smaller corpus")
    parser.add_argument("--large", type=int, default=16, help="copies in the larger corpus")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--only", choices=("archives", "documents"), help="one of the questions")
    options = parser.parse_args()
    books = sorted(options.books.glob("*.warc.gz"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.only != "documents":
            archives(books, place, options.shards)
        if options.only != "archives":
            documents(books, place, options)


def archives(books: list[Path], place: Path, shards: int) -> None:
    peaks = {}
    for copies in COPIES:
        inputs = place / f"archives-{copies}"
        inputs.mkdir()
        for copy in range(copies):
            for book in books:
                shutil.copy(book, inputs / f"{copy}-{book.name}")
        peaks[copies] = child("extract", inputs, place / f"out-{copies}", shards)["peak"]
        print(
            f"extract, {copies * len(books):3d} archives: {peaks[copies] / MB:7.0f} MB", flush=True
        )
        shutil.rmtree(inputs)
    one, some, many = (peaks[copies] / MB for copies in COPIES)
    print(f"extract, 1x to 8x the archives: {some - one:+.0f} MB; 8x to 24x: {many - some:+.0f} MB")


def documents(books: list[Path], place: Path, options: argparse.Namespace) -> None:
    peaks: dict[int, dict[str, int]] = {}
    kept: dict[int, int] = {}
    for copies in (options.small, options.large):
        inputs, out = place / f"distinct-{copies}", place / f"corpus-{copies}"
        inputs.mkdir()
        for copy in range(copies):
            for book in books:
                rewrite(book, inputs / f"{copy}-{book.name}", copy)
        told = {phase: child(phase, inputs, out, options.shards) for phase in PHASES}
        peaks[copies] = {phase: entry["peak"] for phase, entry in told.items()}
        kept[copies] = told["assemble"]["kept"]
        images = told["images"]["kept"]
        print(f"{copies} copies: {kept[copies]} kept documents, {images} kept images", flush=True)
        shutil.rmtree(inputs)
        shutil.rmtree(out)
    more = (kept[options.large] - kept[options.small]) / 1000
    for phase in PHASES:
        small, large = (peaks[copies][phase] / MB for copies in (options.small, options.large))
        print(f"{phase:9s} {small:7.0f} MB -> {large:7.0f} MB: "
              f"{(large - small) / more:6.1f} MB for 1,000 kept documents")  # fmt: skip


def child(phase: str, inputs: Path, out: Path, shards: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--phase", phase, str(inputs), str(out), str(shards)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(phase: str, inputs: str, out: str, shards: str) -> None:
    """Runs one phase after those before it and prints what it took."""
    import logging

    import torch
    from rich.console import Console

    from pipeline.build import Plan
    from pipeline.config import load_config
    from pipeline.run import _run_phase, beam_options
    from stages.inputs import list_inputs

    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(CONFIG)
        file.flush()
        config = load_config(file.name, [f"write.shards={shards}"])
    plan = Plan(config, list_inputs([inputs]), out, int(shards))
    result = _run_phase(plan, phase, "measured", beam_options([]), Console(quiet=True))
    last = {"images": "filter_scored_images", "assemble": "place_images"}.get(phase)
    kept = sum(t["count"] for t in result["tallies"] if (t["stage"], t["door"]) == (last, "kept"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak": peak, "kept": kept}))


def rewrite(source: Path, target: Path, copy: int) -> None:
    """Copies an archive so that nothing in it is a duplicate of another copy."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.warcwriter import WARCWriter

    suffix = b"".join(b"%c" % (ord("a") + int(digit)) for digit in f"{copy:02d}")
    host = f"-{copy}.example"
    with open(source, "rb") as stream:
        usable = {url.rpartition("/")[2].encode() for url in _large_images(stream)}
    with open(source, "rb") as stream, open(target, "wb") as output:
        writer = WARCWriter(output, gzip=True)
        for record in ArchiveIterator(stream):
            url = record.rec_headers.get_header("WARC-Target-URI")
            data = record.content_stream().read()
            if record.http_headers.get_header("Content-Type").startswith("image/"):
                data += suffix  # a decoder stops before it, a digest does not
            elif "//mirror." in url or not any(name in data for name in usable):
                continue
            else:
                data = WORD.sub(lambda word: word[0] + suffix, data)
                data = data.replace(b".example", host.encode())
            writer.write_record(
                writer.create_warc_record(
                    url.replace(".example", host),
                    record.rec_type,
                    payload=io.BytesIO(data),
                    http_headers=record.http_headers,
                    warc_headers_dict={"WARC-Date": record.rec_headers.get_header("WARC-Date")},
                )
            )


def _large_images(stream: Any) -> Iterator[str]:
    from PIL import Image
    from warcio.archiveiterator import ArchiveIterator

    for record in ArchiveIterator(stream):
        if record.http_headers.get_header("Content-Type").startswith("image/"):
            url = record.rec_headers.get_header("WARC-Target-URI")
            width, height = Image.open(io.BytesIO(record.content_stream().read())).size
            if (
                "/images/" in url
                and min(width, height) >= 150
                and max(width, height) <= 2 * min(width, height)
            ):
                yield url


if __name__ == "__main__":
    if sys.argv[1:2] == ["--phase"]:
        measure(*sys.argv[2:])
    else:
        main()
