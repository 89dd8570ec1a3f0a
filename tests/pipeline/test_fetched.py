"""A corpus whose images are fetched, made in one go and by a run that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from io import BytesIO
from urllib.parse import urlsplit

import pyarrow.dataset as ds
import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.run import run
from tests.stages.bad_web import SITE_FILES

HOSTS = [f"127.0.0.{number}" for number in range(2, 10)]
FLUSH, AT_A_TIME = 8, 2
WORDS = "Rivers carry what the hills have let go, and the sea keeps all of it. " * 4


def crawl(path, port):
    """Pages that show images of the bad web, a few of them broken; returns the URLs."""
    urls = []
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for page in range(4):
            paths = [f"ok/{page * 30 + number}.png" for number in range(30)]
            paths += ["missing.png", "html.jpg", "wrong-type.png"]
            shown = [
                f"http://{HOSTS[number % len(HOSTS)]}:{port}/{path}"
                for number, path in enumerate(paths)
            ]
            urls += shown
            parts = "".join(f"<p>{WORDS}</p><p><img src='{url}'></p>" for url in shown)
            body = f"<html><body><article><h1>Page {page}</h1>{parts}</article></body></html>"
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(
                    f"http://pages.example/{page}",
                    "response",
                    payload=BytesIO(body.encode()),
                    http_headers=http,
                )
            )
    return urls


def test_a_run_that_was_killed_makes_the_same_corpus_and_asks_for_little_twice(bad_web, tmp_path):
    web = bad_web(*HOSTS)
    urls = crawl(tmp_path / "crawl.warc.gz", web.port)
    config = {
        "gather_images": {
            "http": {
                "enabled": True,
                "user_agent": "testbot/1.0 (+https://example.org/bot)",
                "host_delay": 0,
                "hosts": AT_A_TIME,
                "shards": 1,
                "flush_images": FLUSH,
                "allow_loopback": True,
            }
        },
        "place_images": {"method": "dom"},
        "write": {"shards": 2},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = (str(tmp_path / "config.yaml"), [str(tmp_path / "crawl.warc.gz")])
    whole = run(*arguments, str(tmp_path / "whole"))
    fetched = next(stage for stage in whole["funnel"] if stage["stage"] == "fetch_images")
    assert fetched["entered"] == len(set(urls))
    shown = ds.dataset(tmp_path / "whole/images").to_table(["consent"]).column(0).to_pylist()
    said = {tuple((c["asked"], c["answer"], c["evidence"]) for c in row) for row in shown}
    assert said == {
        (
            ("robots_txt", "silent", "status 404"),
            ("tdmrep", "silent", "status 404"),
            ("headers", "silent", ""),
            ("opt_out_lists", "not_asked", ""),
        )
    }
    before = len(web.log())

    out = tmp_path / "killed"
    script = "import json, sys\nfrom pipeline.run import run\nrun(*json.load(sys.stdin))\n"
    killed = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True)
    killed.stdin.write(json.dumps([*arguments, str(out)]))
    killed.stdin.close()
    while len(web.log()) - before < len(urls) and killed.poll() is None:  # two lines a request
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL

    assert run(*arguments, str(out))["digest"] == whole["digest"]
    asked = Counter(
        (entry["host"], entry["path"])
        for entry in web.log()[before:]
        if entry["event"] == "start" and entry["path"] not in SITE_FILES
    )
    assert asked.keys() == {(urlsplit(url).hostname, urlsplit(url).path) for url in urls}
    again = [request for request, count in asked.items() if count > 1]
    # What was not on disk yet, twice as much where one file was being written, and what was under
    # way.
    assert len(again) <= 2 * FLUSH + AT_A_TIME
    assert max(asked.values()) <= 2

    # Another image rule repeats the phase, and asks nobody.
    before = len(web.log())
    run(*arguments, str(out), ["filter_images.decoded=[{short_side: {min_pixels: 10}}]"])
    assert len(web.log()) == before
