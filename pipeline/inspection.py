"""What a corpus holds: tables and columns from footers, distributions from single columns."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from pipeline.card import ABOUT, columns, kind_of_inputs, size, table_totals
from pipeline.corpus import Corpus
from pipeline.terminal import Column, clean, print_table

BARS = "▁▂▃▄▅▆▇█"
BINS = 16
TOP = 10


def summary(corpus: Corpus) -> dict[str, Any]:
    """Tables with their files, rows, bytes, row groups and columns, from footers alone.

    Raises:
      UserError: a file is missing or no Parquet.
    """
    manifest = corpus.manifest
    tables = []
    for name, total in table_totals(manifest).items():
        files = corpus.files(name)
        opened = [corpus.parquet(file) for file in files]
        tables.append(
            {
                "table": name,
                "about": ABOUT.get(name, ""),
                **total,
                "row_groups": sum(parquet.num_row_groups for parquet in opened),
                "columns": columns(opened[0].schema_arrow) if opened else [],
            }
        )
    keys = ("weft_version", "schema_version", "config_sha256", "digest", "models")
    return {
        "path": corpus.path,
        **{key: manifest[key] for key in keys},
        "inputs": {
            "kind": kind_of_inputs(manifest),
            "files": len(manifest["inputs"]),
            "n_bytes": sum(file["size"] for file in manifest["inputs"]),
        },
        "tables": tables,
    }


def distributions(corpus: Corpus) -> dict[str, Any]:
    """How documents and images are spread; reads single columns, row group by row group."""
    values: dict[str, list[np.ndarray]] = {}
    languages: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    formats: Counter[str] = Counter()

    def add(name: str, array: Any) -> None:
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        values.setdefault(name, []).append(array.drop_null().to_numpy(zero_copy_only=False))

    fields = ("node_index", "matched_text_index", "matched_sim")
    names = ["url", "language", "token_count", "text_node_index",
             *(f"image_info.list.element.{field}" for field in fields)]  # fmt: skip
    placed = unplaced = 0
    for _, _, table in corpus.batches("documents", names):
        add("images a document", pc.list_value_length(table["image_info"]))
        add("sentences a document", pc.list_value_length(table["text_node_index"]))
        add("tokens a document", table["token_count"])
        infos = pa.chunked_array(
            [chunk.flatten() for chunk in table["image_info"].chunks],
            table["image_info"].type.value_type,
        )
        similarity = pc.struct_field(infos, "matched_sim")
        add("similarity of matches", similarity)
        placed += len(similarity) - similarity.null_count
        unplaced += similarity.null_count
        languages.update(table["language"].to_pylist())
        hosts.update(_host(url) for url in table["url"].to_pylist())
    for _, _, table in corpus.batches("images", ["width", "height", "format", "nsfw"]):
        add("width of images", table["width"])
        add("height of images", table["height"])
        add("nsfw of images", table["nsfw"])
        formats.update(table["format"].to_pylist())
    return {
        "distributions": [_described(name, arrays) for name, arrays in values.items()],
        "images_matched": placed,
        "images_unmatched": unplaced,
        "languages": _top(languages),
        "formats": _top(formats),
        "hosts": _top(hosts),
        "distinct_hosts": len(hosts),
    }


def _host(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or "(none)"
    except ValueError:  # a URL of the web, e.g. an unclosed IPv6 address
        return "(none)"


def _top(counts: Counter[str]) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))[:TOP]
    return [{"name": name or "(none)", "count": count} for name, count in ordered]


def _described(name: str, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
    array = np.concatenate(arrays).astype(np.float64) if arrays else np.empty(0)
    if not array.size:
        return {"name": name, "count": 0}
    low, p5, median, p95, high = np.quantile(array, [0, 0.05, 0.5, 0.95, 1]).tolist()
    # The tail beyond the 95th percentile would flatten the rest of the histogram into one bar.
    top = p95 if p95 > low else high
    counts, _ = np.histogram(np.minimum(array, top), bins=BINS, range=(low, max(top, low + 1e-9)))
    return {
        "name": name,
        "count": int(array.size),
        "min": low,
        "p5": p5,
        "median": median,
        "mean": float(array.mean()),
        "p95": p95,
        "max": high,
        "histogram": counts.tolist(),
    }


def bars(counts: Sequence[int]) -> str:
    """A histogram as one line of eighths; what is not empty is seen."""
    top = max(counts, default=0)
    return "".join(" " if not count else BARS[min(7, round(7 * count / top))] for count in counts)


def print_summary(console: Console, data: dict[str, Any]) -> None:
    inputs = data["inputs"]
    console.print(Text(clean(data["path"]), style="bold"), soft_wrap=True)
    for label, value in (
        ("made by", f"weft {data['weft_version']}, schema version {data['schema_version']}"),
        ("from", f"{inputs['files']:,} {inputs['kind']} files, {size(inputs['n_bytes'])}"),
        *(("model", f"{m['name']} {m['weights_sha256'][:12]}") for m in data["models"]),
        ("config", data["config_sha256"]),
        ("digest", data["digest"]),
    ):
        console.print(Text(f"{label:<8}", style="dim").append(clean(value), style="not dim"))
    console.print()
    rows = [
        (t["table"], f"{t['rows']:,}", f"{t['files']:,}", f"{t['row_groups']:,}",
         size(t["n_bytes"]), t["about"])
        for t in data["tables"]
    ]  # fmt: skip
    print_table(
        console,
        [
            Column("table", style="bold"),
            *(Column(name, right=True) for name in ("rows", "files", "row groups", "size")),
            Column("", style="dim", fold=True),
        ],
        rows,
    )
    for table in data["tables"]:
        # Fields of structs are indented on a terminal; elsewhere each line says its whole name.
        short = r"^\w+\[\]\.", "  ."
        print_table(
            console,
            [Column("column"), Column("type", style="cyan"), Column("", style="dim", fold=True)],
            [
                (
                    re.sub(*short, c["column"]) if console.is_terminal else c["column"],
                    c["type"],
                    c["description"],
                )
                for c in table["columns"]
            ],
            title=table["table"],
        )


def print_distributions(console: Console, data: dict[str, Any]) -> None:
    rows = []
    for d in data["distributions"]:
        if not d["count"]:
            rows.append((d["name"], "0", *[""] * 7))
            continue
        numbers = (_number(d[key]) for key in ("min", "p5", "median", "mean", "p95", "max"))
        rows.append((d["name"], f"{d['count']:,}", *numbers, bars(d["histogram"])))
    names = ("count", "min", "p5", "median", "mean", "p95", "max")
    print_table(
        console,
        [
            Column("", style="bold"),
            *(Column(name, right=True) for name in names),
            Column("min … p95", style="cyan"),
        ],
        rows,
        title="Distributions",
    )
    matched, images = data["images_matched"], data["images_matched"] + data["images_unmatched"]
    console.print(f"{matched:,} of {images:,} images in documents are matched to a sentence.\n")
    for name, title in (
        ("languages", "Languages"),
        ("formats", "Image formats"),
        ("hosts", f"Hosts, {TOP} of {data['distinct_hosts']:,}"),
    ):
        if name == "hosts" and data["distinct_hosts"] <= TOP:
            title = "Hosts"
        print_table(
            console,
            [Column("name"), Column("count", right=True)],
            [(entry["name"], f"{entry['count']:,}") for entry in data[name]],
            title=title,
        )


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 1:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"
