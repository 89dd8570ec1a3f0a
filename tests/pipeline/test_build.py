"""The graph of every preset is built, not run."""

from functools import cache

import apache_beam as beam
import pytest

from pipeline.build import Plan
from pipeline.config import load_config, presets
from pipeline.funnel import STAGES
from stages.inputs import WarcFile

WARCS = (WarcFile("a.warc.gz", "/nowhere/a.warc.gz", 7),)


def plan(name, *sets, takedowns=""):
    return Plan(load_config(name, sets), WARCS, "/nowhere/out", 3, takedowns)


@cache
def labels(name, phase, *sets):
    """Full labels of all transforms of a phase. Beam refuses a label that it has already."""
    made = plan(name, *sets)
    pipeline = beam.Pipeline(runner="FnApiRunner")
    made.phases[phase](pipeline, made)
    return pipeline.applied_labels


def top(name, phase, *sets):
    return {label for label in labels(name, phase, *sets) if "/" not in label}


PHASES = {
    "extract": ["extract", "assemble"],
    "mmc4": ["extract", "dedup", "images", "assemble"],
    "mmc4-core": ["extract", "dedup", "images", "assemble"],
    "obelics": ["extract", "dedup", "images", "dedup_images", "assemble"],
    "sample": ["extract", "dedup", "images", "dedup_images", "assemble"],
}


def test_every_preset_is_here():
    assert sorted(PHASES) == presets()


@pytest.mark.parametrize("name", PHASES)
def test_the_graph_of_a_preset(name):
    assert list(plan(name).phases) == PHASES[name]
    for phase in PHASES[name]:
        assert len(labels(name, phase)) > 10


def test_phases_are_those_that_the_config_asks_for():
    whole = plan("obelics", "deduplicate=null")
    assert list(whole.phases) == ["extract", "images", "dedup_images", "assemble"]
    assert whole.folder_of("dedup") is None
    assert whole.folder_of("images") == "/nowhere/out/_work/images"
    off = ("gather_images=null", "clip=null", "heads=null", "deduplicate_by_images=null")
    assert list(plan("obelics", *off).phases) == ["extract", "dedup", "assemble"]
    assert plan("obelics", *off).folder_of("images") is None
    assert "Without images" in top("obelics", "assemble", *off)


def test_stages_that_are_not_asked_for_are_not_in_the_graph():
    joined = {"Join images", "Filter documents", "Place images"}
    assert joined <= top("sample", "assemble")
    assert "Filter placed" not in top("sample", "assemble")
    assert "Filter placed" in top("mmc4", "assemble")
    assert top("extract", "assemble") & {*joined, "Filter placed"} == {"Place images"}
    assert "Embed images" in top("sample", "images")
    blind = ("clip=null", "heads=null", "place_images={method: dom}", "filter_images.scored=[]")
    assert "Embed images" not in top("sample", "images", *blind)


def test_images_are_deduplicated_where_the_config_asks_for_it():
    assert "dedup_images" not in plan("mmc4").phases
    assert "Deduplicate images" in top("mmc4", "dedup_images", "deduplicate_images={}")
    assert "Deduplicate by images" not in top("mmc4", "dedup_images", "deduplicate_images={}")
    assert "Deduplicate by images" in top("obelics", "dedup_images")
    assert "Deduplicate images" not in top("obelics", "dedup_images")


def test_takedowns_are_honoured_where_there_were_any(tmp_path):
    log = tmp_path / "takedowns.jsonl"
    log.write_text("")
    made = plan("extract", takedowns=str(log))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    made.phases["assemble"](pipeline, made)
    assert "Count honour_takedowns kept" in pipeline.applied_labels
    assert "Count honour_takedowns kept" not in top("extract", "assemble")


def test_every_table_of_the_corpus_is_written():
    for name in PHASES:
        found = top(name, "assemble")
        tables = {label.removeprefix("Shard ") for label in found if label.startswith("Shard ")}
        more = {"signatures"} if "dedup" in PHASES[name] else set()
        assert tables == {"documents", "images", "rejected", "failed"} | more


WEB = ("gather_images.http.enabled=true", "gather_images.http.user_agent=bot/1 (a@b.example)")


def test_the_web_is_asked_only_if_the_config_says_so():
    assert "Fetch images" not in top("sample", "images")
    assert "Fetch images" in top("sample", "images", *WEB)


def test_every_stage_that_is_counted_has_its_place_in_the_funnel():
    graphs = [(name, phase) for name, phases in PHASES.items() for phase in phases]
    graphs.append(("mmc4", "dedup_images", "deduplicate_images={}"))
    graphs.append(("mmc4", "images", "filter_images.embedded=[blank]"))
    graphs.append(("sample", "extract", "read.corpus=true"))
    graphs.append(("sample", "images", *WEB))
    graphs.append(("sample", "images", "gather_images.re_encode={}"))
    counted = {"honour_takedowns"} | {
        label.removeprefix("Count ").removesuffix(" kept")
        for graph in graphs
        for label in top(*graph)
        if label.startswith("Count ") and label.endswith(" kept")
    }
    assert counted == set(STAGES)
