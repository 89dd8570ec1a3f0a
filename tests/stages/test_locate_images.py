import random
from dataclasses import dataclass, replace
from typing import ClassVar

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageLocation, ImageReference
from stages.imaging.elements import ImageTask
from stages.imaging.sources import Crawl, Source
from stages.locate_images import ListPlaces, LocateImages, preference


def place(url, offset=0, time="2024-05-18T00:00:00Z", file="a.warc.gz", inner=0):
    return ImageLocation(url, f"/data/{file}", file, offset, inner, crawl_time=time)


A, B, C = (ImageReference(f"http://x.example/{name}.png", 2) for name in "abc")
SMALL = "http://x.example/a-small.png"
OLD = place(A.url, 10, "2023-01-01T00:00:00Z")
NEW = place("HTTP://X.example:80/a.png#f", 20)
SAME_TIME = place(A.url, 5, file="b.warc.gz")
OF_SMALL = place(SMALL, 1, "2025-01-01T00:00:00Z")
OF_NOBODY = place("http://x.example/nobody.png")
SPACE = place("http://x.example/c%20c.png", 7)
REFERENCES = [A, B, C]
CANDIDATES = [
    (A.url, A.url, 0),
    (A.url, A.url, 0),
    (SMALL, A.url, 2),
    (SMALL, A.url, 1),
    (SMALL, "http://x.example/filtered-out.png", 0),
    ("http://x.example/c c.png", C.url, 1),
]
LOCATIONS = [OF_SMALL, OLD, OF_NOBODY, NEW, SAME_TIME, SPACE, OLD]
EXPECTED = [
    ImageTask(A, (NEW, SAME_TIME, OLD, OF_SMALL)),
    ImageTask(B, ()),
    ImageTask(C, (SPACE,)),
]


def locate(p, references, candidates, locations, **fields):
    return {
        "references": p | "References" >> beam.Create(references),
        "candidates": p | "Candidates" >> beam.Create(candidates),
        "locations": p | "Locations" >> beam.Create(locations),
    } | LocateImages(**fields)


@pytest.mark.parametrize("seed", range(3))
def test_each_reference_once_and_its_places_best_first_whatever_the_order(beam_pipeline, seed):
    shuffled = [
        random.Random(seed).sample(rows, len(rows)) for rows in (REFERENCES, CANDIDATES, LOCATIONS)
    ]
    with beam_pipeline as p:
        out = locate(p, *shuffled)
        assert out.element_type is ImageTask
        assert_that(out, equal_to(EXPECTED))


def test_a_reference_needs_no_candidate_row_of_its_own(beam_pipeline):
    with beam_pipeline as p:
        out = locate(p, [A], [("http://elsewhere.example/", B.url, 0)], [NEW])
        assert_that(out, equal_to([ImageTask(A, (NEW,))]))


def test_only_the_best_places_are_kept(beam_pipeline):
    with beam_pipeline as p:
        out = locate(p, REFERENCES, CANDIDATES, LOCATIONS, max_locations=2)
        tasks = [ImageTask(A, (NEW, SAME_TIME)), EXPECTED[1], EXPECTED[2]]
        assert_that(out, equal_to(tasks))


def test_preference():
    best_first = [
        (0, place("u", 9, "2024-05-18T00:00:00Z")),
        (0, place("u", 1, "2024-05", "a")),
        (0, place("u", 2, "2024-05", "a", 1)),
        (0, place("u", 2, "2024-05", "a", 2)),
        (0, place("u", 1, "2024-05", "b")),
        (0, place("u", 0, "2024", "a")),
        (0, place("u", 0, "", "a")),
        (1, place("u", 0, "2030", "a")),
    ]
    assert sorted(reversed(best_first), key=preference) == best_first


def test_config_is_checked():
    with pytest.raises(ValueError, match="max_locations is 0"):
        LocateImages(max_locations=0)


def test_sources_are_tried_in_order_whatever_the_page_or_the_time_says(beam_pipeline):
    later = replace(place(A.url, time="2030-01-01T00:00:00Z"), source="archive")
    with beam_pipeline as p:
        out = locate(p, [A], CANDIDATES, [later, OF_SMALL], sources=("warc", "archive"))
        assert_that(out, equal_to([ImageTask(A, (OF_SMALL, later))]))


@dataclass(frozen=True)
class Shelf(Source):
    name: ClassVar[str] = "shelf"
    labels: str = ""

    def files(self):
        return list(self.labels)

    def places(self, path):
        yield replace(place(path), source=self.name)

    def read(self, place, max_bytes, check):
        raise AssertionError("listing reads nothing")


def test_the_places_of_sources_are_listed(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([Shelf(labels="ab"), Crawl()]) | ListPlaces()
        assert_that(out, equal_to([replace(place(label), source="shelf") for label in "ab"]))
