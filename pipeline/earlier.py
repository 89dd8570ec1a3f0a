"""Finished corpora that a run is deduplicated against."""

import os
from typing import Any

from pipeline.config import resolved
from pipeline.corpus import join, open_corpus
from pipeline.errors import UserError
from stages.dedup.config import DedupConfig

# The settings that a signature is made with; each counts only where this run uses it.
PARTS = ("url", "text", "minhash")
NOT_IN_SIGNATURES = ("threshold",)


def earlier_signatures(config: DedupConfig) -> dict[str, str]:
    """The files of signatures of the corpora in `config.against`, each with its SHA-256.

    Raises:
      UserError: one of them is no finished corpus, keeps no signatures, or was made with other
        settings.
    """
    found: dict[str, str] = {}
    for folder in config.against:
        corpus = open_corpus(folder if "://" in folder else os.path.abspath(folder))
        files = corpus.files("signatures")
        if not files:
            raise UserError(
                f"deduplicate.against: {folder} keeps no signatures; run it again with "
                "write.signatures: true, or leave it out"
            )
        made = corpus.manifest["config"].get("deduplicate")
        if not made:
            raise UserError(f"deduplicate.against: {folder} was made without deduplication")
        for key, ours, theirs in _differences(config, made):
            raise UserError(
                f"deduplicate.against: {folder} was made with deduplicate.{key} = {theirs}, here "
                f"it is {ours}, so signatures do not compare; use {theirs}, or run that corpus "
                f"again with {ours}"
            )
        found |= {join(corpus.path, file["path"]): file["sha256"] for file in files}
    return found


def _differences(config: DedupConfig, theirs: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    ours = resolved(config)
    found = []
    for part in PARTS:
        mine, other = ours[part], theirs.get(part)
        if not isinstance(mine, dict) or not isinstance(other, dict):
            if mine and mine != other:
                found.append((part, mine, other))
            continue
        for key in mine:
            if key not in NOT_IN_SIGNATURES and mine[key] != other.get(key):
                found.append((f"{part}.{key}", mine[key], other.get(key)))
    return found
