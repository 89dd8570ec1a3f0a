"""Finds documents that are copies by their images, when it is known which images were kept.

In: Candidate, read from disk.
Out: decisions about them by id; no document, and no text, crosses a shuffle.

    same set of images -> edges to the best; documents of an image -> pairs verified -> edges
    -> connected components -> removals, joined with the inputs by id
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.candidate import Candidate
from schemas.dedup import Cluster, Removal
from schemas.outcome import Failure, Kind, Rejection
from stages.dedup.by_images import (
    SECTION,
    ByImagesConfig,
    Member,
    end_of,
    joint_edges,
    members,
    set_key,
)
from stages.dedup.components import star
from stages.dedup.connect import Connect
from stages.doors import REJECTED, Identity, count_doors, guard
from stages.join_images import JoinConfig, joined

STAGE = SECTION
SETS: Final = "sets"
IMAGES: Final = "images"
SHOWN: Final = "shown"
MERGED: Final = "merged"

About = tuple[str, tuple[str, int], tuple[str, ...]]  # URL, cluster and its size, image URLs


class Reason(StrEnum):
    DUPLICATE = "duplicate"


class Deduplicated(NamedTuple):
    """What leaves the stage.

    Attributes:
      removed: a row for each of `rejected`, for the stages that follow.
      clusters: those that documents survived here, with what the members had survived before.
      shown: image URL and id of a document that stays and that joining will not reject.
    """

    kept: PCollection[str]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    removed: PCollection[Removal]
    clusters: PCollection[Cluster]
    shown: PCollection[tuple[str, str]]


@dataclass
class DeduplicateByImages(beam.PTransform):
    """Removes documents that show the same images, or near ones with near text.

    Nothing depends on the order of the input or on the number of workers.

    Attributes:
      join: says which images a document keeps.
    """

    config: ByImagesConfig
    join: JoinConfig

    def expand(self, candidates: PCollection[Candidate]) -> Any:
        """Returns `Deduplicated`; Beam does not know the type and would warn of it."""
        prints, unreadable = guard(
            candidates, _Fingerprint(self.config, self.join), STAGE, SETS, IMAGES
        )
        sets = prints[SETS] | "Group sets" >> beam.GroupByKey() | "Stars" >> beam.FlatMap(_star)
        edges = [sets]
        if self.config.joint:
            edges.append(
                prints[IMAGES]
                | "Group images" >> beam.GroupByKey()
                | "Compare" >> beam.FlatMap(_compare, self.config.joint)
            )
        flat = edges | "All edges" >> beam.Flatten()
        copies = flat | "Connect" >> Connect(self.config.components)
        sides = {
            "about": prints.kept,
            "removals": copies.removed | "Removals by id" >> beam.Map(_by_id),
            "clusters": copies.clusters | "Clusters by id" >> beam.Map(_by_id),
        } | "Join" >> beam.CoGroupByKey()
        out, broken = sides | "Decide" >> _Decide()
        failed = (unreadable, broken) | "All failures" >> beam.Flatten()
        doors = count_doors(out, failed, STAGE, SHOWN, MERGED)
        clusters = doors.merged | "Group clusters" >> beam.GroupByKey() | beam.Map(_cluster)
        removed = doors.rejected | "Removals" >> beam.Map(_removal)
        return Deduplicated(
            doors.kept, doors.rejected, doors.failed, removed, clusters, doors.shown
        )


class _Fingerprint(beam.DoFn):
    def __init__(self, config: ByImagesConfig, join: JoinConfig):
        self._config = config
        self._join = join

    def process(
        self, candidate: Candidate
    ) -> Iterable[
        tuple[str, About]
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["sets"], tuple[str, str]]
        | TaggedOutput[Literal["images"], tuple[str, Member]]
    ]:
        document = candidate.document
        left = joined(candidate, self._join)
        shown = tuple(dict.fromkeys(image.url for image in document.images)) if left else ()
        cluster = (document.cluster_id or document.doc_id, document.cluster_size)
        yield document.doc_id, (document.url, cluster, shown)
        if left is None:
            return
        end = end_of(left, self._config)
        if self._config.image_set and (key := set_key(left, self._config.image_set)):
            yield _tagged(SETS, (key, end))
        if self._config.joint:
            for image, member in members(left, end, self._config.joint):
                yield _tagged(IMAGES, (image, member))


@dataclass
class _Decide(beam.PTransform):
    def expand(self, joined: PCollection) -> Any:
        return guard(joined, _DecideFn(), STAGE, SHOWN, MERGED, who=_who)


class _DecideFn(beam.DoFn):
    def process(
        self, joined: tuple[str, dict[str, list[Any]]]
    ) -> Iterable[
        str
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["shown"], tuple[str, str]]
        | TaggedOutput[Literal["merged"], tuple[str, tuple[str, int]]]
    ]:
        doc_id, sides = joined
        [(url, cluster, urls)] = sides["about"]
        for removal in sides["removals"]:
            rejection = Rejection(doc_id, Kind.DOCUMENT, doc_id, url, STAGE, removal.rule,
                                  str(Reason.DUPLICATE), detail=removal.survivor_id)  # fmt: skip
            yield _tagged(REJECTED, rejection)
            yield _tagged(MERGED, (removal.survivor_id, cluster))
            return
        if sides["clusters"]:
            yield _tagged(MERGED, (doc_id, cluster))
        yield doc_id
        for image in urls:
            yield _tagged(SHOWN, (image, doc_id))


def _tagged(tag: str, value: Any) -> TaggedOutput:
    return TaggedOutput(tag, value)


def _star(bucket: tuple[str, Iterable[str]]) -> Iterator[str]:
    yield from star("i", bucket[1])


def _compare(bucket: tuple[str, Iterable[Member]], config: Any) -> Iterator[str]:
    yield from joint_edges(bucket[1], config)


def _by_id(decision: Removal | Cluster) -> tuple[str, Removal | Cluster]:
    return decision.doc_id, decision


def _who(joined: Any) -> Identity:
    doc_id, sides = joined
    url = sides["about"][0][0] if sides["about"] else ""
    return Identity(doc_id, Kind.DOCUMENT, url, doc_id)


def _removal(rejection: Rejection) -> Removal:
    return Removal(rejection.doc_id, rejection.detail, rejection.rule)


def _cluster(merged: tuple[str, Iterable[tuple[str, int]]]) -> Cluster:
    survivor, clusters = merged
    ids, sizes = zip(*clusters, strict=True)
    return Cluster(survivor, min(ids), sum(sizes))
