"""Documents as messages for the fine-tuning of chat models.

A Parquet row has `messages` and `images`, the shape that TRL's trainers and the chat templates of
transformers take (TRL 1.16, trl/data_utils.py, `prepare_multimodal_messages`): the content of a
message is a list of ``{"type": "text", "text": ...}`` and ``{"type": "image"}``, and the images
follow in the order of their marks. `datasets` decodes them, for the schema says that they are
images. Parquet gives every part both keys, so `text` is null where an image stands.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pyarrow as pa

from pipeline.export.order import Order
from pipeline.export.shard import Format, Needs, Shard, file_name
from pipeline.export.webdataset import stored

_VALUE = {"dtype": "string", "_type": "Value"}
# As `datasets.Features.to_dict` would have it, old notation of lists, which all versions read.
_FEATURES = {
    "id": _VALUE,
    "url": _VALUE,
    "messages": [{"role": _VALUE, "content": [{"type": _VALUE, "text": _VALUE}]}],
    "images": [{"_type": "Image"}],
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        (
            "messages",
            pa.list_(
                pa.struct(
                    [
                        ("role", pa.string()),
                        (
                            "content",
                            pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())])),
                        ),
                    ]
                )
            ),
        ),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


@dataclass(frozen=True)
class Chat(Format):
    """A document is one turn, of the assistant unless `role` says otherwise.

    Attributes:
      order: natural or matched.
      role: whose words the document is.
      prompt: what the user says before it, if anything, for many templates want the user to begin;
        ``{title}`` and ``{url}`` are filled in.
    """

    name: ClassVar[str] = "chat"
    order: Order = Order.NATURAL
    role: Literal["assistant", "user", "system"] = "assistant"
    prompt: str = ""

    @property
    def needs(self) -> Needs:
        return Needs.BYTES

    def write(self, shard: Shard) -> None:
        with shard.parquet(f"chat-{shard.part}.parquet", SCHEMA) as rows:
            for row in shard.documents():
                added = self._row(row, shard)
                rows.add(added, sum(len(image["bytes"]) for image in added["images"]))

    def _row(self, row: dict[str, Any], shard: Shard) -> dict[str, Any]:
        content = []
        images = []
        for part, picture in stored(row, self.order, shard):
            if picture is None:
                content.append({"type": "text", "text": part})
                continue
            content.append({"type": "image", "text": None})
            path = file_name(part["image_id"], picture)
            images.append({"bytes": picture.data, "path": path})
        messages: list[dict[str, Any]] = [{"role": self.role, "content": content}]
        if self.prompt:
            # No str.format: a prompt may hold braces of its own.
            text = self.prompt.replace("{title}", row["title"]).replace("{url}", row["url"])
            prompt = {"role": "user", "content": [{"type": "text", "text": text}]}
            messages.insert(0, prompt)
        return {"id": row["doc_id"], "url": row["url"], "messages": messages, "images": images}
