"""OmniCorpus-CC's Parquet: OBELICS's two lists, with metadata as structs, null where a text is.

Source: `dataset_info` in the card of OpenGVLab/OmniCorpus-CC (columns, their order and types), and
`ObelicsFormatDataset` in OpenGVLab/OmniCorpus, mllm_llava/llava/train/datasets.py: what it asserts
of the lists, and that files of images are named by the SHA-256 of their URL. Not verified, for no
published row could be read: that `img_url_sha` is that hash, and what stands in the list `domain`
(here the host alone). Scores that weft does not have are null.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.export.obelics import merged
from pipeline.export.order import Order
from pipeline.export.shard import Format, Needs, Shard

_GENERAL = pa.struct(
    [
        ("domain", pa.list_(pa.string())),
        ("fluency_prob", pa.float64()),
        ("id", pa.string()),
        ("non_advertisement_prob", pa.float64()),
        ("politics_prob", pa.float64()),
        ("porn_prob", pa.float64()),
        ("toxic_prob", pa.float64()),
        ("url", pa.string()),
    ]
)
_IMAGE = pa.struct(
    [
        ("aesthetic_prob", pa.float64()),
        ("bytes", pa.int64()),
        ("d_hash", pa.string()),
        ("d_hash_dup_count", pa.int64()),
        ("height", pa.int64()),
        ("img_url_sha", pa.string()),
        ("p_hash", pa.string()),
        ("p_hash_dup_count", pa.int64()),
        ("unsafe_prob", pa.float64()),
        ("width", pa.int64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("general_metadata", _GENERAL),
        ("images", pa.list_(pa.string())),
        ("texts", pa.list_(pa.string())),
        ("metadata", pa.list_(_IMAGE)),
    ]
)


@dataclass(frozen=True)
class OmniCorpus(Format):
    """Attributes:
    order: natural or matched.
    images: beside the Parquet, as images-K.tar.
    """

    name: ClassVar[str] = "omnicorpus"
    order: Order = Order.NATURAL
    images: Literal["none", "tar"] = "none"

    @property
    def needs(self) -> Needs:
        return Needs.NOTHING if self.images == "none" else Needs.BYTES

    def write(self, shard: Shard) -> None:
        shown: dict[str, dict[str, Any]] = {}
        with shard.parquet(f"omnicorpus-{shard.part}.parquet", SCHEMA) as rows:
            for row in shard.documents():
                parts = list(merged(row, self.order))
                infos = [part for part in parts if isinstance(part, dict)]
                shard.counts["image places"] += len(infos)
                shown |= {info["url"]: info for info in infos}
                rows.add(
                    {
                        "images": [p["url"] if isinstance(p, dict) else None for p in parts],
                        "texts": [None if isinstance(p, dict) else p for p in parts],
                        "metadata": [_about(p) if isinstance(p, dict) else None for p in parts],
                        "general_metadata": {
                            "id": row["doc_id"],
                            "url": row["url"],
                            "domain": [_host(row["url"])],
                        },
                    }
                )
        if self.images == "tar":
            with shard.tar(f"images-{shard.part}.tar") as archive:
                for url, info in shown.items():
                    picture = shard.picture(info)
                    if picture is not None and picture.data is not None:
                        archive.add(sha256_of_url(url), picture.data)
                        shard.counts["images"] += 1


def _about(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "height": info["height"],
        "img_url_sha": sha256_of_url(info["url"]),
        "p_hash": info["phash"],
        "unsafe_prob": info["nsfw"],
        "width": info["width"],
    }


def sha256_of_url(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket that is not closed, which browsers take
        return ""
