"""Measures the limits of a page: hostile pages, what the guard costs ordinary ones, what it leaks.

Usage: python -m scripts.bench.limits [--data DIR] [--engine fast] [--pages 100000]

hostile  wall seconds and outcome of pages made to cost time or memory
cost     CPU time of telling suspicious pages from others, as a share of their extraction
leak     resident memory while so many ordinary pages, and a hostile one in every thousand, go
         through one guard: after a tenth of them, and at the end
"""

import argparse
import itertools
import time
from pathlib import Path

from scripts.bench.extraction import SHARED_DATA, load
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
    options = parser.parse_args()
    config = ExtractionConfig(engine=options.engine, page_timeout_s=options.timeout)
    guard = Guard(config)
    for name, body in HOSTILE.items():
        start = time.monotonic()
        said = outcome(guard, body)
        print(f"hostile  {name:22} {time.monotonic() - start:6.2f} s  {said}", flush=True)
    pages = options.data / "pages"
    samples = load([pages / "scrapinghub.warc.gz"], pages / "scrapinghub.gold.jsonl")
    samples = [sample for sample in samples if not is_suspicious(sample.body)]
    start = time.process_time()
    for sample in samples:
        is_suspicious(sample.body)
    told = time.process_time() - start
    start = time.process_time()
    for sample in samples:
        guard.extract(sample.body, sample.url, sample.content_type)
    whole = time.process_time() - start
    print(f"cost     {told / len(samples) * 1e6:.0f} us a page, {100 * told / whole:.2f} %")
    smallest = sorted(samples, key=lambda sample: len(sample.body))[:60]
    bodies = itertools.cycle(smallest)
    for number in range(1, options.pages + 1):
        if number % 1_000 == 0:
            outcome(guard, HOSTILE["nested and closed"])
        sample = next(bodies)
        guard.extract(sample.body, sample.url, sample.content_type)
        if number in (options.pages // 10, options.pages):
            print(f"leak     after {number} pages {resident():.1f} MB", flush=True)
    guard.close()


if __name__ == "__main__":
    main()
