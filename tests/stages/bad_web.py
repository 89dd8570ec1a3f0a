"""A web server with every fault, for a process of its own: bad_web.py LOG ADDRESS ...

It listens on one port of all addresses, prints the port, and writes a line of JSON into LOG when a
request begins and when its answer ends: time, host, path, the process that asked.
"""

import asyncio
import gzip
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO

from PIL import Image


def picture(number=0, kind="PNG", size=(60, 40)):
    out = BytesIO()
    colour = (number * 37 % 256, number * 101 % 256, number // 8 % 256)
    Image.effect_mandelbrot(size, (-2, -1.2, 1, 1.2), 30).convert("RGB").point(
        lambda value, shift=colour[0]: value ^ shift
    ).save(out, kind)
    return out.getvalue() + number.to_bytes(4, "big")


def asker(port):
    """The process that owns a local port, 0 where it is gone."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    inodes = {row[9] for row in rows if int(row[1].partition(":")[2], 16) == port}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
                if found and found[1] in inodes:
                    return int(pid)
        except OSError:
            continue
    return 0


class Server:
    def __init__(self, log):
        self.log = open(log, "a", buffering=1)  # noqa: SIM115
        self.asked = Counter()

    def note(self, event, **more):
        self.log.write(json.dumps({"event": event, "time": time.monotonic(), **more}) + "\n")

    async def talk(self, reader, writer):
        pid = asker(writer.get_extra_info("peername")[1])
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                host = re.search(rb"(?i)\r\nhost: *([^\r:]*)", head)[1].decode()
                self.asked[host, path] += 1
                self.note("start", host=host, path=path, pid=pid)
                try:
                    await self.answer(host, path, writer)
                    await writer.drain()
                finally:
                    self.note("end", host=host, path=path, pid=pid)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, host, path, writer):
        name = path.strip("/").partition("/")[0].partition(".")[0].replace("-", "_")
        await getattr(self, f"serve_{name}", self.serve_missing)(host, path, writer)

    def send(self, writer, body=b"", status="200 OK", kind="image/png", length=None, **headers):
        fields = {"Content-Type": kind, "Content-Length": len(body) if length is None else length}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)

    async def serve_missing(self, host, path, writer):
        self.send(writer, status="404 Not Found")

    async def serve_ok(self, host, path, writer):  # /ok/7.png: a picture, a little late
        await asyncio.sleep(0.01)
        self.send(writer, picture(int(re.search(r"\d+", path)[0])))

    async def serve_to(self, host, path, writer):  # /to/HOST/PATH
        to, _, rest = path.removeprefix("/to/").partition("/")
        port = writer.get_extra_info("sockname")[1]
        self.send(writer, status="302 Found", Location=f"http://{to}:{port}/{rest}")

    async def serve_drip(self, host, path, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def serve_endless(self, host, path, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(bytes(65_536))
            await writer.drain()

    async def serve_wrong_length(self, host, path, writer):
        self.send(writer, picture(), length=100_000)
        await writer.drain()
        writer.close()

    async def serve_reset(self, host, path, writer):
        self.send(writer, picture(), length=100_000)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def serve_wrong_type(self, host, path, writer):  # a picture, whatever its header says
        self.send(writer, picture(), kind="text/html")

    async def serve_archive(self, host, path, writer):
        self.send(writer, b"PK\x03\x04" + bytes(100), kind="application/zip")

    async def serve_html(self, host, path, writer):
        self.send(writer, b"<!DOCTYPE html><p>not found", kind="image/jpeg")

    async def serve_busy(self, host, path, writer):
        if self.asked[host, path] == 1:
            self.send(writer, status="429 Too Many Requests", Retry_After="1")
        else:
            self.send(writer, picture())

    async def serve_always_busy(self, host, path, writer):
        self.send(writer, status="429 Too Many Requests", Retry_After="3600")

    async def serve_flaky(self, host, path, writer):
        if self.asked[host, path] == 1:
            self.send(writer, status="503 Service Unavailable")
        else:
            self.send(writer, picture())

    async def serve_broken(self, host, path, writer):
        self.send(writer, status="500 Internal Server Error")

    async def serve_loop(self, host, path, writer):
        self.send(writer, status="302 Found", Location="/loop.png")

    async def serve_to_loopback(self, host, path, writer):
        port = writer.get_extra_info("sockname")[1]
        self.send(writer, status="302 Found", Location=f"http://127.0.0.1:{port}/secret.png")

    async def serve_to_file(self, host, path, writer):
        self.send(writer, status="302 Found", Location="file:///etc/hostname")

    async def serve_to_metadata(self, host, path, writer):
        self.send(writer, status="302 Found", Location="http://169.254.169.254/latest/meta-data/")

    async def serve_gzip_bomb(self, host, path, writer):
        self.send(writer, gzip.compress(bytes(20_000_000)), Content_Encoding="gzip")

    async def serve_pixel_bomb(self, host, path, writer):
        out = BytesIO()
        Image.new("1", (12_000, 12_000)).save(out, "PNG")
        self.send(writer, out.getvalue())

    async def serve_truncated(self, host, path, writer):
        whole = picture(kind="JPEG", size=(640, 480))
        self.send(writer, whole[: len(whole) // 2], kind="image/jpeg")


async def main(log, addresses):
    server = Server(log)
    first = await asyncio.start_server(server.talk, addresses[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(server.talk, address, port) for address in addresses[1:]]
    print(port, flush=True)
    await asyncio.gather(*(one.serve_forever() for one in (first, *others)))


SITE_FILES = ("/robots.txt", "/.well-known/tdmrep.json")


class BadWeb:
    """The server in a process of its own, and what it saw."""

    def __init__(self, folder, *addresses):
        self._log = folder / "log.jsonl"
        self._log.touch()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._log), *addresses],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._process.stdout.readline())

    def log(self):
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def asked(self):
        """How often each path was asked for, aside from what a site says to robots."""
        started = (entry["path"] for entry in self.log() if entry["event"] == "start")
        return Counter(path for path in started if path not in SITE_FILES)

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
