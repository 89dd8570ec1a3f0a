"""The funnel of a corpus: what entered each stage, what left it by which door, and why."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.card import share
from pipeline.corpus import Corpus
from pipeline.terminal import Column, clean, print_table
from schemas.outcome import Kind

# A node is a part of a document and a file no capture, so neither is counted by a stage's doors.
UNCOUNTED = (Kind.NODE, Kind.FILE)

Reason = tuple[str, str, str, str]  # stage, kind, rule, reason


def samples(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    """The first `number` rejected rows of each stage, kind, rule and reason."""
    found: dict[Reason, list[dict[str, Any]]] = {}
    names = ("stage", "kind", "rule", "reason", "element_id", "url", "score", "detail")
    for _, _, table in corpus.batches("rejected", names):
        for row in table.to_pylist():
            some = found.setdefault((row["stage"], row["kind"], row["rule"], row["reason"]), [])
            if len(some) < number:
                some.append(row)
    order = {entry["stage"]: i for i, entry in enumerate(corpus.manifest["funnel"])}
    keys = sorted(found, key=lambda key: (order.get(key[0], len(order)), key))
    return [row for key in keys for row in found[key]]


def rejected_counts(corpus: Corpus) -> Counter[Reason]:
    """Rows of the rejected table by stage, kind, rule and reason."""
    counts: Counter[Reason] = Counter()
    for _, _, table in corpus.batches("rejected", ("stage", "kind", "rule", "reason")):
        for row in table.group_by(table.column_names).aggregate([([], "count_all")]).to_pylist():
            counts[row["stage"], row["kind"], row["rule"], row["reason"]] += row["count_all"]
    return counts


def failed_counts(corpus: Corpus) -> Counter[tuple[str, str]]:
    """Rows of the failed table by stage and kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, _, table in corpus.batches("failed", ("stage", "kind")):
        for row in table.group_by(table.column_names).aggregate([([], "count_all")]).to_pylist():
            counts[row["stage"], row["kind"]] += row["count_all"]
    return counts


def mismatches(
    funnel: list[dict[str, Any]], rejected: Counter[Reason], failed: Counter[tuple[str, str]]
) -> Iterator[str]:
    """Where the funnel and the rows of the outcome tables disagree, one line each."""
    stages = {entry["stage"] for entry in funnel}
    for entry in funnel:
        stage = entry["stage"]
        told = {(r["kind"], r["rule"], r["reason"]): r["count"] for r in entry["rules"]}
        found = {key[1:]: count for key, count in rejected.items() if key[0] == stage}
        for key in sorted(told.keys() | found.keys()):
            if told.get(key, 0) != found.get(key, 0):
                kind, rule, reason = key
                yield (
                    f"{stage}: {rule} {reason} ({kind}): {told.get(key, 0):,} in the funnel, "
                    f"{found.get(key, 0):,} rows in rejected"
                )
        out = sum(count for (kind, _, _), count in found.items() if kind not in UNCOUNTED)
        if out != entry["rejected"]:
            yield f"{stage}: {entry['rejected']:,} rejected, {out:,} rows in rejected"
        out = sum(n for (at, kind), n in failed.items() if at == stage and kind not in UNCOUNTED)
        if out != entry["failed"]:
            yield f"{stage}: {entry['failed']:,} failed, {out:,} rows in failed"
    for table, found_stages in (
        ("rejected", {key[0] for key in rejected}),
        ("failed", {stage for stage, kind in failed if kind not in UNCOUNTED}),
    ):
        for stage in sorted(found_stages - stages):
            yield f"{stage}: has rows in {table} but is no stage of the funnel"


def print_funnel(console: Console, funnel: list[dict[str, Any]]) -> None:
    """The stages, one line each."""
    print_table(
        console,
        [
            Column("stage", style="bold"),
            Column("of", style="dim"),
            Column("entered", right=True),
            Column("kept", right=True, style="green"),
            Column("rejected", right=True),
            Column("failed", right=True),
            Column("kept share", right=True),
        ],
        [
            (
                entry["stage"],
                entry["kind"],
                *(f"{entry[door]:,}" for door in ("entered", "kept", "rejected", "failed")),
                share(entry),
            )
            for entry in funnel
        ],
    )


def print_reasons(console: Console, funnel: list[dict[str, Any]]) -> None:
    """What was rejected by stage, rule and reason; the stage is named once."""
    rows: list[tuple[str, ...]] = []
    for entry in funnel:
        rules = sorted(entry["rules"], key=lambda r: (-r["count"], r["rule"], r["reason"]))
        for i, rule in enumerate(rules):
            stage = entry["stage"] if i == 0 or not console.is_terminal else ""
            rows.append((stage, rule["rule"], rule["reason"], rule["kind"], f"{rule['count']:,}"))
    if not rows:
        console.print("Nothing was rejected.")
        return
    columns = [Column("stage", style="bold"), Column("rule"), Column("reason"),
               Column("of", style="dim"), Column("count", right=True)]  # fmt: skip
    print_table(console, columns, rows, title="Rejected, by rule and reason")


def print_samples(console: Console, rows: list[dict[str, Any]]) -> None:
    title = ""
    for row in rows:
        of = f"{row['stage']}: {row['rule']} {row['reason']} ({row['kind']})"
        if of != title:
            title = of
            console.print(Text("\n" + clean(of), style="bold"))
        parts = [] if row["score"] is None else [f"{row['score']:.4g}"]
        parts += [clean(row["detail"])] if row["detail"] else []
        line = Text("  " + clean(row["url"] or row["element_id"]))
        if parts:
            line.append("  " + "  ".join(parts), style="dim")
        console.print(line)
    if rows:
        console.print()
