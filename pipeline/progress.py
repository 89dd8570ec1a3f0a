"""Says how far a run is: a live table on a terminal, a line now and then elsewhere, and
`progress.json` beside the corpus for whoever watches from outside.

The numbers of a running phase are estimates (`stages.progress`) and no part of the corpus.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.funnel import STAGES
from pipeline.terminal import clean
from schemas.outcome import Door, Kind
from stages import files
from stages.progress import (
    FAILING_HOST,
    FETCHED,
    FOLDER,
    READ_BYTES,
    UNFETCHED,
    close_progress,
    read_progress,
)

FILE = "progress.json"
SECONDS = 2.0
SECONDS_REMOTE = 30.0
SECONDS_A_LINE = 30.0
# So little tells nothing of the rest.
_LEAST_SHARE, _LEAST_SECONDS = 0.05, 4.0
_DOORS = [str(door) for door in Door]


@dataclass(frozen=True)
class Report:
    """How far a phase is.

    Attributes:
      phase: its name.
      seconds: since it began.
      stages: elements by stage and door, without nodes.
      pages: that were read.
      kept_share: documents that the phase kept of those that it is through with; None before any.
      fetched, unfetched: URLs that the web gave an image for, and gave none.
      failing_hosts: hosts that did not answer, and how often.
      share: of the phase that is done, None where it cannot be told.
    """

    phase: str
    seconds: float
    stages: dict[str, dict[str, int]]
    pages: int = 0
    kept_share: float | None = None
    fetched: int = 0
    unfetched: int = 0
    failing_hosts: dict[str, int] = field(default_factory=dict)
    share: float | None = None

    @property
    def pages_per_second(self) -> float | None:
        return self.pages / self.seconds if self.pages and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        if not self.share or self.share < _LEAST_SHARE or self.seconds < _LEAST_SECONDS:
            return None
        return self.seconds * (1 - self.share) / self.share


def report(
    phase: str, counts: Counter[str], seconds: float, n_bytes: int, documents: int
) -> Report:
    """What the counts of the workers say.

    Args:
      n_bytes: of the inputs, 0 where unknown.
      documents: that an earlier phase kept, 0 where unknown.
    """
    stages: dict[str, dict[str, int]] = {}
    for key, count in counts.items():
        stage, kind, door = ([*key.split("\t"), "", ""])[:3]
        if stage in STAGES and kind not in (Kind.NODE, Kind.FILE):
            stages.setdefault(stage, dict.fromkeys(_DOORS, 0))[door] += count
    stages = {stage: stages[stage] for stage in STAGES if stage in stages}

    def through(stage: str, *doors: Door) -> int:
        return sum(stages.get(stage, {}).get(door, 0) for door in doors or Door)

    out = (Door.KEPT, Door.REJECTED, Door.FAILED)
    pages = through("filter_pages", Door.ENTERED)
    settled = kept = 0
    parts: list[tuple[int, int]] = []
    if phase == "extract":
        kept = through("filter_text", Door.KEPT)
        lost = ("filter_pages", "extract_documents", "filter_text")
        settled = kept + sum(through(stage, *out[1:]) for stage in lost)
        parts = [(counts[READ_BYTES], n_bytes)]
    elif phase == "dedup":
        kept, settled = through("deduplicate", Door.KEPT), through("deduplicate", *out)
        parts = [(through("deduplicate", Door.ENTERED), documents), (settled, documents)]
    elif phase == "images":
        images = through("filter_references", Door.ENTERED)
        kept = through("filter_scored_images", Door.KEPT)
        settled = kept + sum(through(stage, *out[1:]) for stage in stages)
        parts = [(settled, images)]
        if asked := through("fetch_images", Door.ENTERED):
            parts.append((counts[FETCHED] + counts[UNFETCHED], asked))
    elif phase == "assemble":
        kept = through("filter_placed", Door.KEPT)
        settled = kept + sum(through(stage, *out[1:]) for stage in stages)
        parts = [(settled, documents)]
    known = [min(1.0, done / whole) for done, whole in parts if whole]
    hosts = {
        key.partition("\t")[2]: count
        for key, count in counts.items()
        if key.startswith(FAILING_HOST)
    }
    return Report(
        phase,
        seconds,
        stages,
        pages,
        # What is rejected first is counted first: before any is kept the share says nothing.
        kept / settled if kept else None,
        counts[FETCHED],
        counts[UNFETCHED],
        dict(sorted(hosts.items(), key=lambda host: (-host[1], host[0]))),
        sum(known) / len(known) if known else None,
    )


def line(now: Report) -> str:
    """A report in a line."""
    said = []
    if now.pages:
        said.append(f"{now.pages:,} pages, {now.pages_per_second:,.1f} a second")
    if now.kept_share is not None:
        said.append(f"{now.kept_share:.0%} kept")
    if now.fetched or now.unfetched:
        said.append(f"{now.fetched:,} images fetched, {now.unfetched:,} not")
    if now.failing_hosts:
        said.append(
            f"{len(now.failing_hosts):,} hosts fail, {clean(next(iter(now.failing_hosts)))}"
        )
    if now.share is not None:
        said.append(f"{now.share:.0%} done")
    if now.seconds_left is not None:
        said.append(f"about {_duration(now.seconds_left)} left")
    return f"{now.phase}: {'; '.join(said) or _duration(now.seconds)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _table(now: Report) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for door in _DOORS:
        table.add_column(door, justify="right")
    for stage, counts in now.stages.items():
        table.add_row(stage, *(f"{counts[door]:,}" for door in _DOORS))
    return table


@dataclass
class Progress:
    """Watches the phases of a run.

    Attributes:
      output: folder of the corpus.
      phases: their names, in order.
      n_bytes: of the inputs, 0 where unknown.
    """

    output: str
    phases: Sequence[str]
    n_bytes: int
    console: Console
    _states: dict[str, str] = field(default_factory=dict)
    _documents: int = 0

    def finished(self, phase: str, tallies: Sequence[dict[str, Any]], state: str = "done") -> None:
        """Notes the counts of a finished phase, which are exact."""
        self._states[phase] = state
        for tally in tallies:
            of_documents = tally["kind"] == Kind.DOCUMENT and tally["door"] == Door.KEPT
            if of_documents and tally["stage"] in ("filter_text", "deduplicate"):
                self._documents = tally["count"]

    @contextlib.contextmanager
    def watching(self, phase: str, folder: str) -> Iterator[None]:
        """Shows how far a phase is while it runs."""
        if "://" not in folder:
            files.write_atomically(files.join(folder, FOLDER, ".watched"), b"")
        self._states[phase] = "running"
        stop = threading.Event()
        live = Live(console=self.console, transient=True, refresh_per_second=4)
        started = time.monotonic()
        watcher = threading.Thread(
            target=self._watch, args=(phase, folder, started, stop, live), daemon=True
        )
        with live if self.console.is_terminal else contextlib.nullcontext():
            watcher.start()
            try:
                yield
            except BaseException:
                self._states[phase] = "failed"
                raise
            finally:
                stop.set()
                watcher.join()
                close_progress(folder)
                self._note(self._report(phase, folder, started))
                files.delete([files.join(folder, FOLDER)])

    def done(self) -> None:
        self._write({"state": "done"})

    def _watch(
        self, phase: str, folder: str, started: float, stop: threading.Event, live: Live
    ) -> None:
        pause = SECONDS_REMOTE if "://" in folder else SECONDS
        last = started
        while True:
            now = self._report(phase, folder, started)
            self._note(now)
            if self.console.is_terminal:
                live.update(Group(Text(line(now)), _table(now)))
            elif time.monotonic() - last >= SECONDS_A_LINE:
                self.console.print(Text(line(now)), soft_wrap=True)
                last = time.monotonic()
            if stop.wait(pause):
                return

    def _report(self, phase: str, folder: str, started: float) -> Report:
        counts = read_progress(folder)
        seconds = time.monotonic() - started
        return report(phase, counts, seconds, self.n_bytes, self._documents)

    def _note(self, now: Report) -> None:
        hosts = list(now.failing_hosts.items())
        self._write(
            {
                "state": self._states[now.phase],
                "phase": now.phase,
                "estimated": "counts of bundles that were tried again are in here twice",
                "seconds": round(now.seconds, 1),
                "stages": now.stages,
                "pages": now.pages,
                "pages_per_second": now.pages_per_second,
                "kept_share": now.kept_share,
                "images_fetched": now.fetched,
                "images_not_fetched": now.unfetched,
                "failing_hosts": len(hosts),
                "failing_most": [{"host": host, "urls": count} for host, count in hosts[:10]],
                "share_done": now.share,
                "seconds_left": now.seconds_left,
            }
        )

    def _write(self, content: dict[str, Any]) -> None:
        phases = {phase: self._states.get(phase, "waiting") for phase in self.phases}
        whole = content | {
            "phases": phases,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # Who watches is not worth a failed run.
        with contextlib.suppress(OSError):
            path = files.join(self.output, FILE)
            files.write_atomically(path, json.dumps(whole, indent=1).encode())
