"""Counts in how many distinct documents each image stands: by its URL, its bytes and its look.

In: ImageRecord, and (image URL, doc_id) as often as pages repeat it.  Out: ImageRecord with
`documents`, `same_bytes_documents` and `same_look_documents`. The documents are those that
deduplication left: a page that was crawled twice counts once.

Images look alike where both perceptual hashes agree bit for bit, which equal bytes do too.

Records cross two shuffles, one after the other, without their bytes. Reading them twice, once to
count and once to join, would shuffle less but would have some runners gather every image twice.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.image import ImageRecord

STAGE = "count_images"

Counted = tuple[ImageRecord, tuple[str, ...]]


class Inputs(TypedDict):
    """What `CountImages` is applied to.

    Attributes:
      records: one for each kept image URL.
      references: image URL and the id of a document that shows it; URLs without a record are left
        out of account.
    """

    records: PCollection[ImageRecord]
    references: PCollection[tuple[str, str]]


@dataclass
class CountImages(beam.PTransform):
    """Nothing can go wrong with an element here, so there is one way out."""

    def expand(self, inputs: Inputs) -> PCollection[ImageRecord]:
        return (
            {
                "records": inputs["records"] | "By URL" >> beam.Map(_by_url),
                "documents": inputs["references"],
            }
            | "Meet" >> beam.CoGroupByKey()
            | "Documents of a URL" >> beam.FlatMap(_documents_of_url)
            | "Same look" >> beam.GroupByKey()
            | "Documents of a look" >> beam.FlatMap(_documents_of_look)
        )


def _by_url(record: ImageRecord) -> tuple[str, ImageRecord]:
    return record.url, record


def _documents_of_url(met: tuple[str, dict[str, Any]]) -> Iterable[tuple[str, Counted]]:
    _, sides = met
    records = list(sides["records"])
    if not records:
        return
    documents = tuple(sorted(set(sides["documents"])))
    for record in records:
        look = f"{record.phash}{record.dhash}"
        yield look, (replace(record, documents=len(documents)), documents)


def _documents_of_look(same: tuple[str, Iterable[Counted]]) -> Iterable[ImageRecord]:
    members = list(same[1])
    by_bytes: dict[str, set[str]] = defaultdict(set)
    for record, shown in members:
        by_bytes[record.image_id].update(shown)
    look = len(set().union(*by_bytes.values()))
    for record, _ in members:
        documents = len(by_bytes[record.image_id])
        yield replace(record, same_bytes_documents=documents, same_look_documents=look)
