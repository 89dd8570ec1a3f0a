"""What another placement would do to the documents of a corpus, by the similarities they keep."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from filters.base import Objection, On
from pipeline.config import Config
from pipeline.corpus import Corpus
from schemas.corpus import DOCUMENTS, document_of
from schemas.document import Sentence
from schemas.outcome import Kind
from stages.place_images import STAGE, Reason, place_by
from stages.placement import Method

_TOLD = {"method", "surplus", "min_similarity", "min_max_similarity"}
# Their prior is on the scale of the model, and was made of images that have left since.
_SCALED = (Method.HYBRID, Method.ORDERED)


@dataclass
class PlacedAnew:
    """Attributes:
    now, then: images that have a sentence.
    moved: images that have one now and then, another one.
    left: for each document the places in its `image_info` of the images that would leave it.
    lost: documents that would be rejected, by rule.
    may_come: images that left for a similarity that would be enough.
    back: documents that may come back, by the rule that rejected them: those whose images left so,
      and all that a rule on placed documents rejected, whose similarities are gone.
    """

    now: int = 0
    then: int = 0
    moved: int = 0
    left: dict[str, set[int]] = field(default_factory=dict)
    lost: dict[str, set[str]] = field(default_factory=dict)
    may_come: int = 0
    back: Counter[str] = field(default_factory=Counter)

    @property
    def leaving(self) -> int:
        return sum(map(len, self.left.values()))

    @property
    def lost_by_rule(self) -> Counter[str]:
        return Counter({rule: len(documents) for rule, documents in self.lost.items()})


def is_told(before: Config, after: Config) -> bool:
    """True if the placement differs in ways that the stored similarities answer."""
    old, new = before.place_images, after.place_images
    if old is None or new is None:
        return False
    differ = {f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name)}
    known = old.method is not Method.DOM and new.method not in (Method.DOM, *_SCALED)
    return bool(differ) and differ <= _TOLD and known


def placed_anew(corpus: Corpus, after: Config) -> PlacedAnew:
    """Places the images of all documents by their similarities, and asks the rules on placed
    documents. Documents without similarities stay as they are."""
    assert after.place_images
    found = PlacedAnew()
    rules = [rule for rule in after.filter_placed if rule.on is On.PLACED]
    for _, _, table in corpus.batches("documents", DOCUMENTS.names):
        for row in table.to_pylist():
            if not row["similarity_matrix"]:
                continue
            sentences = tuple(map(Sentence, row["text_list"], row["text_node_index"]))
            placed, pruned = place_by(
                document_of(row),
                sentences,
                np.array(row["similarity_matrix"], np.float32),
                after.place_images,
            )
            gone = {int(rejection.element_id.rpartition("#")[2]) for rejection in pruned}
            infos = row["image_info"]
            if gone:
                found.left[row["doc_id"]] = {
                    n for n, info in enumerate(infos) if info["node_index"] in gone
                }
            matched = [info["matched_text_index"] for info in infos]
            found.now += sum(text is not None for text in matched)
            if isinstance(placed, Objection):
                found.lost.setdefault(STAGE, set()).add(row["doc_id"])
                continue
            stay = [text for text, info in zip(matched, infos, strict=True)
                    if info["node_index"] not in gone]  # fmt: skip
            _count(found, stay, [p.matched_text_index for p in placed.placements])
            for rule in rules:
                if rule.judge(rule.score(placed)) is not None:
                    found.lost.setdefault(f"filter_placed.{rule.name}", set()).add(row["doc_id"])
                    break
    _count_rejected(corpus, found, after.place_images.min_max_similarity)
    return found


def _count(found: PlacedAnew, before: Sequence[int | None], after: Sequence[int | None]) -> None:
    found.then += sum(text is not None for text in after)
    found.moved += sum(
        None not in (old, new) and old != new for old, new in zip(before, after, strict=True)
    )


def _count_rejected(corpus: Corpus, found: PlacedAnew, least: float | None) -> None:
    bare, near = set(), set()
    columns = ("stage", "kind", "rule", "reason", "doc_id", "score")
    for _, _, table in corpus.batches("rejected", columns):
        for row in table.to_pylist():
            if row["stage"] == STAGE and row["kind"] == Kind.NODE:
                if least is None or row["score"] >= least:
                    found.may_come += 1
                    near.add(row["doc_id"])
            elif row["stage"] == STAGE and row["reason"] == Reason.NO_IMAGE:
                bare.add(row["doc_id"])
            elif row["stage"] == "filter_placed":
                found.back[f"filter_placed.{row['rule']}"] += 1
    if both := bare & near:
        found.back[STAGE] = len(both)
