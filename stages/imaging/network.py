"""Connections to public machines only, for an asynchronous httpcore pool.

A name is resolved once, in a thread that may hang without holding anybody up; every address it has
is checked (`stages.imaging.addresses`), and the connection is made to a checked address.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import httpcore

from stages.imaging.addresses import resolve

_LOOKUPS = 32  # threads at a time
_HELD = 256 * 1024  # bytes of a connection that nobody has read


class Resolver:
    """The public addresses of hosts, kept for a while.

    An answer is used again for `keep` seconds, also that a name has no address or a forbidden one;
    that the name server said nothing is forgotten at once.

    Args:
      timeout: seconds for one question.
    """

    def __init__(
        self,
        allow_loopback: bool,
        timeout: float,
        keep: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._allow_loopback = allow_loopback
        self._timeout = timeout
        self._keep = keep
        self._clock = clock
        self._answers: dict[str, tuple[float, asyncio.Task[list[str]]]] = {}
        self._threads = asyncio.Semaphore(_LOOKUPS)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Raises:
        ForbiddenAddress: one of them is not public.
        OSError: the name has no address; `socket.EAI_AGAIN` where another try may do better.
        """
        until, answer = self._answers.get(host, (0.0, None))
        if answer is None or self._clock() >= until:
            answer = asyncio.create_task(self._ask(host, port))
            self._answers[host] = self._clock() + self._keep, answer
        try:
            return await asyncio.shield(answer)
        except OSError as error:
            if error.errno == socket.EAI_AGAIN and self._answers.get(host, (0, None))[1] is answer:
                del self._answers[host]
            raise

    async def _ask(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def tell(result: list[str] | Exception) -> None:
            if not found.done():
                if isinstance(result, Exception):
                    found.set_exception(result)
                else:
                    found.set_result(result)

        def work() -> None:
            result: list[str] | Exception
            try:
                result = resolve(host, port, self._allow_loopback)
            except Exception as error:  # noqa: BLE001  handed to whoever asked
                result = error
            try:
                loop.call_soon_threadsafe(tell, result)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        async with self._threads:
            # A daemon: a name server that is silent for minutes must not keep the process.
            threading.Thread(target=work, daemon=True, name="resolve").start()
            try:
                async with asyncio.timeout(self._timeout):
                    return await found
            except TimeoutError:
                silent = f"no answer for {host} in {self._timeout:g} s"
                raise socket.gaierror(socket.EAI_AGAIN, silent) from None


class PublicBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, not to names that may be resolved anew."""

    def __init__(self, resolver: Resolver):
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolver.addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await _connected(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await _connected(addresses[-1], port, timeout)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _connected(address: str, port: int, timeout: float | None) -> "_Stream":
    loop, stream = asyncio.get_running_loop(), _Stream()
    dialled = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        dialled.setblocking(False)
        with _as(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                await loop.sock_connect(dialled, (address, port))
                await loop.create_connection(lambda: stream, sock=dialled)
    except BaseException:
        dialled.close()
        raise
    return stream


@contextlib.contextmanager
def _as(timeout: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Names the errors of a step as httpcore does."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise broken(str(error)) from error


class _Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection on asyncio itself, which takes less time for each request than AnyIO's layers.

    What was not read yet is held, and the other side is told to wait once that is much.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._waking: asyncio.Future[None] | None = None  # who waits for bytes
        self._drained = asyncio.Event()
        self._drained.set()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _HELD:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        self._drained.set()
        self._wake()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def _wake(self) -> None:
        if self._waking and not self._waking.done():
            self._waking.set_result(None)

    # What httpcore calls.

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._held and not self._ended:
            self._waking = asyncio.get_running_loop().create_future()
            with _as(httpcore.ReadTimeout, httpcore.ReadError):
                async with asyncio.timeout(timeout):
                    await self._waking
        if not self._held and self._error:
            raise httpcore.ReadError(str(self._error)) from self._error
        data = bytes(self._held[:max_bytes])
        del self._held[:max_bytes]
        if not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._transport.write(buffer)
        if not self._drained.is_set():
            with _as(httpcore.WriteTimeout, httpcore.WriteError):
                async with asyncio.timeout(timeout):
                    await self._drained.wait()
        if self._error:
            raise httpcore.WriteError(str(self._error)) from self._error

    async def aclose(self) -> None:
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            with _as(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    secured = await loop.start_tls(
                        self._transport, self, ssl_context, server_hostname=server_hostname
                    )
        except BaseException:
            self._transport.abort()
            raise
        assert secured
        self._transport = secured
        return self

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable":  # of a connection that waits for a request: it is over
                return bool(self._held) or self._ended
            case "client_addr":
                return self._transport.get_extra_info("sockname")
            case "server_addr":
                return self._transport.get_extra_info("peername")
        return self._transport.get_extra_info(info)
