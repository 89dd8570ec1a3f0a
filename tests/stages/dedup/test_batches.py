from collections import defaultdict

import numpy as np
import pytest

from schemas.dedup import Signature
from schemas.document import Document, Text
from stages.dedup import batches
from stages.dedup.config import DedupConfig, MinHashConfig
from stages.dedup.fingerprint import Fingerprint, fingerprint
from tests.stages.test_deduplicate import prose


def hashes(*values):
    return np.array([value.ljust(16, b"x") for value in values], "S16")


def test_parts_hold_every_row_once():
    who = batches.references(f"d{i}" for i in range(5000))
    parts = list(batches.cut(who, (who, np.arange(5000)), "m"))
    parts = [(key, batches.joined([packed])) for key, packed in parts]
    keys = [key for key, _ in parts]
    assert len(set(keys)) == len(keys) <= batches.PARTITIONS
    assert all(key[0] == "m" and len(key) == 4 for key in keys)
    assert sorted(np.concatenate([rows for _, (_, rows) in parts]).tolist()) == list(range(5000))
    assert all(len(set(f"m{batches.part_of(f'd{i}')}" for i in rows.tolist())) == 1
               for _, (_, rows) in parts[:50])  # fmt: skip


def test_a_hash_may_hold_zeros():
    known = hashes(b"a\0b", b"a", b"c")
    known[0] = b"\0" * 16
    assert batches.lookup(hashes(b"c", b"a", b"b"), known).tolist() == [2, 1, -1]
    assert batches.lookup(np.array([b"\0" * 16], "S16"), known).tolist() == [0]


def test_a_long_url_is_paid_for_once_and_comes_back_as_it_is():
    urls = [f"https://h.example/{i}" for i in range(2000)]
    urls[7:9] = ["https://h.example/" + "x" * 100_000 + "\0", "", "https://ü\n\udc80"]
    prints = [Fingerprint(Signature(f"d{i}", 0, b"", b"", b"", b""), url, ())
              for i, url in enumerate(urls)]  # fmt: skip
    parts = defaultdict(list)
    for some in (prints[:500], prints[500:]):
        for key, packed in batches.members(some):
            parts[key].append(packed)
    assert sum(len(value) for listed in parts.values() for packed in listed for value in packed) < (
        1.5 * len("".join(urls)) + 100 * len(urls)
    )
    found = {}
    for listed in parts.values():
        _, ids, column = batches.joined(listed)
        found |= zip(map(batches.text_of, ids), map(batches.text_of, column), strict=True)
    assert found == {f"d{i}": url for i, url in enumerate(urls)}


def chain(keys, tails, who):
    part = (np.array(keys), np.array(tails, np.uint64), hashes(*who))
    return [(a[:1], b[:1]) for a, b in zip(*batches.neighbours(part), strict=True)]


def test_a_bucket_of_k_gives_k_minus_one_links_between_neighbours():
    keys = [b"one", b"two", b"one", b"one", b"two", b"lone", b"one"]
    found = chain(keys, [5, 0, 9, 5, 0, 1, 1], [b"a", b"b", b"c", b"d", b"e", b"f", b"g"])
    assert sorted(found) == [(b"a", b"d"), (b"a", b"g"), (b"b", b"e"), (b"c", b"d")]
    assert chain([b"one"], [0], [b"a"]) == []


def signed(doc_id, words, config):
    document = Document(doc_id, "", (Text(" ".join(words)),))
    return fingerprint(document, DedupConfig(url=None, minhash=config)).signature


def pairs(signatures, config, order=None):
    parts = {}
    for key, columns in batches.buckets(signatures, config):
        parts.setdefault(key, []).append(columns)
    found = set()
    for key, listed in parts.items():
        if key[0] == "m":
            a, b = batches.neighbours(batches.joined(listed))
            found |= set(zip(a.tolist(), b.tolist(), strict=True))
    return found


@pytest.mark.parametrize("size", [60, 600])
def test_near_duplicates_meet_among_pages_of_one_template(size):
    """Two thirds of each page are the template's; ten pages have an edited copy. The copies are
    links even where only crowded buckets are looked at; a hub would be linked with each page."""
    config = MinHashConfig(permutations=64, bands=16, rows=4)
    template = prose("t", 200)
    pages = [template + prose(f"p{i}n", 100) for i in range(size)]
    copies = [
        [*page[:-20], *prose(f"c{i}n", 20)] for i, page in enumerate(pages[:10])
    ]  # similarity .87
    signatures = [signed(f"p{i}", page, config) for i, page in enumerate(pages)]
    signatures += [signed(f"c{i}", page, config) for i, page in enumerate(copies)]
    found = pairs(signatures, config)
    wanted = batches.references(f"{c}{i}" for i in range(10) for c in "pc")
    meet = [tuple(sorted(pair)) in found for pair in wanted.reshape(10, 2).tolist()]
    assert all(meet)
    assert len(found) <= 16 * len(signatures)


def test_references_tell_corpora_apart():
    assert batches.reference("a") != batches.reference("a", earlier=True)
    assert len(batches.reference("a")) == 16


def test_links_to_documents_that_are_not_there_lead_nowhere():
    rows = [Signature("a", 0, b"", b"", b"", b"", "b"), Signature("c", 0, b"", b"", b"", b"", "a")]
    [*links] = batches.earlier_links(rows)
    known = batches.joined(
        columns for _, columns in batches.ends_and_sketches(rows, None, earlier=True)
    )
    halves = [
        half
        for _, columns in links
        for _, half in batches.first_ends(batches.joined([columns]), known)
    ]
    assert len(halves) == 2
    [edge] = batches.edges(halves, known, 0.6)
    kind, first, second = edge.split(" ")
    assert (kind, first[-1], second[-1]) == ("m", "c", "a")
