"""OBELICS's Parquet: `images` and `texts` in parallel, `metadata` and `general_metadata` as JSON.

Source: `dataset_info` in the card of HuggingFaceM4/OBELICS (columns and types) and
huggingface/OBELICS, obelics/processors/web_document_extractor.py and web_document_filtering.py
(keys of the metadata); consecutive texts are one, a blank line between two. What weft knows besides
stands under further keys: `sha256`, `caption`, `nsfw` of an image, `doc_id`, `title`, `language` of
a document.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa

from pipeline.export.order import Order, flow
from pipeline.export.shard import Format, Needs, Shard, extension, file_name

SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Obelics(Format):
    """Attributes:
    order: natural, as OBELICS has it, or matched.
    images: beside the Parquet, as images-K.tar, under the `formatted_filename` of the metadata.
    """

    name: ClassVar[str] = "obelics"
    order: Order = Order.NATURAL
    images: Literal["none", "tar"] = "none"

    @property
    def needs(self) -> Needs:
        return Needs.FACTS if self.images == "none" else Needs.BYTES

    def write(self, shard: Shard) -> None:
        shown: list[str] = []
        with shard.parquet(f"obelics-{shard.part}.parquet", SCHEMA) as rows:
            for row in shard.documents():
                parts = list(merged(row, self.order))
                infos = [part for part in parts if isinstance(part, dict)]
                shard.counts["image places"] += len(infos)
                shown += [info["image_id"] for info in infos if info["image_id"]]
                rows.add(
                    {
                        "images": [p["url"] if isinstance(p, dict) else None for p in parts],
                        "texts": [None if isinstance(p, dict) else p for p in parts],
                        "metadata": json.dumps(
                            [image_metadata(p, row, shard) if isinstance(p, dict) else None
                             for p in parts],
                            ensure_ascii=False,
                        ),
                        "general_metadata": json.dumps(general(row), ensure_ascii=False),
                    }
                )  # fmt: skip
        if self.images == "tar":
            shard.tar_of_images(f"images-{shard.part}.tar", shown)


def merged(row: dict[str, Any], order: Order) -> Iterator[str | dict[str, Any]]:
    """`flow` with consecutive texts made one."""
    held: list[str] = []
    between = "\n\n" if order is Order.NATURAL else " "
    for part in flow(row, order):
        if isinstance(part, str):
            held.append(part)
            continue
        if held:
            yield between.join(held)
            held = []
        yield part
    if held:
        yield between.join(held)


def image_metadata(info: dict[str, Any], row: dict[str, Any], shard: Shard) -> dict[str, Any]:
    picture = shard.picture(info)
    return {
        "document_url": row["url"],
        "unformatted_src": info["url"],
        "src": info["url"],
        "formatted_filename": file_name(info["image_id"], picture) if picture else None,
        "alt_text": info["alt"] or None,
        "original_width": info["width"],
        "original_height": info["height"],
        "format": extension(picture.format) if picture else None,
        "sha256": info["image_id"],
        "caption": info["caption"] or None,
        "nsfw": info["nsfw"],
    }


def general(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": row["url"],
        "warc_filename": row["warc_file"],
        "warc_record_offset": row["warc_offset"],
        "warc_record_length": row["warc_length"],
        "doc_id": row["doc_id"],
        "title": row["title"],
        "language": row["language"],
    }
