import json
import shutil
from dataclasses import dataclass
from functools import cached_property

import pytest
from typer.testing import CliRunner

from filters.base import Score
from pipeline.cli import app
from pipeline.config import load_config, resolved
from pipeline.corpus import open_corpus
from pipeline.errors import UserError
from pipeline.run import run
from pipeline.what_if import Change, what_if


def counts(found):
    return {rule["rule"]: (rule["go"], rule["may_come"]) for rule in found["rules"]}


def test_tells_what_a_rerun_gives(sample_corpus, sample_crawl, tmp_path):
    sets = ["filter_documents.image_count.max_images=3"]
    before = open_corpus(str(sample_corpus))
    found = what_if(before, sets)

    again = tmp_path / "again"
    shutil.copytree(sample_corpus, again)
    run("sample", [str(sample_crawl)], str(again), sets)
    after = open_corpus(str(again))

    gone = before.rows("documents") - after.rows("documents")
    assert gone > 5
    assert found["documents"] == {
        "now": before.rows("documents"), "go": gone, "may_come": 0, "lose_all_images": 0,
    }  # fmt: skip
    assert found["images"]["go"] == before.rows("images") - after.rows("images")
    assert found["rerun"] == []
    back = what_if(after, ["filter_documents.image_count.max_images=30"])
    assert back["documents"] == {
        "now": after.rows("documents"), "go": 0, "may_come": gone, "lose_all_images": 0,
    }  # fmt: skip


@pytest.fixture
def judged(draft, tmp_path):
    """A corpus whose rows hold known scores, of the config that is returned with it."""

    def write(**sections):
        draft.config = resolved(load_config("extract")) | sections
        draft.write(tmp_path / "judged")
        return open_corpus(str(tmp_path / "judged"))

    return write


def signals(*pairs):
    return [{"rule": rule, "score": score} for rule, score in pairs]


def test_signals_of_one_name_are_told_apart_by_their_list(judged, draft):
    # A document's own rules are asked before those on its text, whatever the order of the list.
    for row, images in zip(draft.documents, (1.0, 2.0, 3.0), strict=True):
        row["signals"] = signals(("image_count", 9.0), ("word_count", 5.0), ("image_count", images))
    corpus = judged(
        filter_text={
            "paragraphs": [],
            "documents": [{"word_count": {}}, {"image_count": {"max_images": 10}}],
        },
        filter_documents=[{"image_count": {"max_images": 4}}],
    )
    found = what_if(corpus, ["filter_documents.image_count.max_images=2"])
    assert counts(found) == {"filter_documents.image_count": (1, 0)}
    found = what_if(corpus, ["filter_text.documents.image_count.max_images=8"])
    assert counts(found) == {"filter_text.documents.image_count": (3, 0)}
    found = what_if(corpus, ["filter_text.documents.word_count.min_words=6"])
    assert counts(found) == {"filter_text.documents.word_count": (3, 0)}


def test_images_are_measured_again_and_take_their_documents(judged, draft):
    # Red is in the first two documents, blue in the first and the third.
    red = draft.documents[1]["image_info"][0]["image_id"]
    for row in draft.images:
        row["width"] = 300 if row["image_id"] == red else 500
        row["height"] = 500
    corpus = judged(filter_images={"decoded": [{"short_side": {"min_pixels": 100}}]})
    found = what_if(corpus, ["filter_images.decoded.short_side.min_pixels=400"])
    assert counts(found) == {"filter_images.decoded.short_side": (1, 0)}
    assert found["images"] == {"now": 2, "go": 1, "may_come": 0}
    assert found["documents"] == {"now": 3, "go": 0, "may_come": 0, "lose_all_images": 1}


def test_rejected_images_may_come_back(judged, draft):
    for score in (0.1, 0.3, None):
        draft.rejected.append(
            {"element_id": "u", "kind": "image", "doc_id": "", "url": "u",
             "stage": "filter_scored_images", "rule": "blank", "reason": "blank", "score": score,
             "detail": ""}
        )  # fmt: skip
    corpus = judged(filter_images={"scored": [{"blank": {"min_contrast": 0.4}}]})
    found = what_if(corpus, ["filter_images.scored.blank.min_contrast=0.2"])
    assert counts(found) == {"filter_images.scored.blank": (2, 1)}, "not measured is not kept"
    found = what_if(corpus, ["filter_images.scored=[]"])
    assert counts(found) == {"filter_images.scored.blank": (0, 3)}


def test_a_language_is_judged_by_its_score(judged, draft):
    for row, score in zip(draft.documents, (0.99, 0.9, 0.85), strict=True):
        row["signals"] = signals(("language", score))
    for score in (0.0, 0.5, 0.7):  # an unwanted language, and two unsure ones
        draft.rejected.append(
            {"element_id": "u", "kind": "document", "doc_id": "u", "url": "u",
             "stage": "filter_text", "rule": "language", "reason": "x", "score": score,
             "detail": "en"}
        )  # fmt: skip
    corpus = judged(filter_text={"documents": [{"language": {"min_score": 0.8}}]})
    found = what_if(corpus, ["filter_text.documents.language.min_score=0.88"])
    assert counts(found) == {"filter_text.documents.language": (1, 0)}
    found = what_if(corpus, ["filter_text.documents.language.min_score=0.6"])
    assert counts(found) == {"filter_text.documents.language": (0, 1)}


def head(**more):
    return {"unwanted": ["a"], "wanted": ["b"], **more}


def test_heads_judge_again(judged, draft):
    # Both images score 0.25 and red is in the first two documents.
    red = draft.documents[1]["image_info"][0]["image_id"]
    for row in draft.images:
        row["scores"] = signals(("faces", 0.75 if row["image_id"] == red else 0.125))
    draft.rejected += [
        {"element_id": url, "kind": "image", "doc_id": "", "url": url, "stage": "embed_images",
         "rule": "nsfw", "reason": "unwanted", "score": score, "detail": ""}
        for url, score in (("u", 0.6), ("v", 0.9))
    ]  # fmt: skip
    corpus = judged(
        clip={}, heads={"nsfw": head(), "faces": head(max_score=0.9, policy="drop_document")}
    )
    found = what_if(corpus, ["heads.nsfw.max_score=0.7"])
    assert counts(found) == {"heads.nsfw": (0, 1)}
    found = what_if(corpus, ["heads.faces.max_score=0.5"])
    assert counts(found) == {"heads.faces": (1, 0)}
    assert found["documents"]["go"] == 2, "the documents go with the image"
    assert found["images"]["go"] == 1
    found = what_if(corpus, ["heads.faces.max_score=0.5", "heads.faces.policy=drop_image"])
    assert found["documents"] == {"now": 3, "go": 0, "may_come": 0, "lose_all_images": 1}
    found = what_if(corpus, ["heads.nsfw.max_score=0.7", "heads.nsfw.wanted=[c]"])
    assert (found["rules"], found["rerun"]) == ([], ["heads.nsfw.wanted", "heads.nsfw.max_score"])


def test_what_the_rows_do_not_hold_needs_a_rerun(judged):
    corpus = judged(
        filter_text={"documents": [{"word_repetition": {"n": 5, "max_ratio": 0.2}}]},
    )
    found = what_if(
        corpus,
        ["filter_text.documents.word_repetition.n=4", "extract.min_side=1", "write.shards=3"],
    )
    assert found["rules"] == []
    assert found["rerun"] == [
        "extract.min_side", "filter_text.documents.word_repetition.n", "write.shards"
    ]  # fmt: skip


def test_something_must_change(judged):
    with pytest.raises(UserError, match="nothing would change"):
        what_if(judged(), ["extract.min_side=64"])


def test_a_field_is_known_to_measure_by_way_of_other_methods():
    @dataclass(frozen=True)
    class Sample:
        low: int = 1
        high: int = 2
        size: int = 3

        @cached_property
        def bounds(self):
            return self._span()

        def _span(self):
            return self.low

        def score(self, element):
            return Score(self.bounds + self.size)

        def judge(self, score):
            return None if score.value < self.high else "no"

    def alike(**changed):
        return Change("filter_documents", 0, Sample(), Sample(**changed)).measures_alike

    assert alike(high=9)
    assert not alike(low=9)
    assert not alike(size=9)


def test_the_command_prints_and_speaks_json(sample_corpus):
    sets = ("--set", "filter_documents.image_count.min_images=2")
    result = CliRunner().invoke(app, ["what-if", str(sample_corpus), *sets])
    assert result.exit_code == 0
    assert "filter_documents.image_count" in result.stdout
    found = json.loads(
        CliRunner().invoke(app, ["what-if", str(sample_corpus), *sets, "--json"]).stdout
    )
    documents = found["documents"]
    then = documents["now"] - documents["go"]
    assert f"documents: {documents['now']} now, {then} then" in result.stdout


def placing(**more):
    how = {"method": "clip", "min_similarity": 0.05} | more
    return {"gather_images": {}, "clip": {}, "place_images": how}


def test_another_floor_places_fewer_images(judged):
    # The best sentences have 0.75 and 0.5, 0.0625, and 0.5; the second document's image has none.
    found = what_if(judged(**placing()), ["place_images.min_similarity=0.6"])
    assert found["placement"] == {"now": 3, "then": 1, "moved": 0}
    assert counts(found) == {"place_images": (0, 0)}
    assert (found["documents"]["go"], found["images"]["go"], found["rerun"]) == (0, 0, [])


def test_another_method_moves_images(judged, draft):
    # One sentence is the best of both: linear assignment gives the first image the second best.
    draft.documents[0]["similarity_matrix"] = [[0.0, 0.75, 0.7, 0.0], [0.0, 0.7, 0.0, 0.0]]
    for info, text, cosine in zip(
        draft.documents[0]["image_info"], (2, 1), (0.7, 0.7), strict=True
    ):
        info["matched_text_index"], info["matched_sim"] = text, cosine
    corpus = judged(**placing(min_similarity=0.5))
    found = what_if(corpus, ["place_images.method=max"])
    assert found["placement"] == {"now": 3, "then": 3, "moved": 1}
    found = what_if(corpus, ["place_images.method=greedy"])
    assert found["placement"] == {"now": 3, "then": 2, "moved": 1}


def turned_away(element, kind, doc, rule, reason, score):
    return {"element_id": element, "kind": kind, "doc_id": doc, "url": "u", "stage": rule[0],
            "rule": rule[1], "reason": reason, "score": score, "detail": ""}  # fmt: skip


def test_images_below_another_similarity_leave_with_their_documents(judged, draft):
    placing_rule = ("place_images", "place_images")
    draft.rejected += [
        turned_away("u#1", "node", "u", placing_rule, "low_similarity", 0.4),
        turned_away("u#2", "node", "u", placing_rule, "low_similarity", 0.2),
        turned_away("u", "document", "u", placing_rule, "no_image", 0.0),
        turned_away("v#1", "node", "v", placing_rule, "low_similarity", 0.1),
        turned_away("v", "document", "v", placing_rule, "no_image", 0.0),
        turned_away("w", "document", "w", ("filter_placed", "image_count"), "too_few", 0.0),
    ]
    corpus = judged(
        **placing(min_max_similarity=0.5),
        filter_placed=[{"image_count": {"min_images": 1}}],
    )

    def told(sets):
        found = what_if(corpus, sets)
        rules = {(r["rule"], r["of"]): (r["go"], r["may_come"]) for r in found["rules"]}
        return rules, found["documents"], found["images"]["go"]

    rules, documents, images = told(["place_images.min_max_similarity=0.6"])
    assert rules == {
        ("place_images", "images"): (3, 0),
        ("place_images", "documents"): (2, 0),
        # Its similarities are gone.
        ("filter_placed.image_count", "documents"): (0, 1),
    }
    assert (documents["go"], documents["may_come"], images) == (2, 1, 1)
    rules, documents, _ = told(["place_images.min_max_similarity=0.3"])
    assert rules == {
        ("place_images", "images"): (1, 1),
        ("place_images", "documents"): (1, 1),
        ("filter_placed.image_count", "documents"): (0, 1),
    }
    assert (documents["go"], documents["may_come"]) == (1, 2)


def test_a_prior_on_the_scale_of_the_model_is_not_told(judged):
    found = what_if(judged(**placing()), ["place_images.method=hybrid"])
    assert (found["rules"], found["rerun"]) == ([], ["place_images.method"])
