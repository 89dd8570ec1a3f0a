"""Connections to public machines only, for an asynchronous httpcore pool.

A name is resolved once, in a thread that may hang without holding anybody up; every address it has
is checked (`stages.imaging.addresses`), and the connection is made to a checked address.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from stages.imaging.addresses import resolve

_LOOKUPS = 32  # threads at a time


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
        self._sockets = httpcore.AnyIOBackend()

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
                return await self._connect(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, timeout, local_address, socket_options)

    async def _connect(self, *arguments: Any) -> httpcore.AsyncNetworkStream:
        return await self._sockets.connect_tcp(*arguments)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
