"""Places images among sentences and keeps natural order beside it.

In: Document whose images have records with CLIP features.  Out: PlacedDocument, to whose document
signals of how well images and text go together were added (`stages.coherence`).
Images whose best sentence is below a similarity leave the document, one row each, to `pruned`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection
from schemas.document import (
    Document,
    Image,
    Node,
    PlacedDocument,
    Placement,
    Sentence,
    Signal,
    sentences_before,
)
from schemas.image import LUMA_SIDE, ImageRecord
from schemas.outcome import Failure, Kind, Rejection
from stages.clip import ClipConfig, load_clip
from stages.coherence import image_text_alignment, in_sample_similarity, sequence_coherence
from stages.doors import REJECTED, at_bundle_end, count_doors, rejected, to_failure
from stages.placement import Method, Surplus, assign, order_bonus
from stages.sentences import split_sentences

STAGE = "place_images"
PRUNED: Final = "pruned"
FAILED: Final = "failed"


class Reason(StrEnum):
    LOW_SIMILARITY = "low_similarity"
    NO_IMAGE = "no_image"
    NO_SENTENCE = "no_sentence"
    TOO_LARGE = "too_large"


@dataclass(frozen=True)
class PlaceConfig:
    """How images are placed.

    Attributes:
      method: see `stages.placement.Method`.
      min_max_similarity: an image whose best sentence is below leaves the document; mmc4: 0.15
        (arXiv 2304.06939 §3). None keeps all.
      min_similarity: no image is assigned to a sentence below; one that finds none stays, unplaced.
        mmc4 has no such floor, so that 2 % of its assignments lie below 0.15. None places all.
      surplus: see `stages.placement.Surplus`.
      order_trust: methods hybrid and ordered: how likely an image stands near its sentence, before
        the page is looked at; see `stages.placement.order_bonus`.
      order_reach: how far from it, in sentences, on average over such images.
      max_pairs: a document of more images times sentences is rejected before its sentences are
        encoded: a page that was made for it would take all memory. The default is ours; of mmc4's
        documents the largest has 117 images (arXiv 2501.00958, table 1).
      sentences_a_batch: sentences that are gathered over documents before the model runs.
    """

    method: Method = Method.CLIP
    min_max_similarity: float | None = None
    min_similarity: float | None = None
    surplus: Surplus = Surplus.BEST
    order_trust: float = 0.5
    order_reach: float = 3.0
    max_pairs: int = 4_000_000
    sentences_a_batch: int = 4096

    def __post_init__(self) -> None:
        for name in ("min_max_similarity", "min_similarity"):
            value = getattr(self, name)
            if value is not None and not -1 <= value <= 1:
                raise ValueError(f"place_images: {name} is {value}, a cosine lies in -1..1")
        if not 0 < self.order_trust < 1:
            raise ValueError(
                f"place_images: order_trust is {self.order_trust}, not between 0 and 1"
            )
        if not self.order_reach > 0:
            raise ValueError(f"place_images: order_reach is {self.order_reach}, not above 0")
        for name in ("max_pairs", "sentences_a_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"place_images: {name} must be at least 1")


def place(
    document: Document,
    sentences: tuple[Sentence, ...],
    features: np.ndarray,
    config: PlaceConfig,
    logit_scale: float = 100.0,
) -> tuple[PlacedDocument | Objection, list[Rejection]]:
    """Places the images of one document.

    Args:
      features: one row a sentence, unit length, shape [sentences, d].
      logit_scale: of the model that they came from.

    Returns:
      The placed document or the objection against it, and a rejection for each image that left.

    Raises:
      ValueError: an image has no CLIP feature, or one of another width, or a similarity is not
        finite.
    """
    indices = [i for i, node in enumerate(document.nodes) if isinstance(node, Image)]
    if config.method is Method.DOM:
        placements = tuple(Placement(i, None, None) for i in indices)
        return PlacedDocument(document, sentences, placements), []
    if not indices:
        return Objection(STAGE, Reason.NO_IMAGE, 0.0, ""), []
    if not sentences:
        return Objection(STAGE, Reason.NO_SENTENCE, 0.0, ""), []
    if (pairs := len(indices) * len(sentences)) > config.max_pairs:
        detail = f"{len(indices)} images and {len(sentences)} sentences"
        return Objection(STAGE, Reason.TOO_LARGE, float(pairs), detail), []
    similarity = np.stack([_feature(document, i, features.shape[1]) for i in indices]) @ features.T
    if not np.isfinite(similarity).all():
        raise ValueError("a similarity is not finite")
    return place_by(document, sentences, similarity, config, logit_scale)


def place_by(
    document: Document,
    sentences: tuple[Sentence, ...],
    similarity: np.ndarray,
    config: PlaceConfig,
    logit_scale: float = 100.0,
) -> tuple[PlacedDocument | Objection, list[Rejection]]:
    """Places the images of one document by what is known of them.

    Args:
      similarity: cosines, shape [images, sentences], at least one of each.

    Returns: as `place`.
    """
    indices = [i for i, node in enumerate(document.nodes) if isinstance(node, Image)]
    pruned = []
    if (least := config.min_max_similarity) is not None:
        best = similarity.max(axis=1)
        pruned = [
            _low_similarity(document, index, float(score))
            for index, score in zip(indices, best, strict=True)
            if score < least
        ]
        keep = best >= least
        gone = {index for index, kept in zip(indices, keep, strict=True) if not kept}
        document, sentences, indices = _without(document, sentences, gone)
        similarity = similarity[keep]
        if not indices:
            return Objection(
                STAGE, Reason.NO_IMAGE, 0.0, "no image is similar to a sentence"
            ), pruned
    places = np.array([sentences_before(sentences, index) for index in indices])
    bonus = None
    if config.method in (Method.HYBRID, Method.ORDERED):
        bonus = order_bonus(
            similarity,
            places,
            trust=config.order_trust,
            reach=config.order_reach,
            logit_scale=logit_scale,
        )
    matched = assign(
        similarity,
        places,
        config.method,
        floor=config.min_similarity,
        surplus=config.surplus,
        bonus=bonus,
    )
    placements = tuple(
        Placement(index, text, None if text is None else float(similarity[row, text]))
        for row, (index, text) in enumerate(zip(indices, matched, strict=True))
    )
    rows = tuple(tuple(row) for row in similarity.tolist())
    return PlacedDocument(document, sentences, placements, rows), pruned


def _feature(document: Document, index: int, width: int) -> np.ndarray:
    image = document.nodes[index]
    assert isinstance(image, Image)
    feature = np.frombuffer(image.record.clip if image.record else b"", dtype="<f4")
    if feature.shape != (width,):
        raise ValueError(f"{image.url} has a CLIP feature of {feature.size} values, not {width}")
    return feature


def _low_similarity(document: Document, index: int, score: float) -> Rejection:
    image = document.nodes[index]
    assert isinstance(image, Image)
    return Rejection(
        f"{document.doc_id}#{index}",
        Kind.NODE,
        document.doc_id,
        image.url,
        STAGE,
        STAGE,
        Reason.LOW_SIMILARITY,
        score,
    )


def _without(
    document: Document, sentences: tuple[Sentence, ...], gone: set[int]
) -> tuple[Document, tuple[Sentence, ...], list[int]]:
    """Removes nodes and renumbers what points at the others."""
    new_index: dict[int, int] = {}
    nodes: list[Node] = []
    for index, node in enumerate(document.nodes):
        if index not in gone:
            new_index[index] = len(nodes)
            nodes.append(node)
    moved = tuple(Sentence(s.text, new_index[s.node_index]) for s in sentences)
    images = [i for i, node in enumerate(nodes) if isinstance(node, Image)]
    return replace(document, nodes=tuple(nodes)), moved, images


def with_signals(placed: PlacedDocument) -> PlacedDocument:
    """Adds to the document's signals how well its images go together and with its text, where a
    model was run; the thumbnails, which are of no more use, leave the images' records."""
    records = [image.record for image in placed.document.images]
    scores: dict[str, float | None] = {}
    if records and all(record and record.clip for record in records):
        features = np.stack([np.frombuffer(r.clip, "<f4") for r in records if r])
        scores["image_sequence_coherence"] = sequence_coherence(features)
        if all(record and record.luma for record in records):
            lumas = np.stack([np.frombuffer(r.luma, np.uint8) for r in records if r])
            lumas = lumas.reshape(-1, LUMA_SIDE, LUMA_SIDE)
            scores["in_sample_similarity"] = in_sample_similarity(features, lumas)
    if placed.similarity:
        scores["image_text_alignment"] = image_text_alignment(np.array(placed.similarity))
    signals = tuple(Signal(name, score) for name, score in scores.items() if score is not None)
    document = _with_records(placed.document, lambda record: replace(record, luma=b""))
    return replace(placed, document=replace(document, signals=document.signals + signals))


def _with_records(document: Document, change: Callable[[ImageRecord], ImageRecord]) -> Document:
    nodes = tuple(
        replace(node, record=change(node.record))
        if isinstance(node, Image) and node.record
        else node
        for node in document.nodes
    )
    return replace(document, nodes=nodes)


def without_features(placed: PlacedDocument) -> PlacedDocument:
    """The same document without its images' CLIP features, which lie in the images table."""
    document = _with_records(placed.document, lambda record: replace(record, clip=b""))
    return replace(placed, document=document)


@dataclass
class PlaceImages(beam.PTransform):
    """Attributes:
    clip: the model that the images' features came from; None with method dom.
    """

    config: PlaceConfig
    clip: ClipConfig | None = None

    def expand(self, documents: PCollection[Document]) -> Any:
        out = documents | "Place" >> beam.ParDo(_Place(self.config, self.clip)).with_outputs(
            REJECTED, PRUNED, FAILED, main="kept"
        )
        return count_doors(out, out[FAILED], STAGE, PRUNED)


Waiting = tuple[Document, tuple[Sentence, ...]]
Output = PlacedDocument | TaggedOutput
# Sentences whose features a bundle remembers: 16 MB at 512 values. Pages of a site share some.
_REMEMBERED = 8192
# Documents that wait at most, whose sentences may all be known or none.
_WAITING = 256


def _fail(document: Document, error: Exception) -> Iterator[Output]:
    yield TaggedOutput(FAILED, to_failure(document, error, STAGE))


class _Place(beam.DoFn):
    """Gathers documents until a batch of sentences is full; a bundle's end empties it."""

    def __init__(self, config: PlaceConfig, clip: ClipConfig | None):
        self._config = config
        self._clip_config = clip

    def setup(self):
        wanted = self._config.method is not Method.DOM and self._clip_config
        self._clip = load_clip(wanted) if wanted else None

    def start_bundle(self):
        self._waiting: list[Waiting] = []
        self._wanted: dict[str, None] = {}
        self._known: dict[str, np.ndarray] = {}

    def process(
        self, document: Document
    ) -> Iterable[
        PlacedDocument
        | TaggedOutput[Literal["rejected", "pruned"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
    ]:
        try:
            sentences = split_sentences(document)
        except Exception as error:  # noqa: BLE001  the failed door: one document, not the batch
            yield from _fail(document, error)
            return
        self._waiting.append((document, sentences))
        if self._matched(document, sentences):  # else text is encoded for nothing, and it costs
            self._wanted.update({s.text: None for s in sentences if s.text not in self._known})
        full = len(self._wanted) >= self._config.sentences_a_batch
        if full or not self._clip or len(self._waiting) >= _WAITING:
            yield from self._empty()

    def finish_bundle(self) -> Iterable[Any]:
        yield from at_bundle_end(self._empty())
        self._known = {}

    def _empty(self) -> Iterator[Output]:
        waiting, wanted = self._waiting, list(self._wanted)
        self._waiting, self._wanted = [], {}
        with suppress(Exception):  # one of them broke the batch: each document gets its own try
            self._know(wanted)
        for document, sentences in waiting:
            try:
                matched = self._matched(document, sentences)
                features = self._features(sentences if matched else ())
                placed, pruned = place(
                    document, sentences, features, self._config, self._logit_scale
                )
                described = with_signals(placed) if isinstance(placed, PlacedDocument) else placed
            except Exception as error:  # noqa: BLE001  the failed door
                yield from _fail(document, error)
            else:
                for rejection in pruned:
                    yield TaggedOutput(PRUNED, rejection)
                if isinstance(described, Objection):
                    yield rejected(document, STAGE, described)
                else:
                    yield described
        self._known = dict(list(self._known.items())[-_REMEMBERED:])

    def _matched(self, document: Document, sentences: Sequence[Sentence]) -> bool:
        return 0 < len(document.images) * len(sentences) <= self._config.max_pairs

    def _know(self, texts: list[str]) -> None:
        if self._clip and texts:
            self._known.update(zip(texts, self._clip.texts(texts), strict=True))

    def _features(self, sentences: Sequence[Sentence]) -> np.ndarray:
        """Shape [sentences, d]; [0, 0] without a model, which then is not asked for."""
        if not self._clip or not sentences:
            return np.empty((0, 0), np.float32)
        self._know([text for s in sentences if (text := s.text) not in self._known])
        return np.stack([self._known[sentence.text] for sentence in sentences])

    @property
    def _logit_scale(self) -> float:
        return self._clip.logit_scale if self._clip else 1.0
