"""Image-text pairs in the layout that img2dataset writes and webdataset reads.

``00000.tar`` holds ``KEY.jpg``, ``KEY.json`` and ``KEY.txt`` in alphabetical order;
``00000.parquet`` the same metadata. Source: img2dataset 1.47, img2dataset/writer.py
(`WebDatasetSampleWriter`, by `TarWriter` of webdataset), downloader.py (`compute_key` with shards
of ten million, columns: those of the input come first). Images are as stored, so their names end
as their formats do; img2dataset has one format for all. Left out: `exif`, and ``00000_stats.json``,
which holds the times of a download.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import pyarrow as pa

from pipeline.export.shard import Format, Needs, Shard, extension, json_line

SCHEMA = pa.schema(
    [
        ("text_source", pa.string()),
        ("similarity", pa.float32()),
        ("page_url", pa.string()),
        ("doc_id", pa.string()),
        ("caption", pa.string()),
        ("url", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("sha256", pa.string()),
    ]
)


class Caption(StrEnum):
    """Attributes:
    SENTENCE: the sentence that the image was matched with.
    """

    ALT = "alt"
    CAPTION = "caption"
    TITLE = "title"
    SENTENCE = "sentence"


@dataclass(frozen=True)
class Pairs(Format):
    """Attributes:
    captions: what an image is paired with: the first of these that is not empty.
    min_similarity: of a matched sentence, if that is taken; None takes any.
    """

    name: ClassVar[str] = "pairs"
    captions: tuple[Caption, ...] = (Caption.ALT, Caption.CAPTION, Caption.SENTENCE)
    min_similarity: float | None = None

    def __post_init__(self) -> None:
        if not self.captions:
            raise ValueError("captions: name at least one of " + ", ".join(Caption))

    @property
    def needs(self) -> Needs:
        return Needs.BYTES

    def write(self, shard: Shard) -> None:
        stem = f"{shard.number:05d}"
        number = 0
        with shard.tar(f"{stem}.tar") as archive, shard.parquet(f"{stem}.parquet", SCHEMA) as rows:
            for row in shard.documents():
                for info in row["image_info"]:
                    picture = shard.picture(info)
                    source, caption = self._caption(row, info)
                    if picture is None or picture.data is None:
                        shard.counts["images without bytes, left out"] += 1
                        continue
                    if not caption:
                        shard.counts["images without a text, left out"] += 1
                        continue
                    key = f"{stem}{number:07d}"
                    number += 1
                    metadata = _metadata(row, info, key, source, caption)
                    files = {
                        extension(picture.format): picture.data,
                        "json": json_line(metadata),
                        "txt": caption.encode(),
                    }
                    for name, data in sorted(files.items()):
                        archive.add(f"{key}.{name}", data)
                    rows.add(metadata)
                    shard.counts["pairs"] += 1
                    shard.counts[f"pairs by {source}"] += 1

    def _caption(self, row: dict[str, Any], info: dict[str, Any]) -> tuple[str, str]:
        for source in self.captions:
            if source is not Caption.SENTENCE:
                text = info[source] or ""
            elif info["matched_text_index"] is None or (
                self.min_similarity is not None
                and (info["matched_sim"] is None or info["matched_sim"] < self.min_similarity)
            ):
                continue
            else:
                text = row["text_list"][info["matched_text_index"]]
            if text.strip():
                return source, text
        return "", ""


def _metadata(
    row: dict[str, Any], info: dict[str, Any], key: str, source: str, caption: str
) -> dict[str, Any]:
    return {
        "text_source": source,
        "similarity": info["matched_sim"] if source == Caption.SENTENCE else None,
        "page_url": row["url"],
        "doc_id": row["doc_id"],
        "caption": caption,
        "url": info["url"],
        "key": key,
        "status": "success",
        "error_message": None,
        "width": info["width"],
        "height": info["height"],
        "original_width": info["width"],
        "original_height": info["height"],
        "sha256": info["image_id"],
    }
