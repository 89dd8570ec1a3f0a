"""Counts in how many distinct documents each image stands, by its URL and by its bytes.

In: ImageRecord, and (image URL, doc_id) as often as pages repeat it.  Out: ImageRecord with
`documents` and `same_bytes_documents`.

Records cross two shuffles, one after the other, without their bytes. Reading them twice, once to
count and once to join, would shuffle less but would have some runners gather every image twice.
"""

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
            | "Same bytes" >> beam.GroupByKey()
            | "Documents of bytes" >> beam.FlatMap(_documents_of_bytes)
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
        yield record.image_id, (replace(record, documents=len(documents)), documents)


def _documents_of_bytes(same: tuple[str, Iterable[Counted]]) -> Iterable[ImageRecord]:
    members = list(same[1])
    documents = len({document for _, shown in members for document in shown})
    for record, _ in members:
        yield replace(record, same_bytes_documents=documents)
