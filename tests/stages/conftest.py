"""A small web on this machine, as bad as the real one."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image


def png(width=40, height=30, colour=(200, 30, 30)) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def photo(width=320, height=240, **options) -> bytes:
    """A JPEG with detail, so that it has more than a few bytes."""
    image = Image.effect_mandelbrot((width, height), (-2, -1.2, 1, 1.2), 60).convert("RGB")
    out = BytesIO()
    image.save(out, "JPEG", quality=80, **options)
    return out.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        web = self.server.web
        path = self.path.partition("?")[0]
        with web.lock:
            web.requests[path] += 1
            web.order.append(path)
            web.headers[path] = dict(self.headers)
            web.connections.add(self.client_address)
            web.open += 1
            web.most_open = max(web.most_open, web.open)
        try:
            self.serve(path)
        finally:
            with web.lock:
                web.open -= 1

    def serve(self, path):
        name = path.strip("/").replace("-", "_").partition(".")[0]
        getattr(self, f"serve_{name}", self.serve_other)(path)

    def answer(self, status, body=b"", kind="image/png", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve_other(self, path):
        status, body, headers = self.server.web.pages.get(path, (404, b"", {}))
        self.answer(status, body, **headers)

    def serve_robots(self, path):
        status, body = self.server.web.robots
        self.answer(status, body, "text/plain")

    def serve_flaky(self, path):  # 500, then 200
        if self.server.web.requests[path] == 1:
            self.answer(500)
        else:
            self.answer(200, png())

    def serve_busy(self, path):  # 429 with Retry-After, then 200
        if self.server.web.requests[path] == 1:
            self.answer(429, Retry_After="7")
        else:
            self.answer(200, png())

    def serve_busy_for_long(self, path):
        self.answer(503, Retry_After="86400")

    def serve_drip(self, path):  # a byte now and then, never done
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self._drip()

    def serve_drip_headers(self, path):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self._drip()

    def _drip(self):
        try:
            while not self.server.web.closed.is_set():
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass
        self.close_connection = True

    def serve_endless(self, path):  # no length, no end
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while not self.server.web.closed.is_set():
                self.wfile.write(bytes(65_536))
        except OSError:
            pass

    def serve_cut_off(self, path):  # hangs up before the announced length
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(png())
        self.wfile.flush()
        self.close_connection = True

    def serve_mute(self, path):  # takes the request and says nothing for a while
        time.sleep(0.3)
        self.close_connection = True

    def serve_slow(self, path):
        time.sleep(0.05)
        self.answer(200, png())

    def serve_tagged(self, path):  # answers conditional requests
        known = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
        if known[0] == '"one"' or known[1]:
            self.answer(304, ETag='"one"')
        else:
            self.answer(200, png(), ETag='"one"')

    def serve_loop(self, path):
        self.answer(302, Location="/loop.png")

    def serve_chain(self, path):  # /chain.png -> /chain.png/1 -> ...
        step = int(path.rpartition("/")[2]) if path.count("/") > 1 else 0
        self.answer(301, Location=f"/chain.png/{step + 1}")


class Web:
    """The server and what it saw.

    Attributes:
      pages: path -> status, body, headers.
      robots: status and body of robots.txt.
      requests: how often each path was asked for.
      order: paths in order.
      connections: addresses and ports that asked.
      open, most_open: requests that are being answered, and the most there were at a time.
    """

    def __init__(self):
        self.pages = {}
        self.robots = (404, b"")
        self.requests = Counter()
        self.order = []
        self.headers = {}
        self.connections = set()
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.web = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def close(self):
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web():
    served = Web()
    served.pages["/ok.png"] = (200, png(), {})
    yield served
    served.close()


@pytest.fixture(name="png")
def png_fixture():
    return png


@pytest.fixture(name="photo")
def photo_fixture():
    return photo
