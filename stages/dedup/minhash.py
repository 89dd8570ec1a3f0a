"""MinHash signatures and their bands, in numpy.

The values are those of datasketch 2 (``scheme="affine32"``) fed with the same 32-bit shingle
hashes, bit for bit (a test asserts it), at twice the speed of its batches and twenty times that of
its updates (scripts/bench/dedup.py): words are hashed once each, shingles are combined from word
hashes in numpy, and permutations run over blocks that fit a cache.

Source: A. Broder, "On the resemblance and containment of documents" (1997), for MinHash; Leskovec,
Rajaraman, Ullman, "Mining of Massive Datasets", 3.4, for bands.
"""

import re
from functools import cache

import numpy as np
import xxhash
from datasketch import MinHash
from numpy.typing import NDArray

Hashes = NDArray[np.uint32]

# Scripts that put no blank between words: every character counts as a word. Thai and Lao, Burmese,
# Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_BLOCK = 512  # shingles; times 256 permutations times 4 bytes: what a usual L2 cache holds
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio, as in Fibonacci hashing


def probability(jaccard: float, bands: int, rows: int) -> float:
    """How likely two documents of a given similarity share at least one of their bands."""
    return 1 - (1 - jaccard**rows) ** bands


def words(text: str) -> list[str]:
    """Whitespace-separated words in lower case; characters where a script has no blanks."""
    if not text.isascii() and _UNSPACED.search(text):
        text = _UNSPACED.sub(r" \g<0> ", text)
    return text.lower().split()


def shingles(text: str, ngram: int) -> Hashes:
    """Hashes of the distinct word n-grams, sorted; one of all words where there are fewer.

    Returns:
      uint32 of shape [shingles], empty for a text without words.

    Raises:
      UnicodeEncodeError: a word holds a lone surrogate.
    """
    listed = words(text)
    if not listed:
        return np.zeros(0, np.uint32)
    found = np.sort((grams(listed, min(ngram, len(listed))) >> np.uint64(32)).astype(np.uint32))
    return found[np.concatenate(([True], found[1:] != found[:-1]))]  # np.unique is slower


def grams(listed: list[str], ngram: int) -> NDArray[np.uint64]:
    """Hashes of the word n-grams in order, of shape [words - ngram + 1]; none of fewer words.

    Raises:
      UnicodeEncodeError: a word holds a lone surrogate.
    """
    count = len(listed) - ngram + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    encoded = " ".join(listed).encode().split(b" ")  # one call to encode, not one a word
    digests = b"".join(map(xxhash.xxh3_64_digest, encoded))
    hashes = np.frombuffer(digests, ">u8").astype(np.uint64)
    # A polynomial in an odd constant, so that the order of words counts; wraps modulo 2**64.
    total = hashes[:count].copy()
    for offset in range(1, ngram):
        total *= _ODD
        total += hashes[offset : offset + count]
    total ^= total >> np.uint64(29)
    total *= _ODD
    return total


def signature(hashes: Hashes, permutations: int, seed: int) -> Hashes:
    """The minimum of every permutation over a set of hashes.

    Args:
      hashes: uint32 of shape [shingles]; not empty.

    Returns:
      uint32 of shape [permutations].
    """
    factor, offset = _permutations(permutations, seed)
    mixed = _mix(hashes)[:, None]
    lowest = np.full(permutations, 2**32 - 1, np.uint32)
    block = np.empty((min(_BLOCK, len(mixed)), permutations), np.uint32)
    for start in range(0, len(mixed), _BLOCK):
        part = mixed[start : start + _BLOCK]
        values = block[: len(part)]
        np.multiply(part, factor, out=values)
        values += offset
        np.minimum(lowest, values.min(axis=0), out=lowest)
    return lowest


def bands(values: Hashes, count: int, rows: int) -> NDArray[np.uint64]:
    """A key for each band of a signature: two documents share it if they agree on all its rows."""
    raw = np.ascontiguousarray(values, "<u4").tobytes()
    step = 4 * rows
    keys = (xxhash.xxh3_64_intdigest(raw[b * step : (b + 1) * step], b) for b in range(count))
    return np.fromiter(keys, "<u8", count)


def sketch(values: Hashes) -> NDArray[np.uint8]:
    """The lowest byte of every value of a signature: what `jaccard` compares."""
    return values.astype(np.uint8)


def jaccard(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimates the similarity of texts from their sketches, which lie along the last axis.

    Unequal values agree in one byte by chance, 1 in 256, which the estimate allows for.

    Source: P. Li, A. C. König, "b-bit minwise hashing" (2010), for large sets.
    """
    agree = np.count_nonzero(left == right, axis=-1) / left.shape[-1]
    estimate: NDArray[np.float64] = np.maximum(0.0, (agree - 1 / 256) / (1 - 1 / 256))
    return estimate


@cache
def _permutations(count: int, seed: int) -> tuple[Hashes, Hashes]:
    factor, offset = MinHash(count, seed, scheme="affine32").permutations
    return factor, offset


def _mix(hashes: Hashes) -> Hashes:
    """The finalizer of MurmurHash3 (public domain, A. Appleby), which affine32 applies first."""
    hashes = hashes ^ (hashes >> np.uint32(16))
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return hashes
