import os
from pathlib import Path

import pytest

from schemas.document import Text
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import extract
from stages.extraction.limits import Guard, PageLimitError, is_suspicious

URL = "https://www.example.org/"
PAGE = b"<html><body>" + b"<p>A paragraph of the page, with a few words more in it.</p>" * 20
MANY = PAGE * 300  # so many tags that the child gets it
# Attributes are compared with one another: minutes in libxml2.
# A bracket in each value hides the length of the tag from the check of the accurate engine.
ENDLESS = PAGE + b"<div " + b" ".join(b"a%d='>'" % i for i in range(300_000)) + b">x</div>"
ATTRIBUTES = PAGE + b"<div " + b" ".join(b"a%d=1" % i for i in range(300_000)) + b">x</div>"


@pytest.mark.parametrize(
    ("body", "suspicious"),
    [
        (PAGE, False),
        (MANY, True),
        (ATTRIBUTES, True),
        (PAGE * 2_000, True),
        (PAGE + b'<img src="data:' + b"A" * 70_000 + b'">', True),
        (PAGE + b'<img src="data:' + b"A" * 60_000 + b'">', False),
        (PAGE + b"<div " + b"a " * 50_000, True),
        (PAGE + b"<script>" + b"var a = 1;" * 20_000 + b"</script>" + PAGE, False),
        (PAGE + b"words " * 50_000 + PAGE, False),
        (PAGE + b">" * 100_000, False),
        (b"", False),
    ],
)
def test_which_pages_could_take_long(body, suspicious):
    assert is_suspicious(body) is suspicious


@pytest.fixture(params=["accurate", "fast"])
def guard(request):
    guard = Guard(ExtractionConfig(engine=request.param, page_timeout_s=1, max_elements=50_000))
    yield guard
    guard.close()


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_an_ordinary_page_starts_no_process(guard):
    before = children()
    assert guard.extract(PAGE, URL) == extract(PAGE, URL, config=guard.config)
    assert children() == before


def test_a_child_finds_what_is_found_in_place(guard):
    config = ExtractionConfig(engine=guard.config.engine, page_timeout_s=60, max_elements=50_000)
    patient = Guard(config)
    found = patient.extract(MANY, URL)
    patient.close()
    assert found == extract(MANY, URL, config=config)
    assert len([node for node in found.nodes if isinstance(node, Text)]) == 6_000


def test_the_fast_engine_compares_no_attributes():
    assert extract(ENDLESS, URL, config=ExtractionConfig(engine="fast")).nodes


def test_a_page_without_end_is_stopped_and_the_next_one_read():
    guard = Guard(ExtractionConfig(page_timeout_s=1, max_elements=50_000))
    before = children()
    with pytest.raises(PageLimitError, match="timeout"):
        guard.extract(ENDLESS, URL)
    assert guard.extract(PAGE + b" " * 2_000_000, URL).nodes
    guard.close()
    assert children() == before


def test_memory_is_limited():
    guard = Guard(ExtractionConfig(page_memory_mb=1))
    body = PAGE + b"<p>" + b"many words " * 600_000
    with pytest.raises(PageLimitError, match="out_of_memory"):
        guard.extract(body, URL)
    guard.close()


def test_an_error_of_the_engine_is_raised_here():
    guard = Guard(ExtractionConfig())
    with pytest.raises(TypeError):
        guard.extract(None, URL)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        guard.extract(MANY + b"\xff", URL, None)  # type: ignore[arg-type]
    guard.close()
