"""A small corpus written by hand, for tests of what reads one."""

import hashlib
import io
import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image as Pillow

from pipeline.config import digest_of
from pipeline.corpus import corpus_digest
from schemas.corpus import SCHEMA_VERSION, TABLES, document_row, image_row
from schemas.document import (
    Document,
    Image,
    PlacedDocument,
    Placement,
    Role,
    Sentence,
    Signal,
    Text,
)
from schemas.image import ImageRecord, ImageScore

RED, BLUE = "https://a.example/red.png", "https://a.example/blue.png"
BLUE_ELSEWHERE = "https://b.example/blue.png"


def png(colour):
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 6), colour).save(buffer, "png")
    return buffer.getvalue()


BYTES = {RED: png("red"), BLUE: png("blue"), BLUE_ELSEWHERE: png("blue")}


def record(url):
    data = BYTES[url]
    return ImageRecord(
        hashlib.sha256(data).hexdigest(),
        url,
        "png",
        8,
        6,
        len(data),
        "00ff00ff00ff00ff",
        nsfw=0.25,
        scores=(ImageScore("faces", 0.125),),
        source="warc",
    )


def placed(number, url, nodes, sentences, placements, similarity, **more):
    document = Document(
        f"{number:032x}",
        url,
        tuple(nodes),
        warc_file="a.warc.gz",
        warc_offset=100 * number,
        warc_length=99,
        crawl_time="2024-01-02T03:04:05Z",
        language="en",
        language_score=0.875,
        signals=(Signal("word_count", 12.0),),
        **more,
    )
    return PlacedDocument(document, tuple(sentences), tuple(placements), similarity)


def image(url, **more):
    return Image(url, record=record(url), **more)


@dataclass
class Draft:
    """A small corpus that a test changes before or after it is written."""

    documents: list = field(default_factory=list)
    images: list = field(default_factory=list)
    rejected: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    funnel: list = field(default_factory=list)
    config: dict = field(default_factory=dict)

    def write(self, folder):
        """Two shards a table; the manifest tells the truth about the files."""
        files = []
        for name, schema in TABLES.items():
            rows = getattr(self, name)
            cut = (len(rows) + 1) // 2
            for part, some in enumerate((rows[:cut], rows[cut:])):
                path = f"{name}/part-{part:05d}-of-00002.parquet"
                files.append(write_part(folder, path, some, schema))
        manifest = {
            "weft_version": "0.1.0",
            "schema_version": SCHEMA_VERSION,
            "config": self.config,
            "config_sha256": digest_of(self.config),
            "models": [{"name": "embedded", "weights_sha256": "ab" * 32}],
            "inputs": [{"name": "a.warc.gz", "size": 1_234_567}],
            "files": files,
            "funnel": self.funnel,
            "digest": corpus_digest(files),
        }
        save_manifest(folder, manifest)
        return manifest


def write_part(folder, path, rows, schema):
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    # Small row groups, so that what is checked across them is checked.
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), target, row_group_size=1)
    data = target.read_bytes()
    return {
        "table": path.split("/")[0],
        "path": path,
        "rows": len(rows),
        "n_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def save_manifest(folder, manifest):
    (folder / "manifest.json").write_text(json.dumps(manifest))


def sound_draft():
    first = placed(
        1,
        "https://a.example/one",
        [
            Text("Two pictures", Role.HEADING),
            Text("A red square is here.  It is red."),
            image(RED, alt="a red square", caption="Fig. 1"),
            Text("Then a blue one."),
            image(BLUE, alt="a blue square"),
        ],
        [
            Sentence("Two pictures", 0),
            Sentence("A red square is here.", 1),
            Sentence("It is red.", 1),
            Sentence("Then a blue one.", 3),
        ],
        [Placement(2, 1, 0.75), Placement(4, 3, 0.5)],
        ((0.0, 0.75, 0.25, -0.125), (0.0, 0.125, 0.25, 0.5)),
        title="Two pictures",
        author="Ann Author",
    )
    second = placed(
        2,
        "https://a.example/two",
        [image(RED), Text("Nothing is matched here.")],
        [Sentence("Nothing is matched here.", 1)],
        [Placement(0, None, None)],
        ((0.0625,),),
    )
    third = placed(
        3,
        "https://b.example/three",
        [Text("Blue again."), image(BLUE_ELSEWHERE)],
        [Sentence("Blue again.", 0)],
        [Placement(1, 0, 0.5)],
        ((0.5,),),
    )
    feature = np.array([1, 0], np.float16)
    images = [
        image_row(record(RED), [RED], BYTES[RED], feature),
        image_row(record(BLUE), [BLUE, BLUE_ELSEWHERE], BYTES[BLUE], feature),
    ]

    def out(element, kind, doc, stage, rule, reason, detail=""):
        return {
            "element_id": element, "kind": kind, "doc_id": doc, "url": f"https://a.example/{rule}",
            "stage": stage, "rule": rule, "reason": reason, "score": 0.5, "detail": detail,
        }  # fmt: skip

    rows = [document_row(p, 12) for p in (first, second, third)]
    for row in rows:  # lists, so that a test can break them
        row["similarity_matrix"] = [list(cosines) for cosines in row["similarity_matrix"]]
    return Draft(
        documents=rows,
        images=sorted(images, key=lambda row: row["image_id"]),
        rejected=[
            out("a" * 32, "page", "a" * 32, "filter_pages", "mime", "unwanted", "text/plain"),
            out("b" * 32, "page", "b" * 32, "filter_pages", "mime", "unwanted", "text/css"),
            out("c" * 32 + "#1", "node", "c" * 32, "filter_pages", "words", "few"),
            out("https://a.example/x", "image", "", "gather_images", "gather", "truncated"),
        ],
        failed=[
            {"element_id": "d" * 32, "kind": "page", "url": "", "stage": "filter_pages",
             "error": "ValueError: broken", "where": "", "warc_file": "a.warc.gz",
             "warc_offset": 7},
        ],
        funnel=[
            {"stage": "filter_pages", "kind": "page", "entered": 6, "kept": 3, "rejected": 2,
             "failed": 1, "rules": [
                 {"kind": "page", "rule": "mime", "reason": "unwanted", "count": 2},
                 {"kind": "node", "rule": "words", "reason": "few", "count": 1}]},
            {"stage": "gather_images", "kind": "image", "entered": 4, "kept": 3, "rejected": 1,
             "failed": 0, "rules": [
                 {"kind": "image", "rule": "gather", "reason": "truncated", "count": 1}]},
            {"stage": "place_images", "kind": "document", "entered": 3, "kept": 3, "rejected": 0,
             "failed": 0, "rules": []},
        ],
        config={
            "gather_images": {},
            "heads": {"nsfw": {}, "faces": {}},
            "write": {"image_bytes": True},
            "filter_pages": [{"opt_out": {}}],
            "filter_text": {"documents": [{"language": {"languages": ["en", "de"]}}]},
        },
    )  # fmt: skip
