"""The code of the README, run as it stands there."""

import re
from pathlib import Path

import pytest

from tests.pipeline.drafts import sound_draft
from tests.pipeline.export.test_export import run

README = Path(__file__).parents[2] / "README.md"
PNG = b"\x89PNG"
IDS = [f"{i:032x}" for i in (1, 2, 3)]


def block(word, of="Loading and exchange"):
    """The block of code in a section that holds `word`."""
    section = re.split(r"\n###? ", README.read_text("utf-8").split(f"### {of}\n")[1])[0]
    [found] = [b for b in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if word in b]
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    sound_draft().write(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_datasets(folder, monkeypatch, capsys):
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    pytest.importorskip("datasets")
    names = {}
    exec(block("load_dataset"), names)
    assert [row["doc_id"] for row in names["documents"]] == IDS
    decoded = names["images"].cast_column("bytes", names["Image"]())
    assert [row["bytes"].size for row in decoded] == [(8, 6), (8, 6)]
    assert capsys.readouterr().out.count("(8, 6)") == 2


def test_torch(capsys):
    names = {}
    exec(block("IterableDataset"), names)
    assert sorted(capsys.readouterr().out.split("\n")) == sorted(
        ["", f"{IDS[0]} 4", f"{IDS[1]} 1", f"{IDS[2]} 1"]
    )


def test_webdataset(folder):
    pytest.importorskip("webdataset")
    run(folder / "out", folder / "tars", "webdataset")
    names = {}
    exec(block("webdataset"), names)
    text, picture = names["parts"]  # of the last document
    assert (text, picture.size) == ("Blue again.", (8, 6))


def test_fetcher(bad_web, capsys):
    address = "127.0.0.31"
    server = bad_web(address)
    urls = [f"http://{address}:{server.port}/{name}" for name in ("ok/1.png", "missing.png")]
    code = block("FetchShard", of="Gathering images").replace("shards=1", "shards=1, **loopback")
    for _ in range(2):
        exec(code, {"urls": urls, "loopback": {"allow_loopback": True, "host_delay": 0.0}})
        said = capsys.readouterr().out.splitlines()
        assert sorted(said) == sorted([f"{urls[0]} {PNG}", f"{urls[1]} http_4xx 404"])
    assert server.asked() == {"/ok/1.png": 1, "/missing.png": 1}
