from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.run import beam_options, named_files, run
from stages.clip import EMBEDDED, LOCAL
from tests.pipeline.drafts import save_manifest


def test_a_setting_that_names_a_file_depends_on_its_content(tmp_path):
    head, folder = tmp_path / "head.safetensors", tmp_path / "model"
    head.write_bytes(b"one")
    folder.mkdir()
    (folder / "weights").write_bytes(b"one")
    settings = [{"head": str(head), "clip": [f"{LOCAL}{folder}"], "words": ["logo", 3, None]}]
    before = named_files(settings)
    assert sorted(before) == sorted([str(head), f"{LOCAL}{folder}/weights"])
    assert named_files(settings) == before
    head.write_bytes(b"two")
    assert {path for path, digest in named_files(settings).items() if digest != before[path]} == {
        str(head)
    }
    (folder / "weights").write_bytes(b"two")
    assert set(named_files(settings).values()).isdisjoint(before.values())


def test_the_embedded_model_is_a_file_too():
    assert f"{EMBEDDED}/open_clip_model.safetensors" in named_files({"model": EMBEDDED})


def test_words_that_name_no_file_are_nothing():
    assert named_files(["tests", "latest", "", 1.5, True, "no/such/folder"]) == {}


def test_the_direct_runner_stands_for_the_one_engine():
    def runner(*arguments):
        return beam_options(arguments).get_all_options()["runner"]

    assert runner() == runner("--runner=DirectRunner") == "FnApiRunner"
    assert runner("--runner=SparkRunner") == "SparkRunner"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--runner=Nope", "options after --: Unexpected pipeline runner: Nope"),
        ("--direct_num_workers=x", "options after --: argument --direct_num_workers: invalid int"),
    ],
)
def test_a_wrong_option_of_beam(option, said, capfd):
    with pytest.raises(UserError, match=said):
        beam_options([option])
    assert capfd.readouterr().err == ""


WARC = Path(__file__).parents[1] / "data" / "warc"


def test_what_another_put_in_the_folder_is_not_replaced(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"x")
    with pytest.raises(UserError, match="holds images, which a run would replace"):
        run("extract", [str(WARC / "whole.warc.gz")], str(tmp_path))
    assert (tmp_path / "images" / "mine.png").exists()


def test_an_imported_corpus_is_not_replaced(draft, tmp_path):
    manifest = draft.write(tmp_path) | {"imported": "mmc4"}
    save_manifest(tmp_path, manifest)
    with pytest.raises(UserError, match="holds documents, failed, images, rejected, which"):
        run("extract", [str(WARC / "whole.warc.gz")], str(tmp_path))


def test_a_corpus_is_not_read_and_written(corpus):
    with pytest.raises(UserError, match="is both read and written; give another --output"):
        run("extract", [str(corpus)], str(corpus), ["read.corpus=true"])


def test_a_corpus_is_no_crawl(corpus, tmp_path):
    with pytest.raises(UserError, match=r"; a corpus is read with --set read.corpus=true$"):
        run("extract", [str(corpus)], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_corpus_of_another_version_is_not_read(draft, tmp_path):
    save_manifest(tmp_path / "old", draft.write(tmp_path / "old") | {"schema_version": 2})
    with pytest.raises(UserError, match=r"its schema version is 2, not 3; weft 0\.1\.0 reads it"):
        run("extract", [str(tmp_path / "old")], str(tmp_path / "out"), ["read.corpus=true"])


def test_a_file_that_is_no_warc_is_named(tmp_path):
    with pytest.raises(UserError, match=r"the first is not-a-warc\.warc\.gz: .*; all are rows of "):
        run("extract", [str(WARC / "not-a-warc.warc.gz")], str(tmp_path / "out"))
