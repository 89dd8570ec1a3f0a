"""NeMo Curator's interleaved rows: one for each text and image, and one of metadata at -1.

Source: nemo-curator 1.4, nemo_curator/tasks/interleaved.py (`INTERLEAVED_SCHEMA`). Columns beside
the reserved ones pass through their stages: those of a document stand in its row of metadata, those
of an image in its own, and no name is both's, for the writer of WebDataset tars
(stages/interleaved/io/writers/webdataset.py) keeps a column of the one or of the other.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from pipeline.export.obelics import general
from pipeline.export.order import Order, flow
from pipeline.export.shard import Format, Needs, Shard

_OF_DOCUMENT = [
    ("url", pa.string()),
    ("title", pa.string()),
    ("language", pa.string()),
    ("warc_filename", pa.string()),
    ("warc_record_offset", pa.int64()),
    ("warc_record_length", pa.int64()),
]
_OF_IMAGE = [
    ("image_url", pa.string()),
    ("alt", pa.string()),
    ("caption", pa.string()),
    ("matched_sim", pa.float32()),
]
SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        ("content_type", pa.string()),
        ("text_content", pa.string()),
        ("binary_content", pa.large_binary()),
        ("source_ref", pa.string()),
        ("materialize_error", pa.string()),
        *_OF_DOCUMENT,
        *_OF_IMAGE,
    ]
)
METADATA = -1


@dataclass(frozen=True)
class Nemo(Format):
    """Attributes:
    order: natural or matched.
    """

    name: ClassVar[str] = "nemo"
    order: Order = Order.NATURAL

    @property
    def needs(self) -> Needs:
        return Needs.BYTES

    def write(self, shard: Shard) -> None:
        with shard.parquet(f"nemo-{shard.part}.parquet", SCHEMA) as rows:
            for row in shard.documents():
                about = {name: general(row)[name] for name, _ in _OF_DOCUMENT}
                rows.add(_row(row, METADATA, "metadata", "application/json", **about))
                for position, part in enumerate(flow(row, self.order)):
                    if isinstance(part, str):
                        rows.add(_row(row, position, "text", "text/plain", text_content=part))
                        continue
                    picture = shard.picture(part)
                    data = picture.data if picture else None
                    shard.counts["image places"] += 1
                    shard.counts["image places without bytes"] += data is None
                    rows.add(
                        _row(
                            row, position, "image",
                            f"image/{picture.format}" if picture else None,
                            binary_content=data,
                            materialize_error=None if data is not None else "not stored",
                            image_url=part["url"], alt=part["alt"], caption=part["caption"],
                            matched_sim=part["matched_sim"],
                        ),
                        len(data or b""),
                    )  # fmt: skip


def _row(
    row: dict[str, Any], position: int, modality: str, content_type: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "sample_id": row["doc_id"],
        "position": position,
        "modality": modality,
        "content_type": content_type,
        **more,
    }
