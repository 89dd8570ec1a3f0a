from pipeline.run import beam_options, named_files
from stages.clip import EMBEDDED, LOCAL


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
