import json
import unicodedata
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.dedup.benchmarks import Benchmarks, Match
from stages.dedup.config import BenchmarkConfig

QUESTION = (
    "Which of these rivers, the longest of all, flows north through eleven countries to the sea?"
)
OTHER = "A farmer had seventeen sheep and all but nine of them died; how many are left to him now?"
SHORT = "Water boils at one hundred degrees at sea level."  # nine words


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "bench.txt"
    path.write_text(f"{QUESTION}\n\nToo short to count.\n{OTHER}\n{SHORT}\n")
    return BenchmarkConfig((str(path),))


def test_thirteen_words_in_a_row_are_enough_whatever_the_case_and_the_punctuation(config):
    match = Benchmarks(config).match
    words = QUESTION.upper().replace(",", " -").split()
    page = " ".join(["Before", "it", *words[2:18], "and", "after"])
    assert match(page) == Match("bench.txt:1", 2 / 4)
    twelve = [w for w in words if w.strip("-")][:12]
    assert match(" ".join([*twelve, "and", "something", "else"])) is None
    assert match(QUESTION) == Match("bench.txt:1", 1.0)
    assert match("") is None


def test_unicode_of_another_form_hides_nothing(tmp_path):
    path = tmp_path / "bench.txt"
    path.write_text("Où est l’élève qui a fini la première difficile leçon de géographie à Évry ?")
    match = Benchmarks(BenchmarkConfig((str(path),))).match
    text = path.read_text()
    assert match(unicodedata.normalize("NFD", text)) == Match("bench.txt:1", 1.0)
    assert match(text.replace("ffi", "ﬃ").replace(" ", "\u00a0")) == Match("bench.txt:1", 1.0)


def test_the_text_of_which_most_is_found_is_named(config):
    half = " ".join(QUESTION.split()[:14])
    assert Benchmarks(config).match(f"{half}. {OTHER}") == Match("bench.txt:4", 1.0)
    assert Benchmarks(config).match(f"{QUESTION} {OTHER}") == Match("bench.txt:1", 1.0)


def test_a_text_shorter_than_an_ngram_counts_as_a_whole(config):
    assert Benchmarks(config).match(f"Yes. {SHORT} No.") == Match("bench.txt:5", 1.0)
    assert Benchmarks(config).match("Water boils at one hundred degrees at sea") is None
    assert Benchmarks(config).match("too short to count") is None


def test_a_least_share(config):
    page = " ".join(QUESTION.split()[:14])
    assert Benchmarks(replace(config, min_share=0.5)).match(page) == Match("bench.txt:1", 0.5)
    assert Benchmarks(replace(config, min_share=0.6)).match(page) is None


def test_files_of_all_kinds(tmp_path):
    jsonl, parquet = tmp_path / "q.jsonl", tmp_path / "q.parquet"
    rows = [{"question": QUESTION, "id": 1}, {"question": None}, {"question": f"{OTHER}\u2028x"}]
    jsonl.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    pq.write_table(pa.table({"question": ["", SHORT]}), parquet)
    found = Benchmarks(BenchmarkConfig((str(jsonl), str(parquet)), "question"))
    assert found.match(OTHER) == Match("q.jsonl:3", 7 / 8)
    assert found.match(SHORT) == Match("q.parquet:2", 1.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"other": 1}\n', r"a\.jsonl line 2 is no JSON object with"),
        ("a.jsonl", '{"text": 7}\n', "holds in 'text' what is no text, row 1"),
        ("a.txt", "short\n", "has no text of 8 words"),
        ("a.txt", b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        Benchmarks(BenchmarkConfig((str(path),)))


def test_no_files_hold_nothing():
    assert Benchmarks(BenchmarkConfig()).match(QUESTION) is None
