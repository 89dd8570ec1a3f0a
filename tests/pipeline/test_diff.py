import copy
import json

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.diff import diff, differs
from tests.pipeline.drafts import BLUE, RED, sound_draft

ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))


def rejected(element, kind, doc, url, stage, rule, reason):
    return {"element_id": element, "kind": kind, "doc_id": doc, "url": url, "stage": stage,
            "rule": rule, "reason": reason, "score": None, "detail": ""}  # fmt: skip


@pytest.fixture
def compare(tmp_path):
    """Writes a sound corpus and a changed one and compares them."""

    def compare(change, samples=0):
        before, after = sound_draft(), sound_draft()
        change(after)
        before.write(tmp_path / "a")
        after.write(tmp_path / "b")
        a, b = (open_corpus(str(tmp_path / name)) for name in "ab")
        return diff(a, b, samples)

    return compare


def test_the_same_corpus_does_not_differ(compare):
    found = compare(lambda draft: None)
    assert not differs(found)
    assert found["config"] == []
    assert found["documents"] == {
        "went": 0, "went_by": [], "came": 0, "came_by": [], "both": 3, "changed": 0,
        "changed_by": dict.fromkeys(found["documents"]["changed_by"], 0),
    }  # fmt: skip
    assert found["images"]["both"] == 4


def test_a_document_that_went_is_explained_and_takes_its_images(compare):
    def change(draft):
        del draft.documents[2]
        draft.rejected.append(
            rejected(THREE, "document", THREE, "", "deduplicate", "minhash", "near_duplicate")
        )

    found = compare(change, samples=3)
    assert differs(found)
    assert found["documents"]["went_by"] == [
        {"stage": "deduplicate", "rule": "minhash", "reason": "near_duplicate", "count": 1}
    ]
    assert [row["doc_id"] for row in found["documents"]["went_samples"]] == [THREE]
    assert found["images"]["went_by"] == [
        {"stage": "", "rule": "its document", "reason": "", "count": 1}
    ]


def test_a_document_that_came_is_explained_by_the_first_corpus(tmp_path):
    before, after = sound_draft(), sound_draft()
    del before.documents[0]
    before.failed.append(
        {
            "element_id": ONE,
            "kind": "document",
            "url": "",
            "stage": "filter_text",
            "error": "E",
            "where": "",
            "warc_file": "",
            "warc_offset": 0,
        }
    )
    before.write(tmp_path / "a")
    after.write(tmp_path / "b")
    found = diff(open_corpus(str(tmp_path / "a")), open_corpus(str(tmp_path / "b")))
    assert found["documents"]["came_by"] == [
        {"stage": "filter_text", "rule": "failed", "reason": "", "count": 1}
    ]


def test_a_document_of_which_nothing_is_known_was_not_read(compare):
    found = compare(lambda draft: draft.documents.pop())
    assert found["documents"]["went_by"] == [
        {"stage": "", "rule": "not read", "reason": "", "count": 1}
    ]


def test_images_that_went_from_a_document_are_explained(compare):
    def change(draft):
        del draft.documents[0]["image_info"][:2]  # red and blue
        draft.rejected += [
            rejected(f"{ONE}#2", "node", ONE, RED, "place_images", "similarity", "too_low"),
            rejected(BLUE, "image", "", BLUE, "filter_images", "short_side", "too_small"),
        ]

    found = compare(change)
    assert found["images"]["went_by"] == [
        {"stage": "filter_images", "rule": "short_side", "reason": "too_small", "count": 1},
        {"stage": "place_images", "rule": "similarity", "reason": "too_low", "count": 1},
    ]
    assert found["documents"]["changed_by"]["images"] == 1
    assert found["documents"]["changed_by"]["text"] == 0


def test_a_change_is_told_by_part(compare):
    def change(draft):
        row = draft.documents[0] = copy.deepcopy(draft.documents[0])
        row["image_info"][0]["matched_text_index"] = 2
        row["title"] = "Another"

    found = compare(change, samples=1)
    assert {part for part, n in found["documents"]["changed_by"].items() if n} == {
        "places",
        "metadata",
    }
    assert found["documents"]["changed_samples"] == [
        {"doc_id": ONE, "url": "https://a.example/one", "parts": ["places", "metadata"]}
    ]


def test_the_config_is_compared_by_key_and_rule(compare):
    def change(draft):
        draft.config["filter_text"]["documents"] = [{"word_count": {"min_words": 3}}]
        draft.config["write"] = {"image_bytes": False}

    assert compare(change)["config"] == [
        {"key": "write.image_bytes", "a": True, "b": False},
        {"key": "filter_text.documents.language", "a": {"languages": ["en", "de"]},
         "b": "(not set)"},
        {"key": "filter_text.documents.word_count", "a": "(not set)", "b": {"min_words": 3}},
    ]  # fmt: skip


def test_the_command_exits_like_diff(corpus, tmp_path):
    run = CliRunner().invoke
    assert run(app, ["diff", str(corpus), str(corpus)]).exit_code == 0
    draft = sound_draft()
    draft.documents.pop()
    draft.write(tmp_path / "other")
    result = run(app, ["diff", str(corpus), str(tmp_path / "other"), "--samples", "1"])
    assert result.exit_code == 1
    assert "documents: 2 in both, 0 of them changed, 0 came, 1 went" in result.stdout
    assert "not read" in result.stdout
    result = run(app, ["diff", str(corpus), str(tmp_path / "other"), "--json"])
    assert json.loads(result.stdout)["documents"]["went"] == 1
    assert run(app, ["diff", str(corpus), str(tmp_path / "none")]).exit_code == 2
