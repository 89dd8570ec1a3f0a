import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import takedown
from pipeline.errors import UserError
from pipeline.run import run
from pipeline.takedown import Request, request_of, take_down
from pipeline.validate import validate
from schemas.fetch import Fetched
from stages import files
from stages.imaging.fetched import FOLDER, Store, Writer, known_in
from stages.imaging.refusal import Refused
from tests.pipeline.drafts import BLUE, BLUE_ELSEWHERE, BYTES, RED

RED_ID, BLUE_ID = (hashlib.sha256(BYTES[url]).hexdigest() for url in (RED, BLUE))
FIRST, SECOND, THIRD = (f"{number:032x}" for number in (1, 2, 3))


def rows(corpus, table):
    manifest = json.loads((corpus / "manifest.json").read_text())
    paths = [corpus / file["path"] for file in manifest["files"] if file["table"] == table]
    return [row for path in sorted(paths) for row in pq.read_table(path).to_pylist()]


def left(corpus):
    return (
        {row["doc_id"] for row in rows(corpus, "documents")},
        {row["image_id"] for row in rows(corpus, "images")},
    )


def taken(corpus):
    """What stands in the rejected table because of takedowns."""
    return {
        (row["kind"], row["element_id"], row["reason"])
        for row in rows(corpus, "rejected")
        if row["rule"] == "takedown"
    }


@pytest.mark.parametrize(
    ("request_", "documents", "images", "rejected"),
    [
        (
            Request(sha256=(RED_ID,)),
            {FIRST, THIRD},
            {BLUE_ID},
            {
                ("image", RED, "sha256_listed"),
                ("node", f"{FIRST}#2", "sha256_listed"),
                ("document", SECOND, "no_image_left"),
            },
        ),
        (  # a page, and the image that nobody else shows under that URL stays
            Request(urls=("http://b.example/three",)),
            {FIRST, SECOND},
            {RED_ID, BLUE_ID},
            {("document", THIRD, "url_listed")},
        ),
        (  # an image leaves with its copies
            Request(hosts=("b.example",)),
            {FIRST, SECOND},
            {RED_ID},
            {
                ("document", THIRD, "host_listed"),
                ("image", BLUE, "host_listed"),
                ("image", BLUE_ELSEWHERE, "host_listed"),
                ("node", f"{FIRST}#4", "host_listed"),
            },
        ),
        (  # images that only removed pages show
            Request(urls=("https://a.example/one", "https://a.example/two")),
            {THIRD},
            {BLUE_ID},
            {
                ("document", FIRST, "url_listed"),
                ("document", SECOND, "url_listed"),
                ("image", RED, "no_document_left"),
            },
        ),
        (
            Request(hosts=("example",)),
            set(),
            set(),
            {
                *(("document", doc_id, "host_listed") for doc_id in (FIRST, SECOND, THIRD)),
                *(("image", url, "host_listed") for url in (RED, BLUE, BLUE_ELSEWHERE)),
            },
        ),
        (Request(hosts=("c.example",)), {FIRST, SECOND, THIRD}, {RED_ID, BLUE_ID}, set()),
    ],
)
def test_what_goes_and_what_stays(corpus, request_, documents, images, rejected):
    assert list(validate(str(corpus))) == []
    before = json.loads((corpus / "manifest.json").read_text())
    dry = take_down(str(corpus), request_, dry_run=True)
    assert json.loads((corpus / "manifest.json").read_text()) == before
    assert take_down(str(corpus), request_) == dry
    assert left(corpus) == (documents, images)
    assert taken(corpus) == rejected
    assert list(validate(str(corpus))) == []
    manifest = json.loads((corpus / "manifest.json").read_text())
    assert [log["removed"] for log in manifest["takedowns"]] == [dry]
    # Once more changes nothing, not a byte.
    assert take_down(str(corpus), request_) == {"documents": 0, "nodes": 0, "images": 0}
    assert json.loads((corpus / "manifest.json").read_text()) == manifest


def test_only_shards_that_are_concerned_are_rewritten(corpus):
    before = {f["path"] for f in json.loads((corpus / "manifest.json").read_text())["files"]}
    take_down(str(corpus), Request(urls=("https://b.example/three",)))
    after = {f["path"] for f in json.loads((corpus / "manifest.json").read_text())["files"]}
    assert {path.split("/")[0] for path in after - before} == {"documents", "images", "rejected"}
    [kept] = [row["urls"] for row in rows(corpus, "images") if row["image_id"] == BLUE_ID]
    assert kept == [BLUE]
    assert {path for path in before if path.startswith("failed/")} <= after


def test_a_document_without_one_of_its_images_keeps_the_rest(corpus):
    [before] = [row for row in rows(corpus, "documents") if row["doc_id"] == FIRST]
    take_down(str(corpus), Request(sha256=(RED_ID,)))
    [after] = [row for row in rows(corpus, "documents") if row["doc_id"] == FIRST]
    assert after["texts"] == [text for i, text in enumerate(before["texts"]) if i != 2]
    assert after["images"] == [None, None, None, BLUE]
    assert after["text_node_index"] == [0, 1, 1, 2]
    assert [info["node_index"] for info in after["image_info"]] == [3]
    assert after["image_info"][0]["matched_text_index"] == 3
    assert after["similarity_matrix"] == [before["similarity_matrix"][1]]
    changed = {"texts", "images", "roles", "text_node_index", "image_info", "similarity_matrix"}
    assert {name for name in after if after[name] != before[name]} <= changed


def test_one_after_the_other(corpus):
    take_down(str(corpus), Request(sha256=(RED_ID,), date="2026-01-31", note="by mail"))
    take_down(str(corpus), Request(urls=("https://b.example/three",)))
    assert left(corpus) == ({FIRST}, {BLUE_ID})
    assert list(validate(str(corpus))) == []
    manifest = json.loads((corpus / "manifest.json").read_text())
    assert [(log["date"], log["note"]) for log in manifest["takedowns"]] == [
        ("2026-01-31", "by mail"),
        ("", ""),
    ]
    [entry] = [entry for entry in manifest["funnel"] if entry["stage"] == "takedown"]
    assert (entry["entered"], entry["kept"], entry["rejected"]) == (3, 1, 2)
    [detail] = {row["detail"] for row in rows(corpus, "rejected") if row["url"] == RED
                and row["rule"] == "takedown"}  # fmt: skip
    assert detail == f"{RED_ID} in takedown 2026-01-31 by mail"


@pytest.mark.parametrize("crash", range(1, 6))
def test_a_takedown_that_was_killed_is_finished_by_the_next(corpus, monkeypatch, crash):
    """Killed before the n-th file is put in its place."""
    request = Request(hosts=("b.example",))
    manifest = (corpus / "manifest.json").read_bytes()
    real, count = files.os.replace, iter(range(1, 100))

    def replace(source, target):
        if next(count) == crash:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            take_down(str(corpus), request)
    if (corpus / "manifest.json").read_bytes() == manifest:
        assert left(corpus) == ({FIRST, SECOND, THIRD}, {RED_ID, BLUE_ID})
    take_down(str(corpus), request)
    assert left(corpus) == ({FIRST, SECOND}, {RED_ID})
    assert list(validate(str(corpus))) == []
    [log] = json.loads((corpus / "manifest.json").read_text())["takedowns"]
    assert log["removed"] == {"documents": 1, "nodes": 1, "images": 1}


def test_requests(tmp_path):
    path = tmp_path / "asked.txt"
    path.write_text(f"example.org\nhttps://a.example/x\n{RED_ID}\n")
    request = request_of(["b.example"], [], [], [str(path)], "2026-01-31")
    assert request == Request(
        ("example.org", "b.example"), ("https://a.example/x",), (RED_ID,), "2026-01-31"
    )
    for arguments, message in (
        (([], [], [], []), "name what is to go"),
        ((["https://a.example/"], [], [], []), "is given as hosts and looks like urls"),
        (([], [], ["abc"], []), "is given as sha256 and looks like hosts"),
        (([], [], [], [str(tmp_path / "nowhere")]), "No such file"),
    ):
        with pytest.raises(UserError, match=message):
            request_of(*arguments)


def test_no_corpus(tmp_path):
    with pytest.raises(UserError, match="is no corpus"):
        take_down(str(tmp_path), Request(hosts=("a.example",)))


def stored(corpus):
    """SHA-256 of the bytes in the stores of images."""
    found = set()
    for path in (corpus / "_work").glob("**/*.parquet"):
        if "data" in pq.read_schema(path).names:
            data = pq.read_table(path, columns=["data"]).column("data").to_pylist()
            found |= {hashlib.sha256(content).hexdigest() for content in data if content}
    return found


def test_a_later_run_does_not_bring_it_back(sample_corpus, sample_crawl, tmp_path):
    corpus = tmp_path / "corpus"
    shutil.copytree(sample_corpus, corpus)
    image = min(rows(corpus, "images"), key=lambda row: (-row["documents"], row["image_id"]))
    page = min(row["url"] for row in rows(corpus, "documents"))
    request = Request(urls=(page,), sha256=(image["image_id"],))
    removed = take_down(str(corpus), request)
    assert removed["documents"] >= 1
    assert removed["images"] >= 1
    assert list(validate(str(corpus))) == []
    assert image["image_id"] not in stored(corpus)

    def gone():
        documents = rows(corpus, "documents")
        shown = {info["image_id"] for row in documents for info in row["image_info"]}
        return page not in {row["url"] for row in documents} and image["image_id"] not in shown

    assert gone()
    manifest = (corpus / "manifest.json").read_bytes()
    run("sample", [str(sample_crawl)], str(corpus))
    assert (corpus / "manifest.json").read_bytes() == manifest
    # Another placement assembles anew, from what lies in _work.
    run("sample", [str(sample_crawl)], str(corpus), ["place_images.min_similarity=0.2"])
    assert gone()
    assert list(validate(str(corpus))) == []
    assert len(json.loads((corpus / "manifest.json").read_text())["takedowns"]) == 1


def test_what_was_fetched_loses_its_bytes_and_is_not_asked_for_again(tmp_path):
    folder = tmp_path / "_work" / FOLDER
    writer = Writer(str(folder))
    for url, data in BYTES.items():
        sha256 = hashlib.sha256(data).hexdigest()
        writer.add(Fetched(url, url, "2026-01-31", 200, 1, sha256=sha256, n_bytes=len(data)), data)
    writer.close()
    takedown._blank_stores(str(tmp_path), {BLUE_ID})
    source = Store((str(folder),))
    places = {place.url: place for path in source.files() for place in source.places(path)}
    assert set(places) == {RED}
    assert source.read(places[RED], 10_000, lambda headers: None).data == BYTES[RED]
    known = known_in(str(folder), range(64))
    assert {url: found.fetched.reason for url, found in known.items()} == {
        RED: "", BLUE: "taken_down", BLUE_ELSEWHERE: "taken_down",
    }  # fmt: skip
    assert known[BLUE].stands(10_000, lambda headers: None)
    with pytest.raises(Refused, match="taken_down"):
        source.read(known[BLUE].location, 10_000, lambda headers: None)
    assert stored(tmp_path) == {RED_ID}


def test_rows_of_a_store_keep_their_places(tmp_path):
    path = tmp_path / "store" / "a.parquet"
    path.parent.mkdir()
    columns = {
        "sha256": ["x", "y", "x", None], "data": [b"1", b"2", None, None],
        "row": [0, 1, 0, 0], "reason": ["", "", "", "timeout"],
    }  # fmt: skip
    pq.write_table(pa.table(columns), path, row_group_size=2)
    takedown._blank_stores(str(tmp_path), {"x"})
    assert pq.read_table(path).to_pydict() == {
        **columns, "data": [b"", b"2", b"", None],
        "reason": ["taken_down", "", "taken_down", "timeout"],
    }  # fmt: skip
    assert pq.ParquetFile(path).num_row_groups == 2
