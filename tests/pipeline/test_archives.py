"""Archives of many writers, odd and damaged ones among them: all that is in them is accounted for.

Nothing here is about the quality of the corpus. Rules are few, so that much goes all the way.
"""

import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow.parquet as pq
import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from pipeline.build import DEDUP, EXTRACT, IMAGES, LOCATIONS
from pipeline.run import run
from pipeline.validate import validate
from schemas.dedup import Removal
from schemas.document import Document
from schemas.image import ImageLocation, ImageVerdict
from stages.inputs import list_inputs
from stages.read_pages import ReadConfig, read_captures
from stages.read_rows import Bucketed
from stages.read_survivors import DOCUMENTS, REMOVALS, VERDICTS

BUCKETS = 3

CONFIGS = {
    # Two archives are damaged, so that more of them fail than a crawl's may.
    "extract": """
        extends: extract
        run: {max_failure_ratio: 1.0}
        write: {shards: 3}
    """,
    # No rule on language or text: many archives are Spanish, Japanese or a few words long.
    "sample": """
        extends: sample
        filter_pages:
          - status: {allowed: [200]}
          - mime: {allowed: [text/html, application/xhtml+xml]}
          - opt_out: {directives: [noai, noimageai, noml], user_agents: [ccbot],
                      tdm_reservation: true}
        filter_text: {paragraphs: [], documents: []}
        place_images: {min_max_similarity: null, min_similarity: null}
        run: {max_failure_ratio: 1.0}
        write: {shards: 3}
    """,
}

# Kinds of records that hold no capture, by WARC 1.1 and, of ARC files, by warcio.
NO_CAPTURES = {"warcinfo", "request", "metadata", "arc_header"}

# Archives that warcio gives up: one gzip member around all records, and a record whose stated
# length is wrong. Counted by hand in the inflated bytes.
BY_HAND = {
    "warcio/example-bad-non-chunked.warc.gz": 2,
    "webarchive-commons/link-extraction-test.warc": 7,
}


@pytest.fixture(scope="module")
def archives(shared_data: Path) -> str:
    return str(shared_data / "warc")


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def corpus(
    request: pytest.FixtureRequest, archives: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp(request.param)
    config = folder / "config.yaml"
    config.write_text(CONFIGS[request.param], "utf-8")
    return folder / "out", run(str(config), [archives], str(folder / "out"))


def test_captures_are_as_many_as_another_reader_finds(archives: str):
    files = list_inputs([archives])
    assert len(files) == 45
    ours = {file.name: sum(1 for _ in read_captures(file, ReadConfig())) for file in files}
    theirs = {
        file.name: BY_HAND.get(file.name) or sum(_captures(data) for data in _inside(file.path))
        for file in files
    }
    assert ours == theirs


def test_every_capture_has_one_outcome(corpus: tuple[Path, dict[str, Any]], archives: str):
    out, manifest = corpus
    captures = [c for f in list_inputs([archives]) for c in read_captures(f, ReadConfig())]
    flow = {entry["stage"]: entry for entry in manifest["funnel"]}
    located = sum(len(rows) for rows in _buckets(out, EXTRACT, LOCATIONS, ImageLocation))
    assert flow["read_pages"]["entered"] + located == len(captures)

    outcomes = Counter(row["doc_id"] for row in _table(out, "documents"))
    for table in ("rejected", "failed"):
        outcomes.update(
            row["element_id"] for row in _table(out, table) if row["kind"] in ("page", "document")
        )
    assert set(outcomes.values()) == {1}
    assert len(outcomes) == flow["read_pages"]["entered"]


def test_what_enters_a_stage_leaves_it(corpus: tuple[Path, dict[str, Any]]):
    out, manifest = corpus
    failed = Counter(row["stage"] for row in _table(out, "failed"))
    stages = [entry["stage"] for entry in manifest["funnel"]]
    for entry in manifest["funnel"]:
        assert entry["entered"] == entry["kept"] + entry["rejected"] + entry["failed"]
        told = sum(r["count"] for r in entry["rules"] if r["kind"] == entry["kind"])
        assert told == entry["rejected"]
        assert failed[entry["stage"]] == entry["failed"]
    flow = {entry["stage"]: entry for entry in manifest["funnel"]}
    for line in (PAGES, IMAGE_STAGES):
        for before, after in pairwise([stage for stage in line if stage in stages]):
            assert flow[after]["entered"] == flow[before]["kept"]
    assert flow["place_images"]["kept"] == len(_table(out, "documents"))


def test_the_corpus_keeps_its_promises(corpus: tuple[Path, dict[str, Any]]):
    assert [str(breach) for breach in validate(str(corpus[0]))] == []


def test_only_what_is_damaged_fails(corpus: tuple[Path, dict[str, Any]]):
    out, _ = corpus
    failed = {(row["stage"], row["warc_file"], row["error"]) for row in _table(out, "failed")}
    assert failed == {
        ("read_pages", "resiliparse/clipped.warc.gz", "the file ends inside a compressed member"),
        (
            "read_pages",
            "webarchive-commons/link-extraction-test.warc",
            "ValueError('a response record without WARC-Target-URI')",
        ),
    }


def test_every_image_has_a_verdict(corpus: tuple[Path, dict[str, Any]]):
    out, manifest = corpus
    if manifest["config"]["gather_images"] is None:
        assert not (out / "_work" / IMAGES).exists()
        return
    removed = {row.doc_id for rows in _buckets(out, DEDUP, REMOVALS, Removal) for row in rows}
    verdicts: dict[str, set[tuple[bool, str]]] = defaultdict(set)
    documents = _buckets(out, EXTRACT, DOCUMENTS, Document)
    n_images = 0
    for rows, told in zip(documents, _buckets(out, IMAGES, VERDICTS, ImageVerdict), strict=True):
        here = {verdict.url: verdict for verdict in told}
        assert len(here) == len(told)
        for document in rows:
            for image in document.images if document.doc_id not in removed else ():
                verdict = here[image.url]
                assert bool(verdict.record) != bool(verdict.reason)
                verdicts[image.url].add((bool(verdict.record), verdict.reason))
                n_images += 1
    assert n_images > 200
    assert {len(told) for told in verdicts.values()} == {1}
    flow = {entry["stage"]: entry for entry in manifest["funnel"]}
    assert flow["filter_references"]["entered"] == len(verdicts)
    kept = {url for url, told in verdicts.items() if (True, "") in told}
    assert flow["filter_scored_images"]["kept"] == len(kept) > 0


PAGES = ["read_pages", "filter_pages", "extract_documents", "filter_text", "deduplicate",
         "join_images", "filter_documents", "place_images", "filter_placed"]  # fmt: skip
IMAGE_STAGES = ["filter_references", "gather_images", "filter_images", "embed_images",
                "filter_scored_images"]  # fmt: skip


def _table(out: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / name).to_pylist()
    return rows


def _buckets(out: Path, phase: str, table: str, row_type: type) -> list[list[Any]]:
    rows = Bucketed(str(out / "_work" / phase), table, row_type)
    return [list(rows.rows(bucket)) for bucket in range(BUCKETS)]


def _inside(path: str) -> Iterator[bytes]:
    """The WARC or ARC data of an archive that warcio reads."""
    data = Path(path).read_bytes()
    if path.endswith(".wacz"):
        with zipfile.ZipFile(io.BytesIO(data)) as wacz:
            for name in wacz.namelist():
                if name.startswith("archive/") and not name.endswith("/"):
                    yield wacz.read(name)
    elif path.endswith(".lz4"):  # a frame for each record
        with lz4.frame.open(io.BytesIO(data)) as frames:
            yield frames.read()
    else:
        yield data


def _captures(data: bytes) -> int:
    found = 0
    try:
        for record in ArchiveIterator(io.BytesIO(data), no_record_parse=True):
            found += record.rec_type not in NO_CAPTURES
    except ArchiveLoadFailed:
        pass  # what is behind the damage; the counts differ if we read on
    return found
