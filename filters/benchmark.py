"""Files of the images of benchmarks, which a corpus for training must not hold.

A worker reads a file once, and again when it has changed. What it holds is part of the run's
settings (`pipeline.run.named_files`).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SHA256_COLUMNS = ("image_id", "sha256")
PHASH_COLUMN = "phash"
FEATURE_COLUMNS = ("clip_feature", "feature")
_HEX = re.compile("[0-9a-f]{64}|[0-9a-f]{16}")
_SLACK = 1e-2  # of the length of a feature in float16


@dataclass(frozen=True, eq=False)
class Hashes:
    """Attributes:
    sha256: 64 hex digits each.
    phash: distinct, uint64 of shape [n].
    """

    sha256: frozenset[str]
    phash: NDArray[np.uint64]


def read_hashes(path: str) -> Hashes:
    """A list of SHA-256 and perceptual hashes.

    Args:
      path: a text file of hashes, one a line, 64 or 16 hex digits, `#` starts a comment; or a
        Parquet file with a column image_id, sha256 or phash (a corpus's images table has two).
      Hashes of PDQ are not known here: they have 64 digits too and would match no image.

    Raises:
      ValueError: the file is not there, holds no hash, or holds something else.
    """
    return _read_hashes(path, _version(path))


@lru_cache(maxsize=8)
def _read_hashes(path: str, _: tuple[int, int]) -> Hashes:
    try:
        if path.endswith(".parquet"):
            known = set(pq.read_schema(path).names)
            columns = [name for name in (*SHA256_COLUMNS, PHASH_COLUMN) if name in known]
            table = pq.read_table(path, columns=columns)
            found = {value for name in columns for value in table[name].to_pylist() if value}
        else:
            text = Path(path).read_text("utf-8")
            lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
            found = {line for line in lines if line}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    hashes = {str(value).lower() for value in found}
    for value in hashes:
        if not _HEX.fullmatch(value):
            raise ValueError(f"{path}: {value!r} is no hash of 64 or 16 hex digits")
    if not hashes:
        raise ValueError(f"{path} holds no hash")
    phash = sorted(int(value, 16) for value in hashes if len(value) == 16)
    sha256 = frozenset(value for value in hashes if len(value) == 64)
    return Hashes(sha256, np.array(phash, np.uint64))


def read_features(path: str) -> NDArray[np.float32]:
    """Unit features of the corpus's CLIP model, shape [n, d].

    Args:
      path: a .npy file of shape [n, d], or a Parquet file with a column clip_feature or feature of
        lists (a corpus's images table has one).

    Raises:
      ValueError: the file is not there, holds no feature, or not all have unit length.
    """
    return _read_features(path, _version(path))


@lru_cache(maxsize=8)
def _read_features(path: str, _: tuple[int, int]) -> NDArray[np.float32]:
    try:
        if path.endswith(".npy"):
            features = np.load(path, allow_pickle=False)
        else:
            known = pq.read_schema(path).names
            column = next((name for name in FEATURE_COLUMNS if name in known), None)
            if column is None:
                raise ValueError(f"it has no column {' or '.join(FEATURE_COLUMNS)}")
            rows = pq.read_table(path, columns=[column])[column].to_pylist()
            features = np.array([row for row in rows if row])
        features = features.astype(np.float32)
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as features: {error}") from None
    if features.ndim != 2 or not features.size:
        raise ValueError(f"{path} holds features of shape {features.shape}, not [n, d]")
    if not (abs(np.linalg.norm(features, axis=1) - 1) < _SLACK).all():
        raise ValueError(f"{path} holds features that are not of unit length")
    return np.ascontiguousarray(features)


def _version(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return found.st_mtime_ns, found.st_size
