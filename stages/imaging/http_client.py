"""Fetches images from the web: politely, within limits, and from public machines only.

Asynchronous, over httpcore: connections are kept and HTTP/2 is spoken where the server does. A
client obeys robots.txt, lets each host rest between two requests, follows redirects itself so that
each is checked, and asks again only where another try may do better.
"""

import asyncio
import contextlib
import hashlib
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpcore
from ada_url import join_url

from schemas.consent import Answer, Asked, Consent
from stages.imaging import tdmrep
from stages.imaging.addresses import FORBIDDEN_PORTS, ForbiddenAddress
from stages.imaging.network import PublicBackend, Resolver
from stages.imaging.refusal import Reason, Refused, of_status
from stages.imaging.robots import MAX_BYTES, Robots, SiteFile, Verdict
from stages.imaging.sources import Check
from stages.imaging.urls import DEFAULT_PORT, comparable, host_of
from stages.warc.payload import Headers, PayloadError, PayloadTooLarge, decode_payload, first

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_CONTACT = re.compile(r"https?://[^\s/]+\.[^\s/]+|[^\s@]+@[^\s@]+\.[^\s@]+")
_NUMBER = re.compile(r"[0-9]{1,15}")
_RANGE = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})")
_PRODUCT = re.compile(r"[A-Za-z_-]+")
_ACCEPT = b"image/avif,image/webp,image/png,image/jpeg,image/gif,image/*;q=0.8,*/*;q=0.1"
_T = TypeVar("_T")


@dataclass(frozen=True)
class HttpConfig:
    """How the web is asked; all times in seconds.

    Attributes:
      enabled: False asks nobody: only what lies at hand is used.
      user_agent: ``product/version (contact)``, where the contact is a URL or a mail address, so
        that the owner of a site can complain; the product is what robots.txt is matched with.
      deadline: for a URL with all its attempts, redirects and name lookups; the waits that
        politeness asks for are not counted.
      connect_timeout, read_timeout: for one step of it.
      max_redirects: of one attempt, each checked as the first address was.
      retries: further attempts after a failure that may pass.
      backoff: wait before the first retry, doubled for each further one and spread by half.
      max_retry_after: a server that asks for a longer wait is not asked again in this run.
      host_delay: between the end of a request and the next one to the same host; a longer
        Crawl-delay counts.
      max_crawl_delay: a host that sets a longer one is left alone.
      host_concurrency: requests to a host at a time; one where it sets a Crawl-delay.
      address_concurrency: requests of one worker to an address at a time, under all its names.
      max_host_failures: so many URLs in a row without an answer, and the host counts as down.
      max_host_urls: further URLs of a host are left for a later run, so that no host, however
        large, holds up all others.
      max_site_changes: how often redirects of one URL may lead to another site.
      hosts: that one worker talks to at a time; bodies of as many are in memory at once.
      shards: groups that sites are hashed into; the most workers that can fetch at a time.
      robots: obey robots.txt.
      robots_unreachable: what a robots.txt stands for that cannot be had (429, 5xx, no answer).
      tdmrep: ask each site for its /.well-known/tdmrep.json and leave what it reserves.
      revalidate: ask again for what an earlier run has, by its ETag and Last-Modified.
      flush_images, flush_seconds: what was fetched is on disk after so many images or seconds; a
        run that is killed fetches no more than that again.
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
    host_concurrency: int = 1
    address_concurrency: int = 8
    max_crawl_delay: float = 30.0
    max_host_failures: int = 5
    max_host_urls: int = 10_000
    max_site_changes: int = 2
    hosts: int = 64
    shards: int = 16
    robots: bool = True
    robots_unreachable: Literal["disallow", "allow"] = "disallow"
    tdmrep: bool = True
    revalidate: bool = False
    flush_images: int = 256
    flush_seconds: float = 10.0
    allow_loopback: bool = False

    def __post_init__(self) -> None:
        for name in ("deadline", "connect_timeout", "read_timeout", "flush_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"http: {name} is {getattr(self, name)}, not above 0")
        for name in (
            *("backoff", "max_retry_after", "host_delay", "max_crawl_delay"),
            *("retries", "max_redirects", "max_site_changes"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"http: {name} is {getattr(self, name)}, below 0")
        for name in (
            *("max_host_failures", "max_host_urls", "hosts", "host_concurrency"),
            *("address_concurrency", "shards", "flush_images"),
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"http: {name} is {getattr(self, name)}, below 1")
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
class Quest:
    """A URL to ask for.

    Attributes:
      url: as the page has it.
      seen: where redirects led before, in order, the place to ask now last; empty at the start.
      etag, modified: of what an earlier run got; the server may say that it is still the same.
    """

    url: str
    seen: tuple[str, ...] = ()
    etag: str = ""
    modified: str = ""

    @cached_property
    def at(self) -> str:
        return self.seen[-1] if self.seen else comparable(self.url)


@dataclass(frozen=True)
class Response:
    """An answer with a body.

    Attributes:
      url: where the last redirect led.
      status: 2xx, or 304 where the quest had an ETag or a date.
      headers: names in lower case, in order.
      attempts: that it took.
      consent: what the site of `url` says to robots, as far as it was asked.
    """

    url: str
    status: int
    headers: Headers
    body: bytes
    attempts: int = 1
    consent: tuple[Consent, ...] = ()


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


class Elsewhere(Exception):
    """A redirect leads to a site that another worker asks.

    Attributes:
      quest: with that place.
    """

    def __init__(self, quest: Quest):
        super().__init__(quest)
        self.quest = quest


@dataclass
class Trial:
    """How a quest stands.

    Attributes:
      left: seconds of its deadline.
      at: what is asked.
      attempts: that reached the network.
      status, headers: of the last answer.
    """

    left: float
    at: str
    attempts: int = 0
    status: int = 0
    headers: Headers = ()


class HttpClient:
    """Fetches URLs, many at a time. It lives in one event loop.

    Args:
      max_bytes: the longest body that is taken.
      ours: whether this client may talk to a host; it tells a redirect to another by `Elsewhere`.
      permit: is given each URL before it is asked for, and raises `Refused` to leave it.
      tls: what servers' certificates are checked with; the world's authorities by default.
      sleep, clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        config: HttpConfig,
        max_bytes: int,
        ours: Callable[[str], bool] = lambda url: True,
        permit: Callable[[str], None] = lambda url: None,
        tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._config = config
        self._max_bytes = max_bytes
        self._ours = ours
        self._permitted = permit
        self._tls = tls or _authorities()
        self._sleep = sleep
        self._clock = clock
        self._resolver = Resolver(config.allow_loopback, config.connect_timeout)
        allow = config.robots_unreachable == "allow"
        self._robots = Robots(
            config.product, self._site_file, Verdict.ALLOWED if allow else Verdict.UNREACHABLE
        )
        self._reservations = SiteFile(tdmrep.PATH, self._site_file, tdmrep.read)
        self._hosts: dict[str, _Host] = {}
        self._addresses: dict[str, asyncio.Semaphore] = {}

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._hosts):
            await self.leave(name)

    async def leave(self, host: str) -> None:
        """Closes the connections to a host; what is known of it is kept. Nothing is done while a
        redirect from another host is being followed there."""
        known = self._hosts.get(host)
        if known and len(known.free_at) == self._config.host_concurrency:
            await known.pool.aclose()

    async def fetch(
        self, quest: Quest, check: Check = lambda headers: None, trial: Trial | None = None
    ) -> Response:
        """The answer to GET, redirects followed.

        Args:
          check: is given the headers of an answer of status 2xx before its body is read, and raises
            `Refused` to do without it.
          trial: is kept up to date, for those who want to know how far a refused quest came.

        Raises:
          Refused: there is none; `FetchError` where it is the network's or the server's doing.
          Elsewhere: a redirect leads to a host that is not `ours`.
        """
        trial = trial or Trial(0.0, "")
        trial.left = self._config.deadline

        async def once() -> Response:
            trial.at = quest.at
            return await self._follow(quest, check, trial)

        try:
            response = await self._persist(once, trial)
        except FetchError as error:
            if error.reason in _SILENT:
                self._host(trial.at).failures += 1
            raise
        return replace(response, attempts=trial.attempts)

    async def _persist(self, once: Callable[[], Awaitable[_T]], trial: Trial) -> _T:
        """Tries until there is an answer or no hope of one."""
        for retry in range(self._config.retries + 1):
            try:
                return await once()
            except FetchError as error:
                wait = self._wait(trial.at, retry, error)
                if wait is None or trial.left <= 0:
                    raise
                await self._sleep(wait)
        raise AssertionError("the last attempt neither returned nor raised")

    def _wait(self, url: str, retry: int, error: FetchError) -> float | None:
        """Seconds before the next attempt, None for no next one."""
        if not error.transient or retry >= self._config.retries:
            return None
        if error.retry_after is not None and error.retry_after > self._config.max_retry_after:
            return None
        # Spread so that hosts that failed together are not asked together again, yet the same in
        # every run.
        digest = hashlib.sha256(f"{retry} {url}".encode(errors="replace")).digest()
        jitter = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
        return max(self._config.backoff * 2**retry * jitter, error.retry_after or 0.0)

    async def _follow(self, quest: Quest, check: Check, trial: Trial) -> Response:
        url, seen = quest.at, quest.seen or (quest.at,)
        while True:
            trial.at = url
            delay, consent = await self._permit(url)
            async with self._turn(url, delay):
                answer = await self._get(url, trial, self._max_bytes, check, quest)
            if isinstance(answer, Response):
                return replace(answer, consent=consent)
            url = comparable(answer)
            if url in seen:
                raise FetchError(Reason.REDIRECT_LOOP, url[:200])
            if len(seen) > self._config.max_redirects:
                raise FetchError(Reason.TOO_MANY_REDIRECTS, url[:200])
            seen = (*seen, url)
            _check_url(url)
            if not self._ours(url):
                raise Elsewhere(replace(quest, seen=seen))

    async def _permit(self, url: str) -> tuple[float, tuple[Consent, ...]]:
        """The Crawl-delay of a URL that may be asked for, and who says so.

        Raises:
          FetchError: it may not.
        """
        _check_url(url)
        self._permitted(url)
        host = host_of(url)
        if self._host(url).failures >= self._config.max_host_failures:
            raise FetchError(Reason.HOST_DOWN, host)
        consent: tuple[Consent, ...] = ()
        if self._config.tdmrep:
            reservations = await self._reservations.of(url)
            rule = reservations.rule_for(url)
            if rule and rule.reserved:
                raise FetchError(Reason.OPTED_OUT, f"{tdmrep.PATH}: {rule.line}")
            consent = (_said_by_tdmrep(reservations, rule),)
        if not self._config.robots:
            return 0.0, consent
        ruling = await self._robots.ruling(url)
        if ruling.verdict is Verdict.DISALLOWED:
            raise FetchError(Reason.ROBOTS_DISALLOWED, f"robots.txt: {ruling.said} of {url[:200]}")
        if ruling.verdict is Verdict.UNREACHABLE:
            raise FetchError(Reason.ROBOTS_UNREACHABLE, f"robots.txt: {ruling.said} of {url[:200]}")
        consent = (Consent(Asked.ROBOTS_TXT, ruling.answer, ruling.said), *consent)
        if (delay := await self._robots.delay(url)) > self._config.max_crawl_delay:
            raise FetchError(Reason.CRAWL_DELAY, f"{delay:g} s")
        return delay, consent

    def _host(self, url: str) -> "_Host":
        name = host_of(url)
        if name not in self._hosts:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=self._config.host_concurrency,
                keepalive_expiry=30,
                http2=True,
                network_backend=PublicBackend(self._resolver),
            )
            self._hosts[name] = _Host(pool, [0.0] * self._config.host_concurrency)
        return self._hosts[name]

    @contextlib.asynccontextmanager
    async def _turn(self, url: str, crawl_delay: float, rest: bool = True) -> AsyncIterator[None]:
        """Waits until a host may be asked, and lets it rest afterwards."""
        known = self._host(url)
        lanes = self._config.host_concurrency if crawl_delay else 1
        async with known.changed:
            await known.changed.wait_for(lambda: len(known.free_at) >= lanes)
            known.free_at.sort()
            taken = [known.free_at.pop(0) for _ in range(lanes)]
        try:
            if (wait := max(taken) - self._clock()) > 0:
                await self._sleep(wait)
            yield
        finally:
            delay = max(crawl_delay, self._config.host_delay) if rest else 0.0
            known.free_at += [self._clock() + delay] * lanes
            async with known.changed:
                known.changed.notify_all()

    async def _site_file(self, url: str) -> tuple[int, bytes]:
        """Status and body of a site's robots.txt or tdmrep.json; status 0 where there is no answer.

        Its redirects are followed to any site, as the RFC has it, also to one that is not `ours`.
        """
        trial = Trial(self._config.deadline, url)

        async def once() -> tuple[int, bytes]:
            trial.at = url
            for _ in range(6):  # RFC 9309, section 2.3.1.2: at least five redirects
                async with self._turn(trial.at, 0.0, rest=False):
                    answer = await self._get(trial.at, trial, None, lambda headers: None)
                if isinstance(answer, Response):
                    return answer.status, answer.body
                trial.at = comparable(answer)
                if not _is_web(trial.at):
                    break
            return 404, b""  # as if it were not there

        try:
            return await self._persist(once, trial)
        except FetchError as error:
            if error.reason in _NOBODY:  # an image would not be had either; asked already
                name = url.rpartition("/")[2]
                raise FetchError(error.reason, f"{name}: {error.detail}") from error
            status = error.detail.partition(" ")[0]
            return int(status) if status.isdigit() else 0, b""

    async def _get(
        self,
        url: str,
        trial: Trial,
        max_bytes: int | None,
        check: Check,
        quest: Quest | None = None,
    ) -> Response | str:
        """One request: an answer of status 2xx, or where a redirect leads.

        Without `max_bytes` the body is cut at `robots.MAX_BYTES`.
        """
        trial.attempts += 1
        with _explained():
            async with self._counted(trial):
                address = await self._address(url)
            async with address, self._counted(trial):
                return await self._request(url, trial, max_bytes, check, quest)
        raise AssertionError("unreachable")

    @contextlib.asynccontextmanager
    async def _counted(self, trial: Trial) -> AsyncIterator[None]:
        """Takes its time from what is left to a trial.

        Raises:
          FetchError: nothing is left.
        """
        started = self._clock()
        try:
            async with asyncio.timeout(max(trial.left, 0.0)):
                yield
        except TimeoutError as error:
            raise FetchError(Reason.DEADLINE, f"{self._config.deadline:g} s") from error
        finally:
            trial.left -= self._clock() - started

    async def _address(self, url: str) -> asyncio.Semaphore:
        """What keeps the requests to the address of a host few."""
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT[parts.scheme]
        [address, *_] = await self._resolver.addresses(parts.hostname or "", port)
        return self._addresses.setdefault(
            address, asyncio.Semaphore(self._config.address_concurrency)
        )

    async def _request(
        self, url: str, trial: Trial, max_bytes: int | None, check: Check, quest: Quest | None
    ) -> Response | str:
        timeouts = {
            "connect": self._config.connect_timeout,
            "read": self._config.read_timeout,
            "write": self._config.read_timeout,
            "pool": self._config.deadline,
        }
        sent = [
            (b"Host", _host_header(url)),
            (b"User-Agent", self._config.user_agent.encode("latin-1", "replace")),
            (b"Accept", _ACCEPT),
            (b"Accept-Encoding", b"identity"),
        ]
        conditional = quest is not None and bool(quest.etag or quest.modified)
        if quest and quest.etag:
            sent.append((b"If-None-Match", quest.etag.encode("latin-1", "replace")))
        if quest and quest.modified:
            sent.append((b"If-Modified-Since", quest.modified.encode("latin-1", "replace")))
        pool = self._host(url).pool
        async with pool.stream(
            "GET", url, headers=sent, extensions={"timeout": timeouts}
        ) as answer:
            self._host(url).failures = 0
            trial.status = answer.status
            headers = trial.headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in answer.headers
            )
            if answer.status in _REDIRECT_STATUS and (to := first(headers, "location")):
                return _joined(url, to)
            if answer.status == 304 and conditional:
                return Response(url, 304, headers, b"")
            if not 200 <= answer.status < 300:
                raise _refused_status(answer.status, headers)
            if answer.status == 206 and not _is_whole(first(headers, "content-range")):
                raise FetchError(Reason.CUT_SHORT, "206, a part that was not asked for")
            check(headers)
            body = await _body(answer, headers, max_bytes)
            return Response(url, answer.status, headers, body)


@dataclass
class _Host:
    """What a client knows of a host.

    Attributes:
      free_at: for each request that may be open at a time and is not, when it may be made.
      failures: URLs in a row that got no answer.
    """

    pool: httpcore.AsyncConnectionPool
    free_at: list[float]
    failures: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)


def _said_by_tdmrep(reservations: tdmrep.Reservations, rule: tdmrep.Rule | None) -> Consent:
    if rule:
        return Consent(Asked.TDMREP, Answer.ALLOWED, rule.line)
    return Consent(Asked.TDMREP, Answer.SILENT, reservations.absent)


# There is nobody to talk to.
_NOBODY = frozenset({Reason.FORBIDDEN_ADDRESS, Reason.TLS, Reason.DNS, Reason.CONNECTION})
# No answer came: the host may be down.
_SILENT = frozenset({Reason.CONNECTION, Reason.DNS, Reason.TIMEOUT})


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns what the network raises into a `FetchError` with its reason."""
    try:
        yield
    except ForbiddenAddress as error:
        raise FetchError(Reason.FORBIDDEN_ADDRESS, str(error)) from error
    except httpcore.TimeoutException as error:
        raise FetchError(Reason.TIMEOUT, _said(error), transient=True) from error
    except socket.gaierror as error:
        again = error.errno == socket.EAI_AGAIN
        raise FetchError(Reason.DNS, _said(error), transient=again) from error
    except httpcore.LocalProtocolError as error:
        raise FetchError(Reason.BAD_URL, _said(error)) from error
    except httpcore.RemoteProtocolError as error:
        reason = Reason.RESET if "disconnected" in str(error) else Reason.PROTOCOL
        raise FetchError(reason, _said(error), transient=True) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
            raise FetchError(Reason.TLS, _said(error)) from error
        asked = isinstance(error, httpcore.ReadError | httpcore.WriteError)
        reason = Reason.RESET if asked else Reason.CONNECTION
        raise FetchError(reason, _said(error), transient=True) from error


@cache
def _authorities() -> ssl.SSLContext:
    # Made once: it takes 30 to 50 ms and holds the certificates of the world.
    return httpcore.default_ssl_context()


def _refused_status(status: int, headers: Headers) -> FetchError:
    transient = status in _TRANSIENT_STATUS
    after = _retry_after(first(headers, "retry-after"), first(headers, "date"))
    return FetchError(of_status(status), str(status), transient, after if transient else None)


def _is_whole(content_range: str) -> bool:
    """Whether a Content-Range is all there is, as `bytes 0-99/100`."""
    found = _RANGE.fullmatch(content_range.strip())
    return found is not None and int(found[1]) + 1 == int(found[2])


def _retry_after(value: str, date: str) -> float | None:
    """Seconds; a date counts from the server's own clock."""
    if _NUMBER.fullmatch(value):
        return float(value)
    try:
        wait = (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):  # no date, or one with and one without a zone
        return None
    return max(wait, 0.0)


async def _body(answer: httpcore.Response, headers: Headers, max_bytes: int | None) -> bytes:
    limit = MAX_BYTES if max_bytes is None else max_bytes
    length = first(headers, "content-length")
    if max_bytes is not None and _NUMBER.fullmatch(length) and int(length) > limit:
        raise FetchError(Reason.TOO_LARGE, f"{length} bytes announced")
    body = bytearray()
    try:
        async for chunk in answer.aiter_stream():
            body += chunk
            if len(body) > limit:
                if max_bytes is None:
                    break
                raise FetchError(Reason.TOO_LARGE, f"over {limit} bytes")
    except httpcore.RemoteProtocolError as error:
        raise FetchError(Reason.CUT_SHORT, _said(error), transient=True) from error
    coded = tuple(field for field in headers if field[0] == "content-encoding")
    try:  # we ask for no coding; some servers apply one all the same
        payload = decode_payload(coded, bytes(body[:limit]), limit)
    except PayloadTooLarge as error:
        raise FetchError(Reason.CONTENT_BOMB, str(error)) from error
    except PayloadError as error:
        raise FetchError(Reason.CONTENT_CODING, str(error)[:200]) from error
    if payload.incomplete and max_bytes is not None:
        raise FetchError(Reason.TRUNCATED, "content coding")
    return payload.data


def _joined(base: str, location: str) -> str:
    # Header bytes were read as Latin-1; servers write UTF-8.
    with contextlib.suppress(UnicodeError):
        location = location.encode("latin-1").decode("utf-8")
    try:
        return join_url(base, location)
    except ValueError as error:
        raise FetchError(Reason.BAD_URL, location[:200]) from error


def _check_url(url: str) -> None:
    if not _is_web(url):
        raise FetchError(Reason.SCHEME, url[:200])
    if not host_of(url) or not url.isascii():
        raise FetchError(Reason.BAD_URL, url[:200])
    if urlsplit(url).port in FORBIDDEN_PORTS:
        raise FetchError(Reason.FORBIDDEN_PORT, url[:200])


def _is_web(url: str) -> bool:
    return url.partition(":")[0] in DEFAULT_PORT


def _host_header(url: str) -> bytes:
    return urlsplit(url).netloc.rpartition("@")[2].encode("ascii", "replace")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]
