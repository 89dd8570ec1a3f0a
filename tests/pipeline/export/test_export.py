import hashlib
import json

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.errors import UserError
from pipeline.export.export import export, format_of
from pipeline.export.formats import FORMATS


@pytest.fixture
def options(tmp_path):
    """What a format cannot be tried without."""
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    words = {"<unk>": 0, "<image>": 1}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>")).save(str(path))
    return {"packed": [f"tokenizer={path}"]}


def run(corpus, folder, name, *sets, shards=0):
    return export(open_corpus(str(corpus)), format_of(name, list(sets)), str(folder), shards)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_the_same_each_time(corpus, tmp_path, options, name):
    for folder in ("a", "b"):
        run(corpus, tmp_path / folder, name, *options.get(name, []))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("name", FORMATS)
def test_the_manifest_names_every_file(corpus, tmp_path, options, name):
    folder = tmp_path / "x"
    manifest = run(corpus, folder, name, *options.get(name, []), shards=5)
    found = {
        path: (len(data), hashlib.sha256(data).hexdigest())
        for path, data in contents(folder).items()
        if path != "export.json"
    }
    assert {f["path"]: (f["n_bytes"], f["sha256"]) for f in manifest["files"]} == found
    assert json.loads((folder / "export.json").read_text()) == manifest
    assert manifest["counts"]["documents"] == 3


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_shards_keep_the_order_of_the_documents(corpus, tmp_path, shards):
    run(corpus, tmp_path / "x", "text", shards=shards)
    paths = sorted((tmp_path / "x").glob("*.jsonl"))
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert len(paths) == shards
    assert [line["id"] for line in lines] == [f"{i:032x}" for i in (1, 2, 3)]


def test_an_export_that_was_cut_off_is_given_again(corpus, tmp_path):
    folder = tmp_path / "x"
    whole = run(corpus, folder, "mmc4")
    marker = json.loads((folder / "export.json").read_text()) | {"finished": False}
    (folder / "export.json").write_text(json.dumps(marker))
    (folder / "docs_shard_1.jsonl").unlink()
    assert run(corpus, folder, "mmc4") == whole


def test_another_export_is_not_mixed_in(corpus, tmp_path):
    run(corpus, tmp_path / "x", "text")
    with pytest.raises(UserError, match="holds another export"):
        run(corpus, tmp_path / "x", "text", shards=3)
    (tmp_path / "x" / "export.json").unlink()
    with pytest.raises(UserError, match="is not empty"):
        run(corpus, tmp_path / "x", "text")


def test_images_that_were_not_stored(draft, tmp_path):
    for row in draft.images:
        row["bytes"] = None
    draft.write(tmp_path / "corpus")
    with pytest.raises(UserError, match=r"has no bytes of images.* --set images=none"):
        run(tmp_path / "corpus", tmp_path / "x", "mmc4")
    with pytest.raises(UserError, match=r"has no bytes of images.*which pairs needs$"):
        run(tmp_path / "corpus", tmp_path / "x", "pairs")
    manifest = run(tmp_path / "corpus", tmp_path / "x", "mmc4", "images=none")
    assert manifest["counts"]["image places"] == 3


def test_a_corpus_without_documents(draft, tmp_path, options):
    draft.documents, draft.images = [], []
    draft.write(tmp_path / "corpus")
    for name in FORMATS:
        run(tmp_path / "corpus", tmp_path / name, name, *options.get(name, []))


def test_what_the_user_mistook(corpus, tmp_path):
    with pytest.raises(UserError, match="mmc5: no such format; known: mmc4, obelics, "):
        format_of("mmc5", [])
    with pytest.raises(UserError, match=r"export mmc4: image: unknown key; known here: images"):
        format_of("mmc4", ["image=tar"])
    with pytest.raises(UserError, match="export pairs: captions: name at least one of alt"):
        format_of("pairs", ["captions=[]"])


def test_the_command(corpus, tmp_path):
    arguments = ["export", str(corpus), "mmc4", "-o", str(tmp_path / "x")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "mmc4: 4 files" in result.output
    assert "images without a sentence, left out: 1" in result.output
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(result.output)["counts"]["image places"] == 3


def test_help_names_every_format():
    told = " ".join(CliRunner().invoke(app, ["export", "--help"]).output.replace("│", " ").split())
    assert all(f" {name}" in told for name in FORMATS)
