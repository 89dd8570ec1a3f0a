"""What a config does, computed from its settings alone: ``weft explain``."""

from typing import Any

import numpy as np
from rich.console import Console
from scipy.stats import binom

from pipeline.errors import UserError
from pipeline.terminal import Column, print_table
from stages.dedup.config import DedupConfig, MinHashConfig
from stages.dedup.minhash import probability

STEPS = 1000  # of the integrals


def verified(jaccard: float, config: MinHashConfig) -> float:
    """How likely two documents of a given similarity share a band and pass the threshold.

    Taken as independent, which they are nearly: a band is a small part of a signature.
    """
    found = probability(jaccard, config.bands, config.rows)
    if not config.threshold:
        return found
    # Values agree if they are equal, or in the one byte that is kept by chance.
    agree = jaccard + (1 - jaccard) / 256
    least = np.ceil((config.threshold * 255 / 256 + 1 / 256) * config.permutations - 1e-9)
    return float(found * binom.sf(least - 1, config.permutations, agree))


def explain_dedup(config: DedupConfig | None) -> dict[str, Any]:
    """What deduplication compares, and the probability that a pair is found.

    Returns:
      `minhash` with the `curve` (rows of jaccard, candidate, near_duplicate) at .1 to 1 and at the
      threshold; `half`, the similarity at which half of the pairs are candidates; `error_areas`,
      the integrals of the probability below, and of its complement above, the threshold, for
      candidates (`bands`) and for what is verified (`verified`).

    Raises:
      UserError: the config has no deduplication.
    """
    if not config:
        raise UserError("explain --dedup: the config has deduplicate: null")
    plan: dict[str, Any] = {
        "url": bool(config.url),
        "text": config.text,
        "benchmarks": len(config.benchmarks.texts),
        "paragraphs": config.paragraphs and config.paragraphs.min_count,
        "keep": f"highest {config.quality}" if config.quality else config.keep,
        "against": list(config.against),
        "minhash": config.minhash and _minhash(config.minhash),
    }
    return plan


def _minhash(config: MinHashConfig) -> dict[str, Any]:
    half = (1 - 0.5 ** (1 / config.bands)) ** (1 / config.rows)
    at = config.threshold or half
    points = sorted({*(i / 10 for i in range(1, 11)), 0.85, 0.95, at})
    similarities = np.linspace(0, 1, STEPS + 1)
    areas = {}
    for name, curve in (
        ("bands", [probability(j, config.bands, config.rows) for j in similarities]),
        ("verified", [verified(j, config) for j in similarities]),
    ):
        found, below = np.array(curve), similarities < at
        areas[name] = {
            "false_positives": float(np.trapezoid(np.where(below, found, 0), similarities)),
            "false_negatives": float(np.trapezoid(np.where(below, 0, 1 - found), similarities)),
        }
    return {
        "ngram": config.ngram,
        "permutations": config.permutations,
        "bands": config.bands,
        "rows": config.rows,
        "threshold": config.threshold,
        "half": half,
        "standard_error": (at * (1 - at) / config.permutations) ** 0.5,
        "curve": [
            {
                "jaccard": j,
                "candidate": probability(j, config.bands, config.rows),
                "near_duplicate": verified(j, config),
            }
            for j in points
        ],
        "error_areas": areas,
    }


def print_dedup(found: dict[str, Any], console: Console) -> None:
    """Prints what `explain_dedup` found."""
    for key in ("url", "text", "paragraphs", "benchmarks", "keep", "against"):
        value = found[key]
        console.print(f"{key}: {value if value not in (None, [], 0) else 'off'}")
    curve = found["minhash"]
    if not curve:
        console.print("minhash: off")
        return
    console.print(
        f"minhash: {curve['ngram']}-grams, {curve['permutations']} permutations, "
        f"{curve['bands']} bands of {curve['rows']} rows; half of the pairs of similarity "
        f"{curve['half']:.3f} share a band"
    )
    if curve["threshold"]:
        console.print(
            f"threshold: {curve['threshold']} of the whole signatures, standard error "
            f"{curve['standard_error']:.3f}"
        )
    rows = [
        (f"{p['jaccard']:.2f}", f"{p['candidate']:.4f}", f"{p['near_duplicate']:.4f}")
        for p in curve["curve"]
    ]
    names = ("similarity", "share a band", "near-duplicate")
    print_table(console, [Column(name, right=True) for name in names], rows)
    for name, areas in curve["error_areas"].items():
        console.print(
            f"{name}: area of false positives {areas['false_positives']:.4f}, "
            f"of false negatives {areas['false_negatives']:.4f}"
        )
