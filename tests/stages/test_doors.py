from collections.abc import Iterable

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.util import assert_that, equal_to

from filters.base import Objection
from schemas.candidate import Candidate
from schemas.document import Document, PlacedDocument
from schemas.image import ImageLocation, ImageRecord, ImageReference
from schemas.outcome import Failure, Kind, Rejection
from schemas.page import Page
from stages import doors
from stages.doors import Identity, identify, rejected, through_doors, to_failure, to_rejection
from stages.imaging.elements import GatheredImage, ImageTask
from stages.sentences import split_sentences

PAGE = Page("p", "http://p", "a.warc.gz", 7, 8, "", 200, "text/html", (), b"")
DOCUMENT = Document("d", "http://d", warc_file="a.warc.gz", warc_offset=9)
REFERENCE = ImageReference("http://i")
RECORD = ImageRecord("1" * 64, "http://i", "png", 1, 1, 1, "0" * 16)
OF_PAGE = Identity("p", Kind.PAGE, "http://p", "p", "a.warc.gz", 7)
OF_DOCUMENT = Identity("d", Kind.DOCUMENT, "http://d", "d", "a.warc.gz", 9)
OF_IMAGE = Identity("http://i", Kind.IMAGE, "http://i")


@pytest.mark.parametrize(
    ("element", "identity"),
    [
        (PAGE, OF_PAGE),
        (DOCUMENT, OF_DOCUMENT),
        (PlacedDocument(DOCUMENT), OF_DOCUMENT),
        (Candidate(DOCUMENT), OF_DOCUMENT),
        (REFERENCE, OF_IMAGE),
        (RECORD, OF_IMAGE),
        (ImageTask(REFERENCE), OF_IMAGE),
        (GatheredImage(RECORD, b""), OF_IMAGE),
        ((DOCUMENT, [RECORD]), OF_DOCUMENT),
        (((PAGE, 1), 2), OF_PAGE),
    ],
)
def test_every_element_has_an_identity(element, identity):
    assert identify(element) == identity


@pytest.mark.parametrize("element", [None, "d", 3, b"", (), ImageLocation("http://i", "", "", 0)])
def test_what_does_not_flow_has_none(element):
    with pytest.raises(TypeError, match=f"no identity for {type(element).__name__}"):
        identify(element)


def test_a_rejection_names_the_element_and_the_objection():
    objection = Objection("word_count", "too_short", 3.0, "3 words")
    expected = Rejection(
        "d", Kind.DOCUMENT, "d", "http://d", "judge", "word_count", "too_short", 3.0, "3 words"
    )
    assert to_rejection(DOCUMENT, "judge", objection) == expected
    assert to_rejection(REFERENCE, "judge", objection).doc_id == ""
    out = rejected(DOCUMENT, "judge", objection)
    assert (out.tag, out.value) == ("rejected", expected)


def broken_document() -> Document:
    return Document("d", "http://d", nodes=None, warc_file="a.warc.gz", warc_offset=9)  # type: ignore[arg-type]


def caught(error_of):
    try:
        error_of()
    except Exception as error:  # noqa: BLE001  any error becomes a row
        return to_failure(DOCUMENT, error, "judge")
    raise AssertionError("nothing was raised")


def test_a_failure_shows_our_frames_only_and_from_the_root():
    failure = caught(lambda: split_sentences(broken_document()))
    where, error = failure.where, failure.error
    assert error == "TypeError(\"'NoneType' object is not iterable\")"
    file, _, line_and_name = where.partition(":")
    assert file == "stages/sentences.py"
    assert line_and_name.partition(" ")[2] == "split_sentences"
    assert " > " not in where
    assert failure == Failure("d", Kind.DOCUMENT, "http://d", "judge", error, where, "a.warc.gz", 9)


def test_a_failure_outside_our_code_has_no_frame():
    assert caught(lambda: int("x")).where == ""


def test_frames_of_neighbours_and_libraries_are_not_ours():
    root = doors._ROOT
    assert doors._our_path(f"{root}/stages/doors.py") == "stages/doors.py"
    assert doors._our_path(f"{root}/filters/texts/word_count.py") == "filters/texts/word_count.py"
    # Installed, the root is site-packages; beside a checkout there may be another one.
    for path in ("torch/nn/functional.py", "tests/stages/test_doors.py", ".venv/lib/x.py"):
        assert doors._our_path(f"{root}/{path}") == ""
    for path in (f"{root}-2/stages/doors.py", "/usr/lib/python3.11/json/decoder.py", "<string>"):
        assert doors._our_path(path) == ""


def test_a_chain_of_frames_ends_with_the_innermost_four(monkeypatch):
    root = doors._ROOT
    trace = [f'  File "{root}/stages/s.py", line {i}, in f{i}\n    x\n' for i in range(6)]
    trace.insert(3, '  File "/usr/lib/python3.11/json/decoder.py", line 1, in decode\n')
    failure = doors._failure(OF_DOCUMENT, "judge", "e" * 3_000, trace)
    assert failure.where == " > ".join(f"stages/s.py:{i} f{i}" for i in (2, 3, 4, 5))
    assert failure.error == "e" * 2_000


class Sort(beam.DoFn):
    """Keeps, rejects or fails a document by its URL; the extra door is used beside each."""

    def process(self, document: Document) -> Iterable[Document | TaggedOutput]:
        yield TaggedOutput("node", document.doc_id)
        match document.url:
            case "keep":
                yield document
            case "reject":
                yield rejected(document, "judge", Objection("rule", "why", 1.5, "so"))
            case "fail":
                split_sentences(broken_document())
            case "fail late":
                yield document
                split_sentences(broken_document())


def counters(p, stage):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == stage}


def test_each_element_leaves_by_one_door(beam_pipeline):
    urls = ["keep", "reject", "fail", "fail late", "keep"]
    documents = [Document(str(i), url) for i, url in enumerate(urls)]
    with beam_pipeline as p:
        out = through_doors(p | beam.Create(documents), Sort(), "judge", "node")
        assert_that(out.kept, equal_to([documents[0], documents[4]]), label="kept")
        refused = Rejection("1", Kind.DOCUMENT, "1", "reject", "judge", "rule", "why", 1.5, "so")
        assert_that(out.rejected, equal_to([refused]), label="rejected")
        failed = out.failed | beam.Map(
            lambda f: (f.element_id, f.kind, f.stage, f.error, f.where.partition(":")[0])
        )
        error = "TypeError(\"'NoneType' object is not iterable\")"
        expected = [(i, Kind.DOCUMENT, "judge", error, "stages/sentences.py") for i in ("2", "3")]
        assert_that(failed, equal_to(expected), label="failed")
        # What an element had yielded before it failed is not emitted.
        assert_that(out.node, equal_to(["0", "1", "4"]), label="node")
    assert counters(p, "judge") == {"kept": 2, "rejected.rule.why": 1, "failed": 2}
