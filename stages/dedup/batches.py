"""What deduplication groups, as columns of numpy cut by hash into `PARTITIONS` parts.

A runner's shuffle spends about 7 microseconds and 400 bytes on each key, and a document has some
forty: grouping each by itself would take 15 GB a million documents on the local runner. So a batch
of documents goes into the shuffle as a few arrays a part, and buckets are found by sorting a part.

A document is known here by its `reference`, 16 bytes. Columns travel as types and bytes, which a
runner's coder writes twenty times faster than arrays. URLs, which have no bound, are a column of
objects: in one of a fixed width the longest URL would be paid for by every document of its part.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from schemas.dedup import Signature
from stages.dedup.components import Level, end
from stages.dedup.config import MinHashConfig
from stages.dedup.fingerprint import Fingerprint
from stages.dedup.minhash import jaccard

PARTITIONS = 1024
ROWS_AT_ONCE = 4096
_OBJECTS = "O"
_TAIL = 8  # values after a band that say who stands beside whom

Columns = tuple[NDArray[Any], ...]
Packed = tuple[Any, ...]  # a type and bytes for each of some columns
Part = tuple[str, Packed]  # key of the part, parallel columns
Hashes = NDArray[np.bytes_]  # of dtype S16


def reference(doc_id: str, earlier: bool = False) -> bytes:
    """Names a document by 16 bytes; in an earlier corpus the same id is another document."""
    return xxhash.xxh3_128_digest(doc_id.encode())[:15] + (b"e" if earlier else b"n")


def references(doc_ids: Iterable[str], earlier: bool = False) -> Hashes:
    return _hashes([reference(doc_id, earlier) for doc_id in doc_ids])


def cut(by: Hashes, columns: Columns, prefix: str = "") -> Iterator[Part]:
    """Cuts parallel columns into parts by the first bytes of a hash."""
    if not len(by):
        return
    first = _rows(by)
    parts = (first[:, 0].astype(np.int64) << 8 | first[:, 1]) % PARTITIONS
    order = np.argsort(parts, kind="stable")
    starts = np.flatnonzero(np.diff(parts[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        packed = (x for c in columns for x in _packed(c[rows]))
        yield f"{prefix}{parts[rows[0]]:03x}", tuple(packed)


def joined(parts: Iterable[Packed]) -> Columns | None:
    """The columns of all batches of a part, or None where there are none."""
    listed = list(parts)
    if not listed:
        return None
    columns = []
    for at in range(0, len(listed[0]), 2):
        types, data = zip(*(packed[at : at + 2] for packed in listed), strict=True)
        if len(set(types)) == 1 and types[0] != _OBJECTS:
            columns.append(np.frombuffer(b"".join(data), types[0]))
        else:  # ids of unlike width, or URLs
            columns.append(np.concatenate(list(map(_unpacked, types, data))))
    return tuple(columns)


def _packed(column: NDArray[Any]) -> tuple[str, bytes]:
    """The type and the bytes of a column."""
    if not column.dtype.hasobject:
        return column.dtype.str, column.tobytes()
    sizes = np.array([len(column), *map(len, column)], "<u4")
    return _OBJECTS, sizes.tobytes() + b"".join(column)


def _unpacked(kind: str, data: bytes) -> NDArray[Any]:
    if kind != _OBJECTS:
        return np.frombuffer(data, kind)
    count = int.from_bytes(data[:4], "little")
    stops = 4 * (count + 1) + np.cumsum(np.frombuffer(data, "<u4", count, 4), dtype=np.int64)
    starts = [4 * (count + 1), *stops.tolist()]
    return _objects([data[a:b] for a, b in pairwise(starts)])


def _objects(values: Sequence[bytes]) -> NDArray[np.object_]:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def lookup(wanted: Hashes, known: Hashes) -> NDArray[np.int64]:
    """The row of `known` for each wanted hash, -1 where there is none."""
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known, wanted, sorter=order)
    rows: NDArray[np.int64] = order[np.minimum(place, len(known) - 1)]
    return np.where(known[rows] == wanted, rows, -1)


# --- from documents to buckets --------------------------------------------------------------------


def buckets(
    signatures: Sequence[Signature], config: MinHashConfig | None, earlier: bool = False
) -> Iterator[Part]:
    """Every bucket of some documents, in parts: hash, tail, reference.

    The kind of a bucket is the first letter of its part's key: "u" URL, "t" text, "m" a band.
    """
    who = references((s.doc_id for s in signatures), earlier)
    for kind, hashes in (("u", [s.url for s in signatures]), ("t", [s.text for s in signatures])):
        has = np.array([bool(h) for h in hashes])
        keys = _hashes([h for h in hashes if h])
        yield from cut(keys, (keys, np.zeros(len(keys), np.uint64), who[has]), kind)
    has = np.array([bool(s.bands) for s in signatures])
    if config and has.any():
        count = config.bands
        keys = np.frombuffer(b"".join(s.bands for s in signatures), "S8")
        sketches = _matrix([s.sketch for s in signatures if s.sketch])
        columns = ((np.arange(count) + 1) * config.rows)[:, None] + np.arange(_TAIL)
        tails = np.ascontiguousarray(sketches[:, columns % config.permutations]).view(">u8")
        tails = tails.astype(np.uint64).ravel()
        yield from cut(keys, (keys, tails, np.repeat(who[has], count)), "m")


def neighbours(part: Columns) -> tuple[Hashes, Hashes]:
    """Links the members of each bucket to one another in a chain: k - 1 links for k, not k**2.

    The chain of a band follows the values of the signature that come after the band, as a prefix
    tree would. So what is nearly the same stands side by side, though a thousand pages of the same
    template lie in the bucket too; links to one hub would be compared with the template only.

    Source: M. Bawa, T. Condie, P. Ganesan, "LSH Forest" (2005), for the order.

    Returns:
      The references of the ends of the links, the smaller first.
    """
    keys, tails, who = part
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    crowded = order[np.concatenate(([False], same)) | np.concatenate((same, [False]))]
    order = crowded[np.lexsort((who[crowded], tails[crowded], keys[crowded]))]
    keys, who = keys[order], who[order]
    beside = (keys[1:] == keys[:-1]) & (who[1:] != who[:-1])
    a, b = who[:-1][beside], who[1:][beside]
    return np.where(a < b, a, b), np.where(a < b, b, a)


def kinds(letter: str, count: int) -> NDArray[np.bytes_]:
    """The kind of each of some links."""
    return np.full(count, letter.encode())


# --- from links to edges --------------------------------------------------------------------------


def ends_and_sketches(
    signatures: Sequence[Signature], config: MinHashConfig | None, earlier: bool = False
) -> Iterator[Part]:
    """Who a reference is: reference, end, sketch (zeros where it has none)."""
    who = references((s.doc_id for s in signatures), earlier)
    blank = bytes(config.permutations if config else 1)
    ends = _texts(end(s.rank, s.doc_id, _level(s, earlier)) for s in signatures)
    sketches = b"".join(s.sketch or blank for s in signatures)
    yield from cut(who, (who, ends, np.frombuffer(sketches, f"V{len(blank)}")))


def earlier_links(signatures: Sequence[Signature]) -> Iterator[Part]:
    """Links the copies that an earlier corpus removed to what they were copies of."""
    copies = [s for s in signatures if s.survivor_id]
    a = references((s.doc_id for s in copies), earlier=True)
    b = references((s.survivor_id for s in copies), earlier=True)
    yield from cut(a, (kinds("e", len(copies)), a, b))


def first_ends(links: Columns, known: Columns) -> Iterator[Part]:
    """Half of a join: for each distinct link, in the part of its other end, the end and the sketch
    of the first."""
    kind, a, b = links
    order = np.lexsort((b, a, kind))
    kind, a, b = kind[order], a[order], b[order]
    changed = (kind[1:] != kind[:-1]) | (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    distinct = np.concatenate(([True], changed))
    kind, a, b = kind[distinct], a[distinct], b[distinct]
    who, ends, sketches = _distinct(known)
    rows = lookup(a, who)
    there = rows >= 0
    for start in range(0, len(rows), ROWS_AT_ONCE):
        at = np.flatnonzero(there[start : start + ROWS_AT_ONCE]) + start
        yield from cut(b[at], (kind[at], b[at], ends[rows[at]], sketches[rows[at]]))


def edges(halves: Iterable[Packed], known: Columns, threshold: float) -> Iterator[str]:
    """The other half: edges ``kind end end``, of near-duplicates those that reach the threshold."""
    who, ends, sketches = _distinct(known)
    for half in halves:
        columns = joined([half])
        assert columns
        kind, b, firsts, first_sketches = columns
        rows = lookup(b, who)
        # Both ends are known, but for copies that an earlier corpus removed for a third one.
        kept = rows >= 0
        if threshold:
            near = kind == b"m"
            pair = (_rows(first_sketches[near]), _rows(sketches[rows[near]]))
            kept[near] = jaccard(*pair) >= threshold
        for k, first, row in zip(kind[kept], firsts[kept], rows[kept], strict=True):
            letter = k.decode().replace("e", "m")
            yield f"{letter} {text_of(first)} {text_of(ends[row])}"


# --- members and their paragraphs -----------------------------------------------------------------


def part_of(doc_id: str) -> str:
    """Key of the part that a document's id is in."""
    who = references([doc_id])
    [(key, _)] = cut(who, (who,))
    return key


def members(prints: Sequence[Fingerprint]) -> Iterator[Part]:
    """Documents: reference, id, URL."""
    who = references(p.signature.doc_id for p in prints)
    ids = _texts(p.signature.doc_id for p in prints)
    urls = _objects([_encoded(p.url) for p in prints])
    yield from cut(who, (who, ids, urls))


def places(prints: Sequence[Fingerprint]) -> Iterator[Part]:
    """The paragraphs of documents: reference of the document, key, index of the node."""
    found = [
        (row, key, index)
        for row, seen in enumerate(prints)
        for key, indices in seen.paragraphs
        for index in indices
    ]
    if found:
        rows, keys, indices = zip(*found, strict=True)
        who = references(p.signature.doc_id for p in prints)[np.array(rows)]
        yield from cut(who, (who, _hashes(keys), np.array(indices, np.uint32)))


def paragraph_counts(places: Columns, by_document: bool) -> Iterator[Part]:
    """How often each document has each of its paragraphs: key, reference, count."""
    who, keys, _ = places
    _, first, counts = np.unique(_beside(who, keys), return_index=True, return_counts=True)
    counts = np.ones_like(counts) if by_document else counts
    yield from cut(keys[first], (keys[first], who[first], counts))


def repeated(counts: Columns, min_count: int) -> Iterator[Part]:
    """Paragraphs seen at least so often, for each document that has them: reference, key, count."""
    keys, who, each = counts
    _, group = np.unique(keys, return_inverse=True)
    totals = np.bincount(group, each).astype(np.int64)[group]
    often = totals >= min_count
    yield from cut(who[often], (who[often], keys[often], totals[often]))


def repeats(
    members: Columns, places: Columns, repeated: Columns
) -> Iterator[tuple[str, str, int, int]]:
    """Where the repeated paragraphs stand: id, URL, index of the node, count."""
    who, ids, urls = members
    owners, keys, indices = places
    found = lookup(_beside(owners, keys), _beside(*repeated[:2]))
    hit = np.flatnonzero(found >= 0)
    rows = lookup(owners[hit], who)
    for row, index, count in zip(rows, indices[hit], repeated[2][found[hit]], strict=True):
        yield text_of(ids[row]), text_of(urls[row]), int(index), int(count)


def text_of(value: bytes) -> str:
    """An element of a column of texts."""
    return value.decode("utf-8", "surrogatepass")


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _texts(values: Iterable[str]) -> NDArray[np.bytes_]:
    return np.array(list(map(_encoded, values)), np.bytes_)


def _beside(left: Hashes, right: Hashes) -> NDArray[np.bytes_]:
    """Two columns of hashes as one."""
    both = np.concatenate([_rows(left), _rows(right)], axis=1)
    return both.view("S32").ravel()


def _rows(column: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of each element."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.itemsize)


def _distinct(known: Columns) -> Columns:
    """One row a reference; of a document in several earlier corpora the one that stays."""
    order = np.lexsort((known[1], known[0]))
    who = known[0][order]
    first = order[np.concatenate(([True], who[1:] != who[:-1]))]
    return tuple(column[first] for column in known)


def _level(signature: Signature, earlier: bool) -> Level:
    if not earlier:
        return Level.NEW
    return Level.EARLIER_COPY if signature.survivor_id else Level.EARLIER


def _hashes(values: Sequence[bytes]) -> Hashes:
    return np.frombuffer(b"".join(values), "S16")


def _matrix(rows: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
