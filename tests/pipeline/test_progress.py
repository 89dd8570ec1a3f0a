import io
import json
import time
from collections import Counter

import pytest
from rich.console import Console

from pipeline.progress import FILE, Progress, line, report
from stages import progress
from stages.progress import FOLDER, note, open_progress

EXTRACT = Counter({
    "filter_pages\tpage\tentered": 400, "filter_pages\tpage\tkept": 300,
    "filter_pages\tpage\trejected": 100, "extract_documents\tpage\trejected": 50,
    "filter_text\tdocument\tentered": 250, "filter_text\tdocument\tkept": 150,
    "filter_text\tdocument\trejected": 99, "filter_text\tdocument\tfailed": 1,
    "filter_text\tnode\trejected": 7_000, "read_bytes": 2_000,
})  # fmt: skip
IMAGES = Counter({
    "filter_references\timage\tentered": 1_000, "filter_references\timage\trejected": 200,
    "fetch_images\timage\tentered": 800, "fetched": 300, "unfetched": 100,
    "failing_host\tb.example": 2, "failing_host\ta.example": 7, "failing_host\t\x1b[2J": 7,
})  # fmt: skip


def test_a_phase_that_reads_tells_pages_and_what_is_left():
    now = report("extract", EXTRACT, 20.0, 8_000, 0)
    assert now.stages["filter_text"] == {"entered": 250, "kept": 150, "rejected": 99, "failed": 1}
    assert list(now.stages) == ["filter_pages", "extract_documents", "filter_text"]
    assert (now.pages_per_second, now.kept_share) == (20.0, 150 / 400)
    assert (now.share, now.seconds_left) == (0.25, 60.0)
    said = "extract: 400 pages, 20.0 a second; 38% kept; 25% done; about 60 s left"
    assert line(now) == said


def test_a_phase_that_fetches_tells_images_and_hosts():
    now = report("images", IMAGES, 600.0, 8_000, 0)
    assert now.share == pytest.approx((0.2 + 0.5) / 2)
    assert list(now.failing_hosts.items())[1:] == [("a.example", 7), ("b.example", 2)]
    assert line(now) == (
        "images: 300 images fetched, 100 not; 3 hosts fail, \u241b[2J; 35% done; about 19 min left"
    )


@pytest.mark.parametrize(("phase", "counts", "share"), [
    ("dedup", {"deduplicate\tdocument\tentered": 60}, 0.5),
    ("dedup", {"deduplicate\tdocument\tentered": 60, "deduplicate\tdocument\tkept": 30}, 0.75),
    ("assemble", {"join_images\tdocument\trejected": 15, "filter_placed\tdocument\tkept": 15}, 0.5),
    ("dedup_images", {"deduplicate_images\timage\tentered": 5}, None),
])  # fmt: skip
def test_what_is_done_of_the_other_phases(phase, counts, share):
    assert report(phase, Counter(counts), 9.0, 0, 60).share == share


def test_nothing_is_estimated_from_next_to_nothing():
    early = report("extract", EXTRACT, 3.0, 8_000, 0)
    assert early.seconds_left is None
    unknown = report("extract", EXTRACT, 60.0, 0, 0)
    assert (unknown.share, unknown.seconds_left) == (None, None)
    assert line(report("dedup", Counter(), 7.0, 0, 0)) == "dedup: 7 s"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_phase_is_watched_and_leaves_nothing_in_its_folder(tmp_path, monkeypatch, terminal):
    monkeypatch.setattr(progress, "SECONDS", 0.01)
    monkeypatch.setattr("pipeline.progress.SECONDS", 0.01)
    monkeypatch.setattr("pipeline.progress.SECONDS_A_LINE", 0.0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    watch = Progress(str(tmp_path), ["extract", "dedup"], 8_000, console)
    folder = str(tmp_path / "_work" / "extract")

    def written():
        return json.loads((tmp_path / FILE).read_text())

    with watch.watching("extract", folder):
        open_progress(folder)
        for key, count in EXTRACT.items():
            note(key, count)
        while (
            "filter_text" not in out.getvalue() if terminal else "400 pages" not in out.getvalue()
        ):
            time.sleep(0.01)
        running = written()
    assert (running["state"], running["phases"]) == (
        "running", {"extract": "running", "dedup": "waiting"}
    )  # fmt: skip
    assert running["stages"]["filter_pages"]["entered"] == 400
    assert not (tmp_path / "_work" / "extract" / FOLDER).exists()
    watch.finished("extract", [])
    with pytest.raises(RuntimeError), watch.watching("dedup", str(tmp_path / "_work" / "dedup")):
        raise RuntimeError
    assert written()["phases"] == {"extract": "done", "dedup": "failed"}


def test_a_finished_run_says_so_and_keeps_no_counts(sample_corpus):
    told = json.loads((sample_corpus / FILE).read_text())
    assert told["state"] == "done"
    assert set(told["phases"].values()) == {"done"}
    assert not list(sample_corpus.glob(f"_work/*/{FOLDER}"))
