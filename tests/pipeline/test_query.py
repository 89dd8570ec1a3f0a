import json

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.query import run_query
from pipeline.sample import sample
from tests.pipeline.drafts import Draft


def weft(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_all_tables_answer(corpus):
    counts = {
        table: weft("query", corpus, f"SELECT count(*) AS n FROM {table}", "--json")
        for table in ("documents", "images", "rejected", "failed")
    }
    assert {table: json.loads(out) for table, (_, out, _) in counts.items()} == {
        "documents": [{"n": 3}],
        "images": [{"n": 2}],
        "rejected": [{"n": 4}],
        "failed": [{"n": 1}],
    }


def test_rows_are_tab_separated_where_there_is_no_terminal(corpus):
    _, out, _ = weft("query", corpus, "SELECT url, len(text_list) FROM documents ORDER BY url")
    assert out.splitlines() == [
        "url\tlen(text_list)",
        "https://a.example/one\t4",
        "https://a.example/two\t1",
        "https://b.example/three\t1",
    ]


def test_a_cell_cannot_hold_a_control_character(corpus):
    _, out, _ = weft("query", corpus, "SELECT chr(27) || '[2J' || chr(9) || 'x' AS evil")
    assert out == "evil\n␛[2J x\n"


def test_bytes_are_told_by_their_number(corpus):
    _, out, _ = weft("query", corpus, "SELECT bytes FROM images LIMIT 1", "--json")
    [row] = json.loads(out)
    assert row["bytes"].endswith(" bytes")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT x FROM documentz", 'Did you mean "documents"?'),
        ("SELECT", "Parser Error"),
        ("SELECT 'a'::INT FROM documents", "Conversion Error"),
    ],
)
def test_a_wrong_query_is_told_in_duckdbs_words(corpus, sql, said):
    code, _, error = weft("query", corpus, sql)
    assert code == 2
    assert error.startswith("error: query: ")
    assert said in error


def test_a_missing_shard_is_named(corpus):
    (corpus / "documents" / "part-00001-of-00002.parquet").unlink()
    code, _, error = weft("query", corpus, "SELECT 1")
    assert code == 2
    assert "documents/part-00001-of-00002.parquet is missing" in error


def test_a_corpus_without_shards_has_empty_tables(tmp_path):
    Draft().write(tmp_path)
    corpus = open_corpus(str(tmp_path))
    corpus.manifest["files"].clear()
    assert list(run_query(corpus, "SELECT doc_id FROM documents").rows) == []


def test_a_sample_is_the_same_for_other_shards(draft, tmp_path):
    draft.write(tmp_path / "a")
    draft.documents.reverse()
    draft.write(tmp_path / "b")
    a, b = (open_corpus(str(tmp_path / name)) for name in "ab")
    assert sample(a, 3) == sample(b, 3)
    assert sample(a, 2) == sample(a, 3)[:2]
    orders = {tuple(row["doc_id"] for row in sample(a, 3, seed=seed)) for seed in range(20)}
    assert len(orders) == 6  # all that there are


def test_a_sample_may_have_a_condition(corpus):
    _, out, _ = weft("sample", corpus, "--where", "url LIKE '%two' OR false", "--json")
    assert json.loads(out) == [
        {
            "doc_id": f"{2:032x}",
            "url": "https://a.example/two",
            "title": "",
            "language": "en",
            "images": 1,
            "sentences": 1,
            "tokens": 12,
        }
    ]


def test_a_wrong_condition_is_named(corpus):
    code, _, error = weft("sample", corpus, "--where", "words > 3")
    assert code == 2
    assert error.startswith('error: --where words > 3: Binder Error: Referenced column "words"')
