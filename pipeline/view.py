"""A corpus as one HTML page to look at: funnel, distributions, documents with their pictures.

The page loads nothing and sends nothing, and whatever it shows of the web is shown as text: every
string is escaped, and its Content-Security-Policy allows one script, by its hash.
"""

import base64
import hashlib
import heapq
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.card import share, size, table_totals
from pipeline.corpus import Corpus
from pipeline.stats import samples
from pipeline.terminal import clean
from schemas.corpus import DOCUMENTS
from schemas.outcome import Kind

THUMBNAIL_SIDE = 320
THUMBNAIL_QUALITY = 80
SAMPLES = 3
FAILURES = 20
HUES = 6  # colours that tell the images of a document apart


def report(corpus: Corpus, documents: int = 24) -> str:
    """The whole page.

    Args:
      documents: how many to show; those with the most images, ties by id.

    Raises:
      UserError: a file of the corpus is missing or broken.
    """
    rows = list(_most_images(corpus, documents))
    wanted = {info["image_id"] for row in rows for info in row["image_info"]} - {None}
    pictures = thumbnails(corpus, wanted)
    values = _values(corpus)
    manifest = corpus.manifest
    return _template().render(
        manifest=manifest,
        totals=table_totals(manifest),
        read=size(sum(file["size"] for file in manifest["inputs"])),
        matched=len(values["matched_sim"]),
        placed=int(values["images"].sum()),
        flows=_flows(manifest["funnel"]),
        histograms=_histograms(values, manifest["config"]),
        cards=[_card(row, pictures) for row in rows],
        left_out=_left_out(manifest["funnel"], samples(corpus, SAMPLES)),
        failures=_failures(corpus, FAILURES),
        config=yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "href": href,
        "number": lambda n: f"{n:,}",
        "sha256": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        "words": lambda name: str(name).replace("_", " "),
    }
    return environment.get_template("report.html.j2")


def _visible(value: Any) -> Any:
    """What a template prints, with hidden and bidi characters of the web made visible."""
    return clean(value, lines=True) if type(value) is str else value


def href(url: str | None) -> str:
    """`url` if a link may lead there, else an empty string."""
    fine = re.fullmatch(r"https?://[^\s\\\"'<>`]+", url or "", re.IGNORECASE)
    return str(url) if fine and clean(url) == url else ""


# --- documents --------------------------------------------------------------------------------


def _most_images(corpus: Corpus, number: int) -> Iterator[dict[str, Any]]:
    places: list[tuple[int, str, str, int, int]] = []
    files = {file["path"]: file for file in corpus.files("documents")}
    for file, group, table in corpus.batches(
        "documents", ["doc_id", "image_info.list.element.node_index"]
    ):
        counts = pc.fill_null(pc.list_value_length(table["image_info"]), 0).to_pylist()
        ids = table["doc_id"].to_pylist()
        some = [(-n, ids[i], file["path"], group, i) for i, n in enumerate(counts)]
        places = heapq.nsmallest(number, [*places, *some])
    for _, _, path, group, row in places:
        parquet = corpus.parquet(files[path])
        table = parquet.read_row_group(group, columns=DOCUMENTS.names)
        yield from table.slice(row, 1).to_pylist()


def thumbnails(corpus: Corpus, wanted: Iterable[str]) -> dict[str, str]:
    """Small JPEGs of images as ``data:`` URIs, by id; none where bytes are absent or broken."""
    ids = pa.array(sorted(wanted), pa.string())
    found: dict[str, str] = {}
    for file in corpus.files("images") if len(ids) else ():
        parquet = corpus.parquet(file)
        for group in range(parquet.num_row_groups):
            mask = pc.is_in(parquet.read_row_group(group, columns=["image_id"])["image_id"], ids)
            if not pc.any(mask).as_py():
                continue
            table = parquet.read_row_group(group, columns=["image_id", "bytes"]).filter(mask)
            for name, data in zip(table["image_id"], table["bytes"], strict=True):
                small = thumbnail(data.as_py()) if data.is_valid else None
                if small:
                    encoded = base64.b64encode(small).decode()
                    found[name.as_py()] = f"data:image/jpeg;base64,{encoded}"
    return found


def thumbnail(data: bytes) -> bytes | None:
    """A JPEG of at most `THUMBNAIL_SIDE` pixels a side, on white; None if it does not decode."""
    box = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", box)
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    image.thumbnail(box)
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    buffer = io.BytesIO()
    paper.save(buffer, "jpeg", quality=THUMBNAIL_QUALITY, optimize=True)
    return buffer.getvalue()


def _card(row: dict[str, Any], pictures: Mapping[str, str]) -> dict[str, Any]:
    """What the template shows of a row of the documents table."""
    sentences: dict[int, list[int]] = defaultdict(list)
    for j, node in enumerate(row["text_node_index"]):
        sentences[node].append(j)
    matched: dict[int, list[dict[str, Any]]] = defaultdict(list)
    figures = {}
    for i, info in enumerate(row["image_info"]):
        figure = _figure(row, i, pictures)
        figures[info["node_index"]] = figure
        if info["matched_text_index"] is not None:
            matched[info["matched_text_index"]].append(figure)
    nodes: list[dict[str, Any]] = []
    for index, (text, role) in enumerate(zip(row["texts"], row["roles"], strict=True)):
        if text is None:
            nodes.append({"role": "image", "figure": figures[index]})
            continue
        parts = [(row["text_list"][j], matched.get(j, [])) for j in sentences[index]]
        nodes.append({"role": role, "parts": list(marked(text, parts))})
    facts = [
        f"{row['language']} {row['language_score']:.2f}" if row["language"] else "",
        f"{row['token_count']:,} tokens",
        f"{len(row['text_list']):,} sentences",
        f"{len(row['image_info']):,} image{'' if len(row['image_info']) == 1 else 's'}",
        row["date"],
        row["author"],
        row["site"],
    ]
    title: list[tuple[str, list[dict[str, Any]]]] = [(row["title"] or "(no title)", [])]
    if nodes and nodes[0]["role"] == "heading" and row["texts"][0] == row["title"]:
        title = nodes.pop(0)["parts"]
    return {
        "row": row,
        "title": {"parts": title},
        "facts": [fact for fact in facts if fact],
        "nodes": nodes,
        "scores": [(s["rule"], f"{s['score']:.4g}") for s in row["signals"] or ()],
    }


def marked(
    text: str, sentences: Sequence[tuple[str, list[dict[str, Any]]]]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Cuts a text node at its matched sentences.

    Args:
      sentences: of the node, in order, each with the images matched to it.

    Yields:
      the pieces of `text`, in order, each with the images matched to it.
    """
    done = told = 0
    for sentence, figures in sentences:
        # Splitting may have collapsed the blanks of the node.
        pattern = r"\s+".join(re.escape(word) for word in sentence.split())
        found = re.compile(pattern).search(text, done) if pattern else None
        if not found:
            continue
        done = found.end()
        if figures:
            if found.start() > told:
                yield text[told : found.start()], []
            yield found[0], figures
            told = done
    if told < len(text):
        yield text[told:], []


def _figure(row: dict[str, Any], i: int, pictures: Mapping[str, str]) -> dict[str, Any]:
    info = row["image_info"][i]
    similarity = row["similarity_matrix"][i] if row["similarity_matrix"] else []
    at = info["matched_text_index"]
    facts = [
        f"{info['width']} × {info['height']}" if info["width"] and info["height"] else "",
        "" if info["nsfw"] is None else f"nsfw {info['nsfw']:.3f}",
    ]
    return {
        "anchor": f"{row['doc_id']}-{i + 1}",
        "number": i + 1,
        "hue": i % HUES + 1,
        "info": info,
        "picture": pictures.get(info["image_id"]),
        "absent": "no bytes" if info["image_id"] else "not fetched",
        "facts": [fact for fact in facts if fact],
        "sentence": None if at is None else row["text_list"][at],
        "similarity": None if at is None else f"{info['matched_sim']:.2f}",
        "scored": bool(similarity),
        "spark": [
            {"x": j, "height": round(max(0.02, min(1.0, s)), 3), "matched": j == at}
            for j, s in enumerate(similarity)
        ],
    }


# --- funnel and outcomes ----------------------------------------------------------------------


def _flows(funnel: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages that pages and documents pass, and those that images pass, with bars in per cent
    of what entered the first."""
    flows = []
    for title, kinds in (("Pages to documents", (Kind.PAGE, Kind.DOCUMENT)),
                         ("Images", (Kind.IMAGE,))):  # fmt: skip
        entries = [entry for entry in funnel if entry["kind"] in kinds]
        top = max((entry["entered"] for entry in entries), default=0) or 1
        stages = [
            {
                **entry,
                "share": share(entry),
                "widths": [
                    (door, round(100 * entry[door] / top, 3))
                    for door in ("kept", "rejected", "failed")
                ],
                "reasons": [
                    rule
                    for rule in sorted(entry["rules"], key=lambda rule: -rule["count"])
                    if rule["kind"] in kinds
                ],
            }
            for entry in entries
        ]
        if stages:
            flows.append({"title": title, "stages": stages})
    return flows


_KINDS = {
    Kind.PAGE: "Pages",
    Kind.DOCUMENT: "Documents",
    Kind.IMAGE: "Images",
    Kind.NODE: "Parts of documents",
}


def _left_out(
    funnel: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What was rejected, by kind, then by count, with a few examples each."""
    examples: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        examples[row["stage"], row["kind"], row["rule"], row["reason"]].append(row)
    tables = []
    for kind, title in _KINDS.items():
        reasons = [
            {**rule, "stage": entry["stage"],
             "examples": examples[entry["stage"], kind, rule["rule"], rule["reason"]]}
            for entry in funnel for rule in entry["rules"] if rule["kind"] == kind
        ]  # fmt: skip
        reasons.sort(key=lambda r: (-r["count"], r["rule"], r["reason"], r["stage"]))
        if reasons:
            top = reasons[0]["count"]
            for reason in reasons:
                reason["width"] = round(100 * reason["count"] / top, 2)
            total = sum(reason["count"] for reason in reasons)
            tables.append({"kind": str(kind), "title": title, "total": total, "reasons": reasons})
    return tables


def _failures(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    names = ("element_id", "kind", "url", "stage", "error", "warc_file", "warc_offset")
    for _, _, table in corpus.batches("failed", names):
        found += table.slice(0, number - len(found)).to_pylist()
        if len(found) >= number:
            break
    return found


# --- distributions ----------------------------------------------------------------------------

# Rules whose scores are drawn with those of what was kept.
_SCORED = {
    ("document", "image_count"): "images",
    ("document", "sentence_count"): "sentences",
    ("image", "nsfw"): "nsfw",
    ("image", "short_side"): "short_side",
    ("image", "aspect_ratio"): "aspect_ratio",
}


def _values(corpus: Corpus) -> dict[str, np.ndarray]:
    """Columns to draw, by name; those of rejected elements begin with an exclamation mark."""
    parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(name: str, array: Any) -> None:
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        parts[name].append(array.drop_null().to_numpy(zero_copy_only=False).astype(np.float64))

    fields = [f"image_info.list.element.{name}" for name in ("node_index", "matched_sim")]
    for _, _, table in corpus.batches("documents", ["text_node_index", *fields]):
        add("images", pc.list_value_length(table["image_info"]))
        add("sentences", pc.list_value_length(table["text_node_index"]))
        for chunk in table["image_info"].chunks:
            add("matched_sim", pc.struct_field(chunk.flatten(), "matched_sim"))
    for _, _, table in corpus.batches("images", ["width", "height", "nsfw"]):
        add("nsfw", table["nsfw"])
        add("short_side", pc.min_element_wise(table["width"], table["height"]))
        width, height = (pc.cast(table[name], pa.float64()) for name in ("width", "height"))
        add("aspect_ratio", pc.divide(width, height))
    for _, _, table in corpus.batches("rejected", ["kind", "rule", "score"]):
        for (kind, rule), name in _SCORED.items():
            mask = pc.and_(pc.equal(table["kind"], kind), pc.equal(table["rule"], rule))
            add(f"!{name}", table["score"].filter(mask))
    names = ("images", "sentences", "matched_sim", "nsfw", "short_side", "aspect_ratio")
    return {
        name: np.concatenate(parts[name]) if parts[name] else np.empty(0)
        for name in [*names, *(f"!{name}" for name in names)]
    }


def rule_options(config: Any, name: str) -> dict[str, Any]:
    """The options of a rule wherever a resolved config lists it; empty if it does not."""
    if isinstance(config, dict):
        if isinstance(config.get(name), dict):
            return dict(config[name])
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            if isinstance(part, dict | list) and (found := rule_options(part, name)):
                return found
    return {}


WIDTH, HEIGHT = 320, 150  # of a histogram, in units of its SVG
_LEFT, _RIGHT, _TOP, _BASE = 8, 312, 30, 126
_BINS = 24


@dataclass(frozen=True)
class _Axis:
    """Attributes:
    edges: of the bins, rising.
    ticks: values with their labels.
    whole: each bin is one whole number.
    """

    edges: np.ndarray
    ticks: tuple[tuple[float, str], ...]
    whole: bool = False

    def x(self, value: float) -> float:
        low, high = self.edges[0], self.edges[-1]
        return round(_LEFT + (_RIGHT - _LEFT) * float((value - low) / (high - low)), 2)


def _histograms(values: Mapping[str, np.ndarray], config: dict[str, Any]) -> list[dict[str, Any]]:
    images = rule_options(
        [config.get("filter_documents"), config.get("filter_placed")], "image_count"
    )
    place = config.get("place_images") or {}
    sentence_count = rule_options(config, "sentence_count")
    nsfw = (config.get("heads") or {}).get("nsfw") or {}
    short, long, aspect = (
        rule_options(config.get("filter_images"), name)
        for name in ("short_side", "long_side", "aspect_ratio")
    )
    floors = {"min_similarity": place.get("min_similarity"),
              "min_max_similarity": place.get("min_max_similarity")}  # fmt: skip
    if floors["min_similarity"] == floors["min_max_similarity"]:
        floors = {"min_similarity": floors["min_similarity"]}

    def both(name: str) -> np.ndarray:
        return np.concatenate([values[name], values[f"!{name}"]])

    unit = _even(0.0, 1.0)
    least = min(0.0, float(values["matched_sim"].min(initial=0.0)))
    ratios = tuple((math.log2(r), _ratio(r)) for r in (0.25, 0.5, 1, 2, 4))
    logs = {name: np.log2(np.clip(values[name], 2**-2.5, 2**2.5))
            for name in ("aspect_ratio", "!aspect_ratio")}  # fmt: skip
    shorter = {"min": short.get("min_pixels"), "max": long.get("max_pixels")}
    draw = _histogram
    return [
        draw("Images a document", values["images"], values["!images"], _counts(both("images")),
             {"min": images.get("min_images"), "max": images.get("max_images")}),
        draw("Sentences a document", values["sentences"], values["!sentences"],
             _counts(both("sentences")), {"min": sentence_count.get("min_sentences"),
                                          "max": sentence_count.get("max_sentences")}),
        draw("Similarity of image and sentence", values["matched_sim"], values["!matched_sim"],
             _even(math.floor(least * 5) / 5, 1.0), floors),
        draw("Probability of being unsafe", values["nsfw"], values["!nsfw"], unit,
             {"max": nsfw.get("max_score")}),
        draw("Shorter side of images, pixels", values["short_side"], values["!short_side"],
             _counts(both("short_side")), shorter),
        draw("Width to height of images", logs["aspect_ratio"], logs["!aspect_ratio"],
             _Axis(np.linspace(-2.5, 2.5, 31), ratios),
             {_ratio(aspect[key]): math.log2(aspect[key])
              for key in ("min_ratio", "max_ratio") if aspect.get(key)}, named=True),
    ]  # fmt: skip


def _ratio(value: float) -> str:
    return f"{value:g}:1" if value >= 1 else f"1:{1 / value:g}"


def _even(low: float, high: float) -> _Axis:
    bins = max(1, round((high - low) * 25))
    ticks = np.linspace(low, high, round((high - low) * 5) + 1)
    return _Axis(np.linspace(low, high, bins + 1), tuple((t, f"{t:.1f}") for t in ticks.tolist()))


def _counts(values: np.ndarray) -> _Axis:
    """Of whole numbers: a bin each if they are few; the last percent is drawn in the last bin."""
    if not values.size:
        return _Axis(np.array([-0.5, 0.5]), ((0.0, "0"),))
    low, high = float(values.min()), float(values.max())
    if high - low > 2 * _BINS:
        low, high = 0.0, max(float(np.quantile(values, 0.99)), 1.0)
    step = _round_step((high - low) / 5)
    first = math.ceil(low / step) * step
    ticks = tuple((t, f"{t:,.0f}") for t in np.arange(first, high + 0.01, step).tolist())
    if high - low <= 2 * _BINS:
        return _Axis(np.arange(low - 0.5, high + 1), ticks, whole=True)
    width = _round_step((high - low) / _BINS)
    return _Axis(np.arange(low, high + 1.01 * width, width), ticks)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 ... that is not below `least`."""
    power = 10 ** math.floor(math.log10(max(least, 1)))
    return float(next(power * n for n in (1, 2, 5, 10) if power * n >= max(least, 1)))


def _histogram(
    title: str,
    kept: np.ndarray,
    rejected: np.ndarray,
    axis: _Axis,
    thresholds: Mapping[str, Any],
    named: bool = False,
) -> dict[str, Any]:
    """Geometry of a histogram.

    Args:
      named: the thresholds' names say their values.
    """
    # The last bin takes what lies beyond it, so that no element is missing.
    low, high = axis.edges[0], np.nextafter(axis.edges[-1], -np.inf)
    below, above = (
        np.histogram(np.clip(some, low, high), bins=axis.edges)[0].tolist()
        for some in (kept, rejected)
    )
    top = max((a + b for a, b in zip(below, above, strict=True)), default=0) or 1

    def height(count: int) -> float:
        # What is not empty is seen.
        return round(max(1.5, (_BASE - _TOP) * count / top), 2) if count else 0.0

    bars: list[dict[str, Any]] = []
    for i, (a, b) in enumerate(zip(below, above, strict=True)):
        if not a + b:
            continue
        left, right = axis.x(axis.edges[i]), axis.x(axis.edges[i + 1])
        gap = min(2.0, (right - left) * 0.15)
        bars.append(
            {
                "x": round(left + gap / 2, 2),
                "width": round(right - left - gap, 2),
                "middle": round((left + right) / 2, 2),
                "count": a + b,
                "kept": height(a),
                "rejected": height(b),
                "label": "",
                "about": f"{a:,} kept" + (f", {b:,} rejected" if b else ""),
            }
        )
    labelled: list[float] = []
    for bar in sorted(bars, key=lambda bar: -bar["count"]) if len(bars) <= 10 else ():
        if all(abs(bar["middle"] - x) >= 20 for x in labelled):
            bar["label"] = f"{bar['count']:,}"
            labelled.append(bar["middle"])
    lines, beyond = [], []
    for name, value in thresholds.items():
        if value is None:
            continue
        text = name if named else f"{name} {value:,g}"
        if not low <= value <= axis.edges[-1]:
            beyond.append(text)
            continue
        # Between whole numbers, a bound is drawn at the edge of what it still allows.
        whole = 0.5 if axis.whole else 0.0
        x = axis.x(value + (whole if name.startswith("max") else -whole))
        anchor = "start" if x < 60 else "end" if x > WIDTH - 60 else "middle"
        lines.append({"x": x, "text": text, "anchor": anchor})
    median = "" if not kept.size else f"median {_short(float(np.median(kept)), named)}"
    return {
        "title": title,
        "count": int(kept.size),
        "rejected": int(rejected.size),
        "bars": bars,
        "ticks": [(axis.x(value), label) for value, label in axis.ticks],
        "lines": lines,
        "beyond": beyond,
        "median": median,
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": _RIGHT,
        "top": _TOP,
        "base": _BASE,
    }


def _short(value: float, ratio: bool) -> str:
    if ratio:
        return f"{2**value:.2f}"
    if 0 < value < 0.005:
        return "below 0.005"
    return f"{value:,.0f}" if value == int(value) else f"{value:.2f}"
