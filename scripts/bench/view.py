"""The report of a corpus of many documents: its size, and how soon it opens in headless Chromium.

    python scripts/bench/view.py out/corpus [--documents 10000] [--shown 300 10000]

The corpus is repeated under other ids until it has so many documents, each copy with images of its
own. Opened is: from the start of the navigation to the end of the load event, by when the script
has drawn the first documents; the least of five.
"""

import argparse
import copy
import hashlib
import itertools
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pipeline.corpus import Corpus, open_corpus  # noqa: E402
from pipeline.view import report  # noqa: E402
from schemas.corpus import TABLES  # noqa: E402

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--shown", type=int, nargs="+", default=[300, 10_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        large = repeated(open_corpus(options.corpus), options.documents, Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for shown in options.shown:
            start = time.process_time()
            source = report([large], shown)
            made = time.process_time() - start
            page = Path(folder, "page.html")
            page.write_text(source, "utf-8")
            opened = min(open_time(browser, page.as_uri()) for _ in range(5))
            held, size = source.count('"sides":[{'), page.stat().st_size / 1e6
            print(
                f"{shown:,} asked for: {held:,} shown, {size:.1f} MB, made in {made:.0f} CPU s, "
                f"opens in {opened:.2f} s"
            )
        browser.close()


def open_time(browser: Any, url: str) -> float:
    page = browser.new_page()
    page.goto(url)
    page.locator("html[data-ready]").wait_for(state="attached")
    page.wait_for_timeout(100)  # the end of the event is noted after it
    milliseconds = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    page.close()
    return float(milliseconds) / 1000


def repeated(corpus: Corpus, number: int, folder: Path) -> Corpus:
    """The corpus with so many documents; only tables that the report reads are written."""
    rows = {
        name: [row for _, _, t in corpus.batches(name, schema.names) for row in t.to_pylist()]
        for name, schema in TABLES.items()
    }
    files = []
    with pq.ParquetWriter(folder / "documents.parquet", TABLES["documents"]) as documents, \
            pq.ParquetWriter(folder / "images.parquet", TABLES["images"]) as images:  # fmt: skip
        left = number
        for turn in itertools.count():
            if not left:
                break
            some = [renamed(row, turn) for row in rows["documents"][:left]]
            left -= len(some)
            documents.write_table(pa.Table.from_pylist(some, TABLES["documents"]))
            copies = [row | {"image_id": digest(row["image_id"], turn)} for row in rows["images"]]
            images.write_table(pa.Table.from_pylist(copies, TABLES["images"]))
    for name in ("rejected", "failed"):
        pq.write_table(pa.Table.from_pylist(rows[name], TABLES[name]), folder / f"{name}.parquet")
    for name in TABLES:
        n_rows = pq.read_metadata(folder / f"{name}.parquet").num_rows
        files.append({"table": name, "path": f"{name}.parquet", "rows": n_rows, "n_bytes": 0})
    return Corpus(str(folder), corpus.manifest | {"files": files})


def renamed(row: dict[str, Any], turn: int) -> dict[str, Any]:
    row = copy.deepcopy(row) | {"doc_id": digest(row["doc_id"], turn)[:32]}
    for info in row["image_info"]:
        info["image_id"] = info["image_id"] and digest(info["image_id"], turn)
    return row


def digest(name: str, turn: int) -> str:
    return hashlib.sha256(f"{turn} {name}".encode()).hexdigest()


if __name__ == "__main__":
    main()
