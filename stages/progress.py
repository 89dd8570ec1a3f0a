"""How far the workers of a phase are, for whoever watches it.

Each worker process counts what it does and, every few seconds, leaves its counts as a small file in
the folder `progress` of the phase; the driver adds them up. They are an estimate: a bundle that is
tried again counts twice, and a count is lost where two threads count at once. The corpus is made
and checked from the counts of `stages.commit_phase`, never from these.
"""

import contextlib
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable

from stages import files

FOLDER = "progress"
SECONDS = 2.0
SECONDS_REMOTE = 30.0  # where each file is a request that is paid for
READ_BYTES, FETCHED, UNFETCHED, FAILING_HOST = "read_bytes", "fetched", "unfetched", "failing_host"
_MOST_HOSTS = 1_000  # that are named


class _Tally:
    """The counts of one process. There is one phase at a time in a process; a forked process starts
    from nothing."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.directory = ""
        self._process = 0
        self._lock = threading.Lock()

    def open(self, directory: str) -> None:
        if (self.directory, self._process) == (directory, os.getpid()):
            return
        with self._lock:
            if (self.directory, self._process) == (directory, os.getpid()):
                return
            self.counts = Counter()
            self.directory, self._process = directory, os.getpid()
            threading.Thread(target=self._leave_files, args=(directory,), daemon=True).start()

    def _leave_files(self, directory: str) -> None:
        """Runs until the process ends, another phase begins or the driver removes the folder."""
        folder = files.join(directory, FOLDER)
        path = files.join(folder, f"{uuid.uuid4().hex}.json")
        remote = "://" in directory
        wait = threading.Event()
        written: dict[str, int] = {}
        while self.directory == directory and (remote or os.path.isdir(folder)):
            counts = dict(self.counts)
            if counts != written:
                # Who watches is not worth a failed run.
                with contextlib.suppress(OSError):
                    _write(path, json.dumps(counts).encode())
                    written = counts
            wait.wait(SECONDS_REMOTE if remote else SECONDS)
        with self._lock:  # a worker that is kept may work for the same folder again
            if self.directory == directory:
                self.directory = ""


def _write(path: str, content: bytes) -> None:
    if "://" in path:
        files.write_atomically(path, content)
        return
    # Without fsync and without making the folder: it is gone once the phase is done.
    with open(f"{path}.tmp", "wb") as file:
        file.write(content)
    os.replace(f"{path}.tmp", path)


_TALLY = _Tally()


def open_progress(directory: str) -> None:
    """Begins to count for the phase that works in a folder; again and again it does nothing."""
    _TALLY.open(directory)


def close_progress(directory: str) -> None:
    """Ends the counting of this process for a phase."""
    if _TALLY.directory == directory:
        _TALLY.directory = ""


def note(what: str, count: int = 1) -> None:
    """Counts something that this process did."""
    _TALLY.counts[what] += count


def note_failing_host(host: str) -> None:
    """Counts an answer that a host did not give."""
    key = f"{FAILING_HOST}\t{host}"
    if key in _TALLY.counts or len(_TALLY.counts) < _MOST_HOSTS:
        _TALLY.counts[key] += 1


def read_progress(directory: str) -> Counter[str]:
    """The sum over all processes."""
    total: Counter[str] = Counter()
    for counts in _read(files.listed(files.join(directory, FOLDER), "*.json")):
        total.update(counts)
    return total


def _read(paths: Iterable[str]) -> Iterable[dict[str, int]]:
    for path in paths:
        with contextlib.suppress(OSError, ValueError):  # replaced, or removed, at this moment
            yield json.loads(files.read_bytes(path))
