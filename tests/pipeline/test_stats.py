import json
from collections import Counter

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.inspection import bars, distributions, summary
from pipeline.stats import failed_counts, mismatches, rejected_counts, samples

COUNTS = {
    ("filter_pages", "page", "mime", "unwanted"): 2,
    ("filter_pages", "node", "words", "few"): 1,
    ("gather_images", "image", "gather", "truncated"): 1,
}


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_rows_are_counted(corpus):
    opened = open_corpus(str(corpus))
    assert rejected_counts(opened) == COUNTS
    assert failed_counts(opened) == {("filter_pages", "page"): 1}


def test_the_table(corpus):
    code, out = invoke("stats", corpus)
    assert code == 0
    assert out == (
        "stage          of        entered  kept  rejected  failed  kept share\n"
        "filter_pages   page            6     3         2       1      50.0 %\n"
        "gather_images  image           4     3         1       0      75.0 %\n"
        "place_images   document        3     3         0       0     100.0 %\n"
        "\n"
        "Rejected, by rule and reason\n"
        "stage          rule    reason     of     count\n"
        "filter_pages   mime    unwanted   page       2\n"
        "filter_pages   words   few        node       1\n"
        "gather_images  gather  truncated  image      1\n"
        "\n"
    )


def test_nothing_was_rejected(tmp_path, draft):
    draft.rejected, draft.failed, draft.funnel = [], [], []
    draft.write(tmp_path)
    assert "Nothing was rejected." in invoke("stats", tmp_path)[1]


def test_samples_are_the_first_of_each_reason(corpus):
    rows = samples(open_corpus(str(corpus)), 1)
    assert [(row["rule"], row["detail"]) for row in rows] == [
        ("words", ""),
        ("mime", "text/plain"),
        ("gather", ""),
    ]
    _, out = invoke("stats", corpus, "--samples", 2)
    assert (
        "\nfilter_pages: mime unwanted (page)\n"
        "  https://a.example/mime  0.5  text/plain\n"
        "  https://a.example/mime  0.5  text/css\n"
    ) in out


def test_check_agrees(corpus):
    code, out = invoke("stats", corpus, "--check")
    assert code == 0
    assert out.endswith("The rows of rejected and failed agree with the funnel.\n")


def test_check_tells_what_disagrees(tmp_path, draft):
    draft.rejected.pop()
    draft.write(tmp_path)
    code, out = invoke("stats", tmp_path, "--check", "--json")
    assert code == 1
    assert json.loads(out)["mismatches"] == [
        "gather_images: gather truncated (image): 1 in the funnel, 0 rows in rejected",
        "gather_images: 1 rejected, 0 rows in rejected",
    ]


def test_files_that_could_not_be_opened_are_no_element_of_a_stage(draft):
    failed = Counter({("filter_pages", "page"): 1, ("read_pages", "file"): 1})
    assert list(mismatches(draft.funnel, Counter(COUNTS), failed)) == []


def test_json_is_the_funnel(corpus, draft):
    code, out = invoke("stats", corpus, "--json")
    assert code == 0
    assert json.loads(out) == {"funnel": draft.funnel}


# --- inspect --------------------------------------------------------------------------------------


def test_summary(corpus):
    data = summary(open_corpus(str(corpus)))
    tables = {t["table"]: (t["files"], t["rows"], t["row_groups"]) for t in data["tables"]}
    assert tables == {
        "documents": (2, 3, 3),
        "images": (2, 2, 2),
        "rejected": (2, 4, 4),
        "failed": (2, 1, 2),  # pyarrow writes an empty row group into an empty file
    }
    assert data["inputs"] == {"kind": "WARC", "files": 1, "n_bytes": 1_234_567}
    columns = {c["column"]: c for t in data["tables"] for c in t["columns"]}
    assert columns["similarity_matrix"]["type"] == "[[float32]]"
    assert columns["image_info[].nsfw"]["description"].startswith("probability of being unsafe")


def test_distributions(corpus):
    data = distributions(open_corpus(str(corpus)))
    found = {d["name"]: d for d in data["distributions"]}
    images = found["images a document"]
    assert [images[key] for key in ("count", "min", "median", "max")] == [3, 1, 1, 2]
    assert found["sentences a document"]["mean"] == 2
    assert found["similarity of matches"]["count"] == 3
    assert found["similarity of matches"]["max"] == 0.75
    assert found["width of images"]["max"] == 8
    assert sum(found["tokens a document"]["histogram"]) == 3
    assert (data["images_matched"], data["images_unmatched"]) == (3, 1)
    assert data["languages"] == [{"name": "en", "count": 3}]
    assert data["formats"] == [{"name": "png", "count": 2}]
    assert data["hosts"] == [{"name": "a.example", "count": 2}, {"name": "b.example", "count": 1}]


def test_distributions_of_nothing(tmp_path, draft):
    draft.documents = draft.images = []
    draft.write(tmp_path)
    code, out = invoke("inspect", tmp_path, "--stats")
    assert code == 0
    assert "0 of 0 images in documents are matched to a sentence." in out


def test_hosts_of_urls_that_are_none(tmp_path, draft):
    draft.documents[0]["url"] = "https://[broken/"
    draft.write(tmp_path)
    data = distributions(open_corpus(str(tmp_path)))
    assert {"name": "(none)", "count": 1} in data["hosts"]


@pytest.mark.parametrize(
    ("counts", "drawn"), [([], ""), ([0, 1, 100], " ▁█"), ([5, 5], "██"), ([0], " ")]
)
def test_bars(counts, drawn):
    assert bars(counts) == drawn


def test_inspect_reads_no_column_unless_asked(corpus, monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("a column was read")

    monkeypatch.setattr("pipeline.corpus.Corpus.batches", refuse)
    code, out = invoke("inspect", corpus)
    assert code == 0
    assert "SHA-256 of the stored bytes, 64 hex digits" in out
