import json

import pyarrow.dataset as ds
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import load_config
from pipeline.explain_page import explain_page, page_of_file, page_of_record

URL = "https://a.example/page"
PARAGRAPH = (
    "The river rises in the hills above the town and runs for forty miles to the sea, past "
    "mills that have stood idle since the war and meadows that flood in every spring."
)
HTML = f"""<html lang="en"><head><title>The river</title></head><body><article>
<h1>The river</h1><p>{PARAGRAPH}</p><img src="/mill.jpg" alt="A mill"><p>{PARAGRAPH[::-1]}</p>
<p>{PARAGRAPH.replace("river", "stream")}</p><p><img src="/lake.gif" alt="A lake"></p>
<img src="data:image/png;x"><p>lorem ipsum {PARAGRAPH}</p></article></body></html>"""


def invoke(*arguments):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(HTML)
    return path


def explained(page, *sets, preset="mmc4"):
    return explain_page(page_of_file(str(page), URL), load_config(preset, sets))


def by_name(said):
    return {entry["rule"]: entry for entry in said}


def test_every_rule_is_asked_and_the_first_objection_decides(page):
    told = explained(page, "filter_pages.body_size.min_bytes=100000")
    said = by_name(told["filter_pages"])
    assert told["outcome"] == {"stage": "filter_pages", "rule": "body_size", "reason": "too_small"}
    assert said["body_size"]["score"] == len(HTML)
    assert said["body_size"]["settings"]["min_bytes"] == 100_000
    reached = [entry["rule"] for entry in told["filter_pages"] if entry["reached"]]
    assert reached == ["status", "mime", "body_size"]
    assert not said["has_image"]["reached"]
    assert not said["has_image"]["reason"]
    # Rules of later stages were asked, too.
    assert by_name(told["filter_text"])["banned_phrases"]["reason"]


def test_every_node_and_image_has_a_fate(page):
    told = explained(page)
    assert (told["language"]["code"], told["metadata"]["title"]) == ("en", "The river")
    nodes = {node["what"][:20]: (node["fate"], node["rule"]) for node in told["nodes"]}
    assert nodes["https://a.example/mi"] == ("wanted", None)
    assert nodes["https://a.example/la"] == ("left out", "url_extension")
    assert nodes["The river rises in t"] == ("kept", None)
    assert [left["url"][:5] for left in told["left_out"]] == ["data:"]
    backwards = next(fate for what, fate in nodes.items() if what.startswith(".gnirps"))
    assert backwards == ("left out", "terminal_punctuation")
    assert told["outcome"]["rule"] == "banned_phrases"  # lorem ipsum


def test_a_page_without_objection_is_kept_as_far_as_can_be_told(page):
    page.write_text(HTML.replace("lorem ipsum", "And"))
    assert explained(page)["outcome"] is None
    told = invoke("mmc4", page, "--url", URL)
    assert told.exit_code == 0
    assert "kept, as far as the page alone tells" in told.output


@pytest.mark.parametrize("page_id", [0, 5])
def test_a_record_is_told_as_the_run_judged_it(sample_crawl, sample_corpus, page_id):
    rows = ds.dataset(sample_corpus / "documents").to_table().to_pylist()
    row = rows[page_id]
    path = sample_crawl / row["warc_file"]
    page = page_of_record(str(path), row["warc_offset"], row["url"])
    told = explain_page(page, load_config("sample"))
    assert told["page"]["url"] == row["url"]
    assert told["page"]["id"] == row["doc_id"]
    assert told["outcome"] is None
    assert told["language"]["code"] == row["language"]
    scores = {signal["rule"]: signal["score"] for signal in row["signals"]}
    for entry in told["filter_text"]:
        assert scores[entry["rule"]] == entry["score"]


def test_rejected_pages_are_rejected_for_the_reason_in_the_table(sample_crawl, sample_corpus):
    rejected = ds.dataset(sample_corpus / "rejected").to_table().to_pylist()
    stages = ("filter_pages", "filter_text")
    wanted = {r["doc_id"]: r for r in rejected if r["stage"] in stages and r["kind"] != "node"}
    from schemas.page import Page
    from stages.inputs import list_inputs
    from stages.read_pages import ReadConfig, read_captures

    config, seen = load_config("sample"), set()
    for file in list_inputs([str(sample_crawl)]):
        for page in read_captures(file, ReadConfig()):
            row = wanted.get(page.page_id) if isinstance(page, Page) else None
            if not row or (row["rule"], row["reason"]) in seen:
                continue
            seen.add((row["rule"], row["reason"]))
            outcome = explain_page(page, config)["outcome"]
            assert outcome == {key: row[key] for key in ("stage", "rule", "reason")}
    assert len(seen) > 5


def test_a_document_of_a_corpus_has_its_cluster_and_its_matrix(sample_corpus):
    rows = ds.dataset(sample_corpus / "documents").to_table().to_pylist()
    row = max(rows, key=lambda row: len(row["image_info"]))
    told = invoke("sample", sample_corpus, "--url", row["url"], "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    assert found["document"]["doc_id"] == row["doc_id"]
    assert found["cluster"] == row["text_dedup"]
    assert found["similarity_matrix"] == row["similarity_matrix"]
    for image, info, sims in zip(
        found["images"], row["image_info"], row["similarity_matrix"], strict=True
    ):
        assert image["matched_text_index"] == info["matched_text_index"]
        assert image["best_sim"] == max(sims)
    plain = invoke("sample", sample_corpus, "--url", row["url"])
    assert "similarity of each sentence with each image" in plain.output


def test_a_page_that_the_corpus_left_out_has_the_row_that_says_why(sample_corpus):
    rejected = ds.dataset(sample_corpus / "rejected").to_table().to_pylist()
    documents = set(ds.dataset(sample_corpus / "documents").to_table()["url"].to_pylist())
    row = next(r for r in rejected if r["kind"] == "page" and r["url"] not in documents)
    told = json.loads(invoke("sample", sample_corpus, "--url", row["url"], "--json").output)
    assert told["document"] is None
    assert row in told["rejected"]


@pytest.mark.parametrize(("arguments", "said"), [
    (["mmc4"], "a page, or --dedup"),
    (["mmc4", "nothing.html", "--url", URL], "cannot be read"),
    (["mmc4", "PAGE"], "--url URL"),
    (["mmc4", "CRAWL/sample-00000.warc.gz", "--offset", "7"], "no page can be read at 7"),
    (["mmc4", "CRAWL"], "which page of the corpus"),
])  # fmt: skip
def test_what_cannot_be_explained_is_said(page, sample_crawl, arguments, said):
    told = invoke(*(a.replace("PAGE", str(page)).replace("CRAWL", str(sample_crawl))
                    for a in arguments))  # fmt: skip
    assert told.exit_code == 2
    assert said in " ".join(told.output.split())
