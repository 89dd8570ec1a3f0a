"""Reading speed beside warcio and FastWARC: same file, same run, same work.

Each reader reads every record and the decoded payload of every HTTP response. Rounds of the readers
alternate, so that a busy machine slows all of them; the figure is the least CPU time of a reader,
and ratios are what to trust. `--broken` counts instead what each reader finds in damaged files.

`--documents` goes on to documents: WARC bytes in, extracted text out, by both engines of weft and
by datatrove's WarcReader and Trafilatura with their defaults, in an environment of their own. All
files together; CPU time of all processes of each; pages are the HTML responses that each reader
yields, kept is what has text after extraction; "is" compares pages/s.

Usage: python -m scripts.bench.reading FILE.warc.gz ... [--rounds 5]
       python -m scripts.bench.reading --documents FILE.warc.gz ... [--peers DIR]
       python -m scripts.bench.reading --broken tests/data/warc
"""

import argparse
import json
import os
import pathlib
import resource
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

from fastwarc.warc import ArchiveIterator as FastWarc
from fastwarc.warc import WarcRecordType
from warcio.archiveiterator import ArchiveIterator as Warcio

from schemas.page import Page
from scripts.bench.peers import CACHE, ask, environment
from stages.extraction.config import ExtractionConfig
from stages.extraction.limits import Guard
from stages.inputs import WarcFile
from stages.read_pages import ReadConfig, read_captures
from stages.warc.payload import PayloadError
from stages.warc.reader import Record, read_records

# Yields the size of the payload of each response; of 0 for a record of another type.
Reader = Callable[[str], Iterator[int]]


def weft(path: str) -> Iterator[int]:
    with open(path, "rb") as stream:
        for record in read_records(stream, path):
            if isinstance(record, Record):
                yield _payload_size(record) if record.status is not None else 0


def _payload_size(record: Record) -> int:
    try:
        return len(record.payload)
    except PayloadError:
        return 0


def with_warcio(path: str) -> Iterator[int]:
    with open(path, "rb") as stream:
        for record in Warcio(stream):
            response = record.rec_type == "response" and record.http_headers
            yield len(record.content_stream().read()) if response else 0


def with_fastwarc(path: str) -> Iterator[int]:
    with open(path, "rb") as stream:
        for record in FastWarc(stream, parse_http=True, auto_decode="all", quirks_mode=True):
            response = record.record_type == WarcRecordType.response and record.is_http
            yield len(record.reader.read()) if response else 0


READERS: dict[str, Reader] = {"weft": weft, "warcio": with_warcio, "fastwarc": with_fastwarc}


def measure(path: str, rounds: int) -> None:
    readers = dict(READERS)
    for name, reader in READERS.items():
        try:
            sum(reader(path))
        except Exception as error:  # noqa: BLE001 - what a reader raises is what is measured
            print(f"{path}: {name} gives up: {error!r}"[:160])
            del readers[name]
    times: dict[str, float] = {}
    counts: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        for name, reader in readers.items():
            start = time.process_time()
            records = payload = 0
            for size in reader(path):
                records += 1
                payload += size
            seconds = time.process_time() - start
            times[name] = min(seconds, times.get(name, seconds))
            counts[name] = records, payload
    size = os.path.getsize(path)
    print(f"{path}: {size / 1e6:.1f} MB")
    print(f"{'reader':10} {'records':>8} {'payload MB':>11} {'CPU s':>7} {'records/s':>10} "
          f"{'MB/s':>7} {'payload MB/s':>13} {'weft is':>8}")  # fmt: skip
    for name, seconds in times.items():
        records, payload = counts[name]
        print(f"{name:10} {records:8} {payload / 1e6:11.1f} {seconds:7.3f} "
              f"{records / seconds:10.0f} {size / 1e6 / seconds:7.1f} "
              f"{payload / 1e6 / seconds:13.1f} {seconds / times['weft']:7.2f}x")  # fmt: skip


# What the preset `extract` takes for HTML.
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_DATATROVE = """
import os, resource
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.readers import WarcReader

def seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)

def rows(stream, count):
    for document in stream:
        count[0] += 1
        yield document

import trafilatura
pages, kept, characters = [0], 0, 0
start = seconds()
for path in question:
    folder, name = os.path.split(path)
    reader = WarcReader(folder, glob_pattern=name)
    for document in Trafilatura()(rows(reader(), pages)):
        kept += bool(document.text)
        characters += len(document.text)
answer = seconds() - start, pages[0], kept, characters, 0
"""


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def weft_documents(paths: list[str], engine: str) -> tuple[float, int, int, int, int]:
    """CPU seconds, HTML pages, pages kept, characters of text, images."""
    guard = Guard(ExtractionConfig(engine=engine))  # type: ignore[arg-type]
    pages = kept = characters = images = 0
    start = _cpu()
    files = [WarcFile(os.path.basename(path), path) for path in paths]
    for page in (page for file in files for page in read_captures(file, ReadConfig())):
        if isinstance(page, Page) and page.status == 200 and page.mime in _HTML:
            pages += 1
            nodes = guard.extract(page.body, page.url, page.header("content-type")).nodes
            kept += bool(nodes)
            for node in nodes:
                if (text := getattr(node, "text", None)) is None:
                    images += 1
                else:
                    characters += len(text)
    guard.close()  # waits for its process, whose time then counts
    return _cpu() - start, pages, kept, characters, images


def measure_documents(paths: list[str], rounds: int, peers: pathlib.Path) -> None:
    python = environment("datatrove", ["datatrove[io,processing]", "trafilatura"], peers)
    results: dict[str, tuple[float, int, int, int, int]] = {}
    for _ in range(rounds):
        for name, run in (
            ("weft accurate", lambda: weft_documents(paths, "accurate")),
            ("weft fast", lambda: weft_documents(paths, "fast")),
            ("datatrove", lambda: ask(python, _DATATROVE, list(map(os.path.abspath, paths)))),
        ):
            result = run()
            results[name] = min(result, results.get(name, result))
    size = sum(map(os.path.getsize, paths))
    base = results["datatrove"][1] / results["datatrove"][0]
    print(f"{len(paths)} files, {size / 1e6:.1f} MB")
    print(f"{'to documents':16} {'pages':>6} {'kept':>6} {'text MB':>8} {'images':>7} {'CPU s':>7} "
          f"{'pages/s':>8} {'MB/s':>6} {'is':>6}")  # fmt: skip
    for name, (seconds, pages, kept, characters, images) in results.items():
        speed = size / 1e6 / seconds
        print(f"{name:16} {pages:6} {kept:6} {characters / 1e6:8.2f} {images:7} {seconds:7.2f} "
              f"{pages / seconds:8.1f} {speed:6.2f} {pages / seconds / base:5.2f}x")  # fmt: skip


def compare_broken(folder: pathlib.Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    print(f"{'responses with a payload':36}" + "".join(f"{name:>22}" for name in READERS))
    for name in sorted(expected):
        cells = [_found(reader, str(folder / name)) for reader in READERS.values()]
        print(f"{name:36}" + "".join(f"{cell:>22}" for cell in cells))


def _found(reader: Reader, path: str) -> str:
    number = 0
    try:
        for size in reader(path):
            number += size > 0
    except Exception as error:  # noqa: BLE001 - what a reader raises is what is measured
        return f"{number} {type(error).__name__}"
    return str(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broken", type=pathlib.Path)
    parser.add_argument("--documents", action="store_true", help="read and extract")
    parser.add_argument("--peers", type=pathlib.Path, default=CACHE, help="where they lie")
    options = parser.parse_args()
    print(f"warcio {version('warcio')}, FastWARC {version('fastwarc')}")
    if options.documents:
        measure_documents(options.files, options.rounds, options.peers)
    for path in () if options.documents else options.files:
        measure(path, options.rounds)
    if options.broken:
        compare_broken(options.broken)


if __name__ == "__main__":
    main()
