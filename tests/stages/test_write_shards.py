"""Shards from rows that lie in buckets on disk."""

import hashlib
import json
from dataclasses import replace

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from schemas.corpus import DOCUMENTS, FAILED, IMAGES, REJECTED, document_row
from schemas.document import Document, Image, PlacedDocument, Placement, Sentence, Text
from schemas.image import ImageRecord
from schemas.outcome import Failure, Kind, Rejection
from stages import write_shards
from stages.commit_phase import Ledger
from stages.imaging.elements import GatheredImage
from stages.read_rows import RESULT
from stages.store_images import write_images
from stages.write_rows import WriteRows, bucket_of
from stages.write_shards import (
    ImageRows,
    WriteShards,
    documents_table,
    failed_table,
    images_table,
    rejected_table,
)

BUCKETS = 3


def placed(number: int) -> PlacedDocument:
    text = f"Page {number}, it's so."
    document = Document(
        f"{number:032x}", f"http://d/{number}", (Text(text), Image(f"http://i/{number}"))
    )
    return PlacedDocument(document, (Sentence(text, 0),), (Placement(1, 0, 0.5),), ((0.5,),))


PLACED = [placed(number) for number in range(20)]


def record(number: int, url: str) -> ImageRecord:
    feature = np.full(4, 0.5, "<f4").tobytes()
    return ImageRecord(f"{number:064x}", url, "png", 1, 2, 3, "0" * 16, nsfw=0.25, clip=feature)


def placed_id(row) -> str:
    return row.document.doc_id


def image_id(row) -> str:
    return row.image_id


def element_id(row) -> str:
    return row.element_id


def shards(folder, table, row_type, key, rows, max_bytes=64 << 20, earlier=()):
    """Writes rows to buckets and then shards; returns what the ledger knows of the shards."""
    work = str(folder / "_work")
    with TestPipeline(runner="FnApiRunner") as p:
        ledger = Ledger(p, work, BUCKETS)
        written = (
            p
            | beam.Create(rows, reshuffle=False)
            | "Gather" >> WriteRows(table.name, work, row_type, key, BUCKETS, max_bytes)
        )
        made = written | "Shards" >> WriteShards(
            table, str(folder), work, row_type, BUCKETS, earlier
        )
        ledger.wrote(written)
        ledger.published(made)
        ledger.commit()
    return json.loads((folder / "_work" / RESULT).read_bytes())["corpus"]


def same_schema(found, expected):
    """Types and the descriptions of columns."""
    return found.equals(expected) and [f.metadata[b"description"] for f in found] == [
        f.metadata[b"description"] for f in expected
    ]


def paths(folder, name):
    found = sorted((folder / name).iterdir())
    assert [path.name for path in found] == [
        f"part-{bucket:05d}-of-{BUCKETS:05d}.parquet" for bucket in range(BUCKETS)
    ]
    return found


def test_a_shard_holds_the_rows_of_its_bucket_sorted(tmp_path):
    noted = shards(tmp_path, documents_table(), PlacedDocument, placed_id, PLACED[::-1])
    by_path = {shard["path"]: shard for shard in noted}
    for bucket, path in enumerate(paths(tmp_path, "documents")):
        table = pq.read_table(path)
        assert same_schema(table.schema, DOCUMENTS)
        mine = [p for p in PLACED if bucket_of(placed_id(p), BUCKETS) == bucket]
        assert len(mine) > 1
        # "Page", a number, ",", "it", "'", "s", "so", "."
        assert table.to_pylist() == [plain(document_row(p, 8)) for p in mine]
        content = path.read_bytes()
        assert by_path[f"documents/{path.name}"] == {
            "table": "documents",
            "path": f"documents/{path.name}",
            "rows": len(mine),
            "n_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "segments": [],
        }
    assert len(by_path) == len(noted) == BUCKETS


def plain(row):
    """As Arrow gives it back."""
    return row | {
        "similarity_matrix": [list(r) for r in row["similarity_matrix"]],
        "signals": list(row["signals"]),
    }


def test_equal_rows_give_equal_bytes_in_any_order_and_any_number_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.write_rows.ROWS_A_BATCH", 4)
    shuffled = [PLACED[i] for i in np.random.default_rng(1).permutation(len(PLACED))]
    contents = []
    for name, rows, max_bytes in (
        ("a", PLACED, 64 << 20),
        ("b", PLACED[::-1], 64 << 20),
        ("c", shuffled, 1),
    ):
        shards(tmp_path / name, documents_table(), PlacedDocument, placed_id, rows, max_bytes)
        contents.append([path.read_bytes() for path in paths(tmp_path / name, "documents")])
    assert contents[0] == contents[1] == contents[2]
    gathered = [len(list((tmp_path / n / "_work" / "documents").iterdir())) for n in "abc"]
    assert gathered == [1, 1, 5]


@pytest.mark.parametrize(
    ("table", "row_type", "key", "schema"),
    [
        (documents_table(), PlacedDocument, placed_id, DOCUMENTS),
        (images_table(ImageRows("/nowhere")), ImageRecord, image_id, IMAGES),
        (rejected_table(), Rejection, element_id, REJECTED),
        (failed_table(), Failure, element_id, FAILED),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_without_rows_every_shard_is_there_and_readable(tmp_path, table, row_type, key, schema):
    noted = shards(tmp_path, table, row_type, key, [])
    assert [shard["rows"] for shard in noted] == [0] * BUCKETS
    for path in paths(tmp_path, table.name):
        empty = pq.read_table(path)
        assert empty.num_rows == 0
        assert same_schema(empty.schema, schema)


@pytest.mark.parametrize(
    ("rows", "size", "groups"), [(1_000, 1 << 30, 7), (150, 1 << 30, 7), (1_000, 1, 16)]
)
def test_row_groups_are_bounded_in_rows_and_bytes(tmp_path, monkeypatch, rows, size, groups):
    monkeypatch.setattr(write_shards, "ROW_GROUP_ROWS", rows)
    monkeypatch.setattr(write_shards, "ROW_GROUP_BYTES", size)
    count = {16: 1_000, 7: 7_000 if rows == 1_000 else 1_300}[groups]
    made = [document_row(placed(number), 8) for number in range(count)]
    path = tmp_path / "shard.parquet"
    with path.open("wb") as out:
        assert write_shards.write_table(out, documents_table(), iter(made)) == count
    with pq.ParquetFile(path) as shard:
        sizes = [shard.metadata.row_group(i).num_rows for i in range(shard.num_row_groups)]
        assert shard.read(["doc_id"]).column(0).to_pylist() == [r["doc_id"] for r in made]
    assert len(sizes) == groups
    # Rows come in batches of 64: a group is closed by the batch that reaches the bound.
    whole = {16: 64, 7: 1_024 if rows == 1_000 else 192}[groups]
    assert sizes == [whole] * (count // whole) + [count % whole] * (count % whole > 0)


@pytest.fixture
def store(tmp_path):
    """Records of three pictures in two files of an image store; one has two URLs."""
    folder = str(tmp_path / "store")
    data = {1: b"one", 2: b"two, longer", 3: b"\x00\xff"}
    urls = {1: ("http://i/z", "http://i/b"), 2: ("http://i/a",), 3: ("http://i/c",)}
    records = []
    for numbers in ((1, 2), (3,)):
        images = [GatheredImage(record(n, urls[n][0]), data[n]) for n in numbers]
        file = write_images(folder, images)
        for row, number in enumerate(numbers):
            records += [
                replace(record(number, url), store_file=file, store_row=row) for url in urls[number]
            ]
    return folder, records, data


def test_an_image_is_one_row_with_all_its_urls_and_its_bytes(tmp_path, store):
    folder, records, data = store
    shown = [*records, records[1], records[0]]  # shown by several documents
    shards(tmp_path, images_table(ImageRows(folder)), ImageRecord, image_id, shown)
    rows = {}
    for bucket, path in enumerate(paths(tmp_path, "images")):
        table = pq.read_table(path)
        assert same_schema(table.schema, IMAGES)
        found = table.to_pylist()
        ids = [row["image_id"] for row in found]
        assert ids == sorted(ids)
        assert all(bucket_of(i, BUCKETS) == bucket for i in ids)
        rows.update({int(row["image_id"], 16): row for row in found})
    assert {number: row["bytes"] for number, row in rows.items()} == data
    assert rows[1]["urls"] == ["http://i/b", "http://i/z"]
    assert rows[1]["url"] == "http://i/b"
    assert rows[2]["urls"] == ["http://i/a"]
    assert rows[3]["clip_feature"] == [0.5] * 4
    assert (rows[3]["width"], rows[3]["height"], rows[3]["nsfw"]) == (1, 2, 0.25)


def test_bytes_and_features_may_be_left_out(tmp_path, store):
    _, records, _ = store
    bare = ImageRows("/nowhere", with_bytes=False, with_features=False)
    shards(tmp_path, images_table(bare), ImageRecord, image_id, records)
    rows = [row for path in paths(tmp_path, "images") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 3
    assert {row["bytes"] for row in rows} == {None}
    assert [row["clip_feature"] for row in rows] == [[]] * 3


def test_bytes_are_stored_as_they_are_and_the_rest_compressed(tmp_path, store):
    folder, records, _ = store
    shards(tmp_path, images_table(ImageRows(folder)), ImageRecord, image_id, records)
    compression = set()
    for path in paths(tmp_path, "images"):
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                found = metadata.row_group(group).column(column)
                compression.add((found.path_in_schema == "bytes", found.compression))
    assert compression == {(True, "UNCOMPRESSED"), (False, "ZSTD")}


def rejection(element, rule="rule", score=1.0):
    return Rejection(element, Kind.PAGE, element, "http://x", "judge", rule, "why", score)


def test_rejections_of_earlier_phases_are_in_the_shards_too(tmp_path):
    before = [rejection("a"), rejection("b", score=None)]
    now = [rejection("b", "another"), rejection("c"), rejection("c")]
    shards(tmp_path / "before", rejected_table(), Rejection, element_id, before)
    earlier = (str(tmp_path / "before" / "_work"),)
    shards(tmp_path / "now", rejected_table(), Rejection, element_id, now, earlier=earlier)
    for bucket, path in enumerate(paths(tmp_path / "now", "rejected")):
        mine = [r for r in (*before, *now) if bucket_of(r.element_id, BUCKETS) == bucket]
        mine.sort(key=lambda r: (r.element_id, r.rule))
        found = pq.read_table(path).to_pylist()
        assert [(r["element_id"], r["rule"], r["score"]) for r in found] == [
            (r.element_id, r.rule, r.score) for r in mine
        ]


def test_failures_keep_where_they_were(tmp_path):
    failure = Failure("a", Kind.FILE, "", "read_pages", "OSError()", "stages/x.py:1 f", "w", 7)
    shards(tmp_path, failed_table(), Failure, element_id, [failure])
    rows = [row for path in paths(tmp_path, "failed") for row in pq.read_table(path).to_pylist()]
    assert rows == [
        {
            "element_id": "a",
            "kind": "file",
            "url": "",
            "stage": "read_pages",
            "error": "OSError()",
            "where": "stages/x.py:1 f",
            "warc_file": "w",
            "warc_offset": 7,
        }
    ]
