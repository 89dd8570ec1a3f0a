"""In: Page. Out: Document (text and image nodes in reading order), and every image left out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection
from schemas.document import Document, Image
from schemas.outcome import Failure, Kind, Rejection
from schemas.page import Page
from stages.doors import rejected, through_doors
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import DroppedImage, Extraction
from stages.extraction.limits import Guard

STAGE = "extract_documents"
RULE = "extraction"
DROPPED = "dropped"
_DETAIL_LENGTH = 120


class Reason(StrEnum):
    """Why a page became no document."""

    NO_CONTENT = "no_content"
    NO_IMAGE = "no_image"
    TOO_LARGE = "too_large"
    TOO_MANY_ATTRIBUTES = "too_many_attributes"
    TOO_MANY_ELEMENTS = "too_many_elements"
    TOO_DEEP = "too_deep"
    TOO_MANY_NODES = "too_many_nodes"


class Extracted(NamedTuple):
    """What leaves the stage; `dropped` are rejections of single images (Kind.NODE) of pages that
    were kept or rejected."""

    kept: PCollection[Document]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    dropped: PCollection[Rejection]


@dataclass
class ExtractDocuments(beam.PTransform):
    """Extracts the main content of pages."""

    config: ExtractionConfig = field(default_factory=ExtractionConfig)

    def expand(self, pages: PCollection[Page]) -> Extracted:
        out = through_doors(pages, _Extract(self.config), STAGE, DROPPED)
        dropped = out.dropped | "Count dropped" >> beam.Map(_count_dropped)
        return Extracted(out.kept, out.rejected, out.failed, dropped)


class _Extract(beam.DoFn):
    def __init__(self, config: ExtractionConfig) -> None:
        super().__init__()
        self.config = config

    def setup(self) -> None:
        self._guard = Guard(self.config)

    def teardown(self) -> None:
        self._guard.close()

    def process(
        self, page: Page
    ) -> Iterable[
        Document
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["dropped"], Rejection]
    ]:
        found = self._guard.extract(page.body, page.url, page.header("content-type"))
        for image in found.dropped:
            yield _dropped(page, image)
        if reason := reason_against(found, self.config):
            detail = found.detail or found.metadata.title[:_DETAIL_LENGTH]
            objection = Objection(RULE, reason, float(len(found.nodes)), detail)
            yield rejected(page, STAGE, objection)
        else:
            yield to_document(page, found)


def reason_against(found: Extraction, config: ExtractionConfig) -> Reason | None:
    """Why an extraction becomes no document."""
    if found.refused:
        return Reason(found.refused)
    if not found.nodes:
        return Reason.NO_CONTENT
    if config.require_image and not any(isinstance(node, Image) for node in found.nodes):
        return Reason.NO_IMAGE
    return None


def to_document(page: Page, found: Extraction) -> Document:
    """The document of a page: its provenance and what was extracted."""
    metadata = found.metadata
    return Document(
        doc_id=page.page_id,
        url=page.url,
        nodes=found.nodes,
        warc_file=page.warc_file,
        warc_offset=page.warc_offset,
        warc_length=page.warc_length,
        crawl_time=page.crawl_time,
        title=metadata.title,
        date=metadata.date,
        author=metadata.author,
        site=metadata.site,
        licence=metadata.licence,
        canonical_url=metadata.canonical_url,
    )


def _dropped(page: Page, dropped: DroppedImage) -> TaggedOutput:
    # An "i" before the number: it counts image elements of the page, not nodes of the document.
    rejection = Rejection(
        f"{page.page_id}#i{dropped.place}",
        Kind.NODE,
        page.page_id,
        dropped.image.url,
        STAGE,
        RULE,
        dropped.reason,
        None,
        dropped.detail[:_DETAIL_LENGTH],
    )
    return TaggedOutput(DROPPED, rejection)


def _count_dropped(rejection: Rejection) -> Rejection:
    Metrics.counter(STAGE, f"dropped.{rejection.rule}.{rejection.reason}").inc()
    return rejection
