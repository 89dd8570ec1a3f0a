"""All that deduplication needs to know of a document: hashes and ids."""

import math
import struct
import unicodedata
from dataclasses import dataclass

import numpy as np
import xxhash

from schemas.dedup import Signature
from schemas.document import Document, Text
from stages.dedup.components import MOST, end
from stages.dedup.config import DedupConfig
from stages.dedup.minhash import bands, shingles, signature, sketch
from stages.dedup.urls import page_url, site_of

_RANK_DIGITS = 17  # of a crawl time: a date, a time and three digits of a second


@dataclass(frozen=True)
class Fingerprint:
    """What is shuffled in place of a document.

    Attributes:
      paragraphs: for each distinct paragraph of the site, its key and the indices of its nodes.
    """

    signature: Signature
    url: str
    paragraphs: tuple[tuple[bytes, tuple[int, ...]], ...]


def fingerprint(document: Document, config: DedupConfig) -> Fingerprint:
    """Raises ValueError for an id with whitespace and for text with lone surrogates."""
    order = rank(document, config.keep, config.quality)
    end(order, document.doc_id)  # here, where an error is told of the document
    text = normalise(document.text)
    url = config.url and page_url(document.url, document.canonical_url, config.url)
    hashes = shingles(text, config.minhash.ngram) if config.minhash else np.zeros(0, np.uint32)
    keys = low = b""
    if config.minhash and hashes.size:
        values = signature(hashes, config.minhash.permutations, config.minhash.seed)
        keys = bands(values, config.minhash.bands, config.minhash.rows).tobytes()
        low = sketch(values).tobytes()
    return Fingerprint(
        Signature(
            document.doc_id,
            order,
            _digest(url) if url else b"",
            _digest(text) if config.text and text else b"",
            keys,
            low,
        ),
        document.url,
        _paragraphs(document, config),
    )


def normalise(text: str) -> str:
    """Text under which copies are equal: NFC, runs of whitespace as one blank; case counts."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _paragraphs(
    document: Document, config: DedupConfig
) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    if not config.paragraphs:
        return ()
    site = site_of(document.url, config.paragraphs.site)
    found: dict[bytes, list[int]] = {}
    for index, node in enumerate(document.nodes):
        if isinstance(node, Text) and (text := normalise(node.text)):
            key = _digest(f"{site}\n{text}")
            found.setdefault(key, []).append(index)
    return tuple((key, tuple(indices)) for key, indices in found.items())


def _digest(text: str) -> bytes:
    return xxhash.xxh3_128_digest(text.encode())


def rank(document: Document, keep: str, quality: str = "") -> int:
    """Orders the members of a cluster by `DedupConfig.keep`: the highest stays."""
    if keep == "longest":
        return len(document.text)
    if keep == "most_images":
        return len(document.images)
    if keep == "highest_quality":
        scores = [signal.score for signal in document.signals if signal.rule == quality]
        return 0 if not scores or math.isnan(scores[-1]) else _ordered(scores[-1])
    # As written: WARC-Date is UTC by its standard. A document without a time is the oldest.
    digits = "".join(char for char in document.crawl_time if char in "0123456789")
    return int(digits[:_RANK_DIGITS].ljust(_RANK_DIGITS, "0"))


def _ordered(score: float) -> int:
    """A number in 1 .. `MOST` - 1 that grows with the score, to 56 bits of its 64."""
    [bits] = struct.unpack(">Q", struct.pack(">d", score))
    rising = ~bits & (2**64 - 1) if bits >> 63 else bits | 1 << 63
    return min((rising >> 8) + 1, MOST - 1)
