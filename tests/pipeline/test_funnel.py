import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.funnel import STAGES, check, funnel
from schemas.corpus import REJECTED


def tally(stage, door, count, kind="document"):
    return {"stage": stage, "kind": kind, "door": door, "count": count}


def stage(name, entered, kept, rejected=0, failed=0, kind="document"):
    counts = {"entered": entered, "kept": kept, "rejected": rejected, "failed": failed}
    return [tally(name, door, count, kind) for door, count in counts.items() if count]


def test_a_phase_that_lost_nothing_passes():
    check(stage("filter_text", 10, 6, 3, 1), max_failure_ratio=0.1, inputs=1)
    check([], max_failure_ratio=0, inputs=0)


@pytest.mark.parametrize(("entered", "left"), [(10, 9), (9, 10), (1, 0)])
def test_an_element_that_was_lost_or_made_is_our_fault(entered, left):
    message = f"^filter_text: {entered} elements entered and {left} left$"
    with pytest.raises(RuntimeError, match=message):
        check(stage("filter_text", entered, left), max_failure_ratio=1, inputs=1)


def test_each_stage_is_checked_for_itself():
    tallies = stage("filter_pages", 5, 4) + stage("filter_text", 4, 5)
    with pytest.raises(RuntimeError, match="filter_pages: 5 elements entered and 4 left"):
        check(tallies, 1, 1)


def test_nodes_and_files_are_no_elements_that_flow():
    tallies = [
        *stage("read_pages", 0, 4),
        tally("read_pages", "failed", 1, "file"),
        *stage("filter_text", 4, 4),
        tally("filter_text", "rejected", 7, "node"),
    ]
    check(tallies, max_failure_ratio=0.5, inputs=2)


@pytest.mark.parametrize(("failed", "allowed"), [(0, True), (1, True), (2, False), (20, False)])
def test_more_failures_than_the_ratio_refuse_the_phase(failed, allowed):
    tallies = stage("embed_images", 20, 20 - failed, 0, failed, "image")
    if allowed:
        check(tallies, 0.05, 1)
        return
    message = f"^embed_images: {failed} of 20 elements failed, more than run.max_failure_ratio=0.05"
    with pytest.raises(UserError, match=message):
        check(tallies, 0.05, 1)


@pytest.mark.parametrize(("unreadable", "allowed"), [(1, True), (2, False)])
def test_more_unreadable_files_than_the_ratio_refuse_the_phase(unreadable, allowed):
    tallies = [tally("read_pages", "failed", unreadable, "file")]
    if allowed:
        check(tallies, 0.1, 10)
        return
    with pytest.raises(UserError, match=r"^2 of 10 input files could not be read, more than run"):
        check(tallies, 0.1, 10)


def rejection(stage, rule, reason, kind="document"):
    row = dict.fromkeys(REJECTED.names, "x")
    return row | {"stage": stage, "kind": kind, "rule": rule, "reason": reason, "score": None}


def write(folder, name, rows):
    path = folder / "rejected" / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=REJECTED), path)


def test_entries_stand_in_the_order_of_the_pipeline_with_rules_from_the_rows(tmp_path):
    long = rejection("filter_text", "word_count", "too_long")
    short = rejection("filter_text", "word_count", "too_short")
    pruned = rejection("filter_text", "word_count", "too_short", "node")
    write(tmp_path, "part-00000-of-00003.parquet", [short, long, short, pruned])
    write(
        tmp_path,
        "part-00001-of-00003.parquet",
        [short, rejection("filter_pages", "s", "r", "page")],
    )
    write(tmp_path, "part-00002-of-00003.parquet", [])
    write(tmp_path, "other.parquet", [short])
    tallies = [
        *stage("filter_text", 9, 5, 4),
        tally("filter_text", "rejected", 1, "node"),
        *stage("filter_pages", 10, 9, 1, kind="page"),
        tally("read_pages", "kept", 10, "page"),
        tally("read_pages", "failed", 1, "file"),
        tally("extract_documents", "entered", 9, "page"),
        tally("extract_documents", "kept", 8, "document"),
        tally("extract_documents", "failed", 1, "page"),
    ]

    def entry(name, kind, entered, kept, rejected=0, failed=0, rules=()):
        rules = [dict(zip(("kind", "rule", "reason", "count"), r, strict=True)) for r in rules]
        return {
            "stage": name, "kind": kind, "entered": entered, "kept": kept,
            "rejected": rejected, "failed": failed, "rules": rules,
        }  # fmt: skip

    assert funnel(str(tmp_path), tallies) == [
        entry("read_pages", "page", 10, 10),
        entry("filter_pages", "page", 10, 9, 1, rules=[("page", "s", "r", 1)]),
        entry("extract_documents", "page", 9, 8, failed=1),
        entry("filter_text", "document", 9, 5, 4, rules=[
            ("document", "word_count", "too_long", 1),
            ("document", "word_count", "too_short", 3),
            ("node", "word_count", "too_short", 1),
        ]),
    ]  # fmt: skip


def test_a_run_without_rejections(tmp_path):
    [entry] = funnel(str(tmp_path), stage("place_images", 2, 2))
    assert (entry["stage"], entry["entered"], entry["kept"], entry["rules"]) == (
        "place_images",
        2,
        2,
        [],
    )


def test_every_stage_has_its_place(tmp_path):
    tallies = [t for name in reversed(STAGES) for t in stage(name, 1, 1)]
    assert [entry["stage"] for entry in funnel(str(tmp_path), tallies)] == STAGES


def test_what_vanishes_between_two_stages_is_refused():
    def tally(stage, door, count):
        return {"stage": stage, "kind": "image", "door": door, "count": count}

    flow = [
        tally(stage, door, 3)
        for stage in ("embed_images", "filter_scored_images")
        for door in ("entered", "kept")
    ]
    check(flow, 0.0, 1)
    lost = [
        *flow[:2],
        tally("filter_scored_images", "entered", 2),
        tally("filter_scored_images", "kept", 2),
    ]
    with pytest.raises(RuntimeError, match="embed_images kept 3 elements and 2 entered"):
        check(lost, 0.0, 1)


def test_documents_and_images_are_two_flows_of_one_phase():
    flow = [
        *stage("deduplicate_by_images", 7, 5, 2),
        *stage("deduplicate_images", 20, 20, kind="image"),
    ]
    check(flow, 0.0, 1)
    flow += stage("filter_scored_images", 25, 21, 4, kind="image")
    with pytest.raises(RuntimeError, match="filter_scored_images kept 21 elements and 20 entered"):
        check(flow, 0.0, 1)
