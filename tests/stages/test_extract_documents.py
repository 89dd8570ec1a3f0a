import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from schemas.document import Document, Image, Role, Text
from schemas.outcome import Kind, Rejection
from schemas.page import Page
from stages.extract_documents import STAGE, ExtractDocuments
from stages.extraction.config import ExtractionConfig

ONE = ("The first paragraph tells at some length what the picture below it is about. " * 4).strip()
TWO = ("The second paragraph goes on with the story and says what came of it all. " * 4).strip()


def page(page_id, body, content_type="text/html; charset=utf-8"):
    headers = (("content-type", content_type),)
    url = f"https://www.example.org/{page_id}.html"
    return Page(
        page_id, url, "a.warc.gz", 7, 99, "2024-05-18T09:30:00Z", 200, "text/html", headers, body
    )


def article(middle):
    return (
        '<html><head><title>A title</title><meta name="author" content="A. Writer">'
        '<meta property="article:published_time" content="2024-05-01T08:00:00Z">'
        '<meta property="og:site_name" content="The Site">'
        '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/"></head><body>'
        f'<nav><a href="/"><img src="/logo.png"></a></nav><article><h1>A headline</h1><p>{ONE}</p>'
        f"{middle}<p>{TWO}</p></article></body></html>"
    ).encode()


def counters(pipeline):
    found = pipeline.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def logo(page_id):
    return Rejection(
        f"{page_id}#i0",
        Kind.NODE,
        page_id,
        "https://www.example.org/logo.png",
        STAGE,
        "extraction",
        "boilerplate",
        None,
        "inside nav",
    )


def test_each_page_leaves_by_one_door(beam_pipeline):
    good = page("good", article('<img src="x.jpg" alt="An x">'))
    no_image = page("plain", article(""))
    empty = page("empty", b"")
    deep = page("deep", b"<div>" * 1_000 + b"x")
    broken = page("broken", None)
    with beam_pipeline as p:
        pages = p | beam.Create([good, no_image, empty, deep, broken])
        out = pages | ExtractDocuments(ExtractionConfig(require_image=True))
        assert out.kept.element_type is Document
        document = Document(
            doc_id="good",
            url="https://www.example.org/good.html",
            nodes=(
                Text("A headline", Role.HEADING),
                Text(ONE),
                Image("https://www.example.org/x.jpg", alt="An x"),
                Text(TWO),
            ),
            warc_file="a.warc.gz",
            warc_offset=7,
            warc_length=99,
            crawl_time="2024-05-18T09:30:00Z",
            title="A headline",
            date="2024-05-01",
            author="A. Writer",
            site="The Site",
            licence="https://creativecommons.org/licenses/by/4.0/",
        )
        assert_that(out.kept, equal_to([document]), label="kept")
        rejections = [("plain", "no_image"), ("empty", "no_content"), ("deep", "too_deep")]
        found = out.rejected | beam.Map(lambda r: (r.element_id, r.kind, r.rule, r.reason))
        expected = [(name, Kind.PAGE, "extraction", reason) for name, reason in rejections]
        assert_that(found, equal_to(expected), label="rejected")
        assert_that(out.dropped, equal_to([logo("good"), logo("plain")]), label="dropped")
        failed = out.failed | "Ids" >> beam.Map(lambda f: (f.element_id, f.warc_offset))
        assert_that(failed, equal_to([("broken", 7)]), label="failed")
    assert counters(p) == {
        "kept": 1,
        "rejected.extraction.no_image": 1,
        "rejected.extraction.no_content": 1,
        "rejected.extraction.too_deep": 1,
        "dropped.extraction.boilerplate": 2,
        "failed": 1,
    }


def test_without_require_image_text_is_enough(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([page("plain", article(""))]) | ExtractDocuments()
        texts = out.kept | beam.Map(lambda document: document.text)
        assert_that(texts, equal_to([f"A headline\n\n{ONE}\n\n{TWO}"]))


def test_a_page_that_breaks_a_limit_fails_and_the_run_goes_on():
    # A bracket in each value hides the length of the tag from the check for it.
    attributes = b"<div " + b" ".join(b"a%d='>'" % i for i in range(300_000)) + b">x</div>"
    pages = [page(f"good{i}", article("")) for i in range(8)]
    pages[3:3] = [page("endless", article("").replace(b"<body>", b"<body>" + attributes))]
    config = ExtractionConfig(page_timeout_s=1)
    # Two processes with threads of their own, as on a cluster.
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    runner = FnApiRunner()
    with beam.Pipeline(runner=runner, options=PipelineOptions(options)) as p:
        out = p | beam.Create(pages) | beam.Reshuffle() | ExtractDocuments(config)
        kept = out.kept | beam.Map(lambda document: document.doc_id)
        assert_that(kept, equal_to([f"good{i}" for i in range(8)]), label="kept")
        failed = out.failed | "Said" >> beam.Map(
            lambda f: (f.element_id, f.stage, f.error.startswith("PageLimitError(<Breach.TIMEOUT"))
        )
        assert_that(failed, equal_to([("endless", STAGE, True)]), label="failed")
