"""Puts what was found behind each image URL into the documents that show it.

In: Candidate.  Out: Document whose images all have a record; the images that were rejected leave
the document and go, one row each, to `pruned`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection
from schemas.candidate import Candidate
from schemas.document import Document, Image, Node
from schemas.image import ImageVerdict
from schemas.outcome import Kind, Rejection
from stages.doors import rejected, through_doors

STAGE = "join_images"
PRUNED: Final = "pruned"


class Reason(StrEnum):
    SAME_IMAGE = "same_image"
    NEAR_DUPLICATE = "near_duplicate_in_document"
    NO_IMAGE = "no_image"
    SHOWS_REJECTED_IMAGE = "shows_rejected_image"


@dataclass(frozen=True)
class JoinConfig:
    """How images meet their documents.

    Attributes:
      max_hamming: two images of a document whose perceptual hashes differ in at most so many of
        64 bits are one; the first stays. -1 compares no hashes. Source: mmc4 removes at 5
        (arXiv 2304.06939 §3.1), mmc4-core at 10 (footnote 14).
      require_image: reject a document that is left without an image.
      reject_document: rules; a document with an image that one of them rejected is rejected whole.
        Source: OBELICS drops the document of an unsafe image (build_obelics/07_03).
    """

    max_hamming: int = 5
    require_image: bool = True
    reject_document: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not -1 <= self.max_hamming <= 64:
            raise ValueError(f"join_images: max_hamming is {self.max_hamming}, not in -1..64")


def join(
    document: Document, verdicts: Mapping[str, ImageVerdict], config: JoinConfig
) -> tuple[Document, list[Rejection]]:
    """The document with its images' records, and a rejection for each image that leaves it.

    Raises:
      KeyError: an image URL has no verdict, so something upstream lost it.
    """
    nodes: list[Node] = []
    pruned: list[Rejection] = []
    seen: list[tuple[str, int]] = []
    for index, node in enumerate(document.nodes):
        if not isinstance(node, Image):
            nodes.append(node)
            continue
        verdict = verdicts[node.url]
        record = verdict.record
        objection: tuple[str, str, str] | None = None
        if record is None:
            objection = (verdict.rule, verdict.reason, verdict.stage)
        elif any(record.image_id == image_id for image_id, _ in seen):
            objection = (STAGE, Reason.SAME_IMAGE, "")
        else:
            bits = int(record.phash, 16)
            distance = min(((bits ^ other).bit_count() for _, other in seen), default=65)
            if distance <= config.max_hamming:
                objection = (STAGE, Reason.NEAR_DUPLICATE, f"{distance} of 64 bits differ")
        if objection is None:
            assert record is not None
            seen.append((record.image_id, int(record.phash, 16)))
            nodes.append(replace(node, record=record))
        else:
            rule, reason, detail = objection
            pruned.append(
                Rejection(
                    f"{document.doc_id}#{index}",
                    Kind.NODE,
                    document.doc_id,
                    node.url,
                    STAGE,
                    rule,
                    reason,
                    None,
                    detail,
                )
            )
    return replace(document, nodes=tuple(nodes)), pruned


def objection_to(
    document: Document, pruned: Sequence[Rejection], config: JoinConfig
) -> Objection | None:
    """Why a joined document cannot stay; `pruned` are the images that left it."""
    unwanted = [rejection for rejection in pruned if rejection.rule in config.reject_document]
    if unwanted:
        detail = f"{unwanted[0].rule}: {unwanted[0].url}"
        return Objection(STAGE, Reason.SHOWS_REJECTED_IMAGE, len(unwanted), detail)
    if config.require_image and not document.images:
        return Objection(STAGE, Reason.NO_IMAGE, 0.0, "")
    return None


def joined(candidate: Candidate, config: JoinConfig) -> Document | None:
    """What joining will make of a document; None where it will be rejected, or fail."""
    verdicts = {verdict.url: verdict for verdict in candidate.verdicts}
    if any(image.url not in verdicts for image in candidate.document.images):
        return None
    document, pruned = join(candidate.document, verdicts, config)
    return None if objection_to(document, pruned, config) else document


@dataclass
class JoinImages(beam.PTransform):
    config: JoinConfig

    def expand(self, candidates: PCollection[Candidate]) -> Any:
        return through_doors(candidates, _Join(self.config), STAGE, PRUNED)


class _Join(beam.DoFn):
    def __init__(self, config: JoinConfig):
        self._config = config

    def process(
        self, candidate: Candidate
    ) -> Iterable[Document | TaggedOutput[Literal["rejected", "pruned"], Rejection]]:
        verdicts = {verdict.url: verdict for verdict in candidate.verdicts}
        document, pruned = join(candidate.document, verdicts, self._config)
        for rejection in pruned:
            yield TaggedOutput(PRUNED, rejection)
        objection = objection_to(document, pruned, self._config)
        yield rejected(document, STAGE, objection) if objection else document
