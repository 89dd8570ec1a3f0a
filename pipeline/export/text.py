"""Plain text as JSON lines: `text`, `id`, `metadata`, the columns that datatrove's JsonlReader
reads (huggingface/datatrove, pipeline/readers/base.py); Dolma's tools read `id` and `text` too."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.export.shard import Format, Needs, Shard, json_line


@dataclass(frozen=True)
class Text(Format):
    name: ClassVar[str] = "text"

    @property
    def needs(self) -> Needs:
        return Needs.NOTHING

    def write(self, shard: Shard) -> None:
        with shard.open(f"text-{shard.part}.jsonl") as output:
            for row in shard.documents():
                texts = [text for text in row["texts"] if text is not None]
                metadata = {
                    name: row[name]
                    for name in ("url", "title", "language", "language_score", "crawl_time")
                }
                output.write(
                    json_line(
                        {"text": "\n\n".join(texts), "id": row["doc_id"], "metadata": metadata}
                    )
                )
