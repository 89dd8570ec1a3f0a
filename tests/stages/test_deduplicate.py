import hashlib
import json
import pathlib
import random
import tempfile
from dataclasses import replace

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.arrow import to_row
from schemas.corpus import SIGNATURES
from schemas.dedup import Cluster, ParagraphRemoval, Removal, Signature
from schemas.document import Document, Image, Text
from schemas.outcome import Failure, Kind, Rejection
from stages import deduplicate
from stages.dedup.config import BenchmarkConfig, DedupConfig, MinHashConfig, ParagraphConfig
from stages.dedup.fingerprint import fingerprint
from stages.deduplicate import STAGE, Deduplicate, Deduplicated

TIMES = {"old": "2024-05-18T09:30:00Z", "new": "2024-05-18T09:30:01Z"}
NO_PARAGRAPHS = DedupConfig(paragraphs=None)


def prose(seed, count=300):
    """Words that no other seed has."""
    rng = random.Random(seed)
    return [f"w{seed}x{rng.randrange(10_000)}" for _ in range(count)]


def edited(words, *places):
    return [f"changed{i}" if i in places else word for i, word in enumerate(words)]


def doc(doc_id, words="", url=None, time="", images=0):
    text = words if isinstance(words, str) else " ".join(words)
    pictures = tuple(Image(f"https://i.example/{doc_id}/{i}.jpg") for i in range(images))
    url = f"https://{doc_id}.example/" if url is None else url
    return Document(doc_id, url, (Text(text), *pictures), crawl_time=time)


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def run(pipeline, documents, config, **expected):
    """Deduplicates and asserts the exact rows of every output; returns the counters.

    All in one assertion, since a pipeline takes longer to plan than to run. Every removal is
    expected among `rejected` too, and every paragraph among `pruned`.
    """
    expected["rejected"] = expected.get("removed", [])
    expected["pruned"] = expected.get("paragraphs", [])
    names = [name for name in Deduplicated._fields if name != "signatures"]
    with pipeline as p:
        out = p | beam.Create(documents) | Deduplicate(config)
        rows = [
            getattr(out, name)
            | f"Name {name}" >> beam.Map(lambda row, name=name: (name, brief(row)))
            for name in names
        ] | beam.Flatten()
        assert_that(rows, equal_to([(name, row) for name in expected for row in expected[name]]))
    return counters(p)


def brief(row):
    """A rejection as the decision that it explains."""
    if not isinstance(row, Rejection):
        return row
    if row.kind is Kind.NODE:
        return ParagraphRemoval(row.doc_id, int(row.element_id.partition("#")[2]))
    return Removal(row.doc_id, row.detail, row.rule)


def test_types(beam_pipeline):
    out = beam_pipeline | beam.Create([doc("a")]) | Deduplicate()
    assert {name: getattr(out, name).element_type for name in out._fields} == {
        "kept": str,
        "rejected": Rejection,
        "failed": Failure,
        "removed": Removal,
        "clusters": Cluster,
        "paragraphs": ParagraphRemoval,
        "pruned": Rejection,
        "signatures": Signature,
    }


def test_a_rejection_names_rule_survivor_and_url(beam_pipeline):
    documents = [doc("a", prose(1)), doc("b", prose(1), "https://copy.example/x?utm_source=y")]
    with beam_pipeline as p:
        out = p | beam.Create(documents) | Deduplicate()
        row = Rejection(
            element_id="b",
            kind=Kind.DOCUMENT,
            doc_id="b",
            url="https://copy.example/x?utm_source=y",
            stage="deduplicate",
            rule="exact_text",
            reason="duplicate",
            detail="a",
        )
        assert_that(out.rejected, equal_to([row]))
    assert counters(p) == {"kept": 1, "rejected.exact_text.duplicate": 1}


def test_url(beam_pipeline):
    documents = [
        doc("a", prose(1), "http://x.example/p/"),
        doc("b", prose(2), "https://X.example/p?utm_source=mail#top"),
        doc("c", prose(3), "https://x.example/q"),
        doc("d", prose(4), ""),  # no URL is shared with none
        doc("e", prose(5), ""),
    ]
    found = run(
        beam_pipeline,
        documents,
        NO_PARAGRAPHS,
        kept=["a", "c", "d", "e"],
        removed=[Removal("b", "a", "exact_url")],
        clusters=[Cluster("a", "a", 2)],
    )
    assert found == {"kept": 4, "rejected.exact_url.duplicate": 1}


def test_text(beam_pipeline):
    documents = [
        doc("a", "Café one\n two"),
        doc("b", "Cafe\u0301 one two "),
        doc("c", "café one two"),  # case counts
        doc("d", "", images=2),  # without text no text is shared
        doc("e", " ", images=2),
        # how a text is cut into nodes does not count
        Document("f", "https://f.example/", (Text("x"), Image("https://i.example/"), Text("y"))),
        doc("g", "x y"),
    ]
    run(
        beam_pipeline,
        documents,
        DedupConfig(minhash=None, paragraphs=None),
        kept=["a", "c", "d", "e", "f"],
        removed=[Removal("b", "a", "exact_text"), Removal("g", "f", "exact_text")],
        clusters=[Cluster("a", "a", 2), Cluster("f", "f", 2)],
    )


def test_one_word_in_sixty_makes_a_near_duplicate_and_half_a_text_does_not(beam_pipeline):
    base = prose(1)
    documents = [
        doc("a", base),
        doc("b", edited(base, *range(30, 300, 60))),
        doc("c", base[:150] + prose(2)[:150]),
    ]
    found = run(
        beam_pipeline,
        documents,
        NO_PARAGRAPHS,
        kept=["a", "c"],
        removed=[Removal("b", "a", "near_duplicate")],
        clusters=[Cluster("a", "a", 2)],
    )
    assert found == {"kept": 2, "rejected.near_duplicate.duplicate": 1}


def chain():
    """a ~ b ~ c at a similarity of .70, a and c at .45."""
    base = prose(1)
    return [
        doc("a", base),
        doc("b", edited(base, *range(0, 300, 17))),
        doc("c", edited(base, *range(0, 300, 17), *range(8, 300, 17))),
    ]


def test_a_chain_is_one_cluster(beam_pipeline):
    # The middle document is the best, so that both edges of the chain start from it.
    a, b, c = chain()
    documents = [a, replace(b, crawl_time=TIMES["new"]), c]
    run(
        beam_pipeline,
        documents,
        NO_PARAGRAPHS,
        kept=["b"],
        removed=[Removal("a", "b", "near_duplicate"), Removal("c", "b", "near_duplicate")],
        clusters=[Cluster("b", "a", 3)],
    )


def test_the_threshold_decides_over_candidates(beam_pipeline):
    a, _, c = chain()
    many = MinHashConfig(bands=128, rows=2, threshold=0.6)
    run(beam_pipeline, [a, c], DedupConfig(minhash=many, paragraphs=None), kept=["a", "c"])


def test_without_threshold_every_candidate_is_taken(beam_pipeline):
    a, _, c = chain()
    many = MinHashConfig(bands=128, rows=2, threshold=0)
    run(
        beam_pipeline,
        [a, c],
        DedupConfig(minhash=many, paragraphs=None),
        kept=["a"],
        removed=[Removal("c", "a", "near_duplicate")],
        clusters=[Cluster("a", "a", 2)],
    )


def test_pages_of_one_template_stay_apart(beam_pipeline):
    # 62 % of the words of each page are the template's, a similarity of .45. By chance a page is in
    # 1.3 bands with others, which would connect most of the pages if nothing looked again.
    template = prose(0, 186)
    documents = [doc(f"d{i:03}", template + prose(i, 114)) for i in range(1, 101)]
    ids = [document.doc_id for document in documents]
    assert run(beam_pipeline, documents, NO_PARAGRAPHS, kept=ids) == {"kept": 100}
    unverified = DedupConfig(minhash=MinHashConfig(threshold=0), paragraphs=None)
    with TestPipeline(runner="FnApiRunner") as p:
        out = p | beam.Create(documents) | Deduplicate(unverified)
        large = out.clusters | beam.Filter(lambda cluster: cluster.cluster_size > 50)
        assert_that(large | beam.combiners.Count.Globally(), equal_to([1]))


MIXED = [
    doc("a", prose(1), "https://x.example/1"),
    doc("b", prose(2), "http://x.example/1/"),  # URL of a
    doc("c", prose(2), "https://x.example/2"),  # text of b
    doc("d", edited(prose(2), 100), "https://x.example/3"),  # nearly b and c
    doc("e", edited(prose(2), 100), "https://x.example/4"),  # text of d
    doc("f", prose(3), "https://x.example/5"),  # alone
    doc("g", prose(4), "https://x.example/6", time=TIMES["old"]),
    doc("h", prose(4), "https://x.example/7", time=TIMES["new"]),  # text of g, newer
]
MIXED_OUTPUT = {
    "kept": ["a", "f", "h"],
    "removed": [
        Removal("b", "a", "exact_url"),
        Removal("c", "a", "exact_text"),
        Removal("d", "a", "exact_text"),
        Removal("e", "a", "exact_text"),
        Removal("g", "h", "exact_text"),
    ],
    "clusters": [Cluster("a", "a", 5), Cluster("h", "g", 2)],
}


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, []),
        (1, []),
        (2, ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]),
        (3, ["--direct_running_mode=multi_threading", "--direct_num_workers=4"]),
    ],
)
def test_kinds_mix_in_one_cluster_whatever_the_order_and_the_workers(seed, options):
    documents = random.Random(seed).sample(MIXED, len(MIXED))
    pipeline = TestPipeline(runner="FnApiRunner", options=PipelineOptions(options))
    found = run(pipeline, documents, NO_PARAGRAPHS, **MIXED_OUTPUT)
    assert found == {
        "kept": 3,
        "rejected.exact_url.duplicate": 1,
        "rejected.exact_text.duplicate": 4,
    }


@pytest.mark.parametrize(
    ("keep", "survivor"), [("latest", "c"), ("longest", "b"), ("most_images", "a")]
)
def test_keep_and_ties(beam_pipeline, keep, survivor):
    base = prose(1)
    documents = [
        doc("a", base, time="2024-05-18T09:30:00Z", images=3),
        doc("b", [*base, "more"], time="2023-05-18T09:30:00Z", images=1),
        doc("c", base, time="2024-05-18T09:30:00.001Z", images=2),
        doc("d", base, time=""),
        *(doc(i, prose(2), time=TIMES["old"], images=1) for i in "zxy"),
    ]
    others = [i for i in "abcd" if i != survivor]
    run(
        beam_pipeline,
        documents,
        DedupConfig(keep=keep, paragraphs=None),
        kept=[survivor, "x"],
        removed=[
            *(
                Removal(i, survivor, f"{'near_duplicate' if i == 'b' else 'exact_text'}")
                for i in others
            ),
            Removal("y", "x", "exact_text"),
            Removal("z", "x", "exact_text"),
        ],
        clusters=[Cluster(survivor, "a", 4), Cluster("x", "x", 3)],
    )


def test_each_part_can_be_off(beam_pipeline):
    config = DedupConfig(url=None, text=False, minhash=None, paragraphs=None)
    ids = [document.doc_id for document in MIXED]
    assert run(beam_pipeline, MIXED, config, kept=ids) == {"kept": len(MIXED)}


def test_nothing(beam_pipeline):
    assert run(beam_pipeline, [], DedupConfig()) == {}


def page(doc_id, url, *texts):
    nodes = tuple(Image("https://i.example/x") if t is None else Text(t) for t in texts)
    return Document(doc_id, url, nodes)


SITE = [
    page("a", "https://www.shops.co.uk/1", "Read  more", None, "alpha one", "Share\nthis"),
    page("b", "http://www.shops.co.uk:80/2", "beta two", "Read more", "Read more", "Share this"),
    page("c", "https://www.shops.co.uk/3", "gamma three", None, "Read more"),
    page("d", "https://shop.shops.co.uk/4", "Read more", "Share this", "delta four"),
    page("e", "https://other.example/5", "Read more", "epsilon five"),
]
SEPARATE = DedupConfig(minhash=None)


def removals(*places):
    return [ParagraphRemoval(*place) for place in places]


def rows_of(out):
    return out | beam.Map(lambda r: (r.element_id, r.url, r.score, r.detail))


def test_repeated_paragraphs_lose_every_copy_on_their_site(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create(SITE) | Deduplicate(SEPARATE)
        places = removals(("a", 0), ("b", 1), ("b", 2), ("c", 2))
        assert_that(out.paragraphs, equal_to(places), label="paragraphs")
        detail = "documents on www.shops.co.uk"
        one, two, three = (document.url for document in SITE[:3])
        rows = [
            ("a#0", one, 3.0, detail),
            ("b#1", two, 3.0, detail),
            ("b#2", two, 3.0, detail),
            ("c#2", three, 3.0, detail),
        ]
        assert_that(rows_of(out.pruned), equal_to(rows), label="pruned")
        kinds = out.pruned | "Kinds" >> beam.Map(lambda r: (r.kind, r.stage, r.rule, r.reason))
        named = (Kind.NODE, "deduplicate", "repeated_paragraph", "repeated")
        assert_that(kinds, equal_to([named] * 4), label="kinds")
        assert_that(out.kept, equal_to(list("abcde")), label="kept")
    assert counters(p) == {"kept": 5, "pruned.repeated_paragraph.repeated": 4}


@pytest.mark.parametrize(
    ("config", "places"),
    [
        (ParagraphConfig(4, "documents"), []),
        (ParagraphConfig(4, "occurrences"), [("a", 0), ("b", 1), ("b", 2), ("c", 2)]),
        (
            ParagraphConfig(site="domain"),
            [("a", 0), ("a", 3), ("b", 1), ("b", 2), ("b", 3), ("c", 2), ("d", 0), ("d", 1)],
        ),
    ],
)
def test_paragraph_config(beam_pipeline, config, places):
    config = replace(SEPARATE, paragraphs=config)
    run(beam_pipeline, SITE, config, kept=list("abcde"), paragraphs=removals(*places))


def test_documents_of_many_paragraphs_do_not_gather_in_memory(monkeypatch):
    monkeypatch.setattr(deduplicate, "PARAGRAPHS_A_BATCH", 5)
    pack = deduplicate._Pack(DedupConfig())
    pack.start_bundle()
    page = Document("a", "https://a.example/", tuple(Text(f"paragraph {i}") for i in range(3)))
    outputs = [len(list(pack.process(fingerprint(page, DedupConfig())))) for _ in range(4)]
    assert [bool(count) for count in outputs] == [False, True, False, True]
    assert list(pack.finish_bundle()) == []


def test_paragraphs_are_counted_among_survivors_only(beam_pipeline):
    copies = [page(f"copy{i}", "https://shops.co.uk/1", "one", "two") for i in range(3)]
    run(
        beam_pipeline,
        [*copies, page("z", "https://shops.co.uk/2", "one", "three")],
        SEPARATE,
        kept=["copy0", "z"],
        removed=[Removal("copy1", "copy0", "exact_url"), Removal("copy2", "copy0", "exact_url")],
        clusters=[Cluster("copy0", "copy0", 3)],
    )


def test_text_that_is_not_unicode_is_a_failure(beam_pipeline):
    bad = replace(doc("b", "half a \ud800 pair"), warc_file="x.warc", warc_offset=7)
    with beam_pipeline as p:
        out = p | beam.Create([doc("a", "fine"), bad]) | Deduplicate()
        assert_that(out.kept, equal_to(["a"]), label="kept")
        rows = out.failed | beam.Map(
            lambda f: (
                f.element_id,
                f.kind,
                f.url,
                f.stage,
                f.error[:19],
                f.warc_file,
                f.warc_offset,
            )
        )
        where = ("https://b.example/", STAGE, "UnicodeEncodeError(", "x.warc", 7)
        assert_that(rows, equal_to([("b", Kind.DOCUMENT, *where)]), label="failed")
        assert_that(out.rejected, equal_to([]), label="rejected")
    assert counters(p) == {"kept": 1, "failed": 1}


def articles(path):
    """The pages of the books as documents, the mirrors crawled first; and who mirrors whom."""
    documents, mirrors = [], {}
    for line in (path / "books" / "gold.jsonl").read_text().splitlines():
        row = json.loads(line)
        doc_id = hashlib.md5(row["url"].encode()).hexdigest()
        nodes = tuple(
            Image(part["image"], alt=part["alt"])
            if "image" in part
            else Text(part.get("heading") or part["text"])
            for part in row["gold"]
        )
        original = row.get("near_duplicate_of")
        time = TIMES["old" if original else "new"]
        documents.append(Document(doc_id, row["url"], nodes, crawl_time=time))
        if original:
            mirrors[doc_id] = hashlib.md5(original.encode()).hexdigest()
    return documents, mirrors


# Every footnote of this page has another first word: 8 % of its words differ, and its three-word
# shingles are 55 % those of the original.
HARD = hashlib.md5(b"https://mirror.chiriqui.example/copy/articles/56.html").hexdigest()


@pytest.mark.parametrize(
    ("minhash", "missed"),
    [
        (MinHashConfig(), {HARD}),
        (MinHashConfig(bands=42, rows=6, threshold=0.5), set()),
    ],
)
def test_mirrored_articles_and_no_others_are_removed(beam_pipeline, shared_data, minhash, missed):
    documents, mirrors = articles(shared_data)
    assert len(documents) == 369
    assert len(mirrors) == 45
    gone = [Removal(m, o, "near_duplicate") for m, o in mirrors.items() if m not in missed]
    found = run(
        beam_pipeline,
        documents,
        DedupConfig(minhash=minhash, paragraphs=None),
        removed=gone,
        clusters=[Cluster(r.survivor_id, min(r.doc_id, r.survivor_id), 2) for r in gone],
        kept=[d.doc_id for d in documents if d.doc_id not in {r.doc_id for r in gone}],
    )
    assert found == {"kept": 369 - len(gone), "rejected.near_duplicate.duplicate": len(gone)}


# --- against an earlier corpus --------------------------------------------------------------------


def signatures_file(path, documents, config, published=None):
    """Deduplicates a corpus by itself and keeps the signatures, as a run does."""
    with TestPipeline(runner="FnApiRunner") as p:
        out = p | beam.Create(documents) | Deduplicate(config)
        for name in ("signatures", "removed"):
            lines = getattr(out, name) | f"{name} lines" >> beam.Map(repr)
            _ = lines | f"{name} out" >> beam.io.WriteToText(f"{path}.{name}", num_shards=1)
    rows = {}
    for name in ("signatures", "removed"):
        text = path.parent.joinpath(f"{path.name}.{name}-00000-of-00001").read_text()
        rows[name] = [eval(line) for line in text.splitlines()]
    survivors = {row.doc_id: row.survivor_id for row in rows["removed"]}
    kept = [replace(s, survivor_id=survivors.get(s.doc_id, "")) for s in rows["signatures"]]
    kept = [s for s in kept if s.survivor_id or not published or s.doc_id in published]
    pq.write_table(pa.Table.from_pylist([to_row(s) for s in kept], SIGNATURES), path)
    return str(path)


def removed(documents, config, *earlier):
    with TestPipeline(runner="FnApiRunner") as p:
        out = p | beam.Create(documents) | Deduplicate(config, earlier)
        found = (
            out.removed | beam.combiners.ToList() | beam.Map(lambda rows: sorted(map(repr, rows)))
        )
        box = tempfile.mkdtemp()
        _ = found | beam.Map(str) | beam.io.WriteToText(f"{box}/rows", num_shards=1)
    return eval(pathlib.Path(box, "rows-00000-of-00001").read_text())


def months():
    """Two crawls of one web: pages that are new, came back, were edited, or moved."""
    rng = random.Random(7)
    before, after = [], []
    for number in range(24):
        words = prose(f"p{number}n", 200)
        url = f"https://x.example/{number}"
        before.append(doc(f"a{number:02}", words, url, "2024-01-01T00:00:00Z", images=1))
        change = number % 6
        if change == 0:  # the same page again
            after.append(doc(f"b{number:02}", words, url, "2024-02-01T00:00:00Z", images=3))
        elif change == 1:  # edited, and moved
            edits = edited(words, *rng.sample(range(200), 3))
            after.append(doc(f"b{number:02}", edits, f"{url}/moved", "2024-02-01T00:00:00Z"))
        elif change == 2:  # copied within the first crawl: the second is near the copy only
            copy = edited(words, *range(0, 200, 17))
            before.append(doc(f"c{number:02}", copy, f"{url}/copy", "2023-01-01T00:00:00Z"))
            again = edited(copy, *range(8, 200, 17))
            after.append(doc(f"b{number:02}", again, f"{url}/third", "2024-02-01T00:00:00Z"))
        elif change == 3:  # new, twice
            new = prose(f"q{number}n", 200)
            after.append(doc(f"b{number:02}", new, time="2024-02-01T00:00:00Z"))
            after.append(doc(f"d{number:02}", edited(new, 50), time="2024-02-01T00:00:00Z"))
    return before, after


def test_against_an_earlier_corpus_removes_what_a_joint_run_would(tmp_path):
    before, after = months()
    earlier = signatures_file(tmp_path / "a.parquet", before, NO_PARAGRAPHS)
    # In the joint run it wins by its images.
    oldest = replace(NO_PARAGRAPHS, keep="most_images")
    joint = [
        replace(d, nodes=(*d.nodes[:1], *(Image(f"https://i.example/{i}") for i in range(9))))
        if d.doc_id.startswith("a") else d
        for d in before
    ]  # fmt: skip
    together = [row for row in removed([*joint, *after], oldest) if "doc_id='c" not in row]
    incremental = removed(after, NO_PARAGRAPHS, earlier)
    assert incremental == together
    assert len(incremental) == 4 + 4 + 4 + 4
    assert incremental[0] == repr(Removal("b00", "a00", "exact_url"))
    assert repr(Removal("b02", "a02", "near_duplicate")) in incremental  # by way of c02


def test_a_copy_whose_survivor_did_not_come_into_the_corpus_removes_nothing(tmp_path):
    before, after = months()
    published = [d.doc_id for d in before if d.doc_id not in ("a02", "a00")]
    earlier = signatures_file(tmp_path / "a.parquet", before, NO_PARAGRAPHS, published)
    found = removed(after, NO_PARAGRAPHS, earlier)
    assert len(found) == 14
    assert not [row for row in found if "a02" in row or "a00" in row or "c02" in row]


def test_the_same_page_in_two_earlier_corpora_and_now(tmp_path):
    page = doc("a", prose(1), "https://x.example/1")
    one = signatures_file(tmp_path / "one.parquet", [page], NO_PARAGRAPHS)
    two = signatures_file(tmp_path / "two.parquet", [page, doc("b", prose(1))], NO_PARAGRAPHS)
    found = removed([page, doc("z", prose(2))], NO_PARAGRAPHS, one, two)
    assert found == [repr(Removal("a", "a", "exact_url"))]


def test_a_document_that_holds_a_benchmark_goes_and_is_a_copy_of_nothing(beam_pipeline, tmp_path):
    question = " ".join(prose("q", 15))
    path = tmp_path / "questions.txt"
    path.write_text(f"{' '.join(prose('other', 15))}\n{question}\n")
    config = replace(NO_PARAGRAPHS, benchmarks=BenchmarkConfig((str(path),)))
    words = [*prose(1), *question.split()]
    documents = [doc("a", words), doc("b", prose(1)), doc("c", prose(1))]
    with beam_pipeline as p:
        out = p | beam.Create(documents) | Deduplicate(config)
        rows = out.rejected | beam.Map(lambda r: (r.doc_id, r.rule, r.reason, r.score, r.detail))
        held = ("a", "benchmark", "contaminated", 1.0, "questions.txt:2")
        assert_that(rows, equal_to([held, ("c", "exact_text", "duplicate", None, "b")]))
        gone = [Removal("a", "", "benchmark"), Removal("c", "b", "exact_text")]
        assert_that(out.removed, equal_to(gone), label="removed")
        assert_that(out.kept, equal_to(["b"]), label="kept")
        named = out.signatures | "Ids" >> beam.Map(lambda s: s.doc_id)
        assert_that(named, equal_to(["b", "c"]), label="signatures")
    assert counters(p) == {
        "kept": 1,
        "rejected.benchmark.contaminated": 1,
        "rejected.exact_text.duplicate": 1,
    }
