import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.errors import UserError
from pipeline.export.order import Order, flow
from pipeline.export.shard import rows
from pipeline.imported import import_corpus
from pipeline.run import run as run_pipeline
from pipeline.validate import validate
from tests.pipeline.export.test_export import contents, run


def documents(folder):
    corpus = open_corpus(str(folder))
    return {row["url"]: row for row in rows(corpus, 0, corpus.rows("documents"))}


def images(folder):
    corpus = open_corpus(str(folder))
    return [
        row
        for _, _, table in corpus.batches("images", ["image_id", "bytes", "urls", "phash"])
        for row in table.to_pylist()
    ]


def flat(row, order):
    """The document as it reads: texts, and ids and URLs of images."""
    return [
        part if isinstance(part, str) else (part["image_id"], part["url"])
        for part in flow(row, order)
    ]


@pytest.mark.parametrize("shards", [1, 3])
def test_by_mmc4_and_back(corpus, tmp_path, shards):
    run(corpus, tmp_path / "mmc4", "mmc4")
    back = tmp_path / "back"
    folder = str(tmp_path / "mmc4")
    import_corpus("mmc4", [folder], str(back), [folder], shards)
    assert list(validate(str(back))) == []
    before, after = documents(corpus), documents(back)
    assert set(after) == set(before)
    for url, row in after.items():
        was = before[url]
        # Unmatched images have no place in mmc4; all else is there, in mmc4's order.
        assert flat(row, Order.MATCHED) == flat(was, Order.MATCHED)
        assert row["text_list"] == was["text_list"]
        kept = [
            i for i, info in enumerate(was["image_info"]) if info["matched_text_index"] is not None
        ]
        assert row["similarity_matrix"] == [was["similarity_matrix"][i] for i in kept]
        for info, i in zip(row["image_info"], kept, strict=True):
            for name in (
                "image_id",
                "url",
                "width",
                "height",
                "matched_text_index",
                "matched_sim",
                "phash",
            ):
                if name != "phash":
                    assert info[name] == was["image_info"][i][name]
    assert {(r["image_id"], r["bytes"]) for r in images(back)} == {
        (r["image_id"], r["bytes"]) for r in images(corpus)
    }


def test_mmc4_to_mmc4_is_the_same_file(corpus, tmp_path):
    run(corpus, tmp_path / "a", "mmc4", shards=1)
    import_corpus("mmc4", [str(tmp_path / "a")], str(tmp_path / "back"), [str(tmp_path / "a")])
    run(tmp_path / "back", tmp_path / "b", "mmc4", shards=1)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert sorted(first["docs_shard_0.jsonl"].splitlines()) == sorted(
        second["docs_shard_0.jsonl"].splitlines()
    )


def test_by_obelics_and_back(corpus, tmp_path):
    run(corpus, tmp_path / "obelics", "obelics", "images=tar")
    folder, back = str(tmp_path / "obelics"), tmp_path / "back"
    import_corpus("obelics", [folder], str(back), [folder])
    assert list(validate(str(back))) == []
    before, after = documents(corpus), documents(back)
    assert set(after) == set(before)
    for url, row in after.items():
        was = before[url]
        assert flat(row, Order.NATURAL) == flat(was, Order.NATURAL)
        for name in ("doc_id", "title", "texts", "images", "warc_file", "warc_offset", "text_list"):
            assert row[name] == was[name]
        for info, old in zip(row["image_info"], was["image_info"], strict=True):
            for name in ("image_id", "url", "alt", "caption", "width", "height", "node_index"):
                assert info[name] == old[name]
            assert info["matched_text_index"] is None
    assert {(r["image_id"], r["bytes"]) for r in images(back)} == {
        (r["image_id"], r["bytes"]) for r in images(corpus)
    }


def test_without_images(corpus, tmp_path):
    run(corpus, tmp_path / "obelics", "obelics")
    import_corpus("obelics", [str(tmp_path / "obelics")], str(tmp_path / "back"))
    assert list(validate(str(tmp_path / "back"))) == []
    assert {info["image_id"] for row in documents(tmp_path / "back").values()
            for info in row["image_info"]} == {None}  # fmt: skip


GOOD = {
    "url": "https://a.example/",
    "text_list": ["One.", "Two."],
    "image_info": [
        {"image_name": "b.jpg", "raw_url": "https://a.example/b.jpg", "matched_text_index": 1,
         "matched_sim": 0.1, "face_detections": None},
        {"image_name": "a.jpg", "raw_url": "https://a.example/a.jpg", "matched_text_index": 0,
         "matched_sim": 0.25, "face_detections": None},
    ],
    "similarity_matrix": [[0.125, 0.5], [0.25, 0.0]],
    "could_have_url_duplicate": 0,
}  # fmt: skip


def mmc4(tmp_path, *lines):
    path = tmp_path / "docs.jsonl"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    import_corpus("mmc4", [str(path)], str(tmp_path / "out"))
    assert list(validate(str(tmp_path / "out"))) == []
    return tmp_path / "out"


def test_images_are_sorted_and_the_matrix_is_believed(tmp_path):
    [row] = documents(mmc4(tmp_path, GOOD)).values()
    infos = row["image_info"]
    assert [info["url"][-5:] for info in infos] == ["a.jpg", "b.jpg"]
    assert [(i["matched_text_index"], i["matched_sim"]) for i in infos] == [(0, 0.25), (1, 0.5)]
    assert row["similarity_matrix"] == [[0.25, 0.0], [0.125, 0.5]]
    assert [info["before_text"] for info in infos] == [True, True]


BROKEN = {
    "no JSON": "{",
    "no object": "[]",
    "no text": {**GOOD, "text_list": [1]},
    "no such sentence": {**GOOD, "text_list": ["One."], "similarity_matrix": []},
    "ragged": {**GOOD, "similarity_matrix": [[0.125], [0.25]]},
    "no url": {key: value for key, value in GOOD.items() if key != "url"},
}


def test_what_is_no_document_is_a_failure(tmp_path):
    out = mmc4(tmp_path, GOOD, *BROKEN.values())
    corpus = open_corpus(str(out))
    assert (corpus.rows("documents"), corpus.rows("failed")) == (1, len(BROKEN))
    [(_, _, table)] = corpus.batches("failed", ["error", "warc_file"])
    assert set(table["warc_file"].to_pylist()) == {"docs.jsonl"}
    assert any("similarity_matrix has not a row" in e for e in table["error"].to_pylist())


def test_half_a_surrogate_pair(tmp_path):
    out = mmc4(tmp_path, json.dumps({**GOOD, "text_list": ["One \ud83d.", "Two."]}))
    [row] = documents(out).values()
    assert row["text_list"][0] == "One ?."


def test_an_image_that_cannot_be_decoded(draft, tmp_path):
    for row in draft.images:
        row["bytes"] = b"\x89PNG\r\n\x1a\n broken"
    draft.write(tmp_path / "corpus")
    run(tmp_path / "corpus", tmp_path / "mmc4", "mmc4")
    folder = str(tmp_path / "mmc4")
    import_corpus("mmc4", [folder], str(tmp_path / "back"), [folder])
    back = open_corpus(str(tmp_path / "back"))
    assert (back.rows("images"), back.rows("rejected")) == (0, 2)
    assert list(validate(str(tmp_path / "back"))) == []


def test_obelics_as_it_was_published(tmp_path):
    # Metadata of images without a word of their own; nulls as OBELICS has them.
    table = pa.Table.from_pylist(
        [
            {
                "images": ["https://a.example/1.jpg", None],
                "metadata": '[{"src": "https://a.example/1.jpg"}, null]',
                "general_metadata": '{"url": "https://a.example/"}',
                "texts": [None, "One.\n\nTwo."],
            }
        ]
    )
    pq.write_table(table, tmp_path / "train.parquet")
    import_corpus("obelics", [str(tmp_path / "train.parquet")], str(tmp_path / "out"))
    assert list(validate(str(tmp_path / "out"))) == []
    [row] = documents(tmp_path / "out").values()
    assert row["texts"] == [None, "One.", "Two."]


def test_what_the_user_mistook(corpus, tmp_path):
    with pytest.raises(UserError, match="mmc5: no such format; known: mmc4, obelics"):
        import_corpus("mmc5", [], str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"no such file, and no folder with \.jsonl or"):
        import_corpus("mmc4", [str(tmp_path / "none")], str(tmp_path / "out"))
    (tmp_path / "list.txt").write_text("no document\n")
    with pytest.raises(UserError, match=r"list\.txt: none of 1 rows is a document of mmc4"):
        import_corpus("mmc4", [str(tmp_path / "list.txt")], str(tmp_path / "none"))
    with pytest.raises(UserError, match="is not empty"):
        import_corpus("obelics", [str(corpus / "documents")], str(corpus))
    (tmp_path / "x.parquet").write_bytes(b"no Parquet")
    with pytest.raises(UserError, match=r"x\.parquet: cannot be read"):
        import_corpus("obelics", [str(tmp_path / "x.parquet")], str(tmp_path / "out"))


def test_the_command(corpus, tmp_path):
    run(corpus, tmp_path / "mmc4", "mmc4")
    folder = str(tmp_path / "mmc4")
    result = CliRunner().invoke(
        app, ["import", "mmc4", folder, "--images", folder, "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert "3 documents and 2 images" in result.output


ANEW = """
    read: {corpus: true}
    filter_text: {documents: [{word_count: {min_words: 3}}]}
    gather_images: {webdataset: [IMAGES]}
    join_images: {max_hamming: -1}
    place_images: {method: dom}
    write: {shards: 2}
"""


def test_an_imported_corpus_is_filtered_and_placed_anew(corpus, tmp_path):
    run(corpus, tmp_path / "mmc4", "mmc4")
    back, out = tmp_path / "back", tmp_path / "out"
    import_corpus("mmc4", [str(tmp_path / "mmc4")], str(back), [str(tmp_path / "mmc4")])
    config = tmp_path / "anew.yaml"
    config.write_text(ANEW.replace("IMAGES", str(back / "images")))
    listed = tmp_path / "listed.txt"
    listed.write_text("https://a.example/two\n")
    manifest = run_pipeline(str(config), [str(back)], str(out), [f"opt_out_lists=[{listed}]"])

    assert list(validate(str(out))) == []
    assert {(e["stage"], e["kept"], e["rejected"]) for e in manifest["funnel"]} >= {
        ("read_documents", 2, 1),  # /two is listed
        ("filter_text", 1, 1),  # /three has two words
        ("gather_images", 2, 0),
    }
    [(url, row)] = documents(out).items()
    before = documents(corpus)[url]
    assert row["doc_id"] == documents(back)[url]["doc_id"]
    assert row["text_list"] == before["text_list"]
    assert flat(row, Order.NATURAL) == flat(before, Order.MATCHED)
    assert {r["image_id"] for r in images(out)} == {r["image_id"] for r in images(corpus)}


def test_the_sample_there_and_back(sample_corpus, tmp_path):
    before = documents(sample_corpus)
    for format, order in (("mmc4", Order.MATCHED), ("obelics", Order.NATURAL)):
        old, back = tmp_path / format, tmp_path / f"{format}-back"
        run(sample_corpus, old, format, "images=tar", shards=2)
        import_corpus(format, [str(old)], str(back), [str(old)], shards=2)
        assert list(validate(str(back))) == []
        after = documents(back)
        assert set(after) == set(before)
        for url, row in after.items():
            assert flat(row, order) == flat(before[url], order)
            if order is Order.MATCHED:
                assert row["text_list"] == before[url]["text_list"]
                assert scores(row) == scores(before[url])


def scores(row):
    """Of each image that has a sentence, its similarities and the one it was matched by."""
    return sorted(
        (info["url"], info["matched_text_index"], info["matched_sim"], similarities)
        for info, similarities in zip(row["image_info"], row["similarity_matrix"], strict=True)
        if info["matched_text_index"] is not None
    )
