"""Judges image references before anything is fetched, and images after they were decoded.

In: ImageReference, or ImageRecord or GatheredImage.  Out: kept, the same elements; rejected
Rejection, failed Failure. The first rule that objects decides.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection, On, Rule, judge
from schemas.image import ImageRecord, ImageReference
from schemas.outcome import Rejection
from stages.doors import REJECTED, through_doors, to_rejection
from stages.imaging.elements import GatheredImage

STAGE = "filter_images"


@dataclass
class FilterReferences(beam.PTransform):
    """Applies rules on references, in order.

    Raises:
      ValueError: a rule looks at something else.
    """

    rules: Sequence[Rule]
    stage: str = "filter_references"

    def __post_init__(self) -> None:
        _check(self.rules, On.REFERENCE, self.stage)

    def expand(self, references: PCollection[ImageReference]) -> Any:
        return through_doors(
            references, _JudgeReferences(tuple(self.rules), self.stage), self.stage
        )


@dataclass
class FilterImages(beam.PTransform):
    """Applies rules on images, in order, to ImageRecords or to GatheredImages.

    Attributes:
      stage: the name under which elements are counted and rejected: images are judged twice, once
        when they are decoded and once when the whole corpus has been counted.

    Raises:
      ValueError: a rule looks at something else, or the elements are not known to be images.
    """

    rules: Sequence[Rule]
    stage: str = STAGE

    def __post_init__(self) -> None:
        _check(self.rules, On.IMAGE, self.stage)

    def expand(self, images: PCollection) -> Any:
        fn = _JUDGES.get(images.element_type)
        if fn is None:
            raise ValueError(f"{self.stage}: {images.element_type} are no images")
        return through_doors(images, fn(tuple(self.rules), self.stage), self.stage)


def _check(rules: Sequence[Rule], on: On, stage: str) -> None:
    for rule in rules:
        if rule.on is not on:
            raise ValueError(f"{stage}: {rule.name} looks at {rule.on}, not {on}")


class _Judge(beam.DoFn):
    def __init__(self, rules: tuple[Rule, ...], stage: str):
        self._rules = rules
        self._stage = stage

    def _objection(self, element: ImageReference | ImageRecord) -> Rejection | None:
        _, objection = judge(self._rules, element)
        return _row(element, self._stage, objection) if objection else None


class _JudgeReferences(_Judge):
    def process(
        self, reference: ImageReference
    ) -> Iterable[ImageReference | TaggedOutput[Literal["rejected"], Rejection]]:
        rejection = self._objection(reference)
        yield TaggedOutput(REJECTED, rejection) if rejection else reference


class _JudgeRecords(_Judge):
    def process(
        self, record: ImageRecord
    ) -> Iterable[ImageRecord | TaggedOutput[Literal["rejected"], Rejection]]:
        rejection = self._objection(record)
        yield TaggedOutput(REJECTED, rejection) if rejection else record


class _JudgeGathered(_Judge):
    def process(
        self, image: GatheredImage
    ) -> Iterable[GatheredImage | TaggedOutput[Literal["rejected"], Rejection]]:
        rejection = self._objection(image.record)
        yield TaggedOutput(REJECTED, rejection) if rejection else image


_JUDGES: dict[Any, type[_Judge]] = {ImageRecord: _JudgeRecords, GatheredImage: _JudgeGathered}


def _row(element: ImageReference | ImageRecord, stage: str, objection: Objection) -> Rejection:
    rejection = to_rejection(element, stage, objection)
    # A rule that found nothing to measure says so with a number that is none; a row leaves it out.
    return replace(rejection, score=None) if math.isnan(objection.score) else rejection
