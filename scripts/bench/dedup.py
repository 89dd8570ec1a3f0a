"""Measures near-duplicate detection on real texts with copies planted at known similarities.

Usage: python -m scripts.bench.dedup [--data DIR] [--documents N] [--repeat N] [--peer DIR|none]
       python -m scripts.bench.dedup --curve 10000 100000 1000000

speed     documents and MB of text a CPU second on one core, all in the same run, rounds alternating
          and the best of each: signatures here; by datasketch one shingle at a time (its plain use)
          and in batches, fed with word n-grams of the same words; by datatrove with the same words,
          n-grams, bands and rows, with its default settings, and with those and its own tokenizer;
          and whole fingerprints (URL, text, bands, paragraphs).
planted   a copy of every text has words replaced ("edits") or its end ("passage") until its
          shingles have the wanted similarity with the original, .3 to .95. Printed: the share of
          copies that share a band, what the curve predicts, the share that also passes the
          threshold, and the share that datasketch's LSH at the same threshold and datatrove at the
          same and at its default settings call duplicates. Then of each method recall at a
          similarity of at least .85 and precision at the threshold: the share of the pairs found,
          of equally many at each similarity, that reach it.
template  pages of which two thirds are one template, with an edited copy of one in ten: the copies
          that stage 5 finds through crowded buckets, and the pairs that it compares.
chance    pairs of unrelated texts that were found, of all pairs
curve     CPU time and peak memory of the whole stage on Beam's local runner, a process of its own
          for each number of documents: 12 sentences each, drawn from the real texts, 3 in 10 a copy
          of another one with one word in fifty replaced.

datatrove runs in an environment of its own, made with uv in the folder --peer.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import apache_beam as beam
import xxhash
from apache_beam.options.pipeline_options import PipelineOptions
from datasketch import MinHash, MinHashLSH

from schemas.document import Document, Text
from stages.dedup import batches
from stages.dedup.config import DedupConfig, MinHashConfig
from stages.dedup.fingerprint import fingerprint
from stages.dedup.minhash import bands, jaccard, probability, shingles, signature, sketch, words
from stages.deduplicate import Deduplicate

SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PEER = ("datatrove==0.10.1", "spacy", "regex", "tokenizers", "xxhash<4")
PLANTED = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SENTENCES = 12
COPIES = 0.3

# Runs in the peer's environment: reads one JSON line of work, answers with one.
PEER_CODE = """
import json, sys, time
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.text import TextNormConfig
from datatrove.utils.word_tokenizers import WordTokenizer

class Blanks(WordTokenizer):
    def word_tokenize(self, text): return text.split()
    def sent_tokenize(self, text): return [text]
    def span_tokenize(self, text): return [(0, len(text))]

plain = TextNormConfig(remove_punctuation=False, norm_unicode_diacritics=False, norm_numbers=False)
task = json.loads(sys.stdin.readline())
same = MinhashConfig(task["ngram"], task["bands"], task["rows"], norm_config=plain)
makers = {"same": (same, Blanks()), "default, blanks": (MinhashConfig(), Blanks()),
          "default": (MinhashConfig(), "eng")}
out = {"seconds": {}, "met": {}}
for name, (config, tokenizer) in makers.items():
    maker = MinhashDedupSignature(task["folder"], config, tokenizer)
    sign = lambda text: maker.get_signature(maker.get_shingles(text))
    sign(task["texts"][0])
    spent = []
    for _ in range(task["repeat"]):
        start = time.process_time()
        for text in task["texts"]:
            sign(text)
        spent.append(time.process_time() - start)
    out["seconds"][name] = min(spent)
    met = [any(a == b for a, b in zip(sign(x), sign(y))) for x, y in task["pairs"]]
    out["met"][name] = met if name != "default, blanks" else None
print(json.dumps(out))
"""


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


def ours(text: str, config: MinHashConfig) -> Any:
    return signature(shingles(text, config.ngram), config.permutations, config.seed)


def peer(folder: str, work: dict[str, Any]) -> dict[str, Any] | None:
    """What datatrove says to some work; None where it is not asked."""
    if folder == "none":
        return None
    python = Path(folder, "bin", "python")
    if not python.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", folder, "--python", sys.executable], check=True)
        install = [uv, "pip", "install", "-q", "--python", python, *PEER]
        subprocess.run(install, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        line = json.dumps(work | {"folder": scratch}) + "\n"
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run([python, "-c", PEER_CODE], input=line, stdout=subprocess.PIPE,
                              text=True, check=True, env=environment)  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def report_speed(
    documents: Sequence[Document], config: MinHashConfig, repeat: int, theirs: dict[str, float]
) -> None:
    texts = [document.text for document in documents]
    size = sum(len(text.encode()) for text in texts) / 1e6
    count = len(texts)
    mean = sum(len(words(text)) for text in texts) / count
    print(
        f"speed: {count} documents, {size:.2f} MB, {mean:.0f} words each, {config.ngram}-grams, "
        f"{config.permutations} permutations, one core"
    )
    ways: dict[str, Callable[[], object]] = {
        "datasketch, update per shingle, sha1": lambda: [per_shingle(t, config) for t in texts],
        "datasketch, update_batch, xxh32": lambda: [batched(t, config) for t in texts],
        "signatures here": lambda: [ours(t, config) for t in texts],
        "whole fingerprints": lambda: [fingerprint(d, DedupConfig()) for d in documents],
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeat):
        for name, work in ways.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    best |= {f"datatrove, {name} settings": spent for name, spent in theirs.items()}
    base = best["datasketch, update per shingle, sha1"]
    for name, spent in sorted(best.items(), key=lambda item: -item[1]):
        print(
            f"  {name:<40}{count / spent:>8.0f} documents/s {size / spent:>7.2f} MB/s "
            f"{base / spent:>6.1f} x datasketch"
        )


def planted_pairs(
    texts: Sequence[str], config: MinHashConfig
) -> Iterator[tuple[str, float, str, str]]:
    """Kind, wanted similarity, original, copy; equally many of each similarity in a kind."""
    for kind in ("edits", "passage"):
        by_level = {
            wanted: [
                (text, copy)
                for text in texts
                if (copy := planted(text, wanted, config.ngram, kind, random.Random(0)))
            ]
            for wanted in PLANTED
        }
        least = min(len(pairs) for pairs in by_level.values())
        for wanted, pairs in by_level.items():
            for text, copy in pairs[:least]:
                yield kind, wanted, text, copy


def report_planted(
    pairs: Sequence[tuple[str, float, str, str]],
    config: MinHashConfig,
    theirs: dict[str, list[bool]],
) -> None:
    print(
        f"planted: {config.bands} bands of {config.rows} rows, threshold {config.threshold}, seed "
        f"{config.seed}"
    )
    lsh = MinHashLSH(config.threshold, config.permutations)
    met: dict[str, list[bool]] = {"band": [], "weft": [], "datasketch": []}
    for _, _, text, copy in pairs:
        shared, passed = _meet(text, copy, config)
        met["band"].append(shared)
        met["weft"].append(passed)
        met["datasketch"].append(_in_lsh(text, copy, config, lsh))
    met |= {f"datatrove, {name}": found for name, found in theirs.items() if found}
    names = list(met)
    print(f"  {'kind':<8} similarity   pairs  predicted  " + "  ".join(names))
    for kind, wanted in sorted({(kind, wanted) for kind, wanted, _, _ in pairs}):
        rows = [i for i, pair in enumerate(pairs) if pair[:2] == (kind, wanted)]
        shares = (f"{sum(met[n][i] for i in rows) / len(rows):>{len(n)}.3f}" for n in names)
        predicted = probability(wanted, config.bands, config.rows)
        print(f"  {kind:<8} {wanted:>10.2f}{len(rows):>8}{predicted:>11.3f}  " + "  ".join(shares))
    true = [similarity(text, copy, config.ngram) for _, _, text, copy in pairs]
    for name in names:
        high = [found for found, j in zip(met[name], true, strict=True) if j >= 0.85]
        found = [j >= config.threshold for is_met, j in zip(met[name], true, strict=True) if is_met]
        print(
            f"  {name:<20} recall at >= .85: {sum(high) / len(high):.4f}; precision at >= "
            f"{config.threshold}: {sum(found) / len(found):.4f}"
        )


def _meet(left: str, right: str, config: MinHashConfig) -> tuple[bool, bool]:
    a, b = (ours(text, config) for text in (left, right))
    keys = (bands(values, config.bands, config.rows) for values in (a, b))
    shared = bool(len(set.intersection(*(set(found.tolist()) for found in keys))))
    return shared, shared and bool(jaccard(sketch(a), sketch(b)) >= config.threshold)


def _in_lsh(left: str, right: str, config: MinHashConfig, lsh: MinHashLSH) -> bool:
    a, b = (batched(text, config) for text in (left, right))
    lsh.insert("a", a)
    found = bool(lsh.query(b))
    lsh.remove("a")
    return found


def report_template(texts: Sequence[str], config: MinHashConfig, pages: int = 1000) -> None:
    """How many planted copies are linked where every page is in crowded buckets."""
    rng = random.Random(0)
    listed = [word for text in texts for word in words(text)]
    template = listed[:200]
    bodies = []
    for number in range(pages):
        start = rng.randrange(len(listed) - 100)
        own = listed[start : start + 80]
        bodies.append([*template, *own, *(f"n{number}w{i}" for i in range(20))])
        if number % 10 == 0:
            copy = [word if rng.random() > 0.02 else "new" for word in bodies[-1]]
            bodies.append(copy)
    documents = [Document(f"d{i}", "", (Text(" ".join(body)),)) for i, body in enumerate(bodies)]
    alone = DedupConfig(url=None, text=False, minhash=config, paragraphs=None)
    signatures = [fingerprint(document, alone).signature for document in documents]
    groups: dict[str, list[Any]] = {}
    for key, columns in batches.buckets(signatures, config):
        groups.setdefault(key, []).append(columns)
    compared = set()
    for parts in groups.values():
        joined = batches.joined(parts)
        assert joined
        a, b = batches.neighbours(joined)
        compared |= set(zip(a.tolist(), b.tolist(), strict=True))
    ids = batches.references(document.doc_id for document in documents)
    originals = [i for i in range(len(bodies) - 1) if bodies[i][200:203] and _copy_of(bodies, i)]
    found = sum(tuple(sorted((ids[i], ids[i + 1]))) in compared for i in originals)
    print(
        f"template: {len(bodies)} pages, two thirds of each the same; {found} of {len(originals)} "
        f"planted copies are compared with their original, {len(compared)} pairs in all"
    )


def _copy_of(bodies: list[list[str]], index: int) -> bool:
    same = sum(a == b for a, b in zip(bodies[index], bodies[index + 1], strict=True))
    return same > 0.9 * len(bodies[index])


def report_chance(texts: Sequence[str], config: MinHashConfig) -> None:
    values = [ours(text, config) for text in texts]
    keys = [set(bands(value, config.bands, config.rows).tolist()) for value in values]
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


class _Synthetic(beam.DoFn):
    """Numbers to documents of real sentences; the same number gives the same document."""

    def __init__(self, sentences: list[str]):
        self._sentences = sentences

    def process(self, block: tuple[int, int]) -> Iterator[Document]:
        for number in range(*block):
            rng = random.Random(number)
            copied = rng.random() < COPIES
            source = random.Random(rng.randrange(number) if copied and number else number)
            source.random()
            texts = source.choices(self._sentences, k=SENTENCES)
            if copied:
                texts = [
                    " ".join("new" if rng.random() < 0.02 else word for word in text.split())
                    for text in texts
                ]
            nodes = tuple(map(Text, texts))
            url = f"https://www.site{number // 100}.com/{number}"
            yield Document(f"{number:032x}", url, nodes, crawl_time="2024-05-18T09:30:00Z")


def sentences_of(documents: Sequence[Document]) -> list[str]:
    found = {
        sentence.strip()
        for document in documents
        for text in document.texts
        for sentence in text.text.split(". ")
        if 8 <= len(sentence.split()) <= 40
    }
    return sorted(found)


def run_curve(documents: Sequence[Document], count: int) -> None:
    """Runs the stage on `count` documents in this process and prints what it took."""
    sentences = sentences_of(documents)
    blocks = [(start, min(start + 1000, count)) for start in range(0, count, 1000)]
    with tempfile.TemporaryDirectory() as scratch:
        options = PipelineOptions(["--runner=FnApiRunner"])
        with beam.Pipeline(options=options) as p:
            made = p | beam.Create(blocks) | beam.ParDo(_Synthetic(sentences))
            out = made | Deduplicate(DedupConfig())
            for name in ("kept", "removed", "pruned"):
                total = getattr(out, name) | f"Count {name}" >> beam.combiners.Count.Globally()
                _ = total | f"Write {name}" >> beam.io.WriteToText(f"{scratch}/{name}")
        totals = {
            name: int(next(Path(scratch).glob(f"{name}-*")).read_text())
            for name in ("kept", "removed", "pruned")
        }
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    print(
        f"  {count:>9,} documents: {spent:>8.1f} CPU s, {count / spent:>6.0f} documents/s, peak "
        f"{used.ru_maxrss / 1e6:.2f} GB; {totals['kept']:,} kept, {totals['removed']:,} removed, "
        f"{totals['pruned']:,} paragraphs pruned",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer", default=str(Path(tempfile.gettempdir(), "weft-bench-datatrove")))
    parser.add_argument("--curve", type=int, nargs="+", metavar="N")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    documents = load(arguments.data)
    if arguments.curve and arguments.one:
        return run_curve(documents, arguments.curve[0])
    if arguments.curve:
        print(f"curve: {SENTENCES} sentences each, {COPIES:.0%} copies, one core", flush=True)
        for count in arguments.curve:
            again = [sys.executable, "-m", "scripts.bench.dedup", "--one", "--curve", str(count)]
            subprocess.run([*again, "--data", str(arguments.data)], check=True)
        return None
    chosen = random.Random(0).sample(documents, min(arguments.documents, len(documents)))
    texts = [document.text for document in chosen]
    config = MinHashConfig()
    pairs = list(planted_pairs(texts, config))
    work = {
        "texts": texts,
        "pairs": [pair[2:] for pair in pairs],
        "repeat": arguments.repeat,
        **{name: getattr(config, name) for name in ("ngram", "bands", "rows")},
    }
    theirs = peer(arguments.peer, work) or {"seconds": {}, "met": {}}
    report_speed(chosen, config, arguments.repeat, theirs["seconds"])
    report_planted(pairs, config, theirs["met"])
    report_template(texts, config)
    return report_chance([document.text for document in documents], config)


if __name__ == "__main__":
    main()
