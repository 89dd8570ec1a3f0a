"""Fetches images from the web: politely, within limits, and from public machines only.

A client is used by one thread. It keeps connections, obeys robots.txt, waits between two requests
to a host, follows redirects itself so that each is checked, and retries only what may pass.
"""

import contextlib
import hashlib
import queue
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from stages.imaging.addresses import ForbiddenAddress, resolve
from stages.imaging.refusal import Reason, Refused, of_status
from stages.imaging.robots import MAX_BYTES, Robots, Verdict
from stages.imaging.urls import DEFAULT_PORT, comparable, host_of
from stages.warc.payload import PayloadError, PayloadTooLarge, decode_payload

Headers = tuple[tuple[str, str], ...]
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_CONTACT = re.compile(r"https?://[^\s/]+\.[^\s/]+|[^\s@]+@[^\s@]+\.[^\s@]+")
_PRODUCT = re.compile(r"[A-Za-z_-]+")
_ACCEPT = b"image/avif,image/webp,image/png,image/jpeg,image/gif,image/*;q=0.8,*/*;q=0.1"


@dataclass(frozen=True)
class HttpConfig:
    """How the web is asked; all times in seconds.

    Attributes:
      enabled: False asks nobody: only records of the crawl are used.
      user_agent: ``product/version (contact)``, where the contact is a URL or a mail address, so
        that the owner of a site can complain; the product is what robots.txt is matched with.
      deadline: for one attempt with all its redirects, name resolution aside.
      connect_timeout, read_timeout: for one step of it.
      retries: further attempts after a failure that may pass.
      backoff: wait before the first retry, doubled for each further one.
      max_retry_after: a server that asks for a longer wait is not asked again.
      host_delay: between the end of a request and the next one to the same host; a longer
        Crawl-delay counts, up to `max_crawl_delay`, above which the host is left alone.
      max_host_failures: so many URLs in a row without an answer, and the host counts as dead.
      threads: hosts that one worker talks to at a time.
      shards: groups that hosts are hashed into; the most workers that can fetch at a time.
      allow_loopback: for tests only.
    """

    enabled: bool = False
    user_agent: str = ""
    deadline: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 10.0
    max_redirects: int = 5
    retries: int = 2
    backoff: float = 1.0
    max_retry_after: float = 60.0
    host_delay: float = 1.0
    max_crawl_delay: float = 30.0
    max_host_failures: int = 5
    threads: int = 32
    shards: int = 16
    robots: bool = True
    allow_loopback: bool = False

    def __post_init__(self) -> None:
        for name in ("deadline", "connect_timeout", "read_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"http: {name} is {getattr(self, name)}, not above 0")
        for name in ("backoff", "max_retry_after", "host_delay", "max_crawl_delay"):
            if getattr(self, name) < 0:
                raise ValueError(f"http: {name} is {getattr(self, name)}, below 0")
        for name in ("max_host_failures", "threads", "shards"):
            if getattr(self, name) < 1:
                raise ValueError(f"http: {name} is {getattr(self, name)}, below 1")
        if self.retries < 0 or self.max_redirects < 0:
            raise ValueError("http: retries and max_redirects may not be below 0")
        if self.enabled and not _CONTACT.search(self.user_agent):
            raise ValueError(
                "http: user_agent must name a contact, e.g. mybot/1.0 (+https://example.org/bot), "
                f"it is {self.user_agent!r}"
            )
        if self.enabled and not self.product:
            raise ValueError(f"http: user_agent {self.user_agent!r} starts with no product name")

    @property
    def product(self) -> str:
        """The product token of the user agent, that robots.txt is matched with."""
        found = _PRODUCT.match(self.user_agent)
        return found[0] if found else ""


@dataclass(frozen=True)
class Response:
    """An answer with a body.

    Attributes:
      url: where the last redirect led.
      headers: names in lower case, in order.
    """

    url: str
    status: int
    headers: Headers
    body: bytes


class FetchError(Refused):
    """There is no answer that helps.

    Attributes:
      transient: another attempt may do better.
      retry_after: seconds that the server asks to wait, or None.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        transient: bool = False,
        retry_after: float | None = None,
    ):
        super().__init__(reason, detail)
        self.transient = transient
        self.retry_after = retry_after


Check = Callable[[Headers], None]


class HttpClient:
    """Fetches URLs one after the other.

    Args:
      max_bytes: the longest body that is taken.
      sleep, clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        config: HttpConfig,
        max_bytes: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._config = config
        self._max_bytes = max_bytes
        self._sleep = sleep
        self._clock = clock
        self._deadline = _Deadline(clock)
        self._robots = Robots(config.product, self._robots_file)
        self._free_at: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(),
            max_connections=8,
            keepalive_expiry=30,
            network_backend=_PublicBackend(config.allow_loopback, self._deadline),
        )

    def close(self) -> None:
        self._pool.close()

    def fetch(self, url: str, check: Check = lambda headers: None) -> Response:
        """The answer to GET, redirects followed.

        Args:
          check: is given the headers of an answer of status 2xx before its body is read, and raises
            `Refused` to do without it.

        Raises:
          Refused: there is none; `FetchError` where it is the network's or the server's doing.
        """
        host = host_of(url)
        if self._failures[host] >= self._config.max_host_failures:
            raise FetchError(Reason.DEAD_HOST, host)
        for attempt in range(self._config.retries + 1):
            try:
                response = self._follow(comparable(url), check)
            except FetchError as error:
                wait = self._wait(url, attempt, error)
                if wait is None:
                    silent = error.reason in (Reason.CONNECTION, Reason.TIMEOUT)
                    self._failures[host] = self._failures[host] + 1 if silent else 0
                    raise
                self._sleep(wait)
            else:
                self._failures[host] = 0
                return response
        raise AssertionError("the last attempt neither returned nor raised")

    def _wait(self, url: str, attempt: int, error: FetchError) -> float | None:
        """Seconds before the next attempt, None for no next one."""
        if not error.transient or attempt >= self._config.retries:
            return None
        if error.retry_after is not None and error.retry_after > self._config.max_retry_after:
            return None
        # Spread so that hosts that failed together are not asked together again, yet the same in
        # every run.
        digest = hashlib.sha256(f"{attempt} {url}".encode(errors="replace")).digest()
        jitter = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
        return max(self._config.backoff * 2**attempt * jitter, error.retry_after or 0.0)

    def _follow(self, url: str, check: Check) -> Response:
        left = self._config.deadline
        seen = set()
        for _ in range(self._config.max_redirects + 1):
            if url in seen:
                break
            seen.add(url)
            self._permit(url)
            self._pause(url)
            started = self._clock()
            try:
                answer = self._get(url, left, self._max_bytes, check)
            finally:
                left -= self._clock() - started
                self._rest(url)
            if isinstance(answer, Response):
                return answer
            url = comparable(answer)
        raise FetchError(Reason.TOO_MANY_REDIRECTS, url)

    def _permit(self, url: str) -> None:
        if not _is_web(url):
            raise FetchError(Reason.SCHEME, url[:200])
        if not host_of(url) or not url.isascii():
            raise FetchError(Reason.BAD_URL, url[:200])
        if not self._config.robots:
            return
        verdict = self._robots.verdict(url)
        if verdict is Verdict.DISALLOWED:
            raise FetchError(Reason.ROBOTS_DISALLOWED, url[:200])
        if verdict is Verdict.UNREACHABLE:
            raise FetchError(Reason.ROBOTS_UNREACHABLE, url[:200])
        if (delay := self._robots.delay(url)) > self._config.max_crawl_delay:
            raise FetchError(Reason.CRAWL_DELAY, f"{delay:g} s")

    def _pause(self, url: str) -> None:
        wait = self._free_at.get(host_of(url), 0.0) - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _rest(self, url: str) -> None:
        delay = self._robots.delay(url) if self._config.robots else 0.0
        self._free_at[host_of(url)] = self._clock() + max(delay, self._config.host_delay)

    def _robots_file(self, url: str) -> tuple[int, bytes]:
        """Status and body of a robots.txt; status 0 where there is no answer."""
        left = self._config.deadline
        try:
            for _ in range(6):  # RFC 9309, section 2.3.1.2: at least five redirects
                started = self._clock()
                answer = self._get(url, left, None, lambda headers: None)
                left -= self._clock() - started
                if isinstance(answer, Response):
                    return answer.status, answer.body
                url = comparable(answer)
                if not _is_web(url):
                    break
        except FetchError as error:
            if error.reason in (Reason.FORBIDDEN_ADDRESS, Reason.TLS):
                raise
            status = error.detail.partition(" ")[0]
            return int(status) if status.isdigit() else 0, b""
        return 404, b""  # RFC 9309: after too many redirects, as if it were not there

    def _get(self, url: str, seconds: float, max_bytes: int | None, check: Check) -> Response | str:
        """One request: an answer of status 2xx, or where a redirect leads.

        Without `max_bytes` the body is cut at `robots.MAX_BYTES`.
        """
        if seconds <= 0:
            raise FetchError(Reason.TIMEOUT, "no time left to follow the redirect")
        self._deadline.start(seconds)
        timeouts = {
            "connect": self._config.connect_timeout,
            "read": self._config.read_timeout,
            "write": self._config.read_timeout,
            "pool": self._config.connect_timeout,
        }
        sent = [
            (b"Host", _host_header(url)),
            (b"User-Agent", self._config.user_agent.encode("latin-1", "replace")),
            (b"Accept", _ACCEPT),
            (b"Accept-Encoding", b"identity"),
        ]
        try:
            with self._pool.stream(
                "GET", url, headers=sent, extensions={"timeout": timeouts}
            ) as answer:
                headers = tuple(
                    (name.decode("latin-1").lower(), value.decode("latin-1"))
                    for name, value in answer.headers
                )
                if answer.status in _REDIRECT_STATUS and (to := _first(headers, "location")):
                    return _joined(url, to)
                if not 200 <= answer.status < 300:
                    raise _refused_status(answer.status, headers)
                check(headers)
                body = _body(answer, headers, max_bytes)
                return Response(url, answer.status, headers, body)
        except ForbiddenAddress as error:
            raise FetchError(Reason.FORBIDDEN_ADDRESS, str(error)) from error
        except httpcore.TimeoutException as error:
            if self._deadline.left <= 0:
                late = f"over {self._config.deadline:g} s"
                raise FetchError(Reason.TIMEOUT, late) from error
            raise FetchError(Reason.TIMEOUT, _said(error), transient=True) from error
        except socket.gaierror as error:
            again = error.errno == socket.EAI_AGAIN
            raise FetchError(Reason.CONNECTION, _said(error), transient=again) from error
        except httpcore.LocalProtocolError as error:
            raise FetchError(Reason.BAD_URL, _said(error)) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
                raise FetchError(Reason.TLS, _said(error)) from error
            raise FetchError(Reason.CONNECTION, _said(error), transient=True) from error


def fetch_by_host(
    urls: Sequence[str], config: HttpConfig, max_bytes: int, check: Check
) -> Iterator[tuple[str, Response | Exception]]:
    """Fetches many URLs, several hosts at a time and each host one URL after the other.

    Yields:
      Each URL once, in no particular order, with its answer, with the `Refused` that stands in for
      it, or with the exception of a fault of ours.
    """
    hosts: dict[str, list[str]] = {}
    for url in sorted(urls):
        hosts.setdefault(host_of(url), []).append(url)
    waiting: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    for host in sorted(hosts, key=lambda host: (-len(hosts[host]), host)):  # the longest first
        waiting.put(hosts[host])
    # Bounded, so that bodies do not pile up while the consumer decodes.
    done: queue.Queue[tuple[str, Response | Exception]] = queue.Queue(maxsize=config.threads)
    stopped = threading.Event()

    def work(client: HttpClient) -> None:
        try:
            while not stopped.is_set():
                for url in waiting.get_nowait():
                    if stopped.is_set():
                        return
                    done.put((url, _outcome(client, url, check)))
        except queue.Empty:
            return
        finally:
            client.close()

    threads = [
        threading.Thread(
            target=work, args=(HttpClient(config, max_bytes),), daemon=True, name=f"fetch-{number}"
        )
        for number in range(min(config.threads, len(hosts)))
    ]
    for thread in threads:
        thread.start()
    left = len(urls)
    try:
        while left:
            yield done.get()
            left -= 1
    finally:
        stopped.set()
        while any(thread.is_alive() for thread in threads):
            _drain(done)
            for thread in threads:
                thread.join(timeout=0.05)


def _outcome(client: HttpClient, url: str, check: Check) -> Response | Exception:
    try:
        return client.fetch(url, check)
    except Exception as error:  # noqa: BLE001  the consumer sends it to a door
        return error


def _drain(done: queue.Queue[Any]) -> None:
    try:
        while True:
            done.get_nowait()
    except queue.Empty:
        return


@cache
def _tls() -> ssl.SSLContext:
    # Made once: it takes 30 to 50 ms and holds the certificates of the world.
    return httpcore.default_ssl_context()


class _Deadline:
    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._end = 0.0

    def start(self, seconds: float) -> None:
        self._end = self._clock() + seconds

    @property
    def left(self) -> float:
        return self._end - self._clock()

    def cut(self, timeout: float | None) -> float:
        """The time that a step may take.

        Raises:
          httpcore.ReadTimeout: none is left.
        """
        left = self.left
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left if timeout is None else min(left, timeout)


class _TimedStream(httpcore.NetworkStream):
    """A connection of which no step goes past the deadline: a server that sends a byte a second
    never meets a timeout that starts anew with each read."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline):
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.cut(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cut(timeout))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _PublicBackend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, not to names that may be resolved anew."""

    def __init__(self, allow_loopback: bool, deadline: _Deadline):
        self._allow_loopback = allow_loopback
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolve(host, port, self._allow_loopback)
        for index, address in enumerate(addresses):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, self._deadline.cut(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if index == len(addresses) - 1:
                    raise
            else:
                return _TimedStream(stream, self._deadline)
        raise httpcore.ConnectError(f"{host} has no address")


def _refused_status(status: int, headers: Headers) -> FetchError:
    transient = status in _TRANSIENT_STATUS
    after = _retry_after(_first(headers, "retry-after"), _first(headers, "date"))
    return FetchError(of_status(status), str(status), transient, after if transient else None)


def _retry_after(value: str, date: str) -> float | None:
    """Seconds; a date counts from the server's own clock."""
    if value.strip().isdigit():
        return float(value)
    try:
        wait = (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):  # no date, or one with and one without a zone
        return None
    return max(wait, 0.0)


def _body(answer: httpcore.Response, headers: Headers, max_bytes: int | None) -> bytes:
    limit = MAX_BYTES if max_bytes is None else max_bytes
    length = _first(headers, "content-length")
    if max_bytes is not None and length.isdigit() and int(length) > limit:
        raise FetchError(Reason.TOO_LARGE, f"{length} bytes announced")
    body = bytearray()
    for chunk in answer.iter_stream():
        body += chunk
        if len(body) > limit:
            if max_bytes is None:
                break
            raise FetchError(Reason.TOO_LARGE, f"over {limit} bytes")
    coded = tuple(field for field in headers if field[0] == "content-encoding")
    try:  # we ask for no coding; some servers apply one all the same
        payload = decode_payload(coded, bytes(body[:limit]), limit)
    except PayloadTooLarge as error:
        raise FetchError(Reason.TOO_LARGE, str(error)) from error
    except PayloadError as error:
        raise FetchError(Reason.CONTENT_CODING, str(error)[:200]) from error
    if payload.incomplete and max_bytes is not None:
        raise FetchError(Reason.TRUNCATED, "content coding")
    return payload.data


def _first(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")


def _joined(base: str, location: str) -> str:
    # Header bytes were read as Latin-1; servers write UTF-8.
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode("utf-8")
    try:
        return urljoin(base, location.strip())
    except ValueError as error:
        raise FetchError(Reason.BAD_URL, location[:200]) from error


def _is_web(url: str) -> bool:
    return url.partition(":")[0] in DEFAULT_PORT


def _host_header(url: str) -> bytes:
    return urlsplit(url).netloc.rpartition("@")[2].encode("ascii", "replace")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
