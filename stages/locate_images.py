"""Finds where the images that documents refer to lie at hand: in the crawl's own records, and in
what other sources hold (`stages.imaging.sources`).

In: references (ImageReference), candidates (candidate URL, primary URL, rank) and locations
(ImageLocation).  Out: ImageTask, one for each reference, its locations best first.

Only URLs and locations are shuffled, never an image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.image import ImageLocation, ImageReference
from stages.imaging.elements import ImageTask
from stages.imaging.sources import Crawl, Source
from stages.imaging.urls import comparable

STAGE = "locate_images"

Ranked = tuple[int, ImageLocation]


class Inputs(TypedDict):
    """What `LocateImages` is applied to.

    Attributes:
      references: each primary URL once.
      candidates: a URL under which a page offers the picture, the primary URL that it belongs to,
        and its rank: 0 for the primary URL itself, then 1, 2 ... best first. Repeats are welcome.
      locations: image records of the crawl.
    """

    references: PCollection[ImageReference]
    candidates: PCollection[tuple[str, str, int]]
    locations: PCollection[ImageLocation]


@dataclass
class ListPlaces(beam.PTransform):
    """The places that sources have besides the records that the extract phase found.

    In: sources.  Out: ImageLocation.
    """

    def expand(self, sources: PCollection[Source]) -> PCollection[ImageLocation]:
        return (
            sources
            | "Files" >> beam.FlatMap(_files)
            | "Spread files" >> beam.Reshuffle()
            | "Places" >> beam.FlatMapTuple(_places)
        )


def _files(source: Source) -> Iterable[tuple[Source, str]]:
    for path in source.files():
        yield source, path


def _places(source: Source, path: str) -> Iterable[ImageLocation]:
    return source.places(path)


@dataclass
class LocateImages(beam.PTransform):
    """Joins references with image records by URL (`stages.imaging.urls.comparable`).

    Attributes:
      sources: their names, in the order in which they are tried.
      max_locations: how many a task keeps; a popular image is in a crawl many times.
    """

    sources: tuple[str, ...] = (Crawl.name,)
    max_locations: int = 8

    def __post_init__(self) -> None:
        if self.max_locations < 1:
            raise ValueError(f"locate_images: max_locations is {self.max_locations}, below 1")

    def expand(self, inputs: Inputs) -> PCollection[ImageTask]:
        own = inputs["references"] | "Own URL" >> beam.Map(_own_candidate)
        others = inputs["candidates"] | "By both URLs" >> beam.Map(_by_both_urls)
        ranked = (
            (own, others)
            | "All candidates" >> beam.Flatten()
            | "Best rank" >> beam.CombinePerKey(min)
            | "By candidate" >> beam.Map(_by_candidate)
        )
        places = inputs["locations"] | "By URL" >> beam.Map(_by_url)
        found = (
            {"ranked": ranked, "places": places}
            | "Meet" >> beam.CoGroupByKey()
            | "To primary" >> beam.FlatMap(_to_primary, self.sources, self.max_locations)
        )
        references = inputs["references"] | "By primary" >> beam.Map(_by_primary)
        return (
            {"references": references, "found": found}
            | "Gather places" >> beam.CoGroupByKey()
            | "To tasks" >> beam.FlatMap(_to_task, self.sources, self.max_locations)
        )


def preference(ranked: Ranked, sources: Sequence[str] = (Crawl.name,)) -> tuple[Any, ...]:
    """Sort key of a location: the order of the sources, the page's own order, the latest crawl, and
    where it lies."""
    rank, place = ranked
    source = sources.index(place.source)
    latest = [*(-ord(character) for character in place.crawl_time), 0]
    return source, rank, latest, place.warc_file, place.offset, place.inner_offset


def _own_candidate(reference: ImageReference) -> tuple[tuple[str, str], int]:
    return (comparable(reference.url), reference.url), 0


def _by_both_urls(candidate: tuple[str, str, int]) -> tuple[tuple[str, str], int]:
    url, primary, rank = candidate
    return (comparable(url), primary), rank


def _by_candidate(ranked: tuple[tuple[str, str], int]) -> tuple[str, tuple[str, int]]:
    (url, primary), rank = ranked
    return url, (primary, rank)


def _by_url(place: ImageLocation) -> tuple[str, ImageLocation]:
    return comparable(place.url), place


def _by_primary(reference: ImageReference) -> tuple[str, ImageReference]:
    return reference.url, reference


def _to_primary(
    met: tuple[str, dict[str, Any]], sources: Sequence[str], limit: int
) -> Iterable[tuple[str, Ranked]]:
    _, sides = met
    # All have the same rank for one primary URL, so the best few of all are the best few for each.
    best = _sorted({(0, place) for place in sides["places"]}, sources)[:limit]
    for primary, rank in sides["ranked"]:
        for _, place in best:
            yield primary, (rank, place)


def _sorted(ranked: Iterable[Ranked], sources: Sequence[str]) -> list[Ranked]:
    return sorted(ranked, key=lambda one: preference(one, sources))


def _to_task(
    met: tuple[str, dict[str, Any]], sources: Sequence[str], limit: int
) -> Iterable[ImageTask]:
    _, sides = met
    for reference in sides["references"]:
        places = [place for _, place in _sorted(sides["found"], sources)]
        yield ImageTask(reference, tuple(dict.fromkeys(places))[:limit])
