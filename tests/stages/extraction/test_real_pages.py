"""Real pages with gold. The bounds must hold; scripts/bench/extraction.py says what is reached."""

from collections import Counter

import pytest

from schemas.document import Image
from scripts.bench.extraction import ImageScores, joined, load, match_images, run, text_scores
from stages.extraction.extract import extract


def test_text_of_news_pages(shared_data):
    pages = shared_data / "pages"
    samples = load([pages / "scrapinghub.warc.gz"], pages / "scrapinghub.gold.jsonl")
    assert len(samples) == 181
    # A fixed third, for speed.
    f1, _, recall = text_scores(
        [(sample.gold["article_body"], joined(run(sample))) for sample in samples[::3]]
    )
    assert f1 >= 0.95
    assert recall >= 0.97


def test_images_of_readability_pages(shared_data):
    pages = shared_data / "pages"
    scores = ImageScores()
    for sample in load([pages / "readability.warc.gz"], pages / "readability.gold.jsonl"):
        gold = [
            ("image", item["src"]) if item["type"] == "image" else ("text", item["text"])
            for item in sample.gold["sequence"]
            if item["type"] == "text" or item["src"].startswith(("http://", "https://"))
        ]
        match_images(extract(sample.body, "http://fakehost/test/page.html"), gold, scores)
    assert scores.gold > 150
    assert scores.agree / scores.gold >= 0.90
    assert scores.agree / scores.found >= 0.84
    assert scores.ordered / scores.agree >= 0.99


@pytest.mark.parametrize("book", ["american-adventures", "chiriqui", "little-colonel"])
def test_illustrated_books(shared_data, book):
    books = shared_data / "books"
    samples = load([books / f"{book}.warc.gz"], books / "gold.jsonl")
    scores = ImageScores()
    pairs = []
    dropped: Counter[str] = Counter()
    for sample in samples:
        rows = [next((k, v) for k, v in row.items() if k != "alt") for row in sample.gold["gold"]]
        found = run(sample)
        if not sample.url.startswith("https://mirror."):
            # The gold of mirrors names the relative image URLs of the original's folder.
            gold = [(k if k == "image" else "text", v) for k, v in rows]
            match_images(found, gold, scores)
        pairs.append((" ".join(v for k, v in rows if k != "image"), joined(found)))
        dropped.update(d.image.url.rpartition("/")[2] for d in found.dropped)
        shown = {n.url.rpartition("/")[2] for n in found.nodes if isinstance(n, Image)}
        assert not shown & {
            "logo.png",
            "banner-728x90.png",
            "share-button.png",
            "portrait-editor.jpg",
        }
    assert scores.agree / scores.gold >= 0.99
    assert scores.ordered == scores.agree == scores.found
    assert text_scores(pairs)[0] >= 0.99
    for name in ("logo.png", "banner-728x90.png", "share-button.png", "portrait-editor.jpg"):
        assert dropped[name] == len(samples)
