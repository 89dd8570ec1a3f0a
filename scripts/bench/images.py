"""Measures the gathering of images beside img2dataset, from one server in the same run.

Usage: python -m scripts.bench.images [--data DIR] [--images N] [--peer FOLDER]

A server in a process of its own serves N images under N URLs on 64 loopback addresses, which count
as hosts: files of ../shared/data/images and the image records of ../shared/data/books, all of them
JPEG, PNG or WebP that decode, each with a few bytes behind its end so that no two are equal. An
answer takes as long as a lognormal distribution says, median 40 ms, sigma 0.6, drawn by the URL.
Every 25th URL has a fault of a known kind instead.

weft        Beam's FnApiRunner with one worker: fetch_images and gather_images with all checks on
            (robots.txt, consent, addresses, limits, TLS settings), image store, decoding, hashes
img2dataset its own defaults (256 threads, 256 x 256, JPEG) with retries and the webdataset writer,
            in an environment of its own that is made where --peer says, and once more without
            decoding at all (disable_all_reencoding)

CPU seconds are those of the process and all its children, imports included; so is peak memory,
that of the largest process. Each is run once before on a single URL, so that none compiles modules
to byte code in the run that is measured. "wrong" are URLs that were taken and must not be, or the
reverse.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from stages.imaging.decode import DecodeLimits, decode
from stages.imaging.refusal import Refused
from stages.warc.reader import read_records

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"
PEER = "img2dataset==1.47.0"
HOSTS = [f"127.0.0.{n}" for n in range(2, 66)]
MEDIAN, SIGMA = 0.040, 0.6
FAULTS = ("gone", "html", "truncated", "noai", "noai_valued", "cut_short", "file", "huge")


def pictures(data: Path) -> list[bytes]:
    """JPEG, PNG and WebP of real pages and of a decoder's tests, those that decode."""
    found = {path.read_bytes() for path in (data / "images").rglob("*") if path.is_file()}
    for path in sorted((data / "books").glob("*.warc.gz")):
        with path.open("rb") as file:
            found |= {r.payload for r in read_records(file) if _is_picture(r)}
    return sorted(content for content in found if _decodes(content))


def _is_picture(record: object) -> bool:
    return getattr(record, "mime", "").startswith("image/")


def _decodes(content: bytes) -> bool:
    try:
        decode(content, DecodeLimits(formats=("jpeg", "png", "webp")))
    except Refused:
        return False
    return True


def fault_of(number: int) -> str:
    """The fault that a URL has, empty for a sound picture."""
    return FAULTS[number // 25 % len(FAULTS)] if number % 25 == 0 else ""


def latency(number: int) -> float:
    quantile = random.Random(number).uniform(0.001, 0.999)
    return MEDIAN * math.exp(SIGMA * NormalDist().inv_cdf(quantile))


def answer(number: int, images: Sequence[bytes]) -> bytes:
    """The whole response to the request for a URL."""
    image = images[number % len(images)] + number.to_bytes(8, "big")
    fault = fault_of(number)
    extra = b""
    status, announced = b"200 OK", None
    if fault == "gone":
        status, image = b"404 Not Found", b"gone"
    elif fault == "html":
        image = b"<!DOCTYPE html><title>not found</title>" + bytes(2000)
    elif fault == "truncated":
        jpeg = next(i for i in images if i.startswith(b"\xff\xd8") and len(i) > 20_000)
        image = jpeg[: len(jpeg) // 2]
    elif fault == "noai":
        extra = b"X-Robots-Tag: noai\r\n"
    elif fault == "noai_valued":
        extra = b"X-Robots-Tag: max-snippet:-1, noai\r\n"
    elif fault == "cut_short":
        announced = len(image) + 1000
    elif fault == "file":
        status, extra = b"302 Found", b"Location: file:///etc/hostname\r\n"
    elif fault == "huge":
        image = image.ljust(20_000_000, b"\0")
    head = b"HTTP/1.1 %b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n%b\r\n" % (
        status,
        len(image) if announced is None else announced,
        extra,
    )
    return head + image


class Connection(asyncio.Protocol):
    """A kept connection that answers one request after the other."""

    def __init__(self, images: Sequence[bytes], asked: Counter[str]):
        self._images = images
        self._asked = asked
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self._asked[path] += 1
            if not path.endswith(".jpg"):  # what a site says to robots
                self._send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", False)
                continue
            number = int(path.rpartition("/")[2].partition(".")[0])
            close = fault_of(number) == "cut_short"
            loop = asyncio.get_running_loop()
            loop.call_later(latency(number), self._send, answer(number, self._images), close)

    def _send(self, content: bytes, close: bool) -> None:
        self._transport.write(content)
        if close:
            self._transport.close()


async def serve(data: Path) -> None:
    """Serves until its input ends; the first line it prints is its port."""
    images = pictures(data)
    asked: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(images, asked), HOSTS, _free_port())
    print(
        json.dumps({"port": server.sockets[0].getsockname()[1], "images": len(images)}), flush=True
    )
    while await asyncio.to_thread(sys.stdin.readline):
        print(
            json.dumps({"requests": asked.total(), "twice": sum(n > 1 for n in asked.values())}),
            flush=True,
        )
        asked.clear()


def _free_port() -> int:
    import socket

    with socket.create_server((HOSTS[0], 0)) as found:
        port: int = found.getsockname()[1]
    return port


def url_of(number: int, port: int) -> str:
    host = HOSTS[int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:4], "big") % len(HOSTS)]
    return f"http://{host}:{port}/{number}.jpg"


def run_weft(urls: Sequence[str], folder: str) -> dict[str, str]:
    """Each URL with `taken` or the reason why not."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from schemas.image import ImageReference
    from stages.fetch_images import FetchImages
    from stages.gather_images import GatherImages
    from stages.imaging.config import GatherConfig
    from stages.imaging.elements import ImageTask
    from stages.imaging.http_client import HttpConfig

    http = HttpConfig(
        enabled=True,
        user_agent="weft-bench/1.0 (+https://example.org/bot)",
        host_delay=0.0,
        host_concurrency=4,
        shards=1,
        backoff=0.1,
        allow_loopback=True,
    )
    config = GatherConfig(http=http)
    outcomes = f"{folder}/outcomes"
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as p:
        tasks = p | beam.Create([ImageTask(ImageReference(url)) for url in urls])
        fetched = tasks | "Fetch" >> FetchImages(config, f"{folder}/store")
        gathered = fetched.kept | "Gather" >> GatherImages(config, config.sources)
        ends = (
            gathered.kept | "Taken" >> beam.Map(lambda image: f"{image.record.url} taken"),
            fetched.rejected | "Not fetched" >> beam.Map(lambda r: f"{r.url} {r.reason}"),
            gathered.rejected | "Not gathered" >> beam.Map(lambda r: f"{r.url} {r.reason}"),
            fetched.failed | "Failed" >> beam.Map(lambda f: f"{f.url} failed"),
            gathered.failed | "Failed too" >> beam.Map(lambda f: f"{f.url} failed"),
        )
        _ = ends | beam.Flatten() | beam.io.WriteToText(outcomes, num_shards=1)
    lines = Path(f"{outcomes}-00000-of-00001").read_text().split("\n")
    return dict(line.split(" ", 1) for line in lines if line)


_PEER_SCRIPT = """
import json, pathlib, sys
import img2dataset, pyarrow.parquet as pq
listed, folder, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if __name__ == "__main__":
    img2dataset.download(url_list=listed, input_format="txt", output_folder=folder,
        output_format="webdataset", processes_count=1, number_sample_per_shard=1000, retries=2,
        user_agent_token="bench", **options)
    found = {}
    for path in pathlib.Path(folder).glob("*.parquet"):
        for row in pq.read_table(path, columns=["url", "status", "error_message"]).to_pylist():
            found[row["url"]] = "taken" if row["status"] == "success" else str(row["error_message"])
    pathlib.Path(folder, "outcomes.json").write_text(json.dumps(found))
"""


@dataclass(frozen=True)
class Result:
    name: str
    wall: float
    cpu: float
    memory: float
    outcomes: dict[str, str]

    def report(self, numbers: dict[str, int]) -> None:
        taken = {url for url, outcome in self.outcomes.items() if outcome == "taken"}
        wrong: Counter[str] = Counter()
        for url, number in numbers.items():
            fault = fault_of(number)
            if (url in taken) == bool(fault):
                wrong[
                    f"{fault} taken" if fault else f"sound: {self.outcomes.get(url, 'lost')}"
                ] += 1
        print(
            f"  {self.name:<34}{len(taken):>7} taken {len(taken) / self.wall:>7.1f} images/s "
            f"{1000 * self.cpu / len(taken):>7.2f} CPU s a 1,000 {self.memory:>6.0f} MB peak"
        )
        listed = ", ".join(f"{what} {count}" for what, count in sorted(wrong.items()))
        print(f"  {'':<34}wrong: {listed or 'nothing'}")


def measured(name: str, command: list[str], read: Callable[[], dict[str, str]]) -> Result:
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_ALBUMENTATIONS_UPDATE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed:\n{said.decode()[-3000:]}")
    wall = time.monotonic() - start
    return Result(name, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, read())


def make_peer(folder: Path) -> str:
    """The Python of an environment with img2dataset, made where there is none."""
    python = folder / "bin" / "python"
    if not list(folder.glob("lib/python*/site-packages/img2dataset")):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = [PEER, "setuptools<81"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--peer", type=Path, default=Path(tempfile.gettempdir()) / "bench-i2d")
    parser.add_argument("--only", choices=("weft", "img2dataset"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--weft", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.data))
    elif arguments.weft:
        listed, folder = arguments.weft
        outcomes = run_weft(Path(listed).read_text().split("\n"), folder)
        Path(folder, "outcomes.json").write_text(json.dumps(outcomes))
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    this = [sys.executable, "-m", "scripts.bench.images", "--data", str(arguments.data)]
    server = subprocess.Popen(
        [*this, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert server.stdin
    assert server.stdout
    started = json.loads(server.stdout.readline())
    numbers = {url_of(n, started["port"]): n for n in range(arguments.images)}
    faults = sum(bool(fault_of(n)) for n in numbers.values())
    print(
        f"{len(numbers)} URLs on {len(HOSTS)} hosts, {started['images']} distinct pictures, "
        f"{faults} URLs with a fault; latency lognormal, "
        f"median {1000 * MEDIAN:.0f} ms, sigma {SIGMA}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch, "urls.txt")
        listed.write_text("\n".join(numbers))
        single = Path(scratch, "url.txt")
        single.write_text(url_of(1, started["port"]))
        runs: list[tuple[str, list[str]]] = []
        if arguments.only != "img2dataset":
            runs.append(("weft", [*this, "--weft"]))
        if arguments.only != "weft":
            peer = [make_peer(arguments.peer), "-c", _PEER_SCRIPT]
            runs += [("img2dataset", peer), ("img2dataset, nothing decoded", peer)]
        results = []
        for place, (name, command) in enumerate(runs):
            options = []
            if name != "weft":
                options = [json.dumps({"disable_all_reencoding": "nothing" in name})]
            for urls in (single, listed):
                folder = Path(scratch, f"{place}-{urls.stem}")
                folder.mkdir()
                outcomes = folder / "outcomes.json"
                result = measured(
                    name,
                    [*command, str(urls), str(folder), *options],
                    lambda outcomes=outcomes: json.loads(outcomes.read_text()),
                )
                server.stdin.write("\n")
                server.stdin.flush()
                asked = json.loads(server.stdout.readline())
            results.append(result)
            result.report(numbers)
            print(f"  {'':<34}{asked['requests']} requests, {asked['twice']} URLs more than once")
        if len(results) > 1:
            for peer_result in results[1:]:
                ratio = _efficiency(results[0]) / _efficiency(peer_result)
                print(f"images a CPU second, weft by {peer_result.name}: {ratio:.2f}")
    server.stdin.close()
    server.wait()


def _efficiency(result: Result) -> float:
    return sum(outcome == "taken" for outcome in result.outcomes.values()) / result.cpu


if __name__ == "__main__":
    main()
