"""Rows of the corpus's tables, value by value."""

import numpy as np
import pyarrow as pa
import pytest

from schemas.consent import Answer, Asked, Consent
from schemas.corpus import (
    DOCUMENTS,
    FAILED,
    IMAGES,
    REJECTED,
    SCHEMA_VERSION,
    TABLES,
    document_row,
    image_row,
)
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
from schemas.outcome import Failure, Kind, Rejection

RECORD = ImageRecord(
    "a" * 64,
    "http://i/1",
    "jpeg",
    640,
    480,
    999,
    "0123456789abcdef",
    frames=2,
    documents=3,
    same_bytes_documents=4,
    same_look_documents=5,
    nsfw=0.125,
    scores=(ImageScore("blur", 0.5),),
    flags=("faces",),
    clip=b"\0" * 8,
    source="http",
    status=203,
    opt_out="noai",
    dhash="fedcba9876543210",
    mean_colour="ff8000",
    consent=(
        Consent(Asked.ROBOTS_TXT, Answer.ALLOWED, "Allow: /i"),
        Consent(Asked.HEADERS, Answer.ALLOWED, "noai"),
    ),
)
SHOWN = Image("http://i/1", ("http://i/1s",), "alt", "title", "caption", "http://l", 64, 48, RECORD)
UNSEEN = Image("http://i/2", width=20, height=10)
DOCUMENT = Document(
    "d" * 32,
    "http://d",
    (Text("Head", Role.HEADING), SHOWN, Text("One. Two."), UNSEEN),
    "a.warc.gz",
    12,
    34,
    "2024-05-18T09:30:00Z",
    "en",
    0.5,
    "Title",
    "2020-01-02",
    "Ann",
    "Site",
    "http://cc",
    "http://canonical",
    (Signal("word_count", 3.0), Signal("image_count", 2.0)),
    "c" * 32,
    7,
)
SENTENCES = (Sentence("Head", 0), Sentence("One.", 2), Sentence("Two.", 2))
PLACED = PlacedDocument(
    DOCUMENT,
    SENTENCES,
    (Placement(1, 2, 0.75), Placement(3, None, None)),
    ((0.25, 0.5, 0.75), (0.0, 0.125, 0.0625)),
)


def through(row, schema):
    """The row as Arrow holds it."""
    [back] = pa.RecordBatch.from_pylist([row], schema=schema).to_pylist()
    return back


def test_a_document_has_both_views():
    assert through(document_row(PLACED, token_count=5), DOCUMENTS) == {
        "doc_id": "d" * 32,
        "url": "http://d",
        "title": "Title",
        "texts": ["Head", None, "One. Two.", None],
        "images": [None, "http://i/1", None, "http://i/2"],
        "roles": ["heading", "image", "paragraph", "image"],
        "text_list": ["Head", "One.", "Two."],
        "text_node_index": [0, 2, 2],
        "image_info": [
            {
                "image_id": "a" * 64,
                "url": "http://i/1",
                "alt": "alt",
                "title": "title",
                "caption": "caption",
                "link": "http://l",
                "width": 640,
                "height": 480,
                "node_index": 1,
                "matched_text_index": 2,
                "matched_sim": 0.75,
                "before_text": True,
                "natural_text_index": 0,
                "nsfw": 0.125,
                "phash": "0123456789abcdef",
            },
            {
                "image_id": None,
                "url": "http://i/2",
                "alt": "",
                "title": "",
                "caption": "",
                "link": "",
                "width": 20,
                "height": 10,
                "node_index": 3,
                "matched_text_index": None,
                "matched_sim": None,
                "before_text": None,
                "natural_text_index": 2,
                "nsfw": None,
                "phash": None,
            },
        ],
        "similarity_matrix": [[0.25, 0.5, 0.75], [0.0, 0.125, 0.0625]],
        "language": "en",
        "language_score": 0.5,
        "token_count": 5,
        "date": "2020-01-02",
        "author": "Ann",
        "site": "Site",
        "licence": "http://cc",
        "crawl_time": "2024-05-18T09:30:00Z",
        "canonical_url": "http://canonical",
        "warc_file": "a.warc.gz",
        "warc_offset": 12,
        "warc_length": 34,
        "text_dedup": {"cluster_id": "c" * 32, "cluster_size": 7},
        "signals": [
            {"rule": "word_count", "score": 3.0},
            {"rule": "image_count", "score": 2.0},
        ],
    }


def test_a_document_of_nothing_is_a_row_and_a_cluster_of_its_own():
    row = through(document_row(PlacedDocument(Document("d", "http://d")), 0), DOCUMENTS)
    assert row["text_dedup"] == {"cluster_id": "d", "cluster_size": 1}
    for name in ("texts", "images", "roles", "text_list", "text_node_index", "image_info"):
        assert row[name] == []
    assert (row["similarity_matrix"], row["signals"], row["token_count"]) == ([], [], 0)


def test_an_image_is_told_as_it_was_found():
    feature = np.array([0.5, -0.25], np.float16)
    row = image_row(RECORD, ["http://i/1", "http://i/3"], b"bytes", feature)
    assert through(row, IMAGES) == {
        "image_id": "a" * 64,
        "bytes": b"bytes",
        "url": "http://i/1",
        "urls": ["http://i/1", "http://i/3"],
        "format": "jpeg",
        "width": 640,
        "height": 480,
        "frames": 2,
        "phash": "0123456789abcdef",
        "dhash": "fedcba9876543210",
        "mean_colour": "ff8000",
        "documents": 4,
        "look_documents": 5,
        "nsfw": 0.125,
        "scores": [{"rule": "blur", "score": 0.5}],
        "flags": ["faces"],
        "clip_feature": [0.5, -0.25],
        "source": "http",
        "status": 203,
        "opt_out": "noai",
        "consent": [
            {"asked": "robots_txt", "answer": "allowed", "evidence": "Allow: /i"},
            {"asked": "tdmrep", "answer": "not_asked", "evidence": ""},
            {"asked": "headers", "answer": "allowed", "evidence": "noai"},
            {"asked": "opt_out_lists", "answer": "not_asked", "evidence": ""},
        ],
    }


def test_an_image_that_was_not_scored_has_no_score():
    record = ImageRecord("a" * 64, "http://i/1", "png", 1, 1, 1, "0" * 16)
    row = through(image_row(record, ["http://i/1"], None, np.empty(0, np.float16)), IMAGES)
    assert (row["nsfw"], row["bytes"], row["clip_feature"], row["scores"]) == (None, None, [], [])


@pytest.mark.parametrize("name", TABLES)
def test_every_column_says_what_it_is(name):
    for column in TABLES[name]:
        assert column.metadata[b"description"].strip()


def test_outcomes_on_disk_are_the_fields_of_their_classes():
    assert REJECTED.names == list(Rejection.__dataclass_fields__)
    assert FAILED.names == list(Failure.__dataclass_fields__)
    assert set(Kind) == {"file", "page", "document", "node", "image"}


def test_the_tables_and_their_columns_belong_to_the_version():
    assert SCHEMA_VERSION == 3
    assert list(TABLES) == ["documents", "images", "rejected", "failed"]
    assert [len(schema) for schema in TABLES.values()] == [24, 21, 9, 8]
