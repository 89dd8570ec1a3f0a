"""What came, went and changed between two corpora, and by which rule.

A document is the same one if its id is: it was read from the same place of a crawl. An image is
the same one if the same document shows the same URL. What is in one corpus only is looked up in
the rejected and failed rows of the other, which say what kept it out.
"""

from collections.abc import Iterator, Mapping
from itertools import compress
from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

from pipeline.corpus import Corpus
from pipeline.query import connect
from pipeline.terminal import Column, clean, print_table

ABSENT = "(not set)"

# Parts of a document that are compared: name, columns of the documents table as SQL.
PARTS = {
    "text": "texts",
    "images": "[(i.image_id, i.url) FOR i IN image_info]",
    "sentences": "text_list",
    "places": "[i.matched_text_index FOR i IN image_info]",
    "scores": "[(i.matched_sim, i.nsfw) FOR i IN image_info]",
    "metadata": "(url, title, language, date, author, site, licence)",
}

# What kept a document out of corpus {x}: its own row, else nothing is known of it.
_DOCUMENT_FATES = """
    SELECT doc_id, min_by((stage, rule, reason), stage) AS fate FROM (
        SELECT doc_id, stage, rule, reason FROM {x}.rejected WHERE kind IN ('page', 'document')
        UNION ALL
        SELECT element_id, stage, 'failed', '' FROM {x}.failed WHERE kind IN ('page', 'document')
    ) GROUP BY doc_id
"""
# What kept an image out of a document of {x}: a row of its own, or that of its URL.
_NODE_FATES = """
    SELECT doc_id, url, min_by((stage, rule, reason), stage) AS fate
    FROM {x}.rejected WHERE kind = 'node' GROUP BY doc_id, url
"""
_IMAGE_FATES = """
    SELECT url, min_by((stage, rule, reason), stage) AS fate FROM (
        SELECT url, stage, rule, reason FROM {x}.rejected WHERE kind = 'image'
        UNION ALL
        SELECT url, stage, 'failed', '' FROM {x}.failed WHERE kind = 'image'
    ) GROUP BY url
"""
_LONE_DOCUMENTS = f"""
    SELECT one.doc_id, one.url, fates.fate
    FROM {{x}}.documents AS one ANTI JOIN {{y}}.documents AS other USING (doc_id)
    LEFT JOIN ({_DOCUMENT_FATES.replace("{x}", "{y}")}) AS fates USING (doc_id)
"""
_LONE_IMAGES = f"""
    WITH one AS (SELECT DISTINCT doc_id, unnest(image_info).url AS url FROM {{x}}.documents),
    other AS (SELECT DISTINCT doc_id, unnest(image_info).url AS url FROM {{y}}.documents)
    SELECT one.doc_id, one.url,
           CASE WHEN there.doc_id IS NULL THEN ('', 'its document', '')
                ELSE coalesce(nodes.fate, urls.fate) END AS fate
    FROM one ANTI JOIN other USING (doc_id, url)
    LEFT JOIN (SELECT doc_id FROM {{y}}.documents) AS there USING (doc_id)
    LEFT JOIN ({_NODE_FATES.replace("{x}", "{y}")}) AS nodes USING (doc_id, url)
    LEFT JOIN ({_IMAGE_FATES.replace("{x}", "{y}")}) AS urls USING (url)
"""


def diff(a: Corpus, b: Corpus, samples: int = 0) -> dict[str, Any]:
    """Compares two corpora.

    Args:
      samples: examples of each kind of difference, the first by id.

    Returns:
      ``config`` (keys whose values differ), ``documents`` and ``images`` (counts, what came and
      went by stage, rule and reason) and, of documents in both, ``changed`` by part.
    """
    connection = connect(a=a, b=b)
    return {
        "a": a.path,
        "b": b.path,
        "config": list(config_changes(a.manifest["config"], b.manifest["config"])),
        "documents": _documents(connection, samples),
        "images": _images(connection, samples),
    }


def differs(found: Mapping[str, Any]) -> bool:
    """True if a document or an image came, went or changed."""
    documents, images = found["documents"], found["images"]
    return any((documents["came"], documents["went"], documents["changed"],
                images["came"], images["went"]))  # fmt: skip


def _documents(connection: duckdb.DuckDBPyConnection, samples: int) -> dict[str, Any]:
    parts = ", ".join(f"a.{{}} IS DISTINCT FROM b.{{}} AS {part}" for part in PARTS)
    pairs = [column for part in PARTS for column in (part, part)]
    views = {
        x: f"SELECT doc_id, url, {', '.join(f'{sql} AS {part}' for part, sql in PARTS.items())} "
        f"FROM {x}.documents"
        for x in ("a", "b")
    }
    connection.execute(
        f"CREATE TEMP TABLE changes AS SELECT doc_id, a.url AS page, {parts.format(*pairs)} "
        f"FROM ({views['a']}) AS a JOIN ({views['b']}) AS b USING (doc_id)"
    )
    any_part = " OR ".join(PARTS)
    both, changed = connection.execute(
        f"SELECT count(*), count(*) FILTER ({any_part}) FROM changes"
    ).fetchall()[0]
    counts = ", ".join(f"count(*) FILTER ({part})" for part in PARTS)
    of_part = connection.execute(f"SELECT {counts} FROM changes").fetchall()[0]
    found = {
        **_lone(connection, _LONE_DOCUMENTS, samples),
        "both": both,
        "changed": changed,
        "changed_by": dict(zip(PARTS, of_part, strict=True)),
    }
    if samples:
        rows = connection.execute(
            f"SELECT doc_id, page, {', '.join(PARTS)} FROM changes "
            f"WHERE {any_part} ORDER BY doc_id LIMIT {samples}"
        ).fetchall()
        found["changed_samples"] = [
            {"doc_id": doc_id, "url": url, "parts": list(compress(PARTS, flags))}
            for doc_id, url, *flags in rows
        ]
    return found


def _images(connection: duckdb.DuckDBPyConnection, samples: int) -> dict[str, Any]:
    [(total,)] = connection.execute(
        "SELECT count(*) FROM (SELECT DISTINCT doc_id, unnest(image_info).url FROM b.documents)"
    ).fetchall()
    found = _lone(connection, _LONE_IMAGES, samples)
    return {**found, "both": total - found["came"]}


def _lone(connection: duckdb.DuckDBPyConnection, query: str, samples: int) -> dict[str, Any]:
    """What is in one corpus only, counted by what kept it out of the other."""
    found: dict[str, Any] = {}
    for word, x, y in (("went", "a", "b"), ("came", "b", "a")):
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE lone AS {query.replace('{x}', x).replace('{y}', y)}"
        )
        rows = connection.execute(
            "SELECT fate, count(*) AS n FROM lone GROUP BY fate ORDER BY n DESC, fate"
        ).fetchall()
        found[word] = sum(n for _, n in rows)
        found[f"{word}_by"] = [{**_fate(fate), "count": n} for fate, n in rows]
        if samples:
            rows = connection.execute(
                "SELECT doc_id, url, fate FROM lone "
                "QUALIFY row_number() OVER (PARTITION BY fate ORDER BY doc_id, url) <= ? "
                "ORDER BY fate, doc_id, url",
                [samples],
            ).fetchall()
            found[f"{word}_samples"] = [
                {"doc_id": doc_id, "url": url, **_fate(fate)} for doc_id, url, fate in rows
            ]
    return found


def _fate(fate: tuple[str, str, str] | None) -> dict[str, str]:
    stage, rule, reason = fate or ("", "not read", "")
    return {"stage": stage, "rule": rule, "reason": reason}


def config_changes(a: Any, b: Any, key: str = "") -> Iterator[dict[str, Any]]:
    """The keys whose values differ; rules are compared by name."""
    a, b = _by_name(a), _by_name(b)
    if isinstance(a, dict) and isinstance(b, dict):
        for name in [*a, *(name for name in b if name not in a)]:
            place = f"{key}.{name}" if key else str(name)
            yield from config_changes(a.get(name, ABSENT), b.get(name, ABSENT), place)
    elif a != b:
        yield {"key": key, "a": a, "b": b}


def _by_name(value: Any) -> Any:
    """A list of rules, ``[{name: fields}, ...]``, as one mapping; anything else as it is."""
    rules = isinstance(value, list) and all(isinstance(v, dict) and len(v) == 1 for v in value)
    names = [name for rule in value for name in rule] if rules else []
    if not rules or len(set(names)) != len(names):
        return value
    return {name: fields for rule in value for name, fields in rule.items()}


def print_diff(console: Console, found: Mapping[str, Any]) -> None:
    if found["config"]:
        rows = [(change["key"], change["a"], change["b"]) for change in found["config"]]
        columns = [Column("key", style="bold"), Column("a", fold=True), Column("b", fold=True)]
        print_table(console, columns, rows, title="Config")
    for name in ("documents", "images"):
        part = found[name]
        line = Text(f"{name}: ", style="bold")
        counts = [f"{part['both']:,} in both", f"{part['came']:,} came", f"{part['went']:,} went"]
        if "changed" in part:
            counts.insert(1, f"{part['changed']:,} of them changed")
        console.print(line.append(", ".join(counts), style="not bold"))
        by = [
            (word, entry["stage"], entry["rule"], entry["reason"], f"{entry['count']:,}")
            for word in ("came", "went")
            for entry in part[f"{word}_by"]
        ]
        changes = [(part_name, n) for part_name, n in part.get("changed_by", {}).items() if n]
        if changes:
            console.print("  changed in " + ", ".join(f"{n:,} {what}" for what, n in changes))
        if by:
            columns = [Column(""), Column("stage", style="bold"), Column("rule"),
                       Column("reason"), Column("count", right=True)]  # fmt: skip
            print_table(console, columns, by, title="  kept out of the other corpus by")
        _print_samples(console, part)


def _print_samples(console: Console, part: Mapping[str, Any]) -> None:
    for word in ("came", "went", "changed"):
        for row in part.get(f"{word}_samples", ()):
            why = row.get("parts") or [row["stage"], row["rule"], row["reason"]]
            line = Text(f"  {word:<8}").append(f"{row['doc_id'][:12]}  ", style="dim")
            line.append(clean(row["url"])).append("  " + clean(" ".join(why)), style="dim")
            console.print(line)
