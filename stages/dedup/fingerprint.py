"""All that deduplication needs to know of a document: hashes and ids."""

import unicodedata
from dataclasses import dataclass

import xxhash

from schemas.document import Document, Text
from stages.dedup.components import end
from stages.dedup.config import DedupConfig
from stages.dedup.minhash import Hashes, bands, shingles, signature, sketch
from stages.dedup.urls import canonical_url, site_of

_RANK_DIGITS = 17  # of a crawl time: a date, a time and three digits of a second


@dataclass(frozen=True)
class Fingerprint:
    """What is shuffled in place of a document.

    Attributes:
      end: the document's name in the graph of copies (`stages.dedup.components.end`).
      buckets: keys that copies share; the first letter says of what kind: "u" URL, "t" text,
        "m" a band of the MinHash signature.
      sketch: of the MinHash signature, empty where there is none.
      paragraphs: for each distinct paragraph of the site, its key and the indices of its nodes.
    """

    doc_id: str
    url: str
    end: str
    buckets: tuple[str, ...]
    sketch: bytes
    paragraphs: tuple[tuple[str, tuple[int, ...]], ...]


def fingerprint(document: Document, config: DedupConfig) -> Fingerprint:
    """Raises ValueError for an id with whitespace and for text with lone surrogates."""
    text = normalise(document.text)
    buckets = []
    if config.url and (url := canonical_url(document.url)):
        buckets.append(f"u{_digest(url)}")
    if config.text and text:
        buckets.append(f"t{_digest(text)}")
    values = _signature(text, config)
    if config.minhash and values is not None:
        keys = bands(values, config.minhash.bands, config.minhash.rows)
        buckets.extend(f"m{key}" for key in keys)
    return Fingerprint(
        document.doc_id,
        document.url,
        end(rank(document, config.keep), document.doc_id),
        tuple(buckets),
        b"" if values is None else sketch(values),
        _paragraphs(document, config),
    )


def normalise(text: str) -> str:
    """Text under which copies are equal: NFC, runs of whitespace as one blank; case counts."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _signature(text: str, config: DedupConfig) -> Hashes | None:
    if not config.minhash or not text:
        return None
    hashes = shingles(text, config.minhash.ngram)
    return signature(hashes, config.minhash.permutations, config.minhash.seed)


def _paragraphs(document: Document, config: DedupConfig) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if not config.paragraphs:
        return ()
    site = site_of(document.url, config.paragraphs.site)
    found: dict[str, list[int]] = {}
    for index, node in enumerate(document.nodes):
        if isinstance(node, Text) and (text := normalise(node.text)):
            key = _digest(f"{site}\n{text}")
            found.setdefault(key, []).append(index)
    return tuple((key, tuple(indices)) for key, indices in found.items())


def _digest(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode())


def rank(document: Document, keep: str) -> int:
    """Orders the members of a cluster by `DedupConfig.keep`: the highest stays."""
    if keep == "longest":
        return len(document.text)
    if keep == "most_images":
        return len(document.images)
    # As written: WARC-Date is UTC by its standard. A document without a time is the oldest.
    digits = "".join(char for char in document.crawl_time if char in "0123456789")
    return int(digits[:_RANK_DIGITS].ljust(_RANK_DIGITS, "0"))
