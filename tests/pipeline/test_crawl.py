import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from typer.testing import CliRunner

from pipeline import crawl
from pipeline.cli import app
from pipeline.errors import UserError
from stages.inputs import list_inputs

NAME = "CC-MAIN-2024-10"
WARCS = [f"crawl-data/{NAME}/segments/1/warc/{NAME}-{i:05d}.warc.gz" for i in range(50)]
PAGES = {
    f"/crawl-data/{NAME}/warc.paths.gz": gzip.compress("\n".join(WARCS).encode()),
    f"/crawl-data/{NAME}/cc-index-table.paths.gz": b"this is no gzip",
    "/collinfo.json": json.dumps(
        [{"id": NAME, "name": "February/March 2024 Index", "cdx-api": "https://x.example"}]
    ).encode(),
    "/broken.json": b'{"a": 1}',
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGES.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def do_HEAD(self):
        known = self.path.removeprefix("/") in WARCS
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def base():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def weft(*arguments):
    result = CliRunner().invoke(app, ["crawl", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_pick_is_an_input_of_a_run(base, tmp_path):
    listed = tmp_path / "crawl.paths"
    code, out, _ = weft(NAME, "--pick", 5, "-o", listed, "--base", base, "--price", 0.05)
    assert code == 0
    assert out == (
        "CC-MAIN-2024-10: 5 files, about 5.0 GB, about 175,000 pages, "
        "1.0 CPU hours to documents, cost 0.05\n"
    )
    urls = listed.read_text().splitlines()
    assert len(urls) == 5
    assert {url.removeprefix(base) for url in urls} <= set(WARCS)
    assert [file.path for file in list_inputs([str(listed)])] == urls


def test_a_smaller_pick_is_part_of_a_larger_one_and_a_seed_draws_others():
    urls = [f"https://x.example/{i}.warc.gz" for i in range(100)]
    small, large = crawl.pick(urls, 10), crawl.pick(urls, 40)
    assert set(small) < set(large)
    assert small == sorted(small)
    assert crawl.pick(urls[::-1], 10) == small
    assert set(crawl.pick(urls, 10, seed=1)) != set(small)
    # Spread over the whole list, not its beginning.
    assert any(urls.index(url) >= 50 for url in small)


def test_sizes_are_asked_for(base):
    _, out, _ = weft(NAME, "-n", 3, "--sizes", "--base", base, "--json")
    found = json.loads(out)
    assert (found["n_bytes"], found["exact_bytes"], found["of"]) == (3000, True, 50)
    with pytest.raises(UserError, match="its size cannot be had"):
        crawl.sizes([f"{base}nothing.warc.gz"])


def test_the_whole_snapshot_is_estimated_and_not_printed(base):
    _, out, _ = weft(NAME, "--base", base)
    assert out.startswith("CC-MAIN-2024-10: 50 files, about 50.0 GB, about 1,750,000 pages")
    assert len(out.splitlines()) == 1


def test_picked_urls_are_all_that_stands_on_standard_output(base):
    _, out, error = weft(NAME, "-n", 2, "--base", base)
    assert [line.removeprefix(base) in WARCS for line in out.splitlines()] == [True, True]
    assert "2 files" in error


def test_snapshots_are_listed(base):
    assert crawl.snapshots(f"{base}collinfo.json") == [
        {"id": NAME, "name": "February/March 2024 Index"}
    ]
    with pytest.raises(UserError, match="is no list of snapshots"):
        crawl.snapshots(f"{base}broken.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CC-MAIN-24"], "is no snapshot"),
        ([NAME, "--kind", "wet"], "--kind wet: must be one of warc, cc-index-table"),
        ([NAME, "--kind", "cc-index-table"], "is no list of paths"),
        (["CC-MAIN-2099-01"], "HTTP status 404"),
        ([NAME, "-o", "/nonexistent/list"], "cannot be written"),
        ([NAME, "--base", "http://127.0.0.1:1/"], "cannot be had"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(base, arguments, said):
    code, _, error = weft(*arguments, *([] if "--base" in arguments else ["--base", base]))
    assert code == 2
    assert said in error.replace("\n", " ")
