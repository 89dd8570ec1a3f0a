"""Measures the extraction on real pages: text, images, order, lead images, speed, memory.

Usage: python -m scripts.bench.extraction [--data DIR] [--rounds N] [--systems NAME ...]
       python -m scripts.bench.extraction --only images|lead|books [--engine fast] [--verbose]

The first prints all systems side by side; each runs in a process of its own, one after the other.
F1        shingle F1 on the article-extraction-benchmark pages (its own metric: 4-token shingles,
          precision and recall averaged over pages)
F1 (2)    the same on the text that readability's tests expect, a gold of another hand
images    recall, precision and order against the images in the expected output of readability's
          tests (its own algorithm's taste). The errors of both halves were read while the rules of
          the accurate engine were written, so neither is held out
lead      share of the lead images named for postlight's pages that are among the images
pages/s   a CPU second on the first set, the best of the rounds for each page. weft's include the
          metadata (title, date, author, site, licence), which trafilatura reads on demand
peak      resident memory of the process at its largest, in MB
The second prints what weft missed, and how it does on the pages of the sample crawl (books: gold
images kept, in order, furniture left out).
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction
from warcio.archiveiterator import ArchiveIterator

from schemas.document import Image, Node, Text
from scripts.bench.peers import CACHE, ask, environment
from stages.extraction.charset import decode
from stages.extraction.config import ExtractionConfig
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
    """Counts over pages: gold images, found images, gold images that were found, images found that
    are gold (one may come twice), and those of them that stand in order."""

    gold: int = 0
    found: int = 0
    agree: int = 0
    ordered: int = 0
    matched: int = 0

    @property
    def order(self) -> float:
        return self.ordered / max(self.matched, 1)

    def line(self) -> str:
        return (
            f"recall {self.agree / max(self.gold, 1):.3f} precision "
            f"{self.agree / max(self.found, 1):.3f} order {self.order:.3f} "
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
    scores.matched += sum(is_image for _, is_image in path)
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


def run(sample: Sample, config: ExtractionConfig = ExtractionConfig()) -> Extraction:  # noqa: B008
    return extract(sample.body, sample.url, content_type=sample.content_type, config=config)


_BLOCKS = frozenset(
    "p head quote item cell row list table code blockquote pre li dd dt td tr th div section "  # noqa: SIM905
    "article h1 h2 h3 h4 h5 h6 figcaption figure ul ol br lb".split()
)


def tree_nodes(root: Any, url: str) -> list[Node]:
    """The texts and images of a peer's tree, in order: trafilatura's XML, or HTML."""
    nodes: list[Node] = []
    parts: list[str] = []

    def flush() -> None:
        if text := " ".join("".join(parts).split()):
            nodes.append(Text(text))
        parts.clear()

    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        if element.tag in _BLOCKS or element.tag in ("graphic", "img"):
            flush()
        if event == "start":
            if element.tag in ("graphic", "img") and element.get("src"):
                nodes.append(Image(urljoin(url, element.get("src"))))
            parts.append(element.text or "")
        elif element is not root:
            parts.append(element.tail or "")
    flush()
    return nodes


# A system takes samples and the URL to resolve against, and yields nodes and CPU seconds.
System = Callable[[list[Sample], str], Iterator[tuple[list[Node], float]]]


def _each(one: Callable[[Sample, str], Callable[[], list[Node]]]) -> System:
    """A system of a function that does the timed work and returns one that makes its nodes."""

    def system(samples: list[Sample], url: str) -> Iterator[tuple[list[Node], float]]:
        for sample in samples:
            start = time.process_time()
            nodes = one(sample, url or sample.url)
            seconds = time.process_time() - start
            yield nodes(), seconds

    return system


def _weft(engine: Any) -> System:
    config = ExtractionConfig(engine=engine)

    def one(sample: Sample, url: str) -> Callable[[], list[Node]]:
        found = extract(sample.body, url, content_type=sample.content_type, config=config)
        return lambda: list(found.nodes)

    return _each(one)


def _trafilatura(**options: bool) -> System:
    def one(sample: Sample, url: str) -> Callable[[], list[Node]]:
        found: Any = bare_extraction(sample.body, url=url, **options)
        return lambda: [] if found is None or found.body is None else tree_nodes(found.body, url)

    return _each(one)


def _resiliparse(sample: Sample, url: str) -> Callable[[], list[Node]]:
    text = extract_plain_text(
        decode(sample.body, sample.content_type),
        main_content=True,
        alt_texts=False,
        list_bullets=False,
        comments=False,
        post_meta=False,
    )
    return lambda: [Text(line) for line in text.splitlines() if line.strip()]


_READABILITY = """
import resource, time
from readability import Document
answer = []
for text, url in question:
    start = time.process_time()
    try:
        summary = Document(text, url=url).summary()
    except Exception:
        summary = ''
    answer.append((summary, time.process_time() - start))
answer.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _readability(samples: list[Sample], url: str) -> Iterator[tuple[list[Node], float]]:
    python = environment("readability", ["readability-lxml", "lxml_html_clean"], PEERS)
    pages = [(decode(s.body, s.content_type), url or s.url) for s in samples]
    *answers, PEAK["readability-lxml"] = ask(python, _READABILITY, pages)
    for (summary, seconds), (_, base) in zip(answers, pages, strict=True):
        root = etree.HTML(summary) if summary else None
        yield [] if root is None else tree_nodes(root, base), seconds


PEERS = CACHE
PEAK: dict[str, int] = {}
SYSTEMS: dict[str, System] = {
    "weft accurate": _weft("accurate"),
    "weft fast": _weft("fast"),
    "trafilatura fast": _trafilatura(fast=True),
    "trafilatura fast, images": _trafilatura(fast=True, include_images=True),
    "  and with metadata": _trafilatura(fast=True, include_images=True, with_metadata=True),
    "trafilatura": _trafilatura(),
    "trafilatura, images": _trafilatura(include_images=True),
    "resiliparse": _each(_resiliparse),
    "readability-lxml": _readability,
}
TEXT_ONLY = frozenset({"trafilatura fast", "trafilatura", "resiliparse"})
REFERENCE = "trafilatura fast, images"


def measure(name: str, data: Path, rounds: int) -> dict[str, Any]:
    """All figures of one system."""
    system, pages = SYSTEMS[name], data / "pages"
    samples = load([pages / "scrapinghub.warc.gz"], pages / "scrapinghub.gold.jsonl")
    runs = [list(system(samples, "")) for _ in range(rounds)]
    seconds = [min(times) for times in zip(*([t for _, t in run] for run in runs), strict=True)]
    found = [Extraction(tuple(nodes)) for nodes, _ in runs[0]]
    gold = [sample.gold["article_body"] for sample in samples]
    f1, precision, recall = text_scores(list(zip(gold, map(joined, found), strict=True)))
    figures = {"f1": f1, "precision": precision, "recall": recall, "ms": 1e3 * sum(seconds)}
    figures["ms"] /= len(samples)
    samples = load([pages / "readability.warc.gz"], pages / "readability.gold.jsonl")
    found = [Extraction(tuple(nodes)) for nodes, _ in system(samples, _FAKE_HOST)]
    gold = [text_gold(sample) for sample in samples]
    figures["second"], *_ = text_scores(list(zip(gold, map(joined, found), strict=True)))
    if name not in TEXT_ONLY:
        scores = ImageScores()
        for sample, extraction in zip(samples, found, strict=True):
            match_images(extraction, image_gold(sample), scores)
        figures["images"] = [
            scores.agree / scores.gold,
            scores.agree / max(scores.found, 1),
            scores.order,
        ]
        samples = load([pages / "postlight.warc.gz"], pages / "postlight.gold.jsonl")
        samples = [sample for sample in samples if sample.gold["lead_image_url"]]
        hits = [
            any(_shows(node, sample.gold["lead_image_url"]) for node in nodes)
            for sample, (nodes, _) in zip(samples, system(samples, ""), strict=True)
        ]
        figures["lead"] = sum(hits) / len(hits)
    figures["peak"] = PEAK.get(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024
    return figures


def compare(arguments: argparse.Namespace) -> None:
    rows = {}
    for name in arguments.systems:
        command = [sys.executable, "-m", "scripts.bench.extraction", "--measure", name]
        command += ["--data", str(arguments.data), "--rounds", str(arguments.rounds)]
        command += ["--peers", str(arguments.peers)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows[name] = json.loads(done.stdout)
    base = rows.get(REFERENCE, next(iter(rows.values())))["ms"]
    print(f"{'':26}{'F1':>7}{'P':>7}{'R':>7}{'F1 (2)':>8} |"
          f"{'img R':>7}{'img P':>7}{'order':>7}{'lead':>7} |"
          f"{'pages/s':>8}{'ratio':>7}{'peak':>7}")  # fmt: skip
    for name, row in rows.items():
        images = (*row["images"], row["lead"]) if "images" in row else (None,) * 4
        cells = "".join("      -" if x is None else f"{x:7.3f}" for x in images)
        print(f"{name:26}{row['f1']:7.4f}{row['precision']:7.3f}{row['recall']:7.3f}"
              f"{row['second']:8.4f} |{cells} |"
              f"{1e3 / row['ms']:8.1f}{base / row['ms']:7.2f}{row['peak']:7.0f}")  # fmt: skip


# The expected output of readability's tests was made for pages of this address.
_FAKE_HOST = "http://fakehost/test/page.html"


def text_gold(sample: Sample) -> str:
    return "\n".join(item["text"] for item in sample.gold["sequence"] if item["type"] == "text")


def image_gold(sample: Sample) -> list[tuple[str, str]]:
    return [
        ("image", item["src"]) if item["type"] == "image" else ("text", item["text"])
        for item in sample.gold["sequence"]
        if item["type"] == "text" or item["src"].startswith(("http://", "https://"))
    ]


def _shows(node: Node, url: str) -> bool:
    name = same_picture(url).rpartition("/")[2]
    return isinstance(node, Image) and any(
        same_picture(u).rpartition("/")[2] == name for u in (node.url, *node.candidates)
    )


def bench_images(data: Path, verbose: bool, config: ExtractionConfig) -> None:
    samples = load([data / "pages/readability.warc.gz"], data / "pages/readability.gold.jsonl")
    halves = (ImageScores(), ImageScores())
    for number, sample in enumerate(samples):
        found = extract(sample.body, _FAKE_HOST, content_type=sample.content_type, config=config)
        gold = image_gold(sample)
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
    both = ImageScores(
        a.gold + b.gold,
        a.found + b.found,
        a.agree + b.agree,
        a.ordered + b.ordered,
        a.matched + b.matched,
    )
    print(f"        all       : {both.line()}")


def bench_lead(data: Path, verbose: bool, config: ExtractionConfig) -> None:
    samples = load([data / "pages/postlight.warc.gz"], data / "pages/postlight.gold.jsonl")
    hits = total = shown = 0
    for sample in samples:
        gold = sample.gold["lead_image_url"]
        if not gold:
            continue
        found = run(sample, config)
        total += 1
        hit = any(_shows(node, gold) for node in found.nodes)
        dropped = [d for d in found.dropped if _shows(d.image, gold)]
        hits += hit
        shown += hit or bool(dropped)
        if verbose and not hit and dropped:
            print(f"  {sample.url}\n    {gold[:110]}")
            for d in dropped:
                print(f"    dropped {d.reason}: {d.detail} {d.image.url[:90]}")
    print(f"lead    {hits} of {shown} lead images that the page shows (of {total} named)")


def bench_books(data: Path, verbose: bool, config: ExtractionConfig) -> None:
    samples = load(sorted((data / "books").glob("*.warc.gz")), data / "books/gold.jsonl")
    scores = ImageScores()
    reasons: Counter[str] = Counter()
    pairs = []
    for sample in samples:
        gold = [next((k, v) for k, v in row.items() if k != "alt") for row in sample.gold["gold"]]
        found = run(sample, config)
        pairs.append((" ".join(v for k, v in gold if k != "image"), joined(found)))
        gold = [(kind if kind == "image" else "text", value) for kind, value in gold]
        missed, extra = match_images(found, gold, scores)
        reasons.update(f"{d.image.url.rpartition('/')[2]}:{d.reason}" for d in found.dropped)
        if verbose and (missed or extra):
            print(f"  {sample.url} missed {missed} extra {extra}")
    print(f"books   {scores.line()}; text F1 {text_scores(pairs)[0]:.4f}; {len(samples)} pages")
    print("        left out:", dict(reasons.most_common(12)))


def main() -> None:
    global PEERS
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--peers", type=Path, default=CACHE, help="where their environments lie")
    parser.add_argument("--verbose", action="store_true", help="name what was missed")
    parser.add_argument("--only", choices=["images", "lead", "books"])
    parser.add_argument("--engine", choices=["accurate", "fast"], default="accurate")
    parser.add_argument("--measure", choices=SYSTEMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    PEERS = arguments.peers
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.data, arguments.rounds)))
    elif arguments.only:
        part = {"images": bench_images, "lead": bench_lead, "books": bench_books}[arguments.only]
        part(arguments.data, arguments.verbose, ExtractionConfig(engine=arguments.engine))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
