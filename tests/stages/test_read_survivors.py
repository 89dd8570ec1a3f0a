"""Documents joined with what deduplication said of them and what images were found."""

from collections.abc import Sequence
from dataclasses import replace

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.candidate import Candidate
from schemas.dedup import Cluster, ParagraphRemoval, Removal
from schemas.document import Document, Image, Text
from schemas.image import ImageRecord, ImageVerdict
from stages.commit_phase import Ledger
from stages.imaging.elements import GatheredImage
from stages.read_survivors import ReadSurvivors, _Read
from stages.store_images import STORE, write_images
from stages.write_rows import WriteRows, bucket_of

BUCKETS = 3
IDS = [f"{number:032x}" for number in range(12)]
URLS = ["http://i/a", "http://i/b"]


def document(doc_id: str) -> Document:
    nodes = (Image(URLS[0]), Text("one"), Image(URLS[1]), Text("two"), Image(URLS[0]))
    return Document(doc_id, f"http://d/{doc_id}", nodes)


DOCUMENTS = [document(doc_id) for doc_id in IDS]


def doc_id(row) -> str:
    return row.doc_id


def commit(directory, **tables: Sequence) -> str:
    """Writes a phase of some tables."""
    with TestPipeline(runner="FnApiRunner") as p:
        ledger = Ledger(p, str(directory), BUCKETS)
        for name, rows in tables.items():
            made = p | f"Create {name}" >> beam.Create(rows, reshuffle=False)
            ledger.wrote(made | WriteRows(name, str(directory), types[name], doc_id, BUCKETS))
        ledger.commit()
    return str(directory)


types = {
    "documents": Document,
    "removals": Removal,
    "clusters": Cluster,
    "paragraphs": ParagraphRemoval,
    "verdicts": ImageVerdict,
}


@pytest.fixture
def extract(tmp_path):
    return commit(tmp_path / "extract", documents=DOCUMENTS[::-1])


def survivors(p, *folders):
    return p | beam.Create(range(BUCKETS)) | ReadSurvivors(*folders)


def test_without_other_phases_all_documents_survive(extract, beam_pipeline):
    with beam_pipeline as p:
        found = survivors(p, extract)
        assert found.element_type is Candidate
        assert_that(found, equal_to([Candidate(document) for document in DOCUMENTS]))


@pytest.mark.parametrize("bucket", range(BUCKETS))
def test_a_bucket_is_in_the_order_of_its_ids(extract, bucket):
    read = _Read(ReadSurvivors(extract))
    read.setup()
    found = [candidate.document.doc_id for candidate in read.process(bucket)]
    assert found == [i for i in IDS if bucket_of(i, BUCKETS) == bucket]
    assert len(found) > 1


def test_decisions_of_deduplication_are_joined(extract, tmp_path, beam_pipeline):
    dedup = commit(
        tmp_path / "dedup",
        removals=[Removal(IDS[1], IDS[0], "exact_text"), Removal(IDS[5], IDS[0], "exact_url")],
        clusters=[Cluster(IDS[0], IDS[0], 3)],
        paragraphs=[
            ParagraphRemoval(IDS[2], 1),
            ParagraphRemoval(IDS[3], 3),
            ParagraphRemoval(IDS[3], 1),
            ParagraphRemoval(IDS[5], 1),
        ],
    )
    a, one, b, two, again = DOCUMENTS[0].nodes
    expected = {d.doc_id: d for d in DOCUMENTS if d.doc_id not in (IDS[1], IDS[5])}
    expected[IDS[0]] = replace(DOCUMENTS[0], cluster_id=IDS[0], cluster_size=3)
    expected[IDS[2]] = replace(DOCUMENTS[2], nodes=(a, b, two, again))
    expected[IDS[3]] = replace(DOCUMENTS[3], nodes=(a, b, again))
    assert one not in expected[IDS[2]].nodes
    with beam_pipeline as p:
        found = survivors(p, extract, dedup)
        assert_that(found, equal_to([Candidate(document) for document in expected.values()]))


def test_verdicts_reach_all_documents_of_their_bucket(extract, tmp_path, beam_pipeline):
    record = ImageRecord("1" * 64, URLS[0], "png", 1, 1, 1, "0" * 16)
    bucket = bucket_of(IDS[0], BUCKETS)
    kept = ImageVerdict(IDS[0], URLS[0], record)
    refused = ImageVerdict(IDS[0], URLS[1], None, "filter_images", "nsfw", "unsafe")
    other = ImageVerdict(IDS[0], "http://i/of-another-page", record)
    images = commit(tmp_path / "images", verdicts=[refused, other, kept])
    with beam_pipeline as p:
        # In the order in which a document shows them, each once.
        expected = [
            Candidate(d, (kept, refused) if bucket_of(d.doc_id, BUCKETS) == bucket else ())
            for d in DOCUMENTS
        ]
        assert_that(survivors(p, extract, None, images), equal_to(expected))


def test_phases_without_rows_change_nothing(extract, tmp_path, beam_pipeline):
    dedup = commit(tmp_path / "dedup", removals=[], clusters=[], paragraphs=[])
    images = commit(tmp_path / "images", verdicts=[])
    with beam_pipeline as p:
        found = survivors(p, extract, dedup, images)
        assert_that(found, equal_to([Candidate(document) for document in DOCUMENTS]))


def test_a_phase_that_was_not_committed_is_an_error(extract, tmp_path):
    read = _Read(ReadSurvivors(extract, str(tmp_path / "missing")))
    with pytest.raises(FileNotFoundError, match=r"missing/result\.json"):
        read.setup()


def test_the_later_of_two_phases_counts(extract, tmp_path, beam_pipeline):
    record = ImageRecord("1" * 64, URLS[0], "png", 1, 1, 1, "0" * 16)
    kept = [ImageVerdict(i, url, replace(record, url=url)) for i in IDS for url in URLS]
    copy = [ImageVerdict(i, URLS[1], None, "deduplicate_images", "x", "duplicate") for i in IDS]
    dedup = commit(tmp_path / "dedup", removals=[Removal(IDS[0], IDS[1], "exact_url")],
                   clusters=[Cluster(IDS[1], IDS[0], 2)], paragraphs=[])  # fmt: skip
    images = commit(tmp_path / "images", verdicts=kept)
    later = commit(
        tmp_path / "dedup_images",
        removals=[Removal(IDS[2], IDS[1], "image_set")],
        clusters=[Cluster(IDS[1], IDS[0], 3)],
        verdicts=copy,
    )
    expected = [
        (doc_id, 3 if doc_id == IDS[1] else 1, [record, None])
        for doc_id in IDS
        if doc_id not in (IDS[0], IDS[2])
    ]
    with beam_pipeline as p:
        read = p | beam.Create(range(BUCKETS))
        found = read | ReadSurvivors(extract, dedup, images, later, features=False)
        brief = found | beam.Map(
            lambda c: (c.document.doc_id, c.document.cluster_size, [v.record for v in c.verdicts])
        )
        assert_that(brief, equal_to(expected))


def test_features_come_from_the_store(extract, tmp_path, beam_pipeline):
    images = tmp_path / "images"
    records = [
        ImageRecord(f"{n}" * 64, url, "png", 1, 1, 1, "0" * 16, clip=bytes([n] * 4))
        for n, url in enumerate(URLS)
    ]
    name = write_images(str(images / STORE), [GatheredImage(record, b"x") for record in records])
    stored = [
        replace(record, clip=b"", store_file=name, store_row=row)
        for row, record in enumerate(records)
    ]
    verdicts = [ImageVerdict(i, r.url, r) for i in IDS for r in stored]
    commit(images, verdicts=verdicts)
    with beam_pipeline as p:
        found = survivors(p, extract, None, str(images))
        features = found | beam.FlatMap(lambda c: [(v.url, v.record.clip) for v in c.verdicts])
        assert_that(features, equal_to([(r.url, r.clip) for r in records] * len(IDS)))
