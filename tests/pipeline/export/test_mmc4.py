import hashlib
import io
import json
import tarfile
import zipfile

import pytest
from PIL import Image

from tests.pipeline.drafts import BLUE, BYTES, RED
from tests.pipeline.export.test_export import run

FIELDS = {"url", "text_list", "image_info", "similarity_matrix", "could_have_url_duplicate"}
IMAGE_FIELDS = {
    "image_name", "raw_url", "matched_text_index", "matched_sim", "face_detections",
}  # fmt: skip


def lines(folder):
    paths = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def name_of(url):
    return hashlib.sha256(BYTES[url]).hexdigest() + ".png"


def test_the_fields_are_those_of_mmc4(corpus, tmp_path):
    run(corpus, tmp_path / "x", "mmc4")
    first, second, third = lines(tmp_path / "x")
    assert set(first) == FIELDS
    assert all(set(info) == IMAGE_FIELDS for info in first["image_info"])
    assert first["text_list"][1] == "A red square is here."
    assert [info["image_name"] for info in first["image_info"]] == [name_of(RED), name_of(BLUE)]
    for document in (first, second, third):
        for info, row in zip(document["image_info"], document["similarity_matrix"], strict=True):
            assert row[info["matched_text_index"]] == info["matched_sim"]
    # Its only image matches nothing.
    assert (second["image_info"], second["similarity_matrix"]) == ([], [])


def flamingo(document, images, threshold):
    """What open_flamingo makes of a document: the images in their order, and the text.

    The rules of open_flamingo/train/data.py, `preprocess_interleaved`: images in the order of
    `image_info`, those below the threshold left out, a mark put before each one's sentence.
    """
    sentences = list(document["text_list"])
    kept = [info for info in document["image_info"] if info["matched_sim"] >= threshold]
    pictures = [Image.open(io.BytesIO(images[info["image_name"]])) for info in kept]
    for info in kept:
        at = info["matched_text_index"]
        sentences[at] = f"<|endofchunk|><image>{sentences[at]}"
    return pictures, " ".join(sentences).replace("<|endofchunk|>", "", 1)


def test_open_flamingo_pairs_every_image_with_its_sentence(draft, tmp_path):
    # The page shows the red one first, but it fits the later sentence: by reading order
    # open_flamingo would show the blue one with it.
    row = draft.documents[0]
    for info, (at, sim) in zip(row["image_info"], [(3, 0.75), (1, 0.5)], strict=True):
        info |= {"matched_text_index": at, "matched_sim": sim}
    row["text_list"][1], row["text_list"][3] = "A blue square.", "A red square."
    row["similarity_matrix"] = [[0.0, 0.25, 0.25, 0.75], [0.0, 0.5, 0.25, 0.125]]
    draft.write(tmp_path / "corpus")
    run(tmp_path / "corpus", tmp_path / "x", "mmc4", shards=1)

    with tarfile.open(tmp_path / "x" / "images_shard_0.tar") as archive:
        images = {m.name: archive.extractfile(m).read() for m in archive}
    pictures, text = flamingo(lines(tmp_path / "x")[0], images, 0.24)
    colours = [picture.convert("RGB").getpixel((0, 0)) for picture in pictures]
    followed = [chunk.split(".")[0] for chunk in text.split("<image>")[1:]]
    assert colours == [(0, 0, 255), (255, 0, 0)]
    assert followed == ["A blue square", "A red square"]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_images_lie_beside_once_a_shard(corpus, tmp_path, kind):
    run(corpus, tmp_path / "x", "mmc4", f"images={kind}", shards=1)
    path = tmp_path / "x" / f"images_shard_0.{kind}"
    if kind == "tar":
        with tarfile.open(path) as archive:
            found = {m.name: archive.extractfile(m).read() for m in archive}
    else:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {name_of(url): BYTES[url] for url in (RED, BLUE)}
