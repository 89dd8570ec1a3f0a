"""The dataset card of a corpus: a README.md that a dataset hub reads, from the manifest alone.

Source: the front matter follows the Hugging Face Hub's dataset cards (hub-docs, datasetcard.md).
"""

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import yaml

from schemas.corpus import TABLES

# The tables that a reader of the hub loads; the outcomes are for whoever asks why.
LOADED = ("documents", "images")

ABOUT = {
    "documents": "One row a document, as text nodes and images in reading order (OBELICS) and as "
    "sentences with matched images (mmc4).",
    "images": "One row an image, known by the SHA-256 of its bytes.",
    "rejected": "One row a page, document, node or image that a rule rejected.",
    "failed": "One row an input that could not be worked on.",
    "signatures": "One row a document, or copy of one: hashes to compare a later corpus with.",
}

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)


def dataset_card(manifest: dict[str, Any]) -> str:
    """The text of README.md.

    Args:
      manifest: of the corpus, as `pipeline.run.run` returns it.
    """
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_front_matter(manifest), sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            "",
            "# Interleaved image-text corpus",
            "",
            *_summary(manifest),
            *_loading(manifest),
            *_licence(manifest),
            *_funnel(manifest),
            *_columns(),
            *_origin(manifest),
        ]
    )


def table_totals(manifest: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Files, rows and bytes by table, in the order of `schemas.corpus.TABLES`."""
    totals = {name: {"files": 0, "rows": 0, "n_bytes": 0} for name in TABLES}
    for file in manifest["files"]:
        total = totals.setdefault(file["table"], {"files": 0, "rows": 0, "n_bytes": 0})
        total["files"] += 1
        total["rows"] += file["rows"]
        total["n_bytes"] += file["n_bytes"]
    return totals


def column_type(kind: pa.DataType) -> str:
    """An Arrow type in a few letters: ``string``, ``[int32]``, ``{rule, score}``; a struct whose
    fields are described has lines of its own for them (`columns`)."""
    if pa.types.is_list(kind):
        return f"[{column_type(kind.value_type)}]"
    if pa.types.is_struct(kind):
        described = any(field.metadata for field in kind)
        return "struct" if described else "{" + ", ".join(field.name for field in kind) + "}"
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(
        str(kind), str(kind)
    )


def columns(schema: pa.Schema) -> list[dict[str, str]]:
    """Name, type and description of each column; below a column of structs, of its fields."""
    out: list[dict[str, str]] = []
    for field in schema:
        out.append(_column(field.name, field))
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        if pa.types.is_struct(kind) and any(sub.metadata for sub in kind):
            out += [_column(f"{field.name}[].{sub.name}", sub) for sub in kind]
    return out


def _column(name: str, field: pa.Field) -> dict[str, str]:
    about = (field.metadata or {}).get(b"description", b"").decode()
    return {"column": name, "type": column_type(field.type), "description": about}


def _front_matter(manifest: dict[str, Any]) -> dict[str, Any]:
    totals = table_totals(manifest)
    rows = totals["documents"]["rows"]
    front: dict[str, Any] = {
        "pretty_name": "Interleaved image-text corpus",
        "license": "other",
        "license_name": "rights-of-the-sources",
        "task_categories": ["image-text-to-text", "image-to-text", "text-generation"],
        "tags": ["interleaved", "image-text", "common-crawl", "weft"],
        "size_categories": [next((name for top, name in SIZES if rows < top), "n>1B")],
    }
    if languages := _languages(manifest["config"]):
        front["language"] = languages
    front["configs"] = [
        {
            "config_name": name,
            **({"default": True} if name == LOADED[0] else {}),
            "data_files": [{"split": "train", "path": f"{name}/part-*.parquet"}],
        }
        for name in LOADED
        if totals[name]["rows"]
    ]
    return front


def _languages(config: dict[str, Any]) -> list[str]:
    """The languages that a rule let through; empty if none was asked for."""
    for rule in (config.get("filter_text") or {}).get("documents", []):
        if "language" in rule:
            return sorted(rule["language"].get("languages") or ())
    return []


def contents(manifest: dict[str, Any]) -> str:
    """How many documents and images there are, in words."""
    totals = table_totals(manifest)
    documents, images = totals["documents"]["rows"], totals["images"]["rows"]
    if manifest["config"].get("gather_images") is None and not images:
        return f"{documents:,} documents with the URLs of their images"
    return f"{documents:,} documents and {images:,} images"


def _summary(manifest: dict[str, Any]) -> list[str]:
    totals = table_totals(manifest)
    inputs = manifest["inputs"]
    read = sum(file["size"] for file in inputs)
    kind = kind_of_inputs(manifest)
    return [
        f"{contents(manifest)}, made by weft "
        f"{manifest['weft_version']} from {len(inputs):,} {kind} "
        f"file{'' if len(inputs) == 1 else 's'} ({size(read)}). Each document keeps its text and "
        "its images in the order of the page, and says which sentence each image goes with.",
        "",
        "| table | rows | files | size | |",
        "|---|--:|--:|--:|---|",
        *(
            f"| `{name}` | {total['rows']:,} | {total['files']:,} | {size(total['n_bytes'])} "
            f"| {ABOUT.get(name, '')} |"
            for name, total in totals.items()
        ),
        "",
    ]


def _loading(manifest: dict[str, Any]) -> list[str]:
    return [
        "## Reading it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'documents = load_dataset("path/of/this/folder", "documents", split="train")',
        'images = load_dataset("path/of/this/folder", "images", split="train")',
        "```",
        "",
        "Every table is plain Parquet: pyarrow, DuckDB and polars read it without options. "
        "`image_info[].image_id` of a document is `image_id` of the images table.",
        "",
    ]


def _licence(manifest: dict[str, Any]) -> list[str]:
    config = manifest["config"]
    asked = any("opt_out" in rule for rule in config.get("filter_pages") or [])
    evidence = (
        "Pages and images whose headers or robots directives reserve rights against such use "
        "were left out; the rejected table names each one (rule `opt_out`, reason `opted_out`)."
        if asked
        else "This config did not look for opt-out directives of pages."
    )
    return [
        "## Licence and consent",
        "",
        "Texts and images belong to their authors and publishers; this folder grants no rights "
        "in them. The column `licence` holds the licence that a page itself states, and every "
        "document names the page, the WARC record and the image URLs it comes from, so that a "
        "source can be looked up and removed. Whoever publishes or trains on this corpus must "
        "check that they may.",
        "",
        evidence,
        "",
    ]


def _funnel(manifest: dict[str, Any]) -> list[str]:
    lines = [
        "## What was kept",
        "",
        "| stage | of | entered | kept | rejected | failed | kept share |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for entry in manifest["funnel"]:
        lines.append(
            f"| {entry['stage']} | {entry['kind']} | {entry['entered']:,} | {entry['kept']:,} "
            f"| {entry['rejected']:,} | {entry['failed']:,} | {share(entry)} |"
        )
    reasons = [(entry["stage"], rule) for entry in manifest["funnel"] for rule in entry["rules"]]
    if reasons:
        lines += [
            "",
            "<details><summary>By rule and reason</summary>",
            "",
            "| stage | rule | reason | of | count |",
            "|---|---|---|---|--:|",
            *(
                f"| {stage} | {_cell(rule['rule'])} | {_cell(rule['reason'])} | {rule['kind']} "
                f"| {rule['count']:,} |"
                for stage, rule in reasons
            ),
            "",
            "</details>",
        ]
    return [*lines, ""]


def _columns() -> list[str]:
    lines = ["## Columns", ""]
    for name, schema in TABLES.items():
        lines += [f"### {name}", "", ABOUT[name], "", "| column | type | |", "|---|---|---|"]
        lines += [
            f"| `{c['column']}` | `{c['type']}` | {_cell(c['description'])} |"
            for c in columns(schema)
        ]
        lines.append("")
    return lines


def _origin(manifest: dict[str, Any]) -> list[str]:
    models = [
        f"- model `{_code(model['name'])}`, weights SHA-256 `{model['weights_sha256']}`"
        for model in manifest["models"]
    ]
    config = yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True).rstrip()
    longest = max((len(run) for run in re.findall("`+", config)), default=0)
    fence = "`" * max(3, longest + 1)
    return [
        "## How it was made",
        "",
        f"- weft {manifest['weft_version']}, schema version {manifest['schema_version']}",
        f"- config SHA-256 `{manifest['config_sha256']}`",
        *models,
        f"- digest of the corpus `{manifest['digest']}`",
        "",
        "The same inputs and config give the same digest. `manifest.json` lists every file with "
        "its SHA-256.",
        "",
        "<details><summary>Config</summary>",
        "",
        f"{fence}yaml",
        config,
        fence,
        "",
        "</details>",
        "",
    ]


def share(entry: dict[str, Any]) -> str:
    """Kept of entered, in per cent; 100 % is said only of a stage that kept all."""
    if not entry["entered"]:
        return "-"
    percent = 100 * entry["kept"] / entry["entered"]
    if entry["kept"] not in (0, entry["entered"]):
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %"


def size(n_bytes: int) -> str:
    """Bytes in decimal units: 950 B, 1.2 MB."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _code(text: str) -> str:
    return text.replace("`", "'").replace("\n", " ")


def kind_of_inputs(manifest: Mapping[str, Any]) -> str:
    """What a corpus was made of, in a word: ``WARC``, ``index``, or that of another system."""
    if imported := manifest.get("imported"):
        return str(imported)
    read = manifest["config"].get("read") or {}
    return "index" if read.get("cc_index") else "documents" if read.get("corpus") else "WARC"
