import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.run import run
from scripts.make_sample_crawl import make
from tests.pipeline.drafts import Draft, sound_draft


@pytest.fixture(scope="session")
def sample_crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the sample crawl's WARC files and gold.json."""
    folder = tmp_path_factory.mktemp("sample") / "crawl"
    make(folder)
    return folder


@pytest.fixture(scope="session")
def gold(sample_crawl: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sample_crawl / "gold.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="session")
def sample_corpus(sample_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus that the preset `sample` makes of the sample crawl."""
    folder = tmp_path_factory.mktemp("sample-corpus") / "corpus"
    run("sample", [str(sample_crawl)], str(folder))
    return folder


@pytest.fixture
def draft() -> Draft:
    return sound_draft()


@pytest.fixture
def corpus(tmp_path: Path, draft: Draft) -> Path:
    """Folder of a sound corpus of three documents and two images."""
    folder = tmp_path / "corpus"
    draft.write(folder)
    return folder
