"""The connections that requests go over."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import httpcore
import pytest

from stages.imaging.network import PublicBackend, Resolver


@asynccontextmanager
async def connected(serve):
    """A connection to a server of this loop."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    backend = PublicBackend(Resolver(allow_loopback=True, timeout=5))
    stream = await backend.connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], 5)
    try:
        yield stream
    finally:
        await stream.aclose()
        server.close()


async def until(true):
    while not true():
        await asyncio.sleep(0.01)


def test_what_nobody_reads_waits_at_its_sender():
    total, chunk = 64 * 1024 * 1024, bytes(range(256)) * 256
    sent = 0

    async def serve(_, writer):
        nonlocal sent
        while sent < total:
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)
        writer.close()

    async def run():
        async with connected(serve) as stream:
            before = -1
            while sent > before:
                before = sent
                await asyncio.sleep(0.1)
            assert 0 < sent < total / 2
            read = bytearray()
            while data := await stream.read(1_000_000, 5):
                assert len(data) <= 1_000_000
                read += data
            assert read == chunk * (total // len(chunk))

    asyncio.run(run())


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_kept_connection_is_over_when_the_server_hangs_up_or_speaks_unasked(last_words):
    end = asyncio.Event()

    async def serve(_, writer):
        await end.wait()
        writer.write(last_words)
        writer.close()

    async def run():
        async with connected(serve) as stream:
            assert not stream.get_extra_info("is_readable")
            end.set()
            await until(lambda: stream.get_extra_info("is_readable"))
            assert await stream.read(1_000, 5) == last_words

    asyncio.run(run())


def test_who_says_nothing_or_takes_nothing_times_out():
    async def serve(_, writer):
        writer.transport.pause_reading()

    async def run():
        async with connected(serve) as stream:
            with pytest.raises(httpcore.ReadTimeout):
                await stream.read(1_000, 0.05)
            with pytest.raises(httpcore.WriteTimeout):
                await stream.write(bytes(64 * 1024 * 1024), 0.05)

    asyncio.run(run())


def test_a_reset_is_an_error_of_reading_and_of_writing():
    async def serve(_, writer):
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async def run():
        async with connected(serve) as stream:
            with pytest.raises(httpcore.ReadError):
                await stream.read(1_000, 5)
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"GET", 5)

    asyncio.run(run())
