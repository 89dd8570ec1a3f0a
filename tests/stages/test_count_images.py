import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageRecord
from stages.count_images import CountImages


def record(url, image_id, documents=1, same=1, look=1, phash="0"):
    return ImageRecord(
        image_id,
        url,
        "png",
        2,
        1,
        3,
        phash * 16,
        documents=documents,
        same_bytes_documents=same,
        same_look_documents=look,
        dhash=phash * 16,
        nsfw=0.25,
        clip=b"\x00\x00\x80?",
    )


def count(p, records, shown):
    return {
        "records": p | "Records" >> beam.Create(records).with_output_types(ImageRecord),
        "references": p | "Shown" >> beam.Create(shown).with_output_types(tuple[str, str]),
    } | CountImages()


def test_distinct_documents_by_url_by_bytes_and_by_look(beam_pipeline):
    records = [
        record("u", "X"),
        record("v", "X"),
        record("w", "Y", 99, 99, 99, "f"),
        record("z", "X"),
        record("alike", "Z"),
    ]
    shown = [
        ("alike", "4"),
        *(("u", doc) for doc in ("1", "2", "2", "1")),
        *(("v", doc) for doc in ("2", "3")),
        ("w", "1"),
        ("rejected", "1"),
    ]
    with beam_pipeline as p:
        out = count(p, records, shown)
        assert out.element_type is ImageRecord
        expected = [
            record("u", "X", 2, 3, 4),
            record("v", "X", 2, 3, 4),
            record("w", "Y", 1, 1, 1, "f"),
            record("z", "X", 0, 3, 4),  # nobody shows it: said, not hidden
            record("alike", "Z", 1, 1, 4),
        ]
        assert_that(out, equal_to(expected))


def test_no_records(beam_pipeline):
    with beam_pipeline as p:
        assert_that(count(p, [], [("u", "1")]), equal_to([]))
