"""A finished corpus opens in what people read Parquet with, without options or a network."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline.run import run
from schemas.corpus import TABLES

# The embedded model knows drawn scenes only, so it does not choose among the plates of a book.
CONFIG = """
    extends: sample
    place_images: {min_max_similarity: null, min_similarity: 0.0}
    write: {shards: 2}
"""


@pytest.fixture(scope="module")
def corpus(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chiriqui")
    config = folder / "config.yaml"
    config.write_text(CONFIG, "utf-8")
    run(str(config), [str(shared_data / "books" / "chiriqui.warc.gz")], str(folder / "out"))
    return folder / "out"


@pytest.fixture(scope="module")
def rows(corpus: Path) -> dict[str, list[dict[str, Any]]]:
    """What pyarrow reads; the others must agree."""
    rows = {
        name: [row for path in _parts(corpus, name) for row in pq.read_table(path).to_pylist()]
        for name in TABLES
    }
    images = [info for row in rows["documents"] for info in row["image_info"]]
    assert len(rows["documents"]) > 30
    assert len(rows["images"]) == len({info["image_id"] for info in images}) > 100
    assert any(row["similarity_matrix"] for row in rows["documents"])
    assert {info["matched_text_index"] is None for info in images} == {True, False}
    return rows


@pytest.mark.parametrize("table", sorted(TABLES))
def test_schema_is_the_one_that_is_documented(corpus: Path, table: str):
    for path in _parts(corpus, table):
        read = pq.read_schema(path)
        assert read.equals(TABLES[table])
        assert [field.metadata for field in read] == [field.metadata for field in TABLES[table]]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize("table", ["documents", "images"])
def test_datasets(
    corpus: Path,
    rows: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    streaming: bool,
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    loaded = datasets.load_dataset(
        "parquet",
        data_files=[str(path) for path in _parts(corpus, table)],
        split="train",
        streaming=streaming,
        cache_dir=str(tmp_path),
    )
    assert list(loaded.features) == TABLES[table].names
    assert list(loaded) == rows[table]


def test_duckdb(corpus: Path, rows: dict[str, list[dict[str, Any]]]):
    documents, images = f"'{corpus}/documents/*.parquet'", f"'{corpus}/images/*.parquet'"
    found = duckdb.sql(f"select doc_id, texts, images, text_list, token_count from {documents}")
    names = found.columns
    assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == [
        {name: row[name] for name in names} for row in rows["documents"]
    ]
    infos = duckdb.sql(
        "select doc_id, info.image_id, info.node_index, info.matched_text_index,"
        f" info.matched_sim from (select doc_id, unnest(image_info) as info from {documents})"
    )
    assert sorted(infos.fetchall()) == sorted(
        (row["doc_id"], i["image_id"], i["node_index"], i["matched_text_index"], i["matched_sim"])
        for row in rows["documents"]
        for i in row["image_info"]
    )
    joined = duckdb.sql(
        "select distinct image.image_id, octet_length(image.bytes)"
        f" from (select unnest(image_info) as info from {documents})"
        f" join {images} as image on image.image_id = info.image_id"
    )
    stored = {(row["image_id"], len(row["bytes"])) for row in rows["images"]}
    assert set(joined.fetchall()) == stored


def test_polars(corpus: Path, rows: dict[str, list[dict[str, Any]]]):
    for table in TABLES:
        assert pl.read_parquet(corpus / table / "*.parquet").to_dicts() == rows[table]
    documents = pl.read_parquet(corpus / "documents" / "*.parquet")
    infos = documents.select("doc_id", "image_info").explode("image_info").drop_nulls("image_info")
    assert infos.unnest("image_info").select("doc_id", "image_id", "url").rows() == [
        (row["doc_id"], info["image_id"], info["url"])
        for row in rows["documents"]
        for info in row["image_info"]
    ]


def _parts(corpus: Path, table: str) -> list[Path]:
    return sorted((corpus / table).glob("*.parquet"))
