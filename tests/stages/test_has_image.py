"""The rule has_image beside both engines of the extraction, on real pages."""

import pytest

from filters.pages.has_image import HasImage
from schemas.document import Image
from schemas.page import Page
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import extract
from stages.inputs import list_inputs
from stages.read_pages import ReadConfig, read_captures


@pytest.fixture(scope="module")
def rejected(shared_data):
    """Pages that the rule rejects, of 663."""
    pages = [
        capture
        for folder in ("pages", "warc")
        for file in list_inputs([str(shared_data / folder)])
        for capture in read_captures(file, ReadConfig())
        if isinstance(capture, Page)
        and capture.status == 200
        and capture.mime in ("text/html", "application/xhtml+xml")
    ]
    assert len(pages) == 663
    return [page for page in pages if HasImage().score(page).value < 1]


@pytest.mark.parametrize("engine", ["accurate", "fast"])
def test_extraction_keeps_no_image_of_a_rejected_page(rejected, engine):
    assert len(rejected) >= 100
    config = ExtractionConfig(engine=engine)
    kept = [
        page.url
        for page in rejected
        if any(isinstance(n, Image) for n in extract(page.body, page.url, config=config).nodes)
    ]
    assert not kept


def test_the_rule_and_the_extraction_mean_the_same_icons():
    assert HasImage().min_side <= ExtractionConfig().min_side
