from dataclasses import replace

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Kind, Rejection
from stages.dedup.components import component_labels
from stages.dedup.semantic import SemanticConfig
from stages.deduplicate_images import STAGE, DeduplicateImages
from stages.imaging.elements import GatheredImage
from stages.store_images import write_images


def turned(degrees):
    """A feature of two values, so that the cosine of two is that of the angle between them."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle)], "<f4")


def record(name, feature, width=100, url=""):
    """An image whose id is a letter, repeated."""
    url = url or f"https://i.example/{name}"
    return ImageRecord(name * 64, url, "png", width, 100, 9, "0" * 16, clip=feature.tobytes())


def stored(records, directory, images_a_file=3):
    """The records as `StoreImages` leaves them."""
    out = []
    for start in range(0, len(records), images_a_file):
        part = records[start : start + images_a_file]
        name = write_images(str(directory), [GatheredImage(record, b"x") for record in part])
        out += [replace(r, clip=b"", store_file=name, store_row=i) for i, r in enumerate(part)]
    return out


def run(p, tmp_path, records, config, unseen=()):
    """Applies the stage to records in a store; documents show all but the `unseen`."""
    records = stored(records, tmp_path / "store")
    shown = [(r.url, "document") for r in records if r.image_id[0] not in unseen]
    inputs = {
        "records": p | "records" >> beam.Create(records).with_output_types(ImageRecord),
        "shown": p | "shown" >> beam.Create(shown),
    }
    out = inputs | DeduplicateImages(config, str(tmp_path / "store"), str(tmp_path / "cells"), 2)
    assert out.kept.element_type is ImageRecord
    return out


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def names(rows, what):
    return rows | f"Name {what}" >> beam.Map(lambda r: (what, r.url.rpartition("/")[2]))


def test_the_largest_of_a_cluster_stays_and_ties_go_to_the_smallest_id(beam_pipeline, tmp_path):
    records = [
        record("a", turned(0)),
        record("b", turned(2)),
        record("c", turned(4), width=200),
        record("d", turned(40)),
        record("e", turned(41)),
        record("f", turned(90)),
    ]
    expected = {"kept": "cdf", "rejected": "abe"}
    with beam_pipeline as p:
        out = run(p, tmp_path, records, SemanticConfig(threshold=0.998))  # 3.6 degrees
        rows = (names(out.kept, "kept"), names(out.rejected, "rejected")) | beam.Flatten()
        pairs = [(what, name) for what, found in expected.items() for name in found]
        assert_that(rows, equal_to(pairs))

        cosine = float(turned(0) @ turned(2))
        url, score = "https://i.example/a", pytest.approx(cosine)
        row = Rejection(url, Kind.IMAGE, "", url, STAGE, "semantic_duplicate", "duplicate", score,
                        "c" * 64)  # fmt: skip
        of_a = out.rejected | beam.Filter(lambda r: r.url.endswith("/a"))
        assert_that(of_a, equal_to([row]), "a row names score and survivor")
    assert counters(p) == {"kept": 3, "rejected.semantic_duplicate.duplicate": 3}


def test_equal_bytes_are_one_image_under_all_their_urls(beam_pipeline, tmp_path):
    feature = turned(7)
    records = [record("a", feature, url=f"https://{host}.example/a") for host in "xyz"]
    records += [record("b", feature), record("c", turned(90))]
    with beam_pipeline as p:
        out = run(p, tmp_path, records, SemanticConfig(), unseen="")
        kept = out.kept | beam.Map(lambda r: r.url)
        urls = [f"https://{host}.example/a" for host in "xyz"]
        assert_that(kept, equal_to([*urls, "https://i.example/c"]))


def test_an_image_that_no_document_shows_is_kept_and_stays_for_none(beam_pipeline, tmp_path):
    records = [record("a", turned(1), width=300), record("b", turned(1)), record("c", turned(2))]
    with beam_pipeline as p:
        out = run(p, tmp_path, records, SemanticConfig(), unseen="a")
        rows = (names(out.kept, "kept"), names(out.rejected, "rejected")) | beam.Flatten()
        assert_that(rows, equal_to([("kept", "a"), ("kept", "b"), ("rejected", "c")]))


def test_flagged_images_stay_with_a_score(beam_pipeline, tmp_path):
    records = [record("a", turned(0)), record("b", turned(0)), record("c", turned(90))]
    with beam_pipeline as p:
        out = run(p, tmp_path, records, SemanticConfig(policy="flag"))
        scored = out.kept | "Scores" >> beam.Map(lambda r: (r.image_id[0], r.scores))
        score = (ImageScore("semantic_duplicate", 1.0),)
        assert_that(scored, equal_to([("a", ()), ("b", score), ("c", ())]))
        assert_that(out.rejected, equal_to([]), "none rejected")
        assert_that(names(out.flagged, "flagged"), equal_to([("flagged", "b")]), "flagged")


def test_nothing_in_nothing_out(beam_pipeline, tmp_path):
    with beam_pipeline as p:
        assert_that(run(p, tmp_path, [], SemanticConfig()).kept, equal_to([]))


def test_cells_find_what_comparing_all_pairs_finds(beam_pipeline, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 64))
    features[:80] = features[80:160] + 0.2 * rng.standard_normal((80, 64))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype("<f4")
    records = [
        replace(record("a", feature, url=f"https://i.example/{number}"), image_id=f"{number:064x}")
        for number, feature in enumerate(features)
    ]
    left, right = np.nonzero(np.triu(features @ features.T >= 0.95, 1))
    labels = component_labels(left, right, 400)
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(labels.max() + 1)]
    assert 310 < len(first) < 330
    with beam_pipeline as p:
        out = run(p, tmp_path, records, SemanticConfig(cells=8))
        kept = out.kept | beam.Map(lambda r: int(r.image_id, 16))
        assert_that(kept, equal_to(first))
    files = list((tmp_path / "cells" / "cells").iterdir())
    assert sum(pq.read_metadata(file).num_rows for file in files) == 800  # each in two cells
