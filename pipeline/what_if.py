"""What other thresholds would keep, told from the rows of a finished corpus.

Every rule measures first and judges after, so its stored score can be judged again. Told are the
documents and images that are in the corpus and that the new threshold would drop, and the rejected
ones that it would let pass. The latter are a bound, not a promise: the first rule that objects
ends the questions, so what stands behind it has not been asked of them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow.compute as pc
from rich.console import Console

from filters.base import On, Rule, Score
from pipeline.config import RULES_IN, Config, Rules, build_config, resolved
from pipeline.corpus import Corpus
from pipeline.diff import config_changes
from pipeline.errors import UserError
from pipeline.terminal import Column, print_table
from schemas.image import NSFW, ImageRecord, ImageScore
from schemas.outcome import Kind

if TYPE_CHECKING:
    from pipeline.placed_anew import PlacedAnew

# The stage of each list of rules whose rejected rows hold a score that can be judged again.
STAGES = {
    "filter_pages": "filter_pages",
    "filter_text.documents": "filter_text",
    "filter_references": "filter_references",
    "filter_images.decoded": "filter_images",
    "filter_images.scored": "filter_scored_images",
    "filter_documents": "filter_documents",
    "filter_placed": "filter_placed",
    "heads": "embed_images",
}
# The lists whose scores a document carries as its signals, in the order in which they are asked.
SIGNALS = ("filter_text.documents", "filter_documents", "filter_placed")
IMAGES = ("filter_images.decoded", "filter_images.scored", "heads")
# The keys of a head that change no score.
JUDGING = {"max_score", "policy", "timeout"}

IMAGE_COLUMNS = ("image_id", "url", "format", "width", "height", "frames", "phash", "documents",
                 "nsfw", "scores", "source", "status", "opt_out", "bytes")  # fmt: skip


class _Over(StrEnum):
    UNWANTED = "unwanted"


@dataclass(frozen=True)
class HeadRule:
    """A head's threshold as a rule on images."""

    on: ClassVar[On] = On.IMAGE

    name: str
    max_score: float
    policy: str

    def score(self, element: ImageRecord) -> Score:
        """The stored score; not a number where the head gave none."""
        scores = {score.rule: score.score for score in element.scores}
        found = element.nsfw if self.name == NSFW else scores.get(self.name)
        return Score(math.nan if found is None else found)

    def judge(self, score: Score) -> StrEnum | None:
        # Not "greater than": what was not scored is not safe.
        kept = self.policy == "flag" or score.value <= self.max_score
        return None if kept else _Over.UNWANTED


@dataclass(frozen=True)
class Change:
    """A rule that would judge otherwise.

    Attributes:
      place: the list that it stands in, e.g. ``filter_documents``.
      position: in the list, of the rule as it was.
      before, after: the rule as it was and as it would be; None if it would not be asked.
    """

    place: str
    position: int
    before: Rule | HeadRule
    after: Rule | HeadRule | None

    @property
    def key(self) -> str:
        return f"{self.place}.{self.before.name}"

    @property
    def measures_alike(self) -> bool:
        """True if the fields that differ only judge, so that a stored score still stands."""
        if self.after is None:
            return True
        differ = {f.name for f in fields(self.before)  # type: ignore[arg-type]
                  if getattr(self.before, f.name) != getattr(self.after, f.name)}  # fmt: skip
        return not differ & _names_used(type(self.before), "score")

    def rejects(self, score: float, detail: str = "") -> bool:
        return self.after is not None and self.after.judge(Score(score, detail)) is not None


def _names_used(cls: type, method: str) -> set[str]:
    """Names of the attributes that a method reads, also by way of other methods of its class."""
    found: set[str] = set()
    waiting = [method]
    while waiting:
        member = vars(cls).get(waiting.pop())
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        if isinstance(function, FunctionType):
            new = set(function.__code__.co_names) - found
            found |= new
            waiting += new
    return found


def what_if(corpus: Corpus, sets: Sequence[str]) -> dict[str, Any]:
    """Judges the stored scores of a corpus again.

    Args:
      sets: ``section.key=value`` each, as in `weft run`.

    Returns:
      ``documents`` and ``images``: how many there are ``now``, how many would ``go`` (an image
      goes with the last document that shows it) and how many rejected ones ``may_come`` back;
      of documents that stay, how many ``lose_all_images``.
      ``placement``: where another placement is told, how many images have a sentence ``now`` and
      ``then``, and how many are ``moved`` to another one.
      ``rules``: the same for each changed rule on its own.
      ``rerun``: changed keys of which the rows say nothing.

    Raises:
      UserError: an assignment is wrong, or nothing would change.
    """
    settings = corpus.manifest["config"]
    before = build_config(settings, f"{corpus.path}: config")
    after = build_config(settings, f"{corpus.path}: config", sets)
    changed = [change["key"] for change in config_changes(resolved(before), resolved(after))]
    if not changed:
        raise UserError("what-if: nothing would change; give --set KEY=VALUE")
    changes = list(_changes(before, after))
    told = {f"{change.place}.{change.before.name}" for change in changes if _is_told(change)}
    anew = _placed_anew(corpus, before, after, changed)
    if anew:
        told.add("place_images")
    result: dict[str, Any] = {
        "documents": {"now": corpus.rows("documents"), "go": 0, "may_come": 0},
        "images": {"now": corpus.rows("images"), "go": 0, "may_come": 0},
        "rules": [],
        "rerun": [key for key in changed if not any(key.startswith(rule) for rule in told)],
    }
    changes = [change for change in changes if change.key in told]
    go: Counter[str] = Counter()
    lost = _documents_that_go(corpus, before, changes, go)
    dropped, doom = _images_that_go(corpus, changes, go)
    left: Mapping[str, set[int]] = {}
    if anew:
        left = anew.left
        lost = lost.union(*anew.lost.values())
        result["placement"] = {"now": anew.now, "then": anew.then, "moved": anew.moved}
        result["rules"] = list(_rules_of(anew))
        result["images"]["may_come"] += anew.may_come
        result["documents"]["may_come"] += anew.back.total()
    bare, shown = _shown(corpus, lost, dropped, doom, left)
    come = _may_come(corpus, changes)
    result["documents"] |= {"go": len(lost), "lose_all_images": bare}
    result["images"]["go"] = result["images"]["now"] - shown
    for change in changes:
        kind = "images" if change.before.on in (On.IMAGE, On.REFERENCE) else "documents"
        result[kind]["may_come"] += come[change.key]
        result["rules"].append(
            {"rule": change.key, "of": kind, "go": go[change.key], "may_come": come[change.key]}
        )
    return result


def _placed_anew(
    corpus: Corpus, before: Config, after: Config, changed: Sequence[str]
) -> "PlacedAnew | None":
    """What another placement does, if the rows tell."""
    if not any(key.startswith("place_images.") for key in changed):
        return None
    # It imports Beam and scipy, which takes seconds.
    from pipeline.placed_anew import is_told, placed_anew

    return placed_anew(corpus, after) if is_told(before, after) else None


def _rules_of(anew: "PlacedAnew") -> Iterator[dict[str, Any]]:
    yield {"rule": "place_images", "of": "images", "go": anew.leaving, "may_come": anew.may_come}
    lost, back = anew.lost_by_rule, anew.back
    for rule in {**lost, **back}:
        yield {"rule": rule, "of": "documents", "go": lost[rule], "may_come": back[rule]}


def _changes(before: Config, after: Config) -> Iterator[Change]:
    for place in RULES_IN:
        old, new = _rules_at(before, place), _rules_at(after, place)
        for position, rule in enumerate(old):
            same = [other for other in new if type(other) is type(rule)]
            nth = [type(other) for other in old[:position]].count(type(rule))
            other = same[nth] if nth < len(same) else None
            if other != rule:
                yield Change(place, position, rule, other)
    yield from _head_changes(before, after)


def _head_changes(before: Config, after: Config) -> Iterator[Change]:
    """Heads that would judge otherwise; not those that would score otherwise."""
    for name, old in before.heads.items():
        new = after.heads.get(name)
        differ = {
            f.name for f in fields(old) if new and getattr(old, f.name) != getattr(new, f.name)
        }
        if new is None or (differ and differ <= JUDGING):
            rules = [HeadRule(name, head.max_score, head.policy) if head else None
                     for head in (old, new)]  # fmt: skip
            assert rules[0]
            yield Change("heads", 0, rules[0], rules[1])


def _rules_at(config: Config, place: str) -> Rules:
    value: Any = config
    for name in place.split("."):
        value = getattr(value, name)
    return tuple(value)


def _is_told(change: Change) -> bool:
    """True if the rows of the corpus hold what the change asks for."""
    return change.place in IMAGES or (change.place in (*SIGNALS, *STAGES) and change.measures_alike)


def _documents_that_go(
    corpus: Corpus, before: Config, changes: Sequence[Change], go: Counter[str]
) -> set[str]:
    """Ids of documents whose signals a changed rule objects to; counted by rule in `go`."""
    positions = {change: _position(before, change) for change in changes
                 if change.place in SIGNALS}  # fmt: skip
    lost: set[str] = set()
    if not positions:
        return lost
    for _, _, table in corpus.batches("documents", ("doc_id", "signals")):
        for row in table.to_pylist():
            for change, nth in positions.items():
                scores = [s["score"] for s in row["signals"] if s["rule"] == change.before.name]
                if nth < len(scores) and change.rejects(scores[nth]):
                    go[change.key] += 1
                    lost.add(row["doc_id"])
    return lost


def _position(config: Config, change: Change) -> int:
    """Of the signals of a rule's name, which one is its own."""
    asked: list[tuple[str, Any]] = [
        (place, rule)
        for place in SIGNALS
        # Rules on the whole document are asked before those on its text.
        for on in RULES_IN[place][::-1]
        for rule in _rules_at(config, place)
        if rule.on is on
    ]
    mine = asked.index((change.place, change.before))
    return [rule.name for _, rule in asked[:mine]].count(change.before.name)


def _images_that_go(
    corpus: Corpus, changes: Sequence[Change], go: Counter[str]
) -> tuple[set[str], set[str]]:
    """Ids of images that a changed rule objects to, and of those among them that take their
    documents with them; the images are measured again from their rows."""
    asked = [change for change in changes if change.place in IMAGES and change.after]
    dropped: set[str] = set()
    doom: set[str] = set()
    if not asked:
        return dropped, doom
    for _, _, table in corpus.batches("images", IMAGE_COLUMNS):
        sizes = pc.fill_null(pc.binary_length(table["bytes"]), 0).to_pylist()
        for row, n_bytes in zip(table.drop_columns(["bytes"]).to_pylist(), sizes, strict=True):
            record = _record(row, n_bytes)
            for change in asked:
                assert change.after
                if change.after.judge(change.after.score(record)) is not None:
                    go[change.key] += 1
                    dropped.add(record.image_id)
                    if getattr(change.after, "policy", "") == "drop_document":
                        doom.add(record.image_id)
    return dropped, doom


def _record(row: Mapping[str, Any], n_bytes: int) -> ImageRecord:
    scores = tuple(ImageScore(s["rule"], s["score"]) for s in row["scores"] or ())
    same = {key: row[key] for key in ("image_id", "url", "format", "width", "height", "frames",
                                      "phash", "nsfw", "source", "status", "opt_out")}  # fmt: skip
    return ImageRecord(
        **same, n_bytes=n_bytes, same_bytes_documents=row["documents"], scores=scores
    )


def _shown(
    corpus: Corpus,
    lost: set[str],
    dropped: set[str],
    doom: set[str],
    left: Mapping[str, set[int]],
) -> tuple[int, int]:
    """Of the documents that stay, how many lose all their images; and the images they show.
    Documents that show an image of `doom` are added to `lost`; `left` are places of images that
    leave a document."""
    bare, shown = 0, set()
    columns = ("doc_id", "image_info.list.element.image_id")
    for _, _, table in corpus.batches("documents", columns):
        for row in table.to_pylist():
            gone = left.get(row["doc_id"], ())
            infos = [info for n, info in enumerate(row["image_info"]) if n not in gone]
            images = {info["image_id"] for info in infos} - {None}
            if images & doom:
                lost.add(row["doc_id"])
            if row["doc_id"] not in lost:
                shown |= images - dropped
                bare += bool(images) and images <= dropped
    return bare, len(shown)


def _may_come(corpus: Corpus, changes: Sequence[Change]) -> Counter[str]:
    """Rejected elements that the changed rules would let pass."""
    asked = {(STAGES[c.place], c.before.name): c for c in changes if c.measures_alike}
    come: Counter[str] = Counter()
    if not asked:
        return come
    columns = ("stage", "rule", "kind", "score", "detail")
    for _, _, table in corpus.batches("rejected", columns):
        for row in table.to_pylist():
            change = asked.get((row["stage"], row["rule"]))
            if change is None or row["kind"] == Kind.NODE:
                continue
            # A rule that found nothing to measure left the score out.
            score = math.nan if row["score"] is None else row["score"]
            if not change.rejects(score, row["detail"] or ""):
                come[change.key] += 1
    return come


def print_what_if(console: Console, found: Mapping[str, Any]) -> None:
    columns = [Column("rule", style="bold"), Column("of", style="dim"),
               Column("would go", right=True), Column("may come back", right=True)]  # fmt: skip
    rows = [(r["rule"], r["of"], f"{r['go']:,}", f"{r['may_come']:,}") for r in found["rules"]]
    if rows:
        print_table(console, columns, rows)
    for kind in ("documents", "images"):
        part = found[kind]
        low = part["now"] - part["go"]
        high = low + part["may_come"]
        bound = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        console.print(f"{kind}: {part['now']:,} now, {bound} then")
    if placement := found.get("placement"):
        console.print(
            f"images with a sentence: {placement['now']:,} now, {placement['then']:,} then, "
            f"{placement['moved']:,} of them another one"
        )
    if found["documents"].get("lose_all_images"):
        n = found["documents"]["lose_all_images"]
        console.print(f"  {n:,} documents would be left without an image")
    if any(rule["may_come"] for rule in found["rules"]):
        console.print(
            "What may come back has not been asked what stands behind the rule that rejected it.",
            style="dim",
        )
    for key in found["rerun"]:
        console.print(f"{key}: the rows do not say; run again to know", style="yellow")
