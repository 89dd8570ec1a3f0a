import random

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.candidate import Candidate
from schemas.dedup import Cluster, Removal
from schemas.document import Document, Image, Text
from schemas.image import ImageRecord, ImageVerdict
from schemas.outcome import Kind, Rejection
from stages.dedup.by_images import ByImagesConfig, ImageSetConfig, JointConfig
from stages.deduplicate_by_images import STAGE, DeduplicateByImages
from stages.join_images import JoinConfig

SETS = ByImagesConfig(image_set=ImageSetConfig())


def candidate(doc_id, numbers, text="", time="2024", lost=(), **more):
    """A document that shows pictures, each by number, under URLs of its own site."""
    urls = {number: f"https://{doc_id}.example/{number}.png" for number in numbers}
    nodes = (Text(text or doc_id), *(Image(urls[number]) for number in numbers))
    verdicts = tuple(
        ImageVerdict(doc_id, url, None, "filter_images", "short_side", "too_small")
        if number in lost
        else ImageVerdict(doc_id, url, record(url, number))
        for number, url in urls.items()
    )
    document = Document(doc_id, f"https://{doc_id}.example/", nodes, crawl_time=time, **more)
    return Candidate(document, verdicts)


def record(url, number):
    phash = random.Random(number).getrandbits(64)  # far from that of any other picture
    return ImageRecord(f"{number:064x}", url, "png", 200, 200, 9, f"{phash:016x}")


def run(p, candidates, config, join=None, **expected):
    """Asserts the rows of every output that is named; `rejected` as the decision it explains."""
    expected["rejected"] = expected.get("removed", [])
    with p:
        made = p | beam.Create(candidates).with_output_types(Candidate)
        out = made | DeduplicateByImages(config, join or JoinConfig())
        rows = [
            getattr(out, name) | f"Name {name}" >> beam.Map(lambda r, n=name: (n, brief(r)))
            for name in {*expected, "failed"}
        ] | beam.Flatten()
        assert_that(rows, equal_to([(name, row) for name in expected for row in expected[name]]))
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def brief(row):
    return Removal(row.doc_id, row.detail, row.rule) if isinstance(row, Rejection) else row


@pytest.mark.parametrize("turned", [False, True])
def test_documents_with_the_same_set_of_images(turned, beam_pipeline):
    candidates = [
        candidate("a", [1, 2], time="2023"),
        candidate("b", [2, 1], time="2025"),
        candidate("c", [1, 2, 9], time="2022", lost=[9]),  # kept images count
        candidate("d", [1, 2, 3]),
        candidate("e", [4]),
        candidate("f", [4]),  # one picture is no set
        candidate("g", []),
    ]
    counters = run(
        beam_pipeline,
        candidates[::-1] if turned else candidates,
        SETS,
        JoinConfig(require_image=False),
        kept=["b", "d", "e", "f", "g"],
        removed=[Removal("a", "b", "image_set"), Removal("c", "b", "image_set")],
        clusters=[Cluster("b", "a", 3)],
        shown=[
            (f"https://{doc}.example/{number}.png", doc)
            for doc, numbers in (("b", (1, 2)), ("d", (1, 2, 3)), ("e", (4,)), ("f", (4,)))
            for number in numbers
        ],
    )
    assert counters == {"kept": 5, "rejected.image_set.duplicate": 2}


def test_a_rejection_names_rule_survivor_and_url(beam_pipeline):
    with beam_pipeline as p:
        out = (
            p
            | beam.Create([candidate(name, [1, 2]) for name in "ab"]).with_output_types(Candidate)
            | DeduplicateByImages(SETS, JoinConfig())
        )
        row = Rejection("b", Kind.DOCUMENT, "b", "https://b.example/", "deduplicate_by_images",
                        "image_set", "duplicate", detail="a")  # fmt: skip
        assert_that(out.rejected, equal_to([row]))


def test_what_joining_would_reject_does_not_stay_for_others(beam_pipeline):
    """Else the cluster would lose the member that stays, and so all."""
    candidates = [
        candidate("a", [1, 2, 3], time="2025", lost=[3]),
        candidate("b", [1, 2], time="2024"),
        candidate("c", [1, 2], time="2023"),
    ]
    run(
        beam_pipeline,
        candidates,
        SETS,
        JoinConfig(reject_document=("short_side",)),
        kept=["a", "b"],
        removed=[Removal("c", "b", "image_set")],
        shown=[(f"https://b.example/{number}.png", "b") for number in (1, 2)],
    )


def test_clusters_grow_by_what_their_members_had_survived(beam_pipeline):
    candidates = [
        candidate("b", [1, 2], time="2025", cluster_id="a", cluster_size=3),
        candidate("c", [1, 2]),
        candidate("d", [1, 2], cluster_id="0", cluster_size=2),
        candidate("e", [5, 6], cluster_id="e", cluster_size=4),  # nothing new
    ]
    run(beam_pipeline, candidates, SETS, clusters=[Cluster("b", "0", 6)], kept=["b", "e"],
        removed=[Removal(i, "b", "image_set") for i in "cd"])  # fmt: skip


def test_near_text_and_shared_images_together(beam_pipeline):
    rng = random.Random(0)
    text = [f"w{rng.randrange(10**6)}" for _ in range(300)]
    half = " ".join([*text[:200], *(f"x{i}" for i in range(100))])  # Jaccard .5
    text = " ".join(text)
    candidates = [
        candidate("a", [1, 2], text),
        candidate("b", [1, 2, 3], half, time="2025"),
        candidate("c", [1, 7, 8], text),  # one image of four
        candidate("d", [1, 2]),  # other text
        candidate("e", [11, 12], text),  # other images
    ]
    run(
        beam_pipeline,
        candidates,
        ByImagesConfig(joint=JointConfig()),
        kept=["b", "c", "d", "e"],
        removed=[Removal("a", "b", "text_and_images")],
        clusters=[Cluster("b", "a", 2)],
    )


def test_a_document_without_verdicts_is_left_to_joining_which_fails_it(beam_pipeline):
    whole = candidate("a", [1, 2])
    untold = Candidate(candidate("b", [1, 2]).document, whole.verdicts)
    run(beam_pipeline, [whole, untold], SETS, kept=["a", "b"])
