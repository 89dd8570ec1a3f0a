import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from pipeline.corpus import corpus_digest, open_corpus
from pipeline.errors import UserError
from schemas.corpus import DOCUMENTS


def test_opens(corpus):
    opened = open_corpus(f"{corpus}/")
    assert opened.path == str(corpus)
    assert opened.rows("documents") == 3
    assert [file["path"] for file in opened.files("images")] == [
        "images/part-00000-of-00002.parquet",
        "images/part-00001-of-00002.parquet",
    ]
    ids = [row["doc_id"] for _, _, t in opened.batches("documents", ["doc_id"]) for row in
           t.to_pylist()]  # fmt: skip
    assert ids == [f"{i:032x}" for i in (1, 2, 3)]


def error_of(path):
    with pytest.raises(UserError) as error:
        open_corpus(str(path))
    return str(error.value)


def test_a_run_that_was_cut_off_is_continued(corpus):
    (corpus / "manifest.json").unlink()
    (corpus / "_work").mkdir()
    assert "not finished" in error_of(corpus)
    assert "run the same `weft run` again" in error_of(corpus)


def test_what_is_no_corpus(tmp_path):
    (tmp_path / "file").write_text("")
    assert error_of(tmp_path / "nowhere") == f"{tmp_path}/nowhere: no such folder"
    assert "is no corpus" in error_of(tmp_path)
    assert "is a file" in error_of(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "it is no JSON object"),
        ("{}", "weft_version is missing"),
        ('{"schema_version": 99}', "its schema version is 99, not 3"),
        (
            '{"schema_version": 2, "weft_version": "0.0.1"}',
            "its schema version is 2, not 3; weft 0.0.1 reads it, or make it anew",
        ),
    ],
)
def test_a_manifest_that_is_none(corpus, content, said):
    (corpus / "manifest.json").write_text(content)
    assert said in error_of(corpus)


def test_an_entry_that_is_none(corpus):
    path = corpus / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["funnel"][0]["rules"][0]["count"]
    path.write_text(json.dumps(manifest))
    assert error_of(corpus).endswith("funnel[0].rules[0].count is missing")


def test_a_missing_file_is_named_with_a_remedy(corpus):
    (corpus / "documents/part-00001-of-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"part-00001-of-00002\.parquet is missing; `weft validate"):
        list(open_corpus(str(corpus)).batches("documents", ["doc_id"]))


def test_a_broken_file_is_named_with_a_remedy(corpus):
    path = corpus / "documents/part-00001-of-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(b"\0" * 2_000 + data[2_000:])
    with pytest.raises(UserError, match=r"part-00001-of-00002\.parquet is broken"):
        list(open_corpus(str(corpus)).batches("documents", DOCUMENTS.names))


def test_a_missing_column_is_named(corpus):
    path = corpus / "images/part-00000-of-00002.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["format"]), path)
    with pytest.raises(UserError, match=r"part-00000-of-00002\.parquet lacks format"):
        list(open_corpus(str(corpus)).batches("images", ["image_id", "format"]))


def test_digest_ignores_the_order_of_files():
    files = [{"path": "b", "sha256": "2"}, {"path": "a", "sha256": "1"}]
    # sha256 of "a 1\nb 2\n"
    assert corpus_digest(files) == corpus_digest(files[::-1])
    assert corpus_digest(files) == (
        "2951835de33689a441bfa61bc7af99b1f0305ca8ec0ab4dd508f14f57b27ca23"
    )


@pytest.mark.parametrize("module", ["cli", "corpus", "inspection", "show", "stats", "validate"])
def test_reading_does_not_wait_for_beam(module):
    heavy = "{'apache_beam', 'torch', 'open_clip', 'faiss'}"
    code = f"import sys, pipeline.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
