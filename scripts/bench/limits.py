"""Measures the limits of a page: hostile pages, what the guard costs ordinary ones, what it leaks.

Usage: python -m scripts.bench.limits [--data DIR] [--engine fast] [--pages 100000]

hostile  wall seconds and outcome of pages made to cost time or memory
cost     CPU time of telling suspicious pages from others, as a share of their extraction
leak     resident memory of this process, its open files and its children while so many real
         pages, and a hostile one in every thousand, go through one guard: after 1 %, 10 %, 50 %
         and all of them. `--leak` measures this alone:
         nice -n 10 python -m scripts.bench.limits --leak --engine fast --pages 100000
"""

import argparse
import itertools
import os
import time
from pathlib import Path

from scripts.bench.extraction import SHARED_DATA, Sample, load
from stages.extraction.config import ExtractionConfig
from stages.extraction.limits import Guard, PageLimitError, is_suspicious

_TEXT = b"<p>Some words of a paragraph, and a few more.</p>" * 20
HOSTILE = {
    "nested 100,000 deep": b"<div>" * 100_000 + b"x",
    "nested and closed": b"<div class=a>" * 20_000 + b"x" + b"</div>" * 20_000,
    "500,000 attributes": _TEXT + b"<div " + b" ".join(b"a%d=1" % i for i in range(500_000)) + b">",
    "9 MB attribute": _TEXT + b'<p title="' + b"x" * 9_000_000 + b'">y</p>',
    "50 MB": _TEXT + b" " * 50_000_000,
    "tables in tables": _TEXT + b"<table><tr><td>" * 9_000,
    "misnested": (b"<b><i><u>" + b"<p>x") * 9_000,
    "paragraphs": b"<p>x" * 100_000,
    "images": _TEXT + b'<img src=x.jpg data-srcset="a 1x, b 2x">' * 25_000,
    "slashes": _TEXT + b'<img data-x="' + b"/" * 4_000_000 + b' .jpg">',
    "brackets in data": b'<script type="application/ld+json">' + b"[" * 1_000_000 + b"</script>",
    "less-than signs": b"<" * 5_000_000,
}


def resident() -> float:
    """Resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) - 1  # one is this listing


def children() -> int:
    return len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def outcome(guard: Guard, body: bytes) -> str:
    try:
        found = guard.extract(body, "https://www.example.org/")
    except PageLimitError as error:
        return f"failed: {error.args[0]}"
    return f"rejected: {found.refused}" if found.refused else f"{len(found.nodes)} nodes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--engine", choices=["accurate", "fast"], default="fast")
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--timeout", type=int, default=5)
    parser.add_argument("--leak", action="store_true", help="measure this alone")
    options = parser.parse_args()
    guard = Guard(ExtractionConfig(engine=options.engine, page_timeout_s=options.timeout))
    folder = options.data / "pages"
    samples = [
        sample
        for name in ("scrapinghub", "readability", "postlight")
        for sample in load([folder / f"{name}.warc.gz"], folder / f"{name}.gold.jsonl")
    ]
    if not options.leak:
        hostile(guard)
        cost(guard, [sample for sample in samples if not is_suspicious(sample.body)])
    leak(guard, samples, options.pages)
    guard.close()


def hostile(guard: Guard) -> None:
    for name, body in HOSTILE.items():
        start = time.monotonic()
        said = outcome(guard, body)
        print(f"hostile  {name:22} {time.monotonic() - start:6.2f} s  {said}", flush=True)


def cost(guard: Guard, samples: list[Sample]) -> None:
    start = time.process_time()
    for sample in samples:
        is_suspicious(sample.body)
    told = time.process_time() - start
    start = time.process_time()
    for sample in samples:
        guard.extract(sample.body, sample.url, sample.content_type)
    whole = time.process_time() - start
    print(f"cost     {told / len(samples) * 1e6:.0f} us a page, {100 * told / whole:.2f} %")


def leak(guard: Guard, samples: list[Sample], pages: int) -> None:
    marks = {max(1, pages * percent // 100) for percent in (1, 10, 50, 100)}
    attacks = itertools.cycle(HOSTILE.values())
    for number, sample in enumerate(itertools.islice(itertools.cycle(samples), pages), 1):
        if number % 1_000 == 0:
            outcome(guard, next(attacks))
        guard.extract(sample.body, sample.url, sample.content_type)
        if number in marks:
            print(
                f"leak     after {number} pages {resident():.1f} MB, {open_files()} open files, "
                f"{children()} children",
                flush=True,
            )


if __name__ == "__main__":
    main()
