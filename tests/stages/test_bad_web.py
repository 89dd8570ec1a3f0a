"""The whole way of an image through a web that has every fault, with nothing replaced but the names
of hosts and where their addresses lie."""

import asyncio
import socket
from collections import Counter, defaultdict
from itertools import pairwise

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageReference
from stages.fetch_images import FetchImages
from stages.gather_images import GatherImages
from stages.imaging.config import GatherConfig
from stages.imaging.elements import ImageTask
from stages.imaging.fetch_shard import shard_of
from stages.imaging.fetched import BUCKETS, known_in
from stages.imaging.http_client import HttpConfig

AGENT = "testbot/1.0 (+https://example.org/bot)"
PUBLIC = "93.184.216.34"


def config(**fields):
    defaults = {
        "enabled": True,
        "user_agent": AGENT,
        "backoff": 0.01,
        "host_delay": 0.0,
        "allow_loopback": True,
    }
    return GatherConfig(http=HttpConfig(**{**defaults, **fields}), max_bytes=5_000_000)


# Host, path -> the reason, empty where there is a picture; a host for each, so that none is
# taken for dead because of another.
FAULTS = {
    "drip.png": "deadline",
    "endless.png": "too_large",
    "wrong-length.png": "cut_short",
    "wrong-type.png": "",
    "archive.png": "not_an_image",
    "html.jpg": "html",
    "reset.png": "reset",
    "busy.png": "",
    "always-busy.png": "rate_limited",
    "flaky.png": "",
    "broken.png": "http_5xx",
    "missing.png": "http_4xx",
    "loop.png": "redirect_loop",
    "to-loopback.png": "forbidden_address",
    "to-file.png": "scheme",
    "to-metadata.png": "forbidden_address",
    "gzip-bomb.png": "content_bomb",
    "pixel-bomb.png": "too_many_pixels",
    "truncated.jpg": "truncated",
    "ok/1.png": "",
}
NAMES = {  # host -> what the name server says, one time after the other, the last for ever
    "private.test": ["10.0.0.1"],
    "mixed.test": [PUBLIC, "192.168.1.1"],
    "metadata.test": ["169.254.169.254"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "changing.test": [[PUBLIC], ["127.0.0.1"]],
}
ODD = {
    "http://private.test/ok/2.png": "forbidden_address",
    "http://mixed.test/ok/2.png": "forbidden_address",
    "http://metadata.test/ok/2.png": "forbidden_address",
    "http://mapped.test/ok/2.png": "forbidden_address",
    "http://nowhere.test/ok/2.png": "dns",
    "http://127.0.0.1/secret.png": "forbidden_address",
    "http://[::1]/secret.png": "forbidden_address",
    "file:///etc/hostname": "scheme",
    # The address that was checked is kept: what the name server says next changes nothing.
    "http://changing.test/ok/3.png": "",
    "http://changing.test/ok/4.png": "",
}


def test_every_fault_has_its_own_reason_and_nothing_forbidden_is_contacted(
    bad_web, tmp_path, monkeypatch
):
    web = bad_web("127.0.0.1")
    dialled = set()
    questions = Counter()

    def getaddrinfo(host, port, *args, **kwargs):
        host = host.decode() if isinstance(host, bytes) else host
        questions[host] += 1
        known = NAMES.get(host, [PUBLIC] if host.endswith(".fault.test") else [])
        if known and isinstance(known[0], list):
            known = known[min(questions[host], len(known)) - 1]
        if not known and host.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in known or [host.strip("[]")]
        ]

    connect = asyncio.SelectorEventLoop.sock_connect

    async def sock_connect(self, sock, address):
        dialled.add(address[0])
        if address[0] != PUBLIC:
            raise AssertionError(f"{address} was dialled")
        await connect(self, sock, ("127.0.0.1", web.port))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)

    expected = {
        f"http://{path.partition('.')[0].replace('/', '-')}.fault.test/{path}": reason
        for path, reason in FAULTS.items()
    } | ODD
    limits = config(deadline=4.0, retries=1, read_timeout=3.0, allow_loopback=False)
    with beam.Pipeline(runner="FnApiRunner") as p:
        tasks = p | beam.Create([ImageTask(ImageReference(url)) for url in expected])
        fetched = tasks | FetchImages(limits, str(tmp_path / "store"))
        gathered = fetched.kept | GatherImages(limits, limits.sources)
        ends = (
            gathered.kept | "Kept" >> beam.Map(lambda image: (image.record.url, "")),
            fetched.rejected | "Unfetched" >> beam.Map(lambda r: (r.url, r.reason)),
            gathered.rejected | "Ungathered" >> beam.Map(lambda r: (r.url, r.reason)),
            fetched.failed | "Failed" >> beam.Map(lambda f: (f.url, f.error)),
            gathered.failed | "Failed too" >> beam.Map(lambda f: (f.url, f.error)),
        )
        assert_that(ends | beam.Flatten(), equal_to(list(expected.items())))

    assert dialled == {PUBLIC}
    asked = web.asked()
    again = {"wrong-length.png", "reset.png", "busy.png", "flaky.png", "broken.png"}
    paths = [*FAULTS, "ok/3.png", "ok/4.png"]
    assert asked == {f"/{path}": 2 if path in again else 1 for path in paths}
    assert known_in(str(tmp_path / "store"), range(BUCKETS)).keys() == expected.keys()


HOSTS = [f"127.0.0.{number}" for number in range(2, 10)]


def test_a_host_is_asked_by_one_of_two_workers_and_not_by_both(bad_web, tmp_path):
    web = bad_web(*HOSTS)

    def url(host, path):
        return f"http://{host}:{web.port}/{path}"

    assert len({shard_of(url(host, ""), 4) for host in HOSTS}) > 2
    urls = [url(host, f"ok/{number}.png") for number in range(6) for host in HOSTS]
    # Each host sends on to the next ones, which mostly are of other groups.
    urls += [url(host, f"to/{to}/ok/9.png") for host in HOSTS for to in HOSTS[:3] if to != host]
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    limits = config(shards=4, host_concurrency=2)
    with beam.Pipeline("FnApiRunner", PipelineOptions(options)) as p:
        tasks = p | beam.Create([ImageTask(ImageReference(url)) for url in urls])
        _ = tasks | FetchImages(limits, str(tmp_path / "store"))

    known = known_in(str(tmp_path / "store"), range(BUCKETS))
    assert {address: known.fetched.reason for address, known in known.items()} == dict.fromkeys(
        urls, ""
    )
    open_at, most = Counter(), Counter()
    by = defaultdict(list)
    for entry in web.log():
        host = entry["host"]
        open_at[host] += 1 if entry["event"] == "start" else -1
        most[host] = max(most[host], open_at[host])
        if entry["event"] == "start":
            by[host].append(entry["pid"])
    assert most.keys() == set(HOSTS)
    assert max(most.values()) == 2
    assert len({pid for pids in by.values() for pid in pids}) == 2
    for pids in by.values():  # in a round a host is one worker's; there are three rounds
        changes = sum(one != other for one, other in pairwise(pids))
        assert changes <= 2
