import json
import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from pipeline.config import load_config
from pipeline.corpus import open_corpus
from pipeline.earlier import earlier_signatures
from pipeline.errors import UserError
from pipeline.run import run
from pipeline.validate import validate
from stages.dedup.config import DedupConfig, MinHashConfig, UrlConfig

SAMPLE = load_config("sample").deduplicate


def against(corpus, **change):
    return replace(SAMPLE, against=(str(corpus),), **change)


def test_a_corpus_keeps_the_signatures_of_its_documents_and_their_copies(sample_corpus):
    corpus = open_corpus(str(sample_corpus))
    rows = [row for f in corpus.files("signatures")
            for row in pq.read_table(sample_corpus / f["path"]).to_pylist()]  # fmt: skip
    kept = {row["doc_id"] for row in rows if not row["survivor_id"]}
    documents = pq.read_table(sample_corpus / "documents", columns=["doc_id"])["doc_id"]
    assert kept == set(documents.to_pylist())
    copies = pq.read_table(sample_corpus / "rejected").to_pylist()
    copies = {r["doc_id"]: r["detail"] for r in copies
              if r["stage"] == "deduplicate" and r["kind"] == "document"}  # fmt: skip
    assert {r["doc_id"]: r["survivor_id"] for r in rows if r["survivor_id"]} == copies
    found = earlier_signatures(against(sample_corpus))
    assert list(found) == [str(sample_corpus / f["path"]) for f in corpus.files("signatures")]


def test_the_same_crawl_again_adds_nothing_that_is_in_the_corpus(
    sample_crawl, sample_corpus, tmp_path
):
    sets = [f"deduplicate.against=['{sample_corpus}']", "write.signatures=false"]
    manifest = run("sample", [str(sample_crawl)], str(tmp_path), sets)
    assert list(validate(str(tmp_path))) == []
    assert not [f for f in manifest["files"] if f["table"] == "signatures"]
    documents = open_corpus(str(sample_corpus)).rows("documents")
    [entry] = [e for e in manifest["funnel"] if e["stage"] == "deduplicate"]
    assert entry["rejected"] >= documents
    rows = pq.read_table(tmp_path / "rejected").to_pylist()
    again = [r for r in rows if r["detail"] == r["doc_id"] and r["rule"] == "exact_url"]
    assert len(again) == documents  # each is removed for itself in the earlier corpus
    assert open_corpus(str(tmp_path)).rows("documents") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minhash": MinHashConfig(ngram=5)}, r"deduplicate\.minhash\.ngram = 3, here it is 5"),
        ({"url": UrlConfig(trailing_slash="keep")}, r"url\.trailing_slash = ignore, here it is k"),
    ],
)
def test_other_settings_are_an_error(sample_corpus, change, message):
    with pytest.raises(UserError, match=message):
        earlier_signatures(against(sample_corpus, **change))


def test_what_is_not_compared_may_differ(sample_corpus):
    assert earlier_signatures(against(sample_corpus, minhash=None, url=None))
    assert earlier_signatures(against(sample_corpus, minhash=MinHashConfig(threshold=0.8)))
    assert earlier_signatures(DedupConfig()) == {}


def test_a_benchmark_that_cannot_be_read_stops_the_run_before_it_starts(sample_crawl, tmp_path):
    sets = ["deduplicate.benchmarks.texts=[nowhere.txt]"]
    with pytest.raises(UserError, match=r"nowhere\.txt"):
        run("sample", [str(sample_crawl)], str(tmp_path), sets)
    assert not list(tmp_path.iterdir())


def test_a_corpus_without_signatures_is_an_error(sample_corpus, tmp_path):
    shutil.copy(sample_corpus / "manifest.json", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"] = [f for f in manifest["files"] if f["table"] != "signatures"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"keeps no signatures; run it again with write\.sig"):
        earlier_signatures(against(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        earlier_signatures(against(tmp_path / "nowhere"))
    manifest["config"]["deduplicate"] = None
    manifest["files"].append({**manifest["files"][0], "table": "signatures"})
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="was made without deduplication"):
        earlier_signatures(against(tmp_path))
