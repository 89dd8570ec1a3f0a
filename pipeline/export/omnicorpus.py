"""OmniCorpus-CC's Parquet: OBELICS's two lists, with metadata as structs.

Source: the columns of OpenGVLab/OmniCorpus-CC-210M; files of images are named by the SHA-256 of
their URL (OpenGVLab/OmniCorpus, mllm_llava/llava/train/datasets.py). Scores that weft does not have
are left out.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import pyarrow as pa

from pipeline.export.obelics import merged
from pipeline.export.order import Order
from pipeline.export.shard import Format, Needs, Shard

SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.string())),
        ("texts", pa.list_(pa.string())),
        (
            "metadata",
            pa.list_(
                pa.struct(
                    [
                        ("img_url", pa.string()),
                        ("width", pa.int32()),
                        ("height", pa.int32()),
                        ("p_hash", pa.string()),
                        ("unsafe_prob", pa.float32()),
                    ]
                )
            ),
        ),
        (
            "general_metadata",
            pa.struct([("id", pa.string()), ("url", pa.string()), ("domain", pa.string())]),
        ),
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
                            "domain": _host(row["url"]),
                        },
                    }
                )
        if self.images == "tar":
            with shard.tar(f"images-{shard.part}.tar") as archive:
                for url, info in shown.items():
                    picture = shard.picture(info)
                    if picture is not None and picture.data is not None:
                        archive.add(hashlib.sha256(url.encode()).hexdigest(), picture.data)
                        shard.counts["images"] += 1


def _about(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "img_url": info["url"],
        "width": info["width"],
        "height": info["height"],
        "p_hash": info["phash"],
        "unsafe_prob": info["nsfw"],
    }


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket that is not closed, which browsers take
        return ""
