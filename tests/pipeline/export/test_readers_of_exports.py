"""Exports, read by what reads such files."""

import hashlib
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.export import omnicorpus
from pipeline.export.export import format_of
from pipeline.export.pin import escaped
from tests.pipeline.drafts import BLUE, BLUE_ELSEWHERE, BYTES, RED
from tests.pipeline.export.test_export import run

IDS = [f"{i:032x}" for i in (1, 2, 3)]
FIRST_TEXTS = [
    "Two pictures\n\nA red square is here.  It is red.", None, "Then a blue one.", None,
]  # fmt: skip


def samples(folder):
    wds = pytest.importorskip("webdataset")
    paths = sorted(str(path) for path in folder.glob("*.tar"))
    return list(wds.WebDataset(paths, shardshuffle=False).decode("pil"))


def pixel(image):
    return image.convert("RGB").getpixel((0, 0))


def test_obelics_by_datasets(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    run(corpus, tmp_path / "x", "obelics")
    files = sorted(str(path) for path in (tmp_path / "x").glob("*.parquet"))
    rows = list(
        datasets.load_dataset("parquet", data_files=files, split="train", streaming=True,
                              cache_dir=str(tmp_path / "cache"))
    )  # fmt: skip
    assert list(rows[0]) == ["images", "metadata", "general_metadata", "texts"]
    assert rows[0]["texts"] == FIRST_TEXTS
    assert rows[0]["images"] == [None, RED, None, BLUE]
    for row in rows:
        metadata = json.loads(row["metadata"])
        for text, url, about in zip(row["texts"], row["images"], metadata, strict=True):
            assert (text is None) == (url is not None) == (about is not None)
            assert url is None or about["src"] == url
    assert json.loads(rows[0]["metadata"])[1]["alt_text"] == "a red square"
    assert json.loads(rows[0]["general_metadata"])["warc_record_offset"] == 100


def test_obelics_in_matched_order(corpus, tmp_path):
    run(corpus, tmp_path / "x", "obelics", "order=matched", shards=1)
    [path] = (tmp_path / "x").glob("*.parquet")
    first, second, third = pq.read_table(path).to_pylist()
    assert first["texts"] == [
        "Two pictures", None, "A red square is here. It is red.", None, "Then a blue one.",
    ]  # fmt: skip
    assert first["images"] == [None, RED, None, BLUE, None]
    assert second["images"] == [None]
    assert third["images"] == [BLUE_ELSEWHERE, None]


def test_webdataset(corpus, tmp_path):
    run(corpus, tmp_path / "x", "webdataset")
    first, second, third = samples(tmp_path / "x")
    assert [sample["__key__"] for sample in (first, second, third)] == IDS
    assert first["json"]["texts"] == FIRST_TEXTS
    assert first["json"]["images"] == [None, f"{IDS[0]}.1.png", None, f"{IDS[0]}.3.png"]
    assert [pixel(first[name]) for name in ("1.png", "3.png")] == [(255, 0, 0), (0, 0, 255)]
    assert third["json"]["image_metadata"][0]["src"] == BLUE_ELSEWHERE


def curator(path):
    """Images of the first document as NeMo Curator's reader of tars finds them.

    Its rules (nemo_curator/stages/interleaved/io/readers/webdataset.py): an image is a member of
    the tar by its name, else the next frame of the member that is called like the document.
    """
    found = []
    with tarfile.open(path) as archive:
        names = archive.getnames()
        sample = json.load(archive.extractfile(next(n for n in names if n.endswith(".json"))))
        for name in filter(None, sample["images"]):
            member = name if name in names else f"{IDS[0]}.tiff"
            image = Image.open(io.BytesIO(archive.extractfile(member).read()))
            if name not in names:
                image.seek(len(found))
            found.append(pixel(image))
    return found


@pytest.mark.parametrize("name", ["webdataset", "mint"])
def test_nemo_curator_finds_the_images_of_tars(corpus, tmp_path, name):
    run(corpus, tmp_path / "x", name, shards=1)
    [path] = (tmp_path / "x").glob("*.tar")
    assert curator(path) == [(255, 0, 0), (0, 0, 255)]


def test_mint(corpus, tmp_path):
    run(corpus, tmp_path / "x", "mint", shards=1)
    wds = pytest.importorskip("webdataset")
    [path] = (tmp_path / "x").glob("*.tar")
    first, second, _ = wds.WebDataset(str(path), shardshuffle=False)
    sample = json.loads(first["json"])
    assert sample["images"] == [None, "page_0_image_0", None, "page_0_image_1"]
    assert sample["texts"] == FIRST_TEXTS
    with Image.open(io.BytesIO(first["tiff"])) as tiff:
        assert tiff.n_frames == len(sample["image_metadata"]) == 2
        colours = []
        for frame in range(2):
            tiff.seek(frame)
            assert tiff.size == (8, 6)
            colours.append(pixel(tiff))
    assert colours == [(255, 0, 0), (0, 0, 255)]
    assert json.loads(second["json"])["texts"] == [None, "Nothing is matched here."]


def test_mint_counts_what_pillow_does_not_open(draft, tmp_path):
    for row in draft.images:
        if row["bytes"] == BYTES[RED]:
            row["bytes"] = b"no picture"
    draft.write(tmp_path / "corpus")
    manifest = run(tmp_path / "corpus", tmp_path / "x", "mint")
    assert manifest["counts"]["image places that Pillow does not open, left out"] == 2


def test_pairs(corpus, tmp_path):
    manifest = run(corpus, tmp_path / "x", "pairs", shards=1)
    found = samples(tmp_path / "x")
    assert [(pixel(sample["png"]), sample["txt"]) for sample in found] == [
        ((255, 0, 0), "a red square"),
        ((0, 0, 255), "a blue square"),
        ((0, 0, 255), "Blue again."),
    ]
    table = pq.read_table(tmp_path / "x" / "00000.parquet").to_pylist()
    assert [sample["json"] for sample in found] == table
    assert [row["key"] for row in table] == [sample["__key__"] for sample in found]
    # What img2dataset adds to the columns of its input, in its order.
    assert list(table[0])[-9:] == [
        "url", "key", "status", "error_message", "width", "height", "original_width",
        "original_height", "sha256",
    ]  # fmt: skip
    with tarfile.open(tmp_path / "x" / "00000.tar") as archive:
        key = table[0]["key"]
        assert archive.getnames()[:3] == [f"{key}.json", f"{key}.png", f"{key}.txt"]
    assert manifest["counts"]["images without a text, left out"] == 1


def test_pairs_by_sentence(corpus, tmp_path):
    run(corpus, tmp_path / "x", "pairs", "captions=[sentence]", "min_similarity=0.6", shards=1)
    [sample] = samples(tmp_path / "x")
    assert (sample["txt"], sample["json"]["similarity"]) == ("A red square is here.", 0.75)


def test_text(corpus, tmp_path):
    run(corpus, tmp_path / "x", "text", shards=1)
    [path] = (tmp_path / "x").glob("*.jsonl")
    first = json.loads(path.read_text().splitlines()[0])
    assert first["id"] == IDS[0]
    assert first["text"].endswith("It is red.\n\nThen a blue one.")
    assert first["metadata"]["url"] == "https://a.example/one"


def test_chat_by_datasets(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    run(corpus, tmp_path / "x", "chat", "prompt=Show {title}.")
    files = sorted(str(path) for path in (tmp_path / "x").glob("*.parquet"))
    rows = list(
        datasets.load_dataset("parquet", data_files=files, split="train",
                              cache_dir=str(tmp_path / "cache"))
    )  # fmt: skip
    user, assistant = rows[0]["messages"]
    assert user["role"] == "user"
    assert [part["text"] for part in user["content"]] == ["Show Two pictures."]
    assert [part["type"] for part in assistant["content"]] == ["text", "image", "text", "image"]
    assert [part["text"] for part in assistant["content"]] == FIRST_TEXTS
    assert [pixel(image) for image in rows[0]["images"]] == [(255, 0, 0), (0, 0, 255)]
    for row in rows:
        # What TRL asks for (trl/data_utils.py, `prepare_multimodal_messages`).
        parts = [part for message in row["messages"] for part in message["content"]]
        marks = [part for part in parts if part["type"] == "image" and "image" not in part]
        assert len(marks) == len(row["images"])


def test_chat_has_roles_that_templates_know():
    with pytest.raises(UserError, match=r"export chat: role: .*'narrator'"):
        format_of("chat", ["role=narrator"])


def test_nemo(corpus, tmp_path):
    run(corpus, tmp_path / "x", "nemo", shards=1)
    [path] = (tmp_path / "x").glob("*.parquet")
    schema = pq.read_schema(path)
    assert [field.name for field in schema if not field.nullable] == [
        "sample_id", "position", "modality",
    ]  # fmt: skip
    assert schema.field("binary_content").type == "large_binary"
    rows = [row for row in pq.read_table(path).to_pylist() if row["sample_id"] == IDS[0]]
    assert [(row["position"], row["modality"]) for row in rows] == [
        (-1, "metadata"), (0, "text"), (1, "text"), (2, "image"), (3, "text"), (4, "image"),
    ]  # fmt: skip
    assert [row["binary_content"] for row in rows if row["modality"] == "image"] == [
        BYTES[RED], BYTES[BLUE],
    ]  # fmt: skip
    assert rows[3]["content_type"] == "image/png"
    assert rows[4]["text_content"] == "Then a blue one."
    about = {name: rows[0][name] for name in ("url", "title", "warc_record_offset")}
    assert about == {
        "url": "https://a.example/one", "title": "Two pictures", "warc_record_offset": 100,
    }  # fmt: skip
    # A column that both had would be dropped from images when NeMo Curator writes tars.
    further = set(rows[0]) - {
        "sample_id", "position", "modality", "content_type", "text_content", "binary_content",
        "source_ref", "materialize_error",
    }  # fmt: skip
    of_images = {name for name in further if rows[3][name] is not None}
    assert of_images == {"image_url", "alt", "caption", "matched_sim"}
    assert {name for name in further if rows[0][name] is not None} == further - of_images
    assert (rows[3]["image_url"], rows[3]["matched_sim"]) == (RED, 0.75)


def test_omnicorpus_by_datasets(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    run(corpus, tmp_path / "x", "omnicorpus", "images=tar")
    files = sorted(str(path) for path in (tmp_path / "x").glob("*.parquet"))
    rows = list(
        datasets.load_dataset("parquet", data_files=files, split="train", streaming=True,
                              cache_dir=str(tmp_path / "cache"))
    )  # fmt: skip
    assert rows[0]["images"] == [None, RED, None, BLUE]
    assert rows[0]["texts"] == FIRST_TEXTS
    assert [about and about["unsafe_prob"] for about in rows[0]["metadata"]] == [
        None, 0.25, None, 0.25,
    ]  # fmt: skip
    assert rows[2]["general_metadata"]["domain"] == ["b.example"]
    for row in rows:
        # What their loader asserts (mllm_llava/llava/train/datasets.py, `parse_sample`).
        n_images = sum(url is not None for url in row["images"])
        assert len(row["images"]) == len(row["texts"]) == len(row["metadata"])
        assert n_images == sum(text is None for text in row["texts"])
        for url, about in zip(row["images"], row["metadata"], strict=True):
            assert (url is None) == (about is None)
            assert url is None or about["img_url_sha"] == hashlib.sha256(url.encode()).hexdigest()
    # Their loader looks for a file named by the hash of the URL.
    names = {hashlib.sha256(url.encode()).hexdigest(): BYTES[url]
             for url in (RED, BLUE, BLUE_ELSEWHERE)}  # fmt: skip
    assert members(tmp_path / "x") == names


# `dataset_info` in the card of OpenGVLab/OmniCorpus-CC.
OMNICORPUS = {
    "general_metadata": {
        "domain": ["string"], "fluency_prob": "float64", "id": "string",
        "non_advertisement_prob": "float64", "politics_prob": "float64", "porn_prob": "float64",
        "toxic_prob": "float64", "url": "string",
    },
    "images": ["string"],
    "texts": ["string"],
    "metadata": [{
        "aesthetic_prob": "float64", "bytes": "int64", "d_hash": "string",
        "d_hash_dup_count": "int64", "height": "int64", "img_url_sha": "string",
        "p_hash": "string", "p_hash_dup_count": "int64", "unsafe_prob": "float64",
        "width": "int64",
    }],
}  # fmt: skip


def test_omnicorpus_has_the_columns_and_types_of_its_card():
    def plain(kind):
        if pa.types.is_list(kind):
            return [plain(kind.value_type)]
        if pa.types.is_struct(kind):
            return {field.name: plain(field.type) for field in kind}
        return {"double": "float64"}.get(str(kind), str(kind))

    found = {field.name: plain(field.type) for field in omnicorpus.SCHEMA}
    assert json.dumps(found) == json.dumps(OMNICORPUS)  # their order too


def members(folder):
    found = {}
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as archive:
            found |= {member.name: archive.extractfile(member).read() for member in archive}
    return found


def test_comm_by_torch(draft, tmp_path):
    import torch

    draft.documents[1]["image_info"][0]["image_id"] = None
    draft.write(tmp_path / "corpus")
    run(tmp_path / "corpus", tmp_path / "x", "comm", shards=1)
    [path] = (tmp_path / "x").glob("*.pth")
    first, second, _ = torch.load(path, weights_only=True)
    assert (first["data_id"], first["title"]) == (IDS[0], "Two pictures")
    assert first["summary_info"] == []  # the page begins with a heading
    [step] = first["step_info"]
    assert [part["type"] for part in step] == ["text", "text", "image", "text", "image"]
    found = members(tmp_path / "x")
    # Where CoMM's loader looks (models/MiniGPT-5/dataloader.py, `get_image_path`).
    paths = [f"images/{part['image_path']}" for part in step if part["type"] == "image"]
    assert [found[path] for path in paths] == [BYTES[RED], BYTES[BLUE]]
    # What is not stored has a path where CoMM's own script can put it.
    image, text = second["summary_info"]
    assert image == {
        "type": "image", "url": RED, "image_path": hashlib.sha256(RED.encode()).hexdigest(),
    }  # fmt: skip
    assert text["type"] == "text"


def test_pin(corpus, tmp_path):
    run(corpus, tmp_path / "x", "pin", shards=1)
    [path] = (tmp_path / "x").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    red, blue = lines[0]["content_image"]
    assert lines[0]["md"] == (
        "## Two pictures\n\nA red square is here.  It is red.\n\n"
        f"<img src='{red}'>\n\nThen a blue one.\n\n<img src='{blue}'>"
    )
    # As the paper has them: arXiv:2406.13923v3, figure 3 and the list of keys.
    assert list(lines[0]) == [
        "id", "meta", "license", "quality_signals", "content_image", "md", "overall_image",
    ]  # fmt: skip
    assert set(lines[0]["meta"]) == {
        "language", "oi_exist", "oi_source", "source_dataset", "ori_meta", "doc_id", "page_id",
        "date_download",
    }  # fmt: skip
    assert lines[0]["meta"]["date_download"] == "2024-01-02"
    assert lines[0]["meta"]["ori_meta"]["images"][0] == {
        "url": RED, "alt": "a red square", "caption": "Fig. 1",
    }  # fmt: skip
    assert [line["id"] for line in lines] == [0, 1, 2]
    assert lines[0]["quality_signals"] == {"word_count": 12.0}
    assert members(tmp_path / "x") == {red: BYTES[RED], blue: BYTES[BLUE]}


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a * b_c", r"a \* b\_c"),
        ("![x](y) <script>", r"\!\[x\](y) \<script\>"),
        ("# no heading\n- no list\n1. no number", "\\# no heading\n\\- no list\n1\\. no number"),
    ],
)
def test_pin_takes_a_page_literally(text, markdown):
    assert escaped(text) == markdown
