import hashlib
import json
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import corpus_digest
from pipeline.errors import UserError
from pipeline.validate import validate
from schemas.corpus import TABLES

DOCUMENTS_0 = "documents/part-00000-of-00002.parquet"
DOCUMENTS_1 = "documents/part-00001-of-00002.parquet"
IMAGES_0 = "images/part-00000-of-00002.parquet"
IMAGES_1 = "images/part-00001-of-00002.parquet"


def found(folder):
    return [str(breach) for breach in validate(str(folder))]


def test_a_sound_corpus_has_no_breach(corpus):
    assert found(corpus) == []


def test_a_corpus_without_rows_has_no_breach(tmp_path, draft):
    for name in ("documents", "images", "rejected", "failed", "funnel"):
        setattr(draft, name, [])
    draft.write(tmp_path)
    assert found(tmp_path) == []


def test_natural_order_alone_is_sound(tmp_path, draft):
    """Without a model there is no matrix, no match, no image id."""
    draft.config = {"gather_images": None, "heads": {}, "write": {"image_bytes": True}}
    draft.images = []
    for row in draft.documents:
        row["similarity_matrix"] = []
        for info in row["image_info"]:
            info |= dict.fromkeys(
                ("image_id", "nsfw", "phash", "matched_sim", "matched_text_index", "before_text")
            )
    draft.write(tmp_path)
    assert found(tmp_path) == []


def document(row: int, change: Callable[[dict], object]):
    def breaking(draft):
        change(draft.documents[row])

    return breaking


def info(row: int, image: int, **values):
    return document(row, lambda d: d["image_info"][image].update(values))


# What is broken; the file and row of the only breaches, and what each begins with.
ROW_BREACHES = {
    "id of a wrong form": (
        document(2, lambda d: d.update(doc_id="0" * 31 + "G")),
        [f"{DOCUMENTS_1} row 0: doc_id: '{'0' * 31}G' is not 32 hex digits"],
    ),
    "ids out of order": (
        lambda draft: draft.documents.__setitem__(
            slice(0, 2), [draft.documents[1], draft.documents[0]]
        ),
        [f"{DOCUMENTS_0} row 1: order: doc_id {1:032x} follows {2:032x}"],
    ),
    "an id again in another shard": (
        document(2, lambda d: d.update(doc_id=f"{1:032x}")),
        [f"{DOCUMENTS_1} row 0: unique: doc_id {1:032x} occurs again"],
    ),
    "an id is null": (
        document(2, lambda d: d.update(doc_id=None)),
        [f"{DOCUMENTS_1} row 0: doc_id: None is not 32 hex digits"],
    ),
    "no URL": (
        document(0, lambda d: d.update(url=None)),
        [f"{DOCUMENTS_0} row 0: null: url is null"],
    ),
    "views of unlike length": (
        document(0, lambda d: d["roles"].pop()),
        [f"{DOCUMENTS_0} row 0: parallel: texts, images and roles have 5, 5 and 4 items"],
    ),
    "a node that is both": (
        document(2, lambda d: d["texts"].__setitem__(1, "also a text")),
        [f"{DOCUMENTS_1} row 0: exclusive: a node is both text and image, or neither"],
    ),
    "a role that lies": (
        document(0, lambda d: d["roles"].__setitem__(0, "image")),
        [f"{DOCUMENTS_0} row 0: roles: a role does not say what the node is"],
    ),
    "an unknown role": (
        document(0, lambda d: d["roles"].__setitem__(0, "title")),
        [f"{DOCUMENTS_0} row 0: roles: a role does not say what the node is"],
    ),
    "sentences without nodes": (
        document(1, lambda d: d["text_node_index"].append(1)),
        [f"{DOCUMENTS_0} row 1: parallel: text_list and text_node_index differ in length"],
    ),
    "a sentence of an image": (
        document(0, lambda d: d["text_node_index"].__setitem__(3, 4)),
        [f"{DOCUMENTS_0} row 0: text_node_index: a sentence points at no text node"],
    ),
    "a sentence of a node that is not there": (
        document(0, lambda d: d["text_node_index"].__setitem__(3, 9)),
        [f"{DOCUMENTS_0} row 0: text_node_index: a sentence points at no text node"],
    ),
    "sentences out of order": (
        document(0, lambda d: d["text_node_index"].__setitem__(2, 0)),
        [f"{DOCUMENTS_0} row 0: text_node_index: text_node_index does not ascend"],
    ),
    "a sentence is null": (
        document(1, lambda d: d["text_list"].__setitem__(0, None)),
        [f"{DOCUMENTS_0} row 1: null: a sentence of text_list is null"],
    ),
    "an info points at a text": (
        info(0, 0, node_index=1),
        [f"{DOCUMENTS_0} row 0: image_info: node_index points at no node with the same URL"],
    ),
    "an info points behind the end": (
        info(0, 1, node_index=5),
        [f"{DOCUMENTS_0} row 0: image_info: node_index points at no node with the same URL"],
    ),
    "matched_sim is not the matrix's": (
        info(0, 1, matched_sim=0.5000001),
        [f"{DOCUMENTS_0} row 0: matched_sim: is not similarity_matrix[i][matched_text_index]"],
    ),
    "matched to another sentence than the similarity": (
        info(0, 1, matched_text_index=2),
        [f"{DOCUMENTS_0} row 0: matched_sim: is not similarity_matrix[i][matched_text_index]"],
    ),
    "shown on the other side of its sentence": (
        info(0, 0, before_text=True),
        [f"{DOCUMENTS_0} row 0: before_text: is not what the places of image and sentence say"],
    ),
    "unplaced and beside a sentence": (
        info(1, 0, before_text=False),
        [f"{DOCUMENTS_0} row 1: before_text: is not what the places of image and sentence say"],
    ),
    "another natural order": (
        info(0, 1, natural_text_index=2),
        [f"{DOCUMENTS_0} row 0: natural_text_index: is not the last sentence before the image"],
    ),
    "no natural order": (
        info(2, 0, natural_text_index=None),
        [f"{DOCUMENTS_1} row 0: natural_text_index: is not the last sentence before the image"],
    ),
    "matched to no sentence": (
        info(2, 0, matched_text_index=1),
        [f"{DOCUMENTS_1} row 0: matched_text_index: points at no sentence"],
    ),
    "matched without a similarity": (
        info(2, 0, matched_sim=None),
        [
            f"{DOCUMENTS_1} row 0: matched_sim: only one of matched_text_index and matched_sim "
            "is null"
        ],
    ),
    "matched without a matrix": (
        document(2, lambda d: d.update(similarity_matrix=[])),
        [f"{DOCUMENTS_1} row 0: matched_sim: an image is matched without a matrix"],
    ),
    "a row of the matrix too few": (
        document(0, lambda d: d["similarity_matrix"].pop()),
        [f"{DOCUMENTS_0} row 0: similarity_matrix: is not of shape 2 x 4 (1 rows)"],
    ),
    "a row of the matrix too short": (
        document(0, lambda d: d["similarity_matrix"][1].pop()),
        [
            f"{DOCUMENTS_0} row 0: similarity_matrix: is not of shape 2 x 4 "
            "(2 rows, some of another length)"
        ],
    ),
    "a similarity that is none": (
        document(1, lambda d: d["similarity_matrix"][0].__setitem__(0, float("nan"))),
        [f"{DOCUMENTS_0} row 1: similarity_matrix: holds what is no cosine"],
    ),
    "an image that was not scored": (
        info(0, 0, nsfw=None),
        [f"{DOCUMENTS_0} row 0: nsfw: an image has no nsfw score"],
    ),
    "an image without an id": (
        info(0, 0, image_id=None),
        [f"{DOCUMENTS_0} row 0: image_id: an image has no image_id"],
    ),
}


@pytest.mark.parametrize("name", ROW_BREACHES)
def test_each_breach_of_a_document_is_told_alone(name, tmp_path, draft):
    breaking, expected = ROW_BREACHES[name]
    breaking(draft)
    draft.write(tmp_path)
    assert found(tmp_path) == expected


def test_images_out_of_reading_order(tmp_path, draft):
    row = draft.documents[0]
    row["image_info"].reverse()
    row["similarity_matrix"].reverse()
    draft.write(tmp_path)
    assert found(tmp_path) == [
        f"{DOCUMENTS_0} row 0: image_info: the images are not in reading order"
    ]


def test_an_image_node_without_info(tmp_path, draft):
    row = draft.documents[0]
    row["image_info"].pop()
    row["similarity_matrix"].pop()
    blue = next(image for image in draft.images if image["url"].endswith("blue.png"))
    blue["urls"] = ["https://b.example/blue.png"]
    blue["url"] = "https://b.example/blue.png"
    draft.write(tmp_path)
    assert found(tmp_path) == [f"{DOCUMENTS_0} row 0: image_info: 1 infos for 2 image nodes"]


def images_file(draft, url):
    return (IMAGES_0, IMAGES_1)[[image["url"] for image in draft.images].index(url)]


RED, BLUE = "https://a.example/red.png", "https://a.example/blue.png"


def test_an_image_that_is_not_in_the_table(tmp_path, draft):
    draft.images = [image for image in draft.images if image["url"] != RED]
    draft.write(tmp_path)
    missing = draft.documents[1]["image_info"][0]["image_id"]
    message = f"image_id: image {missing} is not in the images table"
    assert found(tmp_path) == [
        f"{DOCUMENTS_0} row 0: {message}",
        f"{DOCUMENTS_0} row 1: {message}",
    ]


def test_an_image_that_no_document_shows(tmp_path, draft):
    data = b"another"
    extra = dict(draft.images[0], bytes=data, image_id=hashlib.sha256(data).hexdigest())
    draft.images = sorted([*draft.images, extra], key=lambda image: image["image_id"])
    at = draft.images.index(extra)
    draft.write(tmp_path)
    place = f"{IMAGES_0} row {at}" if at < 2 else f"{IMAGES_1} row 0"
    assert found(tmp_path) == [
        f"{place}: image_id: image {extra['image_id']} is shown by no document"
    ]


def test_urls_of_an_image_are_those_that_were_used(tmp_path, draft):
    image = next(image for image in draft.images if image["url"] == RED)
    image["url"], image["urls"] = "https://c.example/", ["https://c.example/"]
    place = images_file(draft, "https://c.example/")
    draft.write(tmp_path)
    message = f"urls: {RED} is not among the urls of image {image['image_id']}"
    assert found(tmp_path) == [
        f"{DOCUMENTS_0} row 0: {message}",
        f"{DOCUMENTS_0} row 1: {message}",
        f"{place} row 0: urls: https://c.example/ is the URL of this image in no document",
    ]


IMAGE_BREACHES = {
    "bytes of another image": (
        {"bytes": b"x"},
        f"bytes: SHA-256 of the bytes is {hashlib.sha256(b'x').hexdigest()}, not the image_id",
    ),
    "no bytes": (
        {"bytes": None},
        "bytes: are missing, the corpus is written with them",
    ),
    "url not among urls": ({"url": "https://c.example/"}, "url: url is not among urls"),
    "no width": ({"width": None}, "width: width is null or below 1"),
    "a phash too short": ({"phash": "00ff"}, "phash: phash is not 16 hex digits"),
    "not scored": ({"nsfw": None}, "nsfw: the image has no nsfw score"),
    "not scored by a head": ({"scores": []}, "faces: the image has no faces score"),
    "no probability": ({"nsfw": 1.5}, "nsfw: nsfw is no probability"),
}


@pytest.mark.parametrize("name", IMAGE_BREACHES)
def test_each_breach_of_an_image_is_told_alone(name, tmp_path, draft):
    change, expected = IMAGE_BREACHES[name]
    draft.images[1].update(change)
    draft.write(tmp_path)
    assert found(tmp_path) == [f"{IMAGES_1} row 0: {expected}"]


def test_bytes_where_none_were_promised(tmp_path, draft):
    draft.config["write"]["image_bytes"] = False
    draft.images[0]["bytes"] = None
    draft.write(tmp_path)
    assert found(tmp_path) == [
        f"{IMAGES_1} row 0: bytes: are there, the corpus is written without them"
    ]


# --- files and manifest ---------------------------------------------------------------------------


def change_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_flipped_byte_breaks_the_checksum(corpus):
    path = corpus / IMAGES_0
    data = bytearray(path.read_bytes())
    told = hashlib.sha256(data).hexdigest()
    # A byte of the writer's name at the end of the footer: the rows still read.
    data[data.index(b"parquet-cpp-arrow")] ^= 1
    path.write_bytes(data)
    assert found(corpus) == [
        f"{IMAGES_0}: checksum: SHA-256 is {hashlib.sha256(data).hexdigest()}, "
        f"{told} in the manifest"
    ]


def test_a_truncated_file(corpus):
    path = corpus / DOCUMENTS_1
    path.write_bytes(path.read_bytes()[:-10])
    first, second, third = found(corpus)
    assert first.startswith(f"{DOCUMENTS_1}: size: ")
    assert second.startswith(f"{DOCUMENTS_1}: checksum: ")
    assert third.startswith(f"{DOCUMENTS_1}: unreadable: ")


def test_a_missing_file_does_not_blame_the_others(corpus):
    (corpus / DOCUMENTS_0).unlink()
    assert found(corpus) == [f"{DOCUMENTS_0}: missing: the file is not there"]


def test_a_stray_file(corpus):
    (corpus / "images/part-00000-of-00001.parquet").write_bytes(b"")
    assert found(corpus) == [
        "images/part-00000-of-00001.parquet: stray file: is not in the manifest"
    ]


def rewrite(folder, path, table):
    """Another table in the place of a file, told truly by the manifest."""
    target = folder / path
    pq.write_table(table, target)
    data = target.read_bytes()

    def tell(manifest):
        [file] = [file for file in manifest["files"] if file["path"] == path]
        file |= {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["digest"] = corpus_digest(manifest["files"])

    change_manifest(folder, tell)


def test_a_column_too_few(corpus):
    path = "failed/part-00001-of-00002.parquet"
    rewrite(corpus, path, TABLES["failed"].empty_table().drop_columns(["error"]))
    assert found(corpus) == [f"{path}: schema: lacks error"]


def test_a_column_of_another_type(corpus):
    path = "failed/part-00001-of-00002.parquet"
    table = TABLES["failed"].empty_table()
    at = table.schema.get_field_index("warc_offset")
    rewrite(corpus, path, table.set_column(at, "warc_offset", pa.array([], pa.int32())))
    assert found(corpus) == [f"{path}: schema: warc_offset is int32, not int64"]


def test_fewer_rows_than_told(corpus):
    path = "documents/part-00001-of-00002.parquet"

    def lie(manifest):
        [file] = [file for file in manifest["files"] if file["path"] == path]
        file["rows"] = 2

    change_manifest(corpus, lie)
    assert found(corpus) == [
        "manifest.json: funnel: place_images kept 3, documents has 4",
        f"{path}: rows: 1 rows, 2 in the manifest",
    ]


MANIFEST_BREACHES = {
    "digest": (
        lambda m: m.update(digest="0"),
        "digest: is 0, the files give ",
    ),
    "config": (
        lambda m: m["config"].update(heads={"nsfw": {"file": "other"}}),
        "config_sha256: is ",
    ),
    "a key": (lambda m: m.pop("funnel"), "manifest: funnel is missing"),
    "a version": (
        lambda m: m.update(schema_version=99),
        "manifest: its schema version is 99, not 3",
    ),
    "an entry": (
        lambda m: m["files"][1].update(rows="many"),
        "manifest: files[1].rows is no int",
    ),
    "conservation in a stage": (
        lambda m: m["funnel"][0].update(entered=7),
        "funnel: filter_pages: 7 entered, 6 left",
    ),
    "conservation between stages": (
        lambda m: m["funnel"][2].update(entered=4, failed=1),
        "funnel: filter_pages kept 3, 4 entered place_images",
    ),
}


@pytest.mark.parametrize("name", MANIFEST_BREACHES)
def test_each_breach_of_the_manifest(name, corpus):
    change, expected = MANIFEST_BREACHES[name]
    change_manifest(corpus, change)
    first, *_ = found(corpus)
    assert first.startswith(f"manifest.json: {expected}")


def test_a_file_outside_its_table(corpus):
    def move(manifest):
        manifest["files"][0]["path"] = "../documents.parquet"
        manifest["digest"] = corpus_digest(manifest["files"])

    change_manifest(corpus, move)
    first, *_ = found(corpus)
    assert first == "manifest.json: files: ../documents.parquet is no file of a table documents"


def test_rows_that_the_funnel_does_not_count(tmp_path, draft):
    draft.rejected.pop(1)
    draft.failed *= 2
    draft.write(tmp_path)
    assert found(tmp_path) == [
        "manifest.json: funnel: filter_pages: mime unwanted (page): 2 in the funnel, 1 rows in "
        "rejected",
        "manifest.json: funnel: filter_pages: 2 rejected, 1 rows in rejected",
        "manifest.json: funnel: filter_pages: 1 failed, 2 rows in failed",
    ]


def test_a_stage_without_a_place_in_the_funnel(tmp_path, draft):
    draft.rejected[3]["stage"] = "elsewhere"
    draft.funnel[1] |= {"kept": 4, "rejected": 0, "rules": []}
    draft.write(tmp_path)
    assert found(tmp_path) == [
        "manifest.json: funnel: elsewhere: has rows in rejected but is no stage of the funnel"
    ]


def test_a_reason_that_gathering_does_not_know(tmp_path, draft):
    draft.rejected[3]["reason"] = "bad_luck"
    draft.funnel[1]["rules"][0]["reason"] = "bad_luck"
    draft.write(tmp_path / "corpus")
    assert found(tmp_path / "corpus") == [
        "manifest.json: reason: gather_images: gather knows no reason 'bad_luck'"
    ]


def test_an_unfinished_corpus(corpus):
    (corpus / "manifest.json").unlink()
    (corpus / "_work").mkdir()
    assert found(corpus) == [
        f"manifest.json: manifest: {corpus}: the corpus is not finished (manifest.json is "
        "missing); run the same `weft run` again, it continues where it stopped"
    ]


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        found(tmp_path / "nowhere")
