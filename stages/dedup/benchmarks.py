"""Whether a text holds one of a benchmark's (`config.BenchmarkConfig` says when it does)."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import files
from stages.dedup.config import BenchmarkConfig
from stages.dedup.minhash import grams, words

_PUNCTUATION = re.compile(r"[^\w\s]+|_+")


@dataclass(frozen=True)
class Match:
    """Attributes:
    entry: which text was found, as ``file:number`` (of the line or row, from 1).
    share: of the distinct n-grams of the entry, those that the document has.
    """

    entry: str
    share: float


class Benchmarks:
    """The texts of a config, read once and indexed by their n-grams.

    Raises:
      OSError: a file cannot be read.
      ValueError: a file is not what its name says, lacks the column, or has no text that is long
        enough.
    """

    def __init__(self, config: BenchmarkConfig):
        self._config = config
        self._entries: list[str] = []
        self._sizes: list[int] = []
        # Texts shorter than an n-gram are looked for by grams of their own length.
        by_width: dict[int, list[tuple[NDArray[np.uint64], int]]] = defaultdict(list)
        for path in config.texts:
            before = len(self._entries)
            for number, text in _texts(path, config.column):
                listed = _words(text)
                if len(listed) >= config.min_words:
                    width = min(config.ngram, len(listed))
                    found = np.unique(grams(listed, width))
                    by_width[width].append((found, len(self._entries)))
                    self._entries.append(f"{path.rpartition('/')[2]}:{number}")
                    self._sizes.append(len(found))
            if len(self._entries) == before:
                raise ValueError(
                    f"deduplicate: benchmarks: {path} has no text of {config.min_words} words"
                )
        self._index = {width: _sorted(found) for width, found in sorted(by_width.items())}

    def match(self, text: str) -> Match | None:
        """The entry of which most is found, the first one of equals; None where none is held."""
        if not self._index:
            return None
        listed = _words(text)
        counts: dict[int, int] = defaultdict(int)
        for width, (hashes, owners) in self._index.items():
            here = np.unique(grams(listed, width))
            start = np.searchsorted(hashes, here, "left")
            stop = np.searchsorted(hashes, here, "right")
            for place in np.flatnonzero(stop > start).tolist():
                for owner in owners[start[place] : stop[place]].tolist():
                    counts[owner] += 1
        shares = ((count / self._sizes[owner], -owner) for owner, count in counts.items())
        share, owner = max(shares, default=(0.0, 0))
        if not counts or share < self._config.min_share:
            return None
        return Match(self._entries[-owner], share)


def _sorted(
    found: list[tuple[NDArray[np.uint64], int]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    hashes = np.concatenate([each for each, _ in found])
    owners = np.concatenate([np.full(len(each), owner) for each, owner in found])
    order = np.argsort(hashes, kind="stable")
    return hashes[order], owners[order]


def _words(text: str) -> list[str]:
    return words(_PUNCTUATION.sub(" ", unicodedata.normalize("NFKC", text)))


def _texts(path: str, column: str) -> Iterator[tuple[int, str]]:
    """The texts of a file with their numbers, from 1."""
    if path.endswith(".parquet"):
        table = files.open_parquet(path)
        if column not in table.schema_arrow.names:
            raise _wrong(path, f"has no column {column!r}")
        values: Any = table.read([column])[column].to_pylist()
    else:
        try:
            values = files.read_bytes(path).decode("utf-8").split("\n")
        except UnicodeDecodeError:
            raise _wrong(path, "is not UTF-8") from None
        if path.endswith(".jsonl"):
            values = [_value(path, number, line, column) for number, line in enumerate(values, 1)]
    for number, value in enumerate(values, 1):
        if isinstance(value, str):
            yield number, value
        elif value is not None:
            raise _wrong(path, f"holds in {column!r} what is no text, row {number}")


def _value(path: str, number: int, line: str, column: str) -> Any:
    if not line.strip():
        return None
    try:
        return json.loads(line)[column]
    except (ValueError, KeyError, TypeError):
        raise _wrong(path, f"line {number} is no JSON object with {column!r}") from None


def _wrong(path: str, what: str) -> ValueError:
    return ValueError(f"deduplicate: benchmarks: {path} {what}")
