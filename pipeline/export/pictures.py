"""Images by their ids, for the documents of one shard at a time.

Documents name images that lie anywhere in the images table. To look each up would read a row group
for an image; instead the table is read once, from end to end, and each image is put down in the
folder of every shard that shows it, as in a hash join that spills.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.corpus import Corpus
from schemas.corpus import IMAGES

# Image id, format, whether there are bytes, how many.
_HEAD = struct.Struct("<32s8s?q")


@dataclass(frozen=True)
class Picture:
    """Attributes:
    format: jpeg, png ...
    data: the file as fetched; None if the corpus has no bytes, or they were not asked for.
    """

    format: str
    data: bytes | None


@dataclass
class Pictures:
    """The images of one shard, found in the file that `spill` left; empty without one."""

    path: Path | None = None

    def __post_init__(self) -> None:
        self._places: dict[str, tuple[str, bool, int, int]] = {}
        if self.path is None or not self.path.exists():
            return
        self._file = self.path.open("rb")
        while head := self._file.read(_HEAD.size):
            image_id, kind, has_bytes, size = _HEAD.unpack(head)
            start = self._file.tell()
            self._places[image_id.hex()] = (kind.rstrip(b"\0").decode(), has_bytes, start, size)
            self._file.seek(size, 1)

    def get(self, image_id: str | None) -> Picture | None:
        if image_id not in self._places:
            return None
        kind, has_bytes, start, size = self._places[image_id]
        if not has_bytes:
            return Picture(kind, None)
        self._file.seek(start)
        return Picture(kind, self._file.read(size))

    def close(self) -> None:
        """Deletes the file."""
        if self._places:
            self._file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def spill(corpus: Corpus, bounds: Sequence[int], folder: Path, with_bytes: bool) -> list[Path]:
    """Puts down each image for the shards that show it.

    Args:
      bounds: the number of the first document of each shard, and the number of documents.
      folder: local, with room for the images, once for each shard that shows them.

    Returns:
      A file for each shard, for `Pictures`.
    """
    paths = [folder / f"{shard:06d}" for shard in range(len(bounds) - 1)]
    keys, shards = _shown(corpus, bounds)
    columns = ["image_id", "format", *(["bytes"] if with_bytes else [])]
    assert set(columns) <= set(IMAGES.names)
    for _, _, table in corpus.batches("images", columns):
        waiting: dict[int, list[bytes]] = defaultdict(list)
        for batch in table.to_batches(max_chunksize=64):
            for row in batch.to_pylist():
                key = _key(row["image_id"])
                low, high = np.searchsorted(keys, [key, key + np.uint64(1)])
                data = row.get("bytes")
                head = _HEAD.pack(
                    bytes.fromhex(row["image_id"]),
                    row["format"].encode(),
                    data is not None,
                    len(data or b""),
                )
                for shard in np.unique(shards[low:high]).tolist():
                    waiting[shard] += [head, data or b""]
        for shard, parts in waiting.items():
            with paths[shard].open("ab") as file:
                file.writelines(parts)
    return paths


def _shown(corpus: Corpus, bounds: Sequence[int]) -> tuple[Any, Any]:
    """Which image is shown in which shard: two arrays, sorted by the image's key."""
    found = list(_references(corpus))
    keys = np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in found)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in found)])
    shards = np.searchsorted(np.asarray(bounds), numbers, side="right") - 1
    order = np.argsort(keys, kind="stable")
    return keys[order], shards[order]


def _references(corpus: Corpus) -> Iterator[tuple[Any, Any]]:
    first = 0
    for _, _, table in corpus.batches("documents", ["image_info.list.element.image_id"]):
        keys, numbers = [], []
        for number, infos in enumerate(table["image_info"].to_pylist(), first):
            for info in infos:
                if info["image_id"]:
                    keys.append(_key(info["image_id"]))
                    numbers.append(number)
        first += table.num_rows
        yield np.array(keys, np.uint64), np.array(numbers, np.int64)


def _key(image_id: str) -> np.uint64:
    """The first 64 bits: two images that share them only cost room. The last bit stays clear, so
    that one more is a number too."""
    return np.uint64(int(image_id[:16], 16) >> 1)
