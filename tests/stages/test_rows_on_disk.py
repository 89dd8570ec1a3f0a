"""Rows written by bucket, committed, and read back by the next phase."""

import json

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.document import Document, Text
from schemas.outcome import Door, Failure, Kind, Rejection
from stages.commit_phase import Ledger
from stages.doors import Doors
from stages.read_rows import RESULT, Bucketed, ReadRows
from stages.write_rows import WriteRows, bucket_of

DOCUMENTS = [Document(f"{i:032x}", f"http://a/{i}", (Text("word " * i),)) for i in range(700)]
REJECTION = Rejection("x", Kind.PAGE, "x", "http://x", "judge", "rule", "why", 1.0)
FAILURE = Failure("y", Kind.PAGE, "http://y", "judge", "ValueError()")


def doc_id(document):
    return document.doc_id


def write(directory, max_bytes=64 << 20):
    with TestPipeline(runner="FnApiRunner") as p:
        documents = p | beam.Create(DOCUMENTS)
        ledger = Ledger(p, str(directory), buckets=4)
        ledger.entered("judge", documents)
        doors = Doors(
            documents,
            p | "rejected" >> beam.Create([REJECTION]),
            p | "failed" >> beam.Create([FAILURE]),
        )
        ledger.left("judge", doors)
        writer = WriteRows("documents", str(directory), Document, doc_id, 4, max_bytes)
        ledger.wrote(documents | writer)
        ledger.commit()


def test_every_row_lies_in_the_bucket_of_its_key(tmp_path):
    write(tmp_path)
    stored = Bucketed(str(tmp_path), "documents", Document)
    for bucket in range(4):
        rows = list(stored.rows(bucket, sort_by="doc_id"))
        assert rows == [d for d in DOCUMENTS if bucket_of(d.doc_id, 4) == bucket]


def test_a_small_buffer_gives_more_files_and_the_same_rows(tmp_path):
    write(tmp_path, max_bytes=1)
    result = json.loads((tmp_path / RESULT).read_bytes())
    documents = [file for file in result["files"] if file["table"] == "documents"]
    assert [file["rows"] for file in documents if file["rows"] != 256] == [700 - 2 * 256]
    assert len(documents) == 3
    with TestPipeline(runner="FnApiRunner") as p:
        read = p | beam.Create(range(4)) | ReadRows("documents", str(tmp_path), Document)
        assert_that(read, equal_to(DOCUMENTS))


def test_the_result_counts_every_door(tmp_path):
    write(tmp_path)
    result = json.loads((tmp_path / RESULT).read_bytes())
    counted = {(t["stage"], t["kind"], t["door"]): t["count"] for t in result["tallies"]}
    assert counted == {
        ("judge", Kind.DOCUMENT, Door.ENTERED): 700,
        ("judge", Kind.DOCUMENT, Door.KEPT): 700,
        ("judge", Kind.PAGE, Door.REJECTED): 1,
        ("judge", Kind.PAGE, Door.FAILED): 1,
    }
    assert list(Bucketed(str(tmp_path), "rejected", Rejection).rows(bucket_of("x", 4))) == [
        REJECTION
    ]
    assert list(Bucketed(str(tmp_path), "failed", Failure).rows(bucket_of("y", 4))) == [FAILURE]


def test_a_phase_that_breaks_has_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.write_rows.to_row", lambda element: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path)
    assert not (tmp_path / RESULT).exists()
