import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageRecord, ImageVerdict
from schemas.outcome import Failure, Kind, Rejection
from stages.tell_verdicts import TellVerdicts
from stages.write_rows import bucket_of

IDS = [f"document {i}" for i in range(8)]
NO = ("filter_images", "image_size", "too_small")
RECORD = ImageRecord("1" * 64, "kept", "png", 1, 1, 1, "0" * 16)


def test_each_bucket_that_shows_a_url_is_told_once(beam_pipeline):
    shown = [(url, i) for url in ("kept", "no", "broken", "untold") for i in IDS] + [
        ("kept", IDS[0])
    ]
    rejection = Rejection("no", Kind.IMAGE, "", "no", *NO)
    failure = Failure("broken", Kind.IMAGE, "broken", "gather_images", "OSError()")
    first = {}
    for doc_id in IDS:
        first.setdefault(bucket_of(doc_id, 2), doc_id)
    assert len(first) == 2
    with beam_pipeline as p:
        verdicts = {
            "shown": p | "shown" >> beam.Create(shown),
            "kept": p | "kept" >> beam.Create([RECORD]),
            "rejected": p | "rejected" >> beam.Create([rejection]),
            "failed": p | "failed" >> beam.Create([failure]),
        } | TellVerdicts(buckets=2)
        assert_that(
            verdicts,
            equal_to(
                [
                    verdict
                    for doc_id in first.values()
                    for verdict in (
                        ImageVerdict(doc_id, "kept", RECORD),
                        ImageVerdict(
                            doc_id, "no", None, "filter_images", "image_size", "too_small"
                        ),
                        ImageVerdict(doc_id, "broken", None, *["gather_images"] * 2, "failed"),
                    )
                ]
            ),
        )
