"""Stage 5: finds documents, and paragraphs of a site, that say again what another one says.

In: Document, read from disk.
Out: decisions about them by id; no document, and no text, crosses a shuffle.

    fingerprint -> buckets (URL, text, band) -> edges to the best of a bucket -> near ones verified
    -> all edges in one worker -> connected components -> removals, joined with the inputs by id
    -> paragraphs of the documents that stay, counted by site
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.dedup import Cluster, ParagraphRemoval, Removal
from schemas.document import Document
from schemas.outcome import Failure, Kind, Rejection
from stages.dedup.components import resolve, star
from stages.dedup.config import DedupConfig, ParagraphConfig
from stages.dedup.fingerprint import Fingerprint, fingerprint
from stages.dedup.minhash import jaccard
from stages.dedup.urls import site_of
from stages.doors import REJECTED, Identity, count_doors, guard

STAGE = "deduplicate"
PARAGRAPH_RULE = "repeated_paragraph"
CLUSTERS, NEAR, SURVIVORS = "clusters", "near", "survivors"

Paragraphs = tuple[tuple[str, tuple[int, ...]], ...]
Repeat = tuple[str, tuple[tuple[int, ...], int]]  # doc_id, (node indices, count on the site)


class Reason(StrEnum):
    DUPLICATE = "duplicate"
    REPEATED = "repeated"


class Deduplicated(NamedTuple):
    """What leaves the stage.

    `rejected` has a row for each row of `removed` and `pruned` one for each of `paragraphs`: the
    former are for readers, the latter for the stages that follow.
    """

    kept: PCollection[str]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    removed: PCollection[Removal]
    clusters: PCollection[Cluster]
    paragraphs: PCollection[ParagraphRemoval]
    pruned: PCollection[Rejection]


@dataclass
class Deduplicate(beam.PTransform):
    """Removes copies of documents and then, from those that stay, repeated paragraphs.

    Every document leaves by one door: its id as kept, a rejection, or a failure (text that is not
    valid Unicode). Copies by URL, by text and by near-duplication make one graph, whose components
    are exact; so two documents may share a cluster through a third. Nothing depends on the order
    of the input or on the number of workers.

    Limits: the edges between copies meet in one worker (`stages.dedup.components.resolve`); links
    in a bucket go to its best member only, so where a bucket holds more than near-duplicates, a
    near-duplicate pair in it that is not near its best member must meet in another bucket.
    """

    config: DedupConfig = field(default_factory=DedupConfig)

    def expand(self, documents: PCollection[Document]) -> Deduplicated:
        prints, unreadable = documents | "Fingerprint" >> _Fingerprint(self.config)
        edges = prints | "Link" >> _Link(self.config)
        resolved = (
            edges
            | "To one worker" >> beam.Map(_to_one_key)
            | "Gather edges" >> beam.GroupByKey()
            | "Resolve" >> beam.FlatMap(_resolve).with_outputs(CLUSTERS, main="removed")
        )
        out, broken = {
            "members": prints | "Members" >> beam.Map(_member),
            "removals": resolved.removed | "By id" >> beam.Map(_by_id),
        } | "Decide" >> _Decide()
        failed = (unreadable, broken) | "All failures" >> beam.Flatten()
        doors = count_doors(out, failed, STAGE, SURVIVORS)
        paragraphs, pruned = doors.survivors | "Paragraphs" >> _Paragraphs(self.config.paragraphs)
        return Deduplicated(
            doors.kept,
            doors.rejected,
            doors.failed,
            resolved.removed,
            resolved.clusters,
            paragraphs,
            pruned,
        )


@dataclass
class _Fingerprint(beam.PTransform):
    config: DedupConfig

    def expand(self, documents: PCollection[Document]) -> Any:
        out, failed = guard(documents, _FingerprintFn(self.config), STAGE)
        return out.kept, failed


class _FingerprintFn(beam.DoFn):
    def __init__(self, config: DedupConfig) -> None:
        self.config = config

    def process(
        self, document: Document
    ) -> Iterable[Fingerprint | TaggedOutput[Literal["rejected"], Rejection]]:
        yield fingerprint(document, self.config)


@dataclass
class _Link(beam.PTransform):
    """Edges between the documents that share a bucket."""

    config: DedupConfig

    def expand(self, prints: PCollection[Fingerprint]) -> PCollection[str]:
        stars = (
            prints
            | "Buckets" >> beam.FlatMap(_buckets)
            | "Group buckets" >> beam.GroupByKey()
            | "Stars" >> beam.FlatMap(_star).with_outputs(NEAR, main="exact")
        )
        near = stars[NEAR] | "Distinct" >> beam.Distinct()  # a pair shares many bands
        minhash = self.config.minhash
        if not minhash or not minhash.threshold:
            return (stars.exact, near) | "All edges" >> beam.Flatten()
        sketches = prints | "Sketches" >> beam.FlatMap(_sketch)
        # Two joins, for an edge has two ends; each carries the sketch of one.
        half = {
            "sketch": sketches,
            "hubs": near | "By member" >> beam.Map(_by_member),
        } | "Join members" >> beam.CoGroupByKey()
        verified = (
            {"sketch": sketches, "members": half | "By hub" >> beam.FlatMap(_by_hub)}
            | "Join hubs" >> beam.CoGroupByKey()
            | "Verify" >> beam.FlatMap(_verify, minhash.threshold)
        )
        return (stars.exact, verified) | "All edges" >> beam.Flatten()


@dataclass
class _Decide(beam.PTransform):
    def expand(self, sides: Any) -> Any:
        joined = sides | "Join by id" >> beam.CoGroupByKey()
        return guard(joined, _DecideFn(), STAGE, SURVIVORS, who=_who)


class _DecideFn(beam.DoFn):
    def process(
        self, joined: tuple[str, dict[str, list[Any]]]
    ) -> Iterable[
        str
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["survivors"], tuple[str, tuple[str, Paragraphs]]]
    ]:
        doc_id, sides = joined
        [(url, paragraphs)] = sides["members"]
        if sides["removals"]:
            [removal] = sides["removals"]
            yield _tagged(REJECTED, _rejection(doc_id, url, removal))
        else:
            yield doc_id
            yield _tagged(SURVIVORS, (doc_id, (url, paragraphs)))


@dataclass
class _Paragraphs(beam.PTransform):
    """Repeated paragraphs of the documents that stay, as removals and as rows for readers."""

    config: ParagraphConfig | None

    def expand(self, survivors: PCollection[tuple[str, tuple[str, Paragraphs]]]) -> Any:
        if not self.config:
            pruned = survivors.pipeline | "None" >> beam.Create([]).with_output_types(Rejection)
            return pruned | "No removals" >> beam.Map(_removal), pruned
        repeats = (
            survivors
            | "By paragraph" >> beam.FlatMap(_by_paragraph)
            | "Group paragraphs" >> beam.GroupByKey()
            | "Repeated" >> beam.FlatMap(_repeated, self.config)
        )
        pruned = (
            {"url": survivors | "URLs" >> beam.Map(_url), "repeats": repeats}
            | "Join URLs" >> beam.CoGroupByKey()
            | "Prune" >> beam.FlatMap(_prune, self.config)
        )
        return pruned | "Removals" >> beam.Map(_removal), pruned


def _tagged(tag: str, value: Any) -> TaggedOutput:
    return TaggedOutput(tag, value)


def _buckets(seen: Fingerprint) -> Iterator[tuple[str, str]]:
    for bucket in seen.buckets:
        yield bucket, seen.end


def _star(
    bucket: tuple[str, Iterable[str]],
) -> Iterator[str | TaggedOutput[Literal["near"], str]]:
    key, ends = bucket
    kind = key[0]
    for edge in star(kind, ends):
        yield edge if kind != "m" else _tagged(NEAR, edge)


def _sketch(seen: Fingerprint) -> Iterator[tuple[str, bytes]]:
    if seen.sketch:
        yield seen.end, seen.sketch


def _by_member(edge: str) -> tuple[str, str]:
    _, hub, member = edge.split(" ")
    return member, hub


def _by_hub(joined: tuple[str, dict[str, list[Any]]]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    member, sides = joined
    for hub in sides["hubs"]:
        yield hub, (member, sides["sketch"][0])


def _verify(joined: tuple[str, dict[str, list[Any]]], threshold: float) -> Iterator[str]:
    hub, sides = joined
    for member, sketch in sides["members"]:
        if jaccard(sides["sketch"][0], sketch) >= threshold:
            yield f"m {hub} {member}"


def _to_one_key(edge: str) -> tuple[str, str]:
    return "", edge


def _resolve(
    grouped: tuple[str, Iterable[str]],
) -> Iterator[Removal | TaggedOutput[Literal["clusters"], Cluster]]:
    for decision in resolve(grouped[1]):
        if isinstance(decision, Cluster):
            yield _tagged(CLUSTERS, decision)
        else:
            yield decision


def _member(seen: Fingerprint) -> tuple[str, tuple[str, Paragraphs]]:
    return seen.doc_id, (seen.url, seen.paragraphs)


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


def _by_id(removal: Removal) -> tuple[str, Removal]:
    return removal.doc_id, removal


def _who(joined: Any) -> Identity:
    doc_id, sides = joined
    url = sides["members"][0][0] if sides["members"] else ""
    return Identity(doc_id, Kind.DOCUMENT, url, doc_id)


def _by_paragraph(
    survivor: tuple[str, tuple[str, Paragraphs]],
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    doc_id, (_, paragraphs) = survivor
    for key, indices in paragraphs:
        yield key, (doc_id, indices)


def _repeated(
    group: tuple[str, Iterable[tuple[str, tuple[int, ...]]]], config: ParagraphConfig
) -> Iterator[Repeat]:
    # Iterated twice and never held: a site may have the same line on each of a million pages.
    _, places = group
    by_document = config.count == "documents"
    count = sum(1 if by_document else len(indices) for _, indices in places)
    if count >= config.min_count:
        for doc_id, indices in places:
            yield doc_id, (indices, count)


def _url(survivor: tuple[str, tuple[str, Paragraphs]]) -> tuple[str, str]:
    doc_id, (url, _) = survivor
    return doc_id, url


def _prune(
    joined: tuple[str, dict[str, list[Any]]], config: ParagraphConfig
) -> Iterator[Rejection]:
    doc_id, sides = joined
    [url] = sides["url"]
    site = site_of(url, config.site)
    found = [(index, count) for indices, count in sides["repeats"] for index in indices]
    for index, count in sorted(found):
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
            f"{config.count} on {site}",
        )


def _removal(rejection: Rejection) -> ParagraphRemoval:
    return ParagraphRemoval(rejection.doc_id, int(rejection.element_id.rpartition("#")[2]))
