import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.corpus import DOCUMENTS, document_of
from schemas.document import Image
from stages.inputs import WarcFile
from stages.read_documents import ReadDocuments
from tests.pipeline.drafts import sound_draft


def test_a_document_is_as_it_was_extracted():
    [row, *_] = sound_draft().documents
    document = document_of(row)
    assert [node.url if isinstance(node, Image) else node.text for node in document.nodes] == [
        "Two pictures", "A red square is here.  It is red.", "https://a.example/red.png",
        "Then a blue one.", "https://a.example/blue.png",
    ]  # fmt: skip
    assert (document.title, document.author) == ("Two pictures", "Ann Author")
    assert (document.images[0].alt, document.images[0].caption) == ("a red square", "Fig. 1")
    assert (document.warc_file, document.warc_offset) == ("a.warc.gz", 100)
    assert (document.language, document.signals, document.images[0].record) == ("", (), None)


@pytest.mark.parametrize("kind", ["no Parquet", "another table"])
def test_what_is_no_documents_table_is_a_failure(tmp_path, kind):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    pq.write_table(pa.Table.from_pylist(sound_draft().documents, DOCUMENTS), good)
    if kind == "no Parquet":
        bad.write_bytes(b"no Parquet")
    else:
        pq.write_table(pa.table({"url": ["https://a.example/"]}), bad)
    with TestPipeline() as p:
        files = p | beam.Create([WarcFile(path.name, str(path)) for path in (good, bad)])
        out = files | ReadDocuments()
        ids = [f"{i:032x}" for i in (1, 2, 3)]
        assert_that(out.kept | beam.Map(lambda d: d.doc_id), equal_to(ids), "kept")
        named = out.failed | beam.Map(lambda f: (f.element_id, f.kind))
        assert_that(named, equal_to([("bad.parquet", "file")]), "failed")
        assert_that(out.rejected, equal_to([]), "rejected")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"texts": None}, "a document without texts"),
        ({"doc_id": ""}, "a document without doc_id"),
        ({"image_info": []}, "differ in their number of images"),
        ({"roles": ["paragraph"]}, "shorter"),
        ({"roles": ["no role"] * 5}, "no role"),
    ],
)
def test_a_document_that_does_not_hold_together_is_a_failure_of_its_own(tmp_path, changes, error):
    path = tmp_path / "c.parquet"
    first, *others = sound_draft().documents
    pq.write_table(pa.Table.from_pylist([first | changes, *others], DOCUMENTS), path)
    with TestPipeline() as p:
        out = p | beam.Create([WarcFile("c.parquet", str(path))]) | ReadDocuments()
        ids = [f"{i:032x}" for i in (2, 3)]
        assert_that(out.kept | beam.Map(lambda d: d.doc_id), equal_to(ids), "kept")
        told = out.failed | beam.Map(lambda f: (f.kind, f.url, f.warc_file, error in f.error))
        expected = [("document", first["url"], "c.parquet", True)]
        assert_that(told, equal_to(expected), "failed")
