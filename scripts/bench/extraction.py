"""Measures the extraction on real pages: text, images, order, speed.

Usage: python scripts/bench/extraction.py [--data DIR] [--verbose]

text    shingle F1 on the article-extraction-benchmark pages (its own metric: 4-token shingles,
        precision and recall averaged over pages), beside trafilatura's fast mode in the same run
images  recall, precision and order against the images in the expected output of readability's tests
        (its own algorithm's taste). The errors of both halves were read while the rules were
        written, so neither is held out
lead    share of postlight pages whose lead image is among the content images
books   gold images kept, in order, furniture left out, on the sample crawl
speed   pages a CPU second beside trafilatura fast with images on the same pages
"""

import argparse
import json
import re
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trafilatura import bare_extraction
from warcio.archiveiterator import ArchiveIterator

from schemas.document import Image, Text
from stages.extraction.extract import Extraction, extract

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class Sample:
    """A stored page and what is known of it."""

    url: str
    content_type: str
    body: bytes
    gold: dict[str, Any]


def load(warcs: Sequence[Path], gold_file: Path) -> list[Sample]:
    """The HTML responses of WARCs that a gold file knows, in order."""
    with gold_file.open(encoding="utf-8") as lines:
        gold = {row["url"]: row for row in map(json.loads, lines)}
    return [sample for warc in warcs for sample in _responses(warc, gold)]


def _responses(warc: Path, gold: dict[str, Any]) -> Iterator[Sample]:
    with warc.open("rb") as stream:
        for record in ArchiveIterator(stream):
            url = record.rec_headers.get_header("WARC-Target-URI")
            if record.rec_type == "response" and url in gold:
                kind = record.http_headers.get_header("Content-Type") or ""
                yield Sample(url, kind, record.content_stream().read(), gold[url])


def shingles(text: str, size: int = 4) -> Counter[tuple[str, ...]]:
    """Counts of `size`-token shingles; a shorter text is one shingle.
    Source: article-extraction-benchmark, evaluate.py."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return Counter()
    return Counter(tuple(tokens[i : i + size]) for i in range(max(1, len(tokens) - size + 1)))


def text_scores(pairs: Sequence[tuple[str, str]]) -> tuple[float, float, float]:
    """F1, precision and recall of (gold, found) texts, averaged over pages as evaluate.py does:
    pages without shingles on one side count only on the other."""
    precision, recall = [], []
    for gold, found in pairs:
        a, b = shingles(gold), shingles(found)
        common = sum((a & b).values())
        if b:
            precision.append(common / sum(b.values()))
        if a:
            recall.append(common / sum(a.values()))
    p, r = sum(precision) / len(precision), sum(recall) / len(recall)
    return 2 * p * r / (p + r), p, r


def joined(found: Extraction) -> str:
    return "\n".join(node.text for node in found.nodes if isinstance(node, Text))


def same_picture(url: str) -> str:
    """A key under which the URLs of one picture agree: no scheme, query, escapes or size suffix."""
    parts = urlsplit(url.strip())
    path = unquote(unquote(parts.path))
    return f"{parts.netloc}{re.sub(r'[-_]?[0-9]{2,4}x[0-9]{2,4}', '', path)}".lower()


def squash(text: str) -> str:
    return "".join(_TOKEN.findall(text)).lower()


@dataclass
class ImageScores:
    """Counts over pages: gold images, found images, agreements, and those that stand in order."""

    gold: int = 0
    found: int = 0
    agree: int = 0
    ordered: int = 0

    def line(self) -> str:
        return (
            f"recall {self.agree / max(self.gold, 1):.3f} precision "
            f"{self.agree / max(self.found, 1):.3f} order {self.ordered / max(self.agree, 1):.3f} "
            f"({self.agree} of {self.gold} gold, {self.found} found)"
        )


def match_images(
    found: Extraction, gold: Sequence[tuple[str, str]], scores: ImageScores
) -> tuple[list[str], list[str]]:
    """Adds one page to the scores.

    Args:
      gold: ("image", URL) and ("text", text) in reading order.

    Returns:
      Gold images that were missed and content images that no gold names.
    """
    wanted = [(kind, same_picture(v) if kind == "image" else squash(v)) for kind, v in gold]
    places: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(wanted):
        places.setdefault(key, []).append(place)
    path: list[tuple[int, bool]] = []
    extra = []
    for node in found.nodes:
        if isinstance(node, Image):
            keys = [("image", same_picture(u)) for u in (node.url, *node.candidates)]
            hit = next((places[key] for key in keys if places.get(key)), None)
            scores.found += 1
            if hit:
                path.append((hit.pop(0), True))
            else:
                extra.append(node.url)
        # A text that comes twice cannot say where anything is.
        elif len(hit := places.get(("text", squash(node.text)), [])) == 1:
            path.append((hit[0], False))
    distinct = {key for key in wanted if key[0] == "image"}
    missed = [key[1] for key in distinct if len(places[key]) == sum(w == key for w in wanted)]
    scores.gold += len(distinct)
    scores.agree += len(distinct) - len(missed)
    scores.ordered += _in_order(path)
    return missed, extra


def _in_order(path: Sequence[tuple[int, bool]]) -> int:
    """Images in the longest increasing subsequence of gold places."""
    tails: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for i, (place, _) in enumerate(path):
        k = bisect_left(tails, place)
        before.append(last[k - 1] if k else -1)
        tails[k : k + 1] = [place]
        last[k : k + 1] = [i]
    count, i = 0, last[-1] if last else -1
    while i >= 0:
        count += path[i][1]
        i = before[i]
    return count


def run(sample: Sample) -> Extraction:
    return extract(sample.body, sample.url, content_type=sample.content_type)


def bench_text(data: Path, verbose: bool) -> None:
    samples = load([data / "pages/scrapinghub.warc.gz"], data / "pages/scrapinghub.gold.jsonl")
    ours, theirs = [], []
    ours_time = theirs_time = images_time = 0.0
    for sample in samples:
        start = time.process_time()
        found = run(sample)
        ours_time += time.process_time() - start
        start = time.process_time()
        plain = bare_extraction(sample.body, url=sample.url, fast=True)
        theirs_time += time.process_time() - start
        start = time.process_time()
        bare_extraction(sample.body, url=sample.url, fast=True, include_images=True)
        images_time += time.process_time() - start
        gold = sample.gold["article_body"]
        ours.append((gold, joined(found)))
        theirs.append((gold, plain.text if plain else ""))
    f1, p, r = text_scores(ours)
    print(f"text    F1 {f1:.4f} precision {p:.4f} recall {r:.4f} ({len(samples)} pages)")
    f1, p, r = text_scores(theirs)
    print(f"        trafilatura fast: F1 {f1:.4f} precision {p:.4f} recall {r:.4f}")
    n = len(samples)
    print(
        f"speed   {n / ours_time:.1f} pages/CPU-s; trafilatura fast {n / theirs_time:.1f}, with "
        f"images {n / images_time:.1f}; ratio {images_time / ours_time:.2f}"
    )


def bench_images(data: Path, verbose: bool) -> None:
    samples = load([data / "pages/readability.warc.gz"], data / "pages/readability.gold.jsonl")
    halves = (ImageScores(), ImageScores())
    for number, sample in enumerate(samples):
        gold = [
            ("image", item["src"]) if item["type"] == "image" else ("text", item["text"])
            for item in sample.gold["sequence"]
            if item["type"] == "text" or item["src"].startswith(("http://", "https://"))
        ]
        # The expected output was made for pages of this address.
        found = extract(
            sample.body, "http://fakehost/test/page.html", content_type=sample.content_type
        )
        missed, extra = match_images(found, gold, halves[number % 2])
        if verbose and (missed or extra):
            print(f"  [{number}] {sample.url}")
            why = {same_picture(d.image.url): f"{d.reason}: {d.detail}" for d in found.dropped}
            for url in missed:
                print(f"    missed {url[:110]}  {why.get(url, 'not seen under this URL')}")
            for url in extra:
                print(f"    extra  {url[:110]}")
    names = ("even pages", "odd pages ")
    for name, scores in zip(names, halves, strict=True):
        print(f"images  {name}: {scores.line()}")
    a, b = halves
    both = ImageScores(a.gold + b.gold, a.found + b.found, a.agree + b.agree, a.ordered + b.ordered)
    print(f"        all       : {both.line()}")


def bench_lead(data: Path, verbose: bool) -> None:
    samples = load([data / "pages/postlight.warc.gz"], data / "pages/postlight.gold.jsonl")
    hits = total = shown = 0
    for sample in samples:
        gold = sample.gold["lead_image_url"]
        if not gold:
            continue
        found = run(sample)
        total += 1
        every = [node for node in found.nodes if isinstance(node, Image)]
        name = same_picture(gold).rpartition("/")[2]

        def matches(image: Image, name: str = name) -> bool:
            urls = (image.url, *image.candidates)
            return any(same_picture(url).rpartition("/")[2] == name for url in urls)

        hit = any(map(matches, every))
        dropped = [d for d in found.dropped if matches(d.image)]
        hits += hit
        shown += hit or bool(dropped)
        if verbose and not hit and dropped:
            print(f"  {sample.url}\n    {gold[:110]}")
            for d in dropped:
                print(f"    dropped {d.reason}: {d.detail} {d.image.url[:90]}")
    print(f"lead    {hits} of {shown} lead images that the page shows (of {total} named)")


def bench_books(data: Path, verbose: bool) -> None:
    samples = load(sorted((data / "books").glob("*.warc.gz")), data / "books/gold.jsonl")
    scores = ImageScores()
    reasons: Counter[str] = Counter()
    pairs = []
    for sample in samples:
        gold = [next((k, v) for k, v in row.items() if k != "alt") for row in sample.gold["gold"]]
        found = run(sample)
        pairs.append((" ".join(v for k, v in gold if k != "image"), joined(found)))
        gold = [(kind if kind == "image" else "text", value) for kind, value in gold]
        missed, extra = match_images(found, gold, scores)
        reasons.update(f"{d.image.url.rpartition('/')[2]}:{d.reason}" for d in found.dropped)
        if verbose and (missed or extra):
            print(f"  {sample.url} missed {missed} extra {extra}")
    print(f"books   {scores.line()}; text F1 {text_scores(pairs)[0]:.4f}; {len(samples)} pages")
    print("        left out:", dict(reasons.most_common(12)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--verbose", action="store_true", help="name what was missed")
    parser.add_argument("--only", choices=["text", "images", "lead", "books"])
    arguments = parser.parse_args()
    parts = {"text": bench_text, "images": bench_images, "lead": bench_lead, "books": bench_books}
    for name, part in parts.items():
        if arguments.only in (None, name):
            part(arguments.data, arguments.verbose)


if __name__ == "__main__":
    main()
