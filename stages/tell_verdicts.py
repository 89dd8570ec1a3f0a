"""Tells each bucket of documents what became of the image URLs that its documents show.

In: (image URL, doc_id), kept ImageRecord, rejected Rejection and failed Failure of images.
Out: ImageVerdict, one for each URL and each bucket that shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.image import ImageRecord, ImageVerdict
from schemas.outcome import Failure, Rejection
from stages.write_rows import bucket_of

FAILED = "failed"


class Inputs(TypedDict):
    """What `TellVerdicts` is applied to; every shown URL is in exactly one of the last three."""

    shown: PCollection[tuple[str, str]]
    kept: PCollection[ImageRecord]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]


@dataclass
class TellVerdicts(beam.PTransform):
    """Joins by URL; records travel without bytes.

    Attributes:
      buckets: into how many parts the documents are cut.
    """

    buckets: int

    def expand(self, inputs: Inputs) -> PCollection[ImageVerdict]:
        return (
            {
                "shown": inputs["shown"],
                "kept": inputs["kept"]
                | "Key kept" >> beam.Map(lambda record: (record.url, record)),
                "rejected": inputs["rejected"]
                | "Key rejected" >> beam.Map(lambda r: (r.url, (r.stage, r.rule, r.reason))),
                "failed": inputs["failed"]
                | "Key failed" >> beam.Map(lambda f: (f.url, (f.stage, f.stage, FAILED))),
            }
            | "Meet" >> beam.CoGroupByKey()
            | "To buckets" >> beam.FlatMap(_to_buckets, self.buckets)
        )


def _to_buckets(met: tuple[str, dict[str, Any]], buckets: int) -> Iterable[ImageVerdict]:
    url, sides = met
    records = list(sides["kept"])
    objections = sorted({*sides["rejected"], *sides["failed"]})
    if len(records) + len(objections) != 1:
        # Told nothing, the documents that show it fail with their own row.
        return
    stage, rule, reason = objections[0] if objections else ("", "", "")
    # One document stands for its bucket; the smallest, so that reruns agree.
    by_bucket: dict[int, str] = {}
    for doc_id in sorted(set(sides["shown"]), reverse=True):
        by_bucket[bucket_of(doc_id, buckets)] = doc_id
    for doc_id in by_bucket.values():
        yield ImageVerdict(doc_id, url, records[0] if records else None, stage, rule, reason)
