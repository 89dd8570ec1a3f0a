"""Rejects texts in which few character n-grams make up much of the text.

Source: OBELICS, obelics/processors/web_document_filtering.py:152-169 (10-grams, at most 0.1), after
the ROOTS corpus (arXiv 2303.03915).
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import ClassVar

import numpy as np

from filters.base import On, Passage, Score, register

# A window is hashed as a polynomial of mixed character codes modulo 2**64. Equal windows agree;
# that two others collide in one text has a chance of about 2**-40.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xBF58476D1CE4E5B9)
_SHORT = 400  # characters below which counting strings is faster than hashing in numpy


class Reason(StrEnum):
    REPETITIVE = "repetitive"


@register(On.TEXT)
@dataclass(frozen=True)
class CharacterRepetition:
    """The score is the share of the k commonest n-grams in all n-grams; k is the square root of the
    number of distinct n-grams, but no more than occur twice or oftener. 0 without an n-gram.
    """

    name: ClassVar[str] = "character_repetition"

    n: int = 10
    max_ratio: float = 0.1

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"character_repetition: n is {self.n}, less than 1")
        if not 0 <= self.max_ratio <= 1:
            raise ValueError(f"character_repetition: max_ratio {self.max_ratio} is not in [0, 1]")

    def score(self, passage: Passage) -> Score:
        text = passage.text
        total = len(text) - self.n + 1
        if total < 1:
            return Score(0.0)
        counts = _count_ngrams(text, self.n)
        repeated = counts[counts > 1]
        top = min(isqrt(len(counts)), len(repeated))
        return Score(int(np.sort(repeated)[::-1][:top].sum()) / total)

    def judge(self, score: Score) -> Reason | None:
        return Reason.REPETITIVE if score.value > self.max_ratio else None


def _count_ngrams(text: str, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How often each distinct n-gram occurs, in no order that matters."""
    if len(text) < _SHORT:
        ngrams = [text[i : i + n] for i in range(len(text) - n + 1)]
        if len(set(ngrams)) == len(ngrams):
            return np.ones(len(ngrams), np.int64)
        return np.fromiter(Counter(ngrams).values(), np.int64)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    codes = (codes + np.uint64(1)) * _MIX
    codes ^= codes >> np.uint64(29)
    size = len(codes) - n + 1
    hashes = np.zeros(size, np.uint64)
    for i in range(n):
        hashes *= _BASE
        hashes += codes[i : i + size]
    hashes.sort()
    edges = np.flatnonzero(hashes[1:] != hashes[:-1])
    return np.diff(edges, prepend=-1, append=size - 1).astype(np.int64)
