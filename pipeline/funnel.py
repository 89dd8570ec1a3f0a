"""The funnel: what entered each stage and by which door it left, from rows and counts on disk."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pyarrow.parquet as pq

from pipeline.errors import UserError
from schemas.outcome import Door, Kind
from stages import files

Tallies = list[dict[str, Any]]


def check(tallies: Tallies, max_failure_ratio: float, inputs: int) -> None:
    """Refuses a phase whose stages lost an element or failed too often.

    Args:
      inputs: number of files that the run reads.

    Raises:
      UserError: too large a share of a stage's elements failed.
      RuntimeError: a stage let in another number than it let out, or than the stage before it in
        the phase kept; that is a fault of ours.
    """
    unreadable = sum(tally["count"] for tally in tallies if tally["kind"] == Kind.FILE)
    if unreadable > max_failure_ratio * inputs:
        raise UserError(
            f"{unreadable} of {inputs} input files could not be read, more than "
            f"run.max_failure_ratio={max_failure_ratio} allows"
        )
    for stage, doors in _doors(tallies).items():
        left = sum(doors[door] for door in (Door.KEPT, Door.REJECTED, Door.FAILED))
        entered = doors.get(Door.ENTERED, left)
        if entered != left:
            raise RuntimeError(f"{stage}: {entered} elements entered and {left} left")
        if left and doors[Door.FAILED] > max_failure_ratio * left:
            raise UserError(
                f"{stage}: {doors[Door.FAILED]} of {left} elements failed, more than "
                f"run.max_failure_ratio={max_failure_ratio} allows"
            )
    are_images = {
        tally["stage"]: tally["kind"] == Kind.IMAGE
        for tally in tallies
        if tally["kind"] not in (Kind.NODE, Kind.FILE) and tally["stage"] in STAGES
    }
    for images in (False, True):  # two flows, which a phase may hold side by side
        flow = sorted((s for s in are_images if are_images[s] is images), key=STAGES.index)
        for before, after in pairwise(flow):
            kept, entered = _doors(tallies)[before][Door.KEPT], _doors(tallies)[after][Door.ENTERED]
            if kept != entered:
                raise RuntimeError(f"{before} kept {kept} elements and {entered} entered {after}")


def _doors(tallies: Tallies) -> dict[str, Counter[str]]:
    """Counts by stage and door of the elements that flow; nodes are parts of them, and a file
    that failed to open is no capture."""
    doors: dict[str, Counter[str]] = defaultdict(Counter)
    for tally in tallies:
        if tally["kind"] not in (Kind.NODE, Kind.FILE):
            doors[tally["stage"]][tally["door"]] += tally["count"]
    return doors


def funnel(output: str, tallies: Tallies) -> list[dict[str, Any]]:
    """One entry a stage, in the order of the pipeline, with its rejections by rule and reason.

    Rejections are counted from the rows of the corpus, not from what the stages say.
    """
    rules: dict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    for path in files.listed(files.join(output, "rejected"), "part-*.parquet"):
        table = pq.read_table(path, columns=["stage", "kind", "rule", "reason"])
        counts = table.group_by(table.column_names).aggregate([([], "count_all")])
        for row in counts.to_pylist():
            key = (row["kind"], row["rule"], row["reason"])
            rules[row["stage"]][key] += row["count_all"]
    kinds = {
        tally["stage"]: tally["kind"]
        for tally in sorted(tallies, key=lambda t: t["door"] == Door.ENTERED)
        if tally["kind"] not in (Kind.NODE, Kind.FILE)
    }
    entries = []
    for stage, doors in _doors(tallies).items():
        left = sum(doors[door] for door in (Door.KEPT, Door.REJECTED, Door.FAILED))
        entries.append(
            {
                "stage": stage,
                "kind": kinds[stage],
                "entered": doors.get(Door.ENTERED, left),
                "kept": doors[Door.KEPT],
                "rejected": doors[Door.REJECTED],
                "failed": doors[Door.FAILED],
                "rules": [
                    {"kind": kind, "rule": rule, "reason": reason, "count": count}
                    for (kind, rule, reason), count in sorted(rules[stage].items())
                ],
            }
        )
    return sorted(entries, key=lambda entry: STAGES.index(entry["stage"]))


STAGES = [
    "read_documents",
    "read_pages",
    "filter_pages",
    "extract_documents",
    "filter_text",
    "deduplicate",
    "filter_references",
    "fetch_images",
    "gather_images",
    "filter_images",
    "re_encode_images",
    "embed_images",
    "filter_embedded_images",
    "filter_scored_images",
    "deduplicate_by_images",
    "deduplicate_images",
    "honour_takedowns",
    "join_images",
    "filter_documents",
    "place_images",
    "filter_placed",
]
