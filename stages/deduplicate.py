"""Stage 5: finds documents, and paragraphs of a site, that say again what another one says.

In: Document, read from disk.
Out: decisions about them by id; no document, and no text, crosses a shuffle.

    fingerprint -> batches -> buckets (URL, text, band) -> links of neighbours in a bucket
    -> joined with what they link, near ones verified -> edges -> connected components -> removals,
    joined with the inputs by id -> paragraphs of the documents that stay, counted by site
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.arrow import from_row
from schemas.dedup import Cluster, ParagraphRemoval, Removal, Sameness, Signature
from schemas.document import Document
from schemas.outcome import Failure, Kind, Rejection
from stages.dedup import batches
from stages.dedup.batches import Columns, Packed, Part
from stages.dedup.benchmarks import Benchmarks
from stages.dedup.config import DedupConfig, ParagraphConfig
from stages.dedup.connect import Connect
from stages.dedup.fingerprint import Fingerprint, fingerprint
from stages.dedup.urls import site_of
from stages.doors import REJECTED, at_bundle_end, count_doors, guard
from stages.files import open_parquet

STAGE = "deduplicate"
PARAGRAPH_RULE = "repeated_paragraph"
BUCKETS, WHO, LINKS, SURVIVORS = "buckets", "who", "links", "survivors"
PLACES, SURVIVING_PLACES = "places", "surviving_places"
DOCUMENTS_A_BATCH, PARAGRAPHS_A_BATCH = 8192, 1 << 19


class Reason(StrEnum):
    DUPLICATE = "duplicate"
    REPEATED = "repeated"
    CONTAMINATED = "contaminated"


class Deduplicated(NamedTuple):
    """What leaves the stage.

    `rejected` has a row for each row of `removed` and `pruned` one for each of `paragraphs`: the
    former are for readers, the latter for the stages that follow. `signatures` are of all documents
    that could be read and hold no benchmark.
    """

    kept: PCollection[str]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    removed: PCollection[Removal]
    clusters: PCollection[Cluster]
    paragraphs: PCollection[ParagraphRemoval]
    pruned: PCollection[Rejection]
    signatures: PCollection[Signature]


@dataclass
class Deduplicate(beam.PTransform):
    """Removes copies of documents and then, from those that stay, repeated paragraphs.

    Every document leaves by one door: its id as kept, a rejection, or a failure (text that is not
    valid Unicode). One that holds a text of a benchmark is rejected first and a copy of nothing.
    Copies by URL, by text and by near-duplication make one graph, whose components are exact; so
    two documents may share a cluster through a third. Nothing depends on the order of the input or
    on the number of workers.

    Limits: in a bucket of k members k - 1 pairs are compared, neighbours in the order of their
    signatures (`stages.dedup.batches.neighbours`). A near-duplicate pair that is beside each other
    in none of its buckets, nor joined by a chain of near-duplicates, is missed.

    Attributes:
      earlier: Parquet files of `corpus.SIGNATURES`, of corpora that are finished. What is a copy of
        one of their documents is removed for it.
    """

    config: DedupConfig = field(default_factory=DedupConfig)
    earlier: Sequence[str] = ()

    def expand(self, documents: PCollection[Document]) -> Deduplicated:
        out, unreadable = documents | "Fingerprint" >> _Fingerprint(self.config)
        contaminated, prints = out[REJECTED], out.kept
        packed = prints | "Pack" >> beam.ParDo(_Pack(self.config)).with_outputs(
            BUCKETS, WHO, PLACES, main="members"
        )
        packs = {BUCKETS: packed[BUCKETS], WHO: packed[WHO]}
        edges = packs | "Link" >> _Link(self.config, tuple(self.earlier))
        copies = edges | "Connect" >> Connect(self.config.components)
        held = contaminated | "Hold a benchmark" >> beam.Map(_holds)
        decided = {
            "members": packed.members,
            PLACES: packed[PLACES],
            "removals": copies.removed | "By id" >> beam.Map(_by_part),
        } | "Decide" >> _Decide()
        both = (contaminated, decided[REJECTED]) | "All rejected" >> beam.Flatten()
        doors = count_doors(_Outputs(kept=decided.kept, rejected=both), unreadable, STAGE)
        survivors = {name: decided[name] for name in (SURVIVORS, SURVIVING_PLACES)}
        paragraphs, pruned = survivors | "Paragraphs" >> _Paragraphs(self.config.paragraphs)
        return Deduplicated(
            doors.kept,
            doors.rejected,
            doors.failed,
            (held, copies.removed) | "All removed" >> beam.Flatten(),
            copies.clusters,
            paragraphs,
            pruned,
            prints | "Signatures" >> beam.Map(_signature),
        )


class _Outputs(dict):
    """Collections by tag, as a ParDo gives them."""

    __getattr__ = dict.__getitem__


@dataclass
class _Fingerprint(beam.PTransform):
    config: DedupConfig

    def expand(self, documents: PCollection[Document]) -> Any:
        return guard(documents, _FingerprintFn(self.config), STAGE)


class _FingerprintFn(beam.DoFn):
    def __init__(self, config: DedupConfig) -> None:
        self.config = config

    def setup(self):
        self._benchmarks = Benchmarks(self.config.benchmarks)

    def process(
        self, document: Document
    ) -> Iterable[Fingerprint | TaggedOutput[Literal["rejected"], Rejection]]:
        if match := self._benchmarks.match(document.text):
            yield _tagged(REJECTED, _contaminated(document, match.share, match.entry))
        else:
            yield fingerprint(document, self.config)


class _Pack(beam.DoFn):
    """Turns fingerprints into parts of batches; a bundle's end empties the last batch."""

    def __init__(self, config: DedupConfig) -> None:
        self._minhash = config.minhash

    def start_bundle(self):
        self._waiting: list[Fingerprint] = []
        self._paragraphs = 0

    def process(
        self, seen: Fingerprint
    ) -> Iterable[
        Part
        | TaggedOutput[Literal["buckets"], Part]
        | TaggedOutput[Literal["who"], Part]
        | TaggedOutput[Literal["places"], Part]
    ]:
        self._waiting.append(seen)
        self._paragraphs += len(seen.paragraphs)
        full = self._paragraphs >= PARAGRAPHS_A_BATCH
        if full or len(self._waiting) >= DOCUMENTS_A_BATCH:
            yield from self._empty()

    def finish_bundle(self) -> Iterable[Any]:
        if self._waiting:
            yield from at_bundle_end(self._empty())

    def _empty(self) -> Iterator[Any]:
        prints, self._waiting, self._paragraphs = self._waiting, [], 0
        signatures = [seen.signature for seen in prints]
        yield from batches.members(prints)
        for part in batches.places(prints):
            yield _tagged(PLACES, part)
        for part in batches.buckets(signatures, self._minhash):
            yield _tagged(BUCKETS, part)
        for part in batches.ends_and_sketches(signatures, self._minhash):
            yield _tagged(WHO, part)


class _ReadEarlier(beam.DoFn):
    """A file of signatures to parts."""

    def __init__(self, config: DedupConfig) -> None:
        self._config = config

    def process(
        self, path: str
    ) -> Iterable[TaggedOutput[Literal["buckets", "who", "links"], Part]]:
        config = self._config
        for batch in open_parquet(path).iter_batches(DOCUMENTS_A_BATCH):
            rows = [from_row(Signature, row) for row in batch.to_pylist()]
            rows = [_asked_for(row, config) for row in rows]
            for part in batches.buckets(rows, config.minhash, earlier=True):
                yield _tagged(BUCKETS, part)
            for part in batches.ends_and_sketches(rows, config.minhash, earlier=True):
                yield _tagged(WHO, part)
            for part in batches.earlier_links(rows):
                yield _tagged(LINKS, part)


@dataclass
class _Link(beam.PTransform):
    """Edges between the documents that share a bucket."""

    config: DedupConfig
    earlier: tuple[str, ...]

    def expand(self, packs: Any) -> PCollection[str]:
        buckets, who = packs[BUCKETS], packs[WHO]
        earlier_links = []
        if self.earlier:
            read = (
                who.pipeline
                | "Earlier files" >> beam.Create(self.earlier)
                | "Spread earlier files" >> beam.Reshuffle()
                | "Read earlier" >> beam.ParDo(_ReadEarlier(self.config)).with_outputs()
            )
            buckets = (buckets, read[BUCKETS]) | "All buckets" >> beam.Flatten()
            who = (who, read[WHO]) | "All documents" >> beam.Flatten()
            earlier_links = [read[LINKS]]
        links = (
            buckets
            | "Group buckets" >> beam.GroupByKey()
            | "Neighbours" >> beam.FlatMap(_neighbours).with_output_types(Part)
        )
        if earlier_links:
            links = (links, *earlier_links) | "All links" >> beam.Flatten()
        # Two joins, for a link has two ends.
        halves = (
            {"links": links, "known": who}
            | "Join first ends" >> beam.CoGroupByKey()
            | "First ends" >> beam.FlatMap(_first_ends).with_output_types(Part)
        )
        threshold = self.config.minhash.threshold if self.config.minhash else 0.0
        return (
            {"halves": halves, "known": who}
            | "Join second ends" >> beam.CoGroupByKey()
            | "Edges" >> beam.FlatMap(_edges, threshold).with_output_types(str)
        )


@dataclass
class _Decide(beam.PTransform):
    def expand(self, sides: Any) -> Any:
        return (
            sides
            | "Join by id" >> beam.CoGroupByKey()
            | "Judge"
            >> beam.ParDo(_DecideFn()).with_outputs(
                REJECTED, SURVIVORS, SURVIVING_PLACES, main="kept"
            )
        )


class _DecideFn(beam.DoFn):
    def process(
        self, joined: tuple[str, dict[str, list[Any]]]
    ) -> Iterable[
        str
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["survivors"], Part]
        | TaggedOutput[Literal["surviving_places"], Part]
    ]:
        _, sides = joined
        removals = {removal.doc_id: removal for removal in sides["removals"]}
        members, places = (batches.joined(sides[side]) for side in ("members", PLACES))
        assert members
        who, ids, urls = members
        stays = np.ones(len(ids), bool)
        for row, (doc_id, url) in enumerate(zip(ids, urls, strict=True)):
            if removal := removals.get(name := batches.text_of(doc_id)):
                stays[row] = False
                yield _tagged(REJECTED, _rejection(name, batches.text_of(url), removal))
            else:
                yield name
        yield from _staying(SURVIVORS, members, stays)
        if places:
            yield from _staying(SURVIVING_PLACES, places, ~np.isin(places[0], who[~stays]))


@dataclass
class _Paragraphs(beam.PTransform):
    """Repeated paragraphs of the documents that stay, as removals and as rows for readers."""

    config: ParagraphConfig | None

    def expand(self, survivors: dict[str, PCollection[Part]]) -> Any:
        members, places = survivors[SURVIVORS], survivors[SURVIVING_PLACES]
        if not self.config:
            pruned = members.pipeline | "None" >> beam.Create([]).with_output_types(Rejection)
            return pruned | "No removals" >> beam.Map(_removal), pruned
        counts = beam.FlatMap(_paragraph_counts, self.config).with_output_types(Part)
        repeated = (
            places
            | "By paragraph" >> counts
            | "Group paragraphs" >> beam.GroupByKey()
            | "Repeated" >> beam.FlatMap(_repeated, self.config.min_count).with_output_types(Part)
        )
        pruned = (
            {SURVIVORS: members, PLACES: places, "repeated": repeated}
            | "Join members" >> beam.CoGroupByKey()
            | "Prune" >> beam.FlatMap(_prune, self.config)
        )
        return pruned | "Removals" >> beam.Map(_removal), pruned


def _tagged(tag: str, value: Any) -> TaggedOutput:
    return TaggedOutput(tag, value)


def _signature(seen: Fingerprint) -> Signature:
    return seen.signature


def _staying(tag: str, columns: Columns, stays: Any) -> Iterator[Any]:
    for part in batches.cut(columns[0][stays], tuple(column[stays] for column in columns)):
        yield _tagged(tag, part)


def _neighbours(group: tuple[str, Iterable[Packed]]) -> Iterator[Part]:
    key, parts = group
    columns = batches.joined(parts)
    assert columns
    a, b = batches.neighbours(columns)
    yield from batches.cut(a, (batches.kinds(key[0], len(a)), a, b))


def _first_ends(joined: tuple[str, dict[str, list[Packed]]]) -> Iterator[Part]:
    links, known = (batches.joined(joined[1][side]) for side in ("links", "known"))
    if links and known:
        yield from batches.first_ends(links, known)


def _edges(joined: tuple[str, dict[str, list[Packed]]], threshold: float) -> Iterator[str]:
    known = batches.joined(joined[1]["known"])
    if known:
        yield from batches.edges(joined[1]["halves"], known, threshold)


def _asked_for(signature: Signature, config: DedupConfig) -> Signature:
    """An earlier signature without what this run does not compare."""
    return replace(
        signature,
        url=signature.url if config.url else b"",
        text=signature.text if config.text else b"",
        bands=signature.bands if config.minhash else b"",
        sketch=signature.sketch if config.minhash else b"",
    )


def _by_part(removal: Removal) -> tuple[str, Removal]:
    return batches.part_of(removal.doc_id), removal


def _rejection(doc_id: str, url: str, removal: Removal) -> Rejection:
    return Rejection(
        doc_id,
        Kind.DOCUMENT,
        doc_id,
        url,
        STAGE,
        removal.rule,
        str(Reason.DUPLICATE),
        detail=removal.survivor_id,
    )


def _contaminated(document: Document, share: float, entry: str) -> Rejection:
    return Rejection(
        document.doc_id,
        Kind.DOCUMENT,
        document.doc_id,
        document.url,
        STAGE,
        str(Sameness.BENCHMARK),
        str(Reason.CONTAMINATED),
        share,
        entry,
    )


def _holds(rejection: Rejection) -> Removal:
    return Removal(rejection.doc_id, "", rejection.rule)


def _paragraph_counts(places: Part, config: ParagraphConfig) -> Iterator[Part]:
    columns = batches.joined([places[1]])
    assert columns
    yield from batches.paragraph_counts(columns, config.count == "documents")


def _repeated(group: tuple[str, Iterable[Packed]], min_count: int) -> Iterator[Part]:
    columns = batches.joined(group[1])
    assert columns
    yield from batches.repeated(columns, min_count)


def _prune(
    joined: tuple[str, dict[str, list[Packed]]], config: ParagraphConfig
) -> Iterator[Rejection]:
    sides = [batches.joined(joined[1][side]) for side in (SURVIVORS, PLACES, "repeated")]
    members, places, repeated = (side or () for side in sides)
    if not repeated:
        return
    for doc_id, url, index, count in batches.repeats(members, places, repeated):
        Metrics.counter(STAGE, f"pruned.{PARAGRAPH_RULE}.{Reason.REPEATED}").inc()
        yield Rejection(
            f"{doc_id}#{index}",
            Kind.NODE,
            doc_id,
            url,
            STAGE,
            PARAGRAPH_RULE,
            str(Reason.REPEATED),
            float(count),
            f"{config.count} on {site_of(url, config.site)}",
        )


def _removal(rejection: Rejection) -> ParagraphRemoval:
    return ParagraphRemoval(rejection.doc_id, int(rejection.element_id.rpartition("#")[2]))
