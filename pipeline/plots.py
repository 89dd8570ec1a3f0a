"""Distributions of corpora as geometry for inline SVG, with the thresholds of their configs.

The bars are drawn by the page's own template. A plotting library would put a megabyte or more of
script into the page (Vega-Lite's also needs a policy that lets strings be run as code), or pictures
that follow neither the page's width nor its dark mode.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Corpus

# Rules whose scores are drawn with those of what was kept.
_SCORED = {
    ("document", "image_count"): "images",
    ("document", "sentence_count"): "sentences",
    ("image", "nsfw"): "nsfw",
    ("image", "short_side"): "short_side",
    ("image", "aspect_ratio"): "aspect_ratio",
}


def values_of(corpus: Corpus) -> dict[str, np.ndarray]:
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


def histograms(
    corpora: Sequence[Mapping[str, np.ndarray]], configs: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What to draw of one corpus or several, those of a kind on one axis.

    Args:
      corpora: `values_of` each.
      configs: of each, as its manifest has it.

    Returns:
      for each distribution its ``title`` and a plot for each corpus.
    """

    def values(name: str) -> np.ndarray:
        return np.concatenate([some[key] for some in corpora for key in (name, f"!{name}")])

    def counts(name: str) -> _Axis:
        return _counts(values(name))

    least = min(0.0, float(values("matched_sim").min(initial=0.0)))
    ratios = tuple((math.log2(r), _ratio(r)) for r in (0.25, 0.5, 1, 2, 4))
    ratio_axis = _Axis(np.linspace(-2.5, 2.5, 31), ratios)
    thresholds = [_thresholds(config) for config in configs]
    drawn = []
    for name, title, axis in (
        ("images", "Images a document", counts("images")),
        ("sentences", "Sentences a document", counts("sentences")),
        ("matched_sim", "Similarity of image and sentence",
         _even(math.floor(least * 5) / 5, 1.0)),
        ("nsfw", "Probability of being unsafe", _even(0.0, 1.0)),
        ("short_side", "Shorter side of images, pixels", counts("short_side")),
        ("aspect_ratio", "Width to height of images", ratio_axis),
    ):  # fmt: skip
        named = axis is ratio_axis
        scale: Callable[[np.ndarray], np.ndarray] = _log_ratio if named else np.asarray
        plots = [
            _histogram(scale(some[name]), scale(some[f"!{name}"]), axis, bounds[name], named)
            for some, bounds in zip(corpora, thresholds, strict=True)
        ]
        drawn.append({"title": title, "plots": plots})
    return drawn


def _thresholds(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The bounds that a config sets, by the name of what they bound."""
    images = rule_options(
        [config.get("filter_documents"), config.get("filter_placed")], "image_count"
    )
    place = config.get("place_images") or {}
    sentences = rule_options(config, "sentence_count")
    nsfw = (config.get("heads") or {}).get("nsfw") or {}
    short, long, aspect = (
        rule_options(config.get("filter_images"), name)
        for name in ("short_side", "long_side", "aspect_ratio")
    )
    floors = {name: place.get(name) for name in ("min_similarity", "min_max_similarity")}
    if floors["min_similarity"] == floors["min_max_similarity"]:
        floors = {"min_similarity": floors["min_similarity"]}
    return {
        "images": {"min": images.get("min_images"), "max": images.get("max_images")},
        "sentences": {"min": sentences.get("min_sentences"), "max": sentences.get("max_sentences")},
        "matched_sim": floors,
        "nsfw": {"max": nsfw.get("max_score")},
        "short_side": {"min": short.get("min_pixels"), "max": long.get("max_pixels")},
        "aspect_ratio": {_ratio(aspect[key]): math.log2(aspect[key])
                         for key in ("min_ratio", "max_ratio") if aspect.get(key)},
    }  # fmt: skip


def _log_ratio(ratios: np.ndarray) -> np.ndarray:
    return np.log2(np.clip(ratios, 2**-2.5, 2**2.5))


TOP = 8  # bars of a ranking


def rankings(corpora: Sequence[Corpus]) -> list[dict[str, Any]]:
    """The most frequent languages and hosts of documents, with the counts of each corpus."""
    counted: dict[str, list[Counter[str]]] = {"Languages": [], "Hosts": []}
    for corpus in corpora:
        for counts in counted.values():
            counts.append(Counter())
        for _, _, table in corpus.batches("documents", ["language", "url"]):
            hosts = pc.utf8_lower(pc.struct_field(pc.extract_regex(table["url"], _HOST), "host"))
            for title, column in (("Languages", table["language"]), ("Hosts", hosts)):
                for value in pc.value_counts(column.combine_chunks()).to_pylist():
                    counted[title][-1][value["values"] or "unknown"] += value["counts"]
    drawn = []
    for title, counters in counted.items():
        total = sum(counters, Counter())
        top = sorted(total, key=lambda name: (-total[name], name))[:TOP]
        most = max((counts[name] for counts in counters for name in top), default=1)
        rows = [
            {"name": name, "counts": [(c[name], round(100 * c[name] / most, 2)) for c in counters]}
            for name in top
        ]
        drawn.append({"title": title, "rows": rows, "others": len(total) - len(top)})
    return drawn


def host_of(url: str) -> str:
    found = re.match(_HOST, url)
    return found["host"].lower() if found else ""


_HOST = r"^(?i:[a-z][a-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>[^/:?#]+)"


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
    kept: np.ndarray,
    rejected: np.ndarray,
    axis: _Axis,
    thresholds: Mapping[str, Any],
    named: bool,
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
