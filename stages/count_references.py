"""Counts in how many distinct documents each image URL stands.

In: (image URL, doc_id), as often as the page repeats it.  Out: ImageReference, each URL once.
"""

from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.image import ImageReference

STAGE = "count_references"


@dataclass
class CountReferences(beam.PTransform):
    """Nothing can go wrong with an element here, so there is one way out."""

    def expand(self, shown: PCollection[tuple[str, str]]) -> PCollection[ImageReference]:
        return (
            shown
            # Pairs first, so that no key of a logo gathers a million documents.
            | "Each document once" >> beam.Distinct().with_input_types(tuple[str, str])
            | "One for each" >> beam.Map(_one)
            | "Count documents" >> beam.CombinePerKey(sum)
            | "To references" >> beam.Map(_reference)
        )


def _one(pair: tuple[str, str]) -> tuple[str, int]:
    return pair[0], 1


def _reference(counted: tuple[str, int]) -> ImageReference:
    return ImageReference(*counted)
