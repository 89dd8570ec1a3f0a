"""Measures near-duplicate detection on real texts with copies planted at known similarities.

Usage: python -m scripts.bench.dedup [--data DIR] [--documents N] [--repeat N]

speed   documents and MB of text a CPU second on one core: signatures here, by datasketch one
        shingle at a time (its plain use) and by datasketch in batches, fed with word n-grams of the
        same words; and whole fingerprints (URL, text, bands, paragraphs). All in the same run, each
        the best of the repeats.
planted recall at Jaccard .4 to .95: a copy of every text has words replaced ("edits") or its end
        ("passage") until its shingles have the wanted similarity with the original. Printed: the
        share of copies that share a band (what LSH alone finds), what the curve predicts, and the
        share that also passes the threshold.
chance  pairs of unrelated texts that were found, of all pairs
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import xxhash
from datasketch import MinHash

from schemas.document import Document, Text
from stages.dedup.config import DedupConfig, MinHashConfig
from stages.dedup.fingerprint import fingerprint
from stages.dedup.minhash import bands, jaccard, probability, shingles, signature, sketch, words

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def load(data: Path) -> list[Document]:
    """The original articles of the books and the bodies of the news pages, at least 100 words."""
    documents = []
    for line in (data / "books" / "gold.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "near_duplicate_of" not in row:
            texts = [part.get("heading") or part.get("text") for part in row["gold"]]
            nodes = tuple(Text(text) for text in texts if text)
            documents.append(Document(f"b{len(documents)}", row["url"], nodes))
    for line in (data / "pages" / "scrapinghub.gold.jsonl").read_text().splitlines():
        row = json.loads(line)
        paragraphs = [text for text in row["article_body"].split("\n") if text.strip()]
        nodes = tuple(Text(text) for text in paragraphs)
        documents.append(Document(f"s{len(documents)}", row["url"], nodes))
    return [document for document in documents if len(document.text.split()) >= 100]


def similarity(left: str, right: str, ngram: int) -> float:
    a, b = (set(shingles(text, ngram).tolist()) for text in (left, right))
    return len(a & b) / len(a | b)


def planted(text: str, wanted: float, ngram: int, kind: str, rng: random.Random) -> str | None:
    """A copy whose shingles have the wanted similarity within .02, or None if none was found."""
    listed = words(text)
    order = list(range(len(listed)))
    if kind == "edits":
        rng.shuffle(order)
    else:
        order.reverse()
    low, high = 0, len(listed)
    while low < high:  # similarity falls with the number of replaced words
        middle = (low + high) // 2
        chosen = set(order[:middle])
        copy = " ".join(f"new{i}" if i in chosen else word for i, word in enumerate(listed))
        found = similarity(text, copy, ngram)
        if abs(found - wanted) <= 0.02:
            return copy
        low, high = (middle + 1, high) if found > wanted else (low, middle)
    return None


def ngrams(text: str, ngram: int) -> list[bytes]:
    listed = words(text)
    width = min(ngram, len(listed))
    return [
        " ".join(listed[start : start + width]).encode() for start in range(len(listed) - width + 1)
    ]


def per_shingle(text: str, config: MinHashConfig) -> MinHash:
    sketched = MinHash(config.permutations, config.seed)
    for gram in ngrams(text, config.ngram):
        sketched.update(gram)
    return sketched


def batched(text: str, config: MinHashConfig) -> MinHash:
    sketched = MinHash(config.permutations, config.seed, hashfunc=xxhash.xxh32_intdigest)
    sketched.update_batch(ngrams(text, config.ngram))
    return sketched


def ours(text: str, config: MinHashConfig) -> object:
    return signature(shingles(text, config.ngram), config.permutations, config.seed)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """The least CPU time of several runs."""
    spent = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def report_speed(documents: Sequence[Document], config: MinHashConfig, repeat: int) -> None:
    texts = [document.text for document in documents]
    size = sum(len(text.encode()) for text in texts) / 1e6
    count = len(texts)
    mean = sum(len(words(text)) for text in texts) / count
    print(
        f"speed: {count} documents, {size:.2f} MB, {mean:.0f} words each, {config.ngram}-grams, "
        f"{config.permutations} permutations, one core"
    )
    rows = [
        ("datasketch, update per shingle, sha1", lambda: [per_shingle(t, config) for t in texts]),
        ("datasketch, update_batch, xxh32", lambda: [batched(t, config) for t in texts]),
        ("signatures here", lambda: [ours(t, config) for t in texts]),
        ("whole fingerprints", lambda: [fingerprint(d, DedupConfig()) for d in documents]),
    ]
    base = 0.0
    for name, work in rows:
        spent = seconds(work, 1 if not base else repeat)
        base = base or spent
        print(
            f"  {name:<38}{count / spent:>8.0f} documents/s {size / spent:>7.2f} MB/s "
            f"{base / spent:>6.1f} x the first"
        )


def report_planted(texts: Sequence[str], config: MinHashConfig) -> None:
    print(
        f"planted: {config.bands} bands of {config.rows} rows, threshold {config.threshold}, seed "
        f"{config.seed}"
    )
    for kind in ("edits", "passage"):
        print(f"  {kind:<9}similarity  copies  share a band  (predicted)  and pass the threshold")
        for wanted in (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
            rng = random.Random(0)
            found = [
                _meet(text, copy, config)
                for text in texts
                if (copy := planted(text, wanted, config.ngram, kind, rng))
            ]
            candidates = sum(band for band, _ in found) / len(found)
            passed = sum(both for _, both in found) / len(found)
            predicted = probability(wanted, config.bands, config.rows)
            print(
                f"  {'':<9}{wanted:>10.2f}{len(found):>8}{candidates:>14.4f}{predicted:>13.4f}"
                f"{passed:>16.4f}"
            )


def _meet(left: str, right: str, config: MinHashConfig) -> tuple[bool, bool]:
    a, b = (
        signature(shingles(text, config.ngram), config.permutations, config.seed)
        for text in (left, right)
    )
    shared = bool(
        set(bands(a, config.bands, config.rows)) & set(bands(b, config.bands, config.rows))
    )
    return shared, shared and jaccard(sketch(a), sketch(b)) >= config.threshold


def report_chance(texts: Sequence[str], config: MinHashConfig) -> None:
    values = [
        signature(shingles(text, config.ngram), config.permutations, config.seed) for text in texts
    ]
    keys = [set(bands(value, config.bands, config.rows)) for value in values]
    met = [(i, j) for i, j in combinations(range(len(texts)), 2) if keys[i] & keys[j]]
    passed = [
        (i, j) for i, j in met if jaccard(sketch(values[i]), sketch(values[j])) >= config.threshold
    ]
    print(
        f"chance: {len(texts) * (len(texts) - 1) // 2} pairs of different pages, {len(met)} share "
        f"a band, {len(passed)} pass the threshold"
    )
    for i, j in met:
        exact = similarity(texts[i], texts[j], config.ngram)
        print(f"  similarity {exact:.3f}: {texts[i][:40]!r} and {texts[j][:40]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    documents = load(arguments.data)
    chosen = random.Random(0).sample(documents, min(arguments.documents, len(documents)))
    config = MinHashConfig()
    report_speed(chosen, config, arguments.repeat)
    report_planted([document.text for document in chosen], config)
    report_chance([document.text for document in documents], config)


if __name__ == "__main__":
    main()
