"""Time and memory limits of a page.

What a parser does in C can neither be interrupted in a thread nor be bounded in memory. So pages
that could take long are extracted in a child process, which limits its own CPU time and its own
memory, and which is replaced when it dies; all others are extracted in place. What could take long
is told by counting bytes: every superlinear cost that was found (nesting, misnested tags, many
attributes, long attribute values) needs many tags or one long tag. `scripts/bench/limits.py`
measures both sides: hostile pages, and what the counting costs ordinary ones.

The CPU time is that of the page alone, so a busy machine fails no page; still, a page near the
limit can pass on one machine and fail on another. Nothing else here depends on the machine.
"""

import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import Extraction, extract

# Pages below all three bounds took under 2 s by either engine, whatever was in them. Of the 401
# real test pages 2 % lie above one of them.
_MANY_BYTES = 2_000_000
_MANY_TAGS = 10_000
_LONG_TAG = 65_536
# Wall time over CPU time at which a child is given up: it sleeps, swaps or has no processor.
_PATIENCE = 20
_LENGTH = struct.Struct("!Q")


class Breach(StrEnum):
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"  # the parser brought its process down


class PageLimitError(Exception):
    """A page that broke a limit; it names the `Breach`."""


def is_suspicious(body: bytes) -> bool:
    """Whether a page could take long: it is large, has many tags or a tag without end."""
    if len(body) > _MANY_BYTES:
        return True
    if len(body) < _MANY_TAGS:
        return False
    import numpy as np  # which the child has no use for, and would take long to load

    if np.count_nonzero(np.frombuffer(body, np.uint8) == ord("<")) > _MANY_TAGS:
        return True
    at = 0
    while at + _LONG_TAG <= len(body):
        # Searched from the end of the window: few looks for most pages.
        end = body.rfind(b">", at, at + _LONG_TAG)
        if end < 0:
            if (end := body.find(b">", at)) < 0:
                end = len(body)
            # A script is long without a tag; a tag is long from its own start.
            start = body.rfind(b"<", at, end)
            if 0 <= start < end - _LONG_TAG:
                return True
        at = end + 1
    return False


@dataclass
class Guard:
    """Extracts pages within the limits of the config. Use one in each thread, and close it."""

    config: ExtractionConfig
    _child: "_Child | None" = field(default=None, repr=False)

    def extract(self, body: bytes | str, url: str, content_type: str = "") -> Extraction:
        """Like `extract.extract`.

        Raises:
          PageLimitError: the page took too much time or memory, or brought the parser down.
        """
        readable = isinstance(body, bytes) and len(body) <= self.config.max_body_bytes
        if readable and is_suspicious(body):  # type: ignore[arg-type]
            return self._in_child(body, url, content_type)  # type: ignore[arg-type]
        return extract(body, url, content_type=content_type, config=self.config)

    def _in_child(self, body: bytes, url: str, content_type: str) -> Extraction:
        if self._child is None:
            self._child = _Child(self.config)
        try:
            result = self._child.ask((body, url, content_type))
            if isinstance(result, BaseException):
                raise result
        except PageLimitError:
            self.close()
            raise
        return result

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class _Child:
    """A process that extracts one page at a time. It ends with its input, hence with its parent."""

    def __init__(self, config: ExtractionConfig) -> None:
        self._seconds = config.page_timeout_s
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from stages.extraction.limits import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._poll = select.poll()
        assert self._process.stdout is not None
        self._poll.register(self._process.stdout, select.POLLIN)
        self._send(config)
        # The start is no page's time.
        self._receive(time.monotonic() + _PATIENCE * 60)

    def ask(self, question: Any) -> Any:
        self._send(question)
        return self._receive(time.monotonic() + _PATIENCE * self._seconds)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, message: Any) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        assert self._process.stdin is not None
        # A child that had no memory to take the page has answered and gone; else it left no answer.
        with suppress(BrokenPipeError):
            self._process.stdin.write(_LENGTH.pack(len(data)) + data)
            self._process.stdin.flush()

    def _receive(self, deadline: float) -> Any:
        (size,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return pickle.loads(self._read(size, deadline))

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1_000):
                raise PageLimitError(Breach.TIMEOUT, f"no answer after {_PATIENCE} times the limit")
            part = os.read(self._process.stdout.fileno(), size - len(data))
            if not part:
                raise self._breach()
            data += part
        return bytes(data)

    def _breach(self) -> PageLimitError:
        code = self._process.wait()
        if -code == signal.SIGXCPU:
            detail = f"more than {self._seconds} s of CPU time; on another machine it may pass"
            return PageLimitError(Breach.TIMEOUT, detail)
        return PageLimitError(Breach.CRASHED, f"exit code {code}")


def serve() -> None:
    """The child: pages on standard input, extractions on standard output."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    config: ExtractionConfig = _load(source)
    extract(b"<p>warm", "", config=config)  # imports are not the page's memory
    if (sizes := Path("/proc/self/statm")).exists():
        pages = int(sizes.read_text().split()[0])
        limit = pages * resource.getpagesize() + config.page_memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _dump(sink, None)
    while True:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime + config.page_timeout_s
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, hard))
        answer: Any
        try:
            body, url, content_type = _load(source)
            answer = extract(body, url, content_type=content_type, config=config)
            del body
        except EOFError:
            return
        except MemoryError:
            # What is left of the page in the pipe is no question.
            _dump(
                sink, PageLimitError(Breach.OUT_OF_MEMORY, f"more than {config.page_memory_mb} MB")
            )
            return
        except Exception as error:  # noqa: BLE001 - raised again by the parent, at its door
            answer = error
        _dump(sink, answer)
        del answer


def _load(source: Any) -> Any:
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pickle.loads(source.read(*_LENGTH.unpack(head)))


def _dump(sink: Any, message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    sink.write(_LENGTH.pack(len(data)) + data)
    sink.flush()
