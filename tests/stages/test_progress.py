"""Counts of worker processes, added up from the files that they leave."""

import json
import os
import subprocess
import sys
import time

import pytest

from stages import progress
from stages.progress import FOLDER, close_progress, note, open_progress, read_progress

WORKER = """
import sys, time
from stages import progress
progress.SECONDS = 0.02
progress.open_progress(sys.argv[1])
for _ in range(1000):
    progress.note("a\\tpage\\tkept")
progress.note_failing_host("down.example")
sys.stdin.read()
"""


def eventually(check):
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.01)
    (tmp_path / FOLDER).mkdir()
    yield str(tmp_path)
    close_progress(str(tmp_path))


def test_the_counts_of_all_processes_are_added_up(folder):
    command = [sys.executable, "-c", WORKER, folder]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    open_progress(folder)
    note("a\tpage\tkept", 5)
    wanted = {"a\tpage\tkept": 2005, "failing_host\tdown.example": 2}
    eventually(lambda: read_progress(folder) == wanted)
    assert len(list(os.scandir(os.path.join(folder, FOLDER)))) == 3
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    assert read_progress(folder) == wanted


def test_nothing_is_written_once_the_folder_is_gone(folder):
    open_progress(folder)
    note("x")
    path = os.path.join(folder, FOLDER)
    eventually(lambda: read_progress(folder) == {"x": 1})
    for entry in os.scandir(path):
        os.remove(entry)
    os.rmdir(path)
    note("x")
    eventually(lambda: progress._TALLY.directory == "")
    assert not os.path.exists(path)


def test_another_phase_begins_from_nothing(folder, tmp_path):
    open_progress(folder)
    note("x", 3)
    other = tmp_path / "other"
    (other / FOLDER).mkdir(parents=True)
    open_progress(str(other))
    note("y")
    eventually(lambda: read_progress(str(other)) == {"y": 1})
    close_progress(str(other))


def test_a_file_that_is_being_replaced_is_left_out(folder):
    for name, content in (("a", '{"x": 1}'), ("b", ""), ("c", json.dumps({"x": 2}))):
        with open(os.path.join(folder, FOLDER, f"{name}.json"), "w") as file:
            file.write(content)
    assert read_progress(folder) == {"x": 3}
