import gzip
import http.server
import os
import pathlib
import threading
from typing import ClassVar

import pytest

from stages import inputs
from stages.inputs import WarcFile, list_inputs, open_input, wacz_members
from stages.warc.reader import read_record_at, read_records

BROKEN = pathlib.Path(__file__).parents[1] / "data" / "warc"


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a/one.warc.gz",
        "a/b/two.warc",
        "a/b/three.ARC.gz",
        "a/c/four.wacz",
        "a/c/five.warc.zst",
        "a/c/six.warc.lz4",
        "a/c/notes.md",
        "a/c/seven.cdx.gz",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


ALL = ["b/three.ARC.gz", "b/two.warc", "c/five.warc.zst", "c/four.wacz", "c/six.warc.lz4"]


def names(*given, **options):
    return [file.name for file in list_inputs([str(text) for text in given], **options)]


def test_a_directory_stands_for_the_archives_below_it(tree):
    assert names(tree / "a") == [*ALL, "one.warc.gz"]
    assert names(f"{tree}/a/") == [*ALL, "one.warc.gz"]
    assert names(f"file://{tree}/a") == [*ALL, "one.warc.gz"]


def test_a_glob_stands_for_what_it_matches(tree):
    assert names(tree / "a" / "*.gz") == ["one.warc.gz"]
    assert names(tree / "a" / "**" / "*.warc*") == [
        "b/two.warc",
        "c/five.warc.zst",
        "c/six.warc.lz4",
        "one.warc.gz",
    ]


def test_a_file_is_taken_whatever_it_is_called(tree):
    path = tree / "a" / "c" / "notes.md"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert list_inputs([str(path)]) == (WarcFile("notes.md", str(path), 12, 1_700_000_000.0),)


def test_a_file_named_twice_is_read_once(tree):
    assert names(tree / "a", tree / "a" / "b", tree / "a" / "*.gz") == [*ALL, "one.warc.gz"]


def test_names_do_not_depend_on_where_the_data_lie(tree):
    before = names(tree / "a")
    (tree / "elsewhere" / "deep").mkdir(parents=True)
    (tree / "a").rename(tree / "elsewhere" / "deep" / "z")
    assert names(tree / "elsewhere" / "deep" / "z") == before


def test_a_common_crawl_path_is_its_own_name(tree):
    path = tree / "mirror" / "crawl-data" / "CC-MAIN-2024-22" / "warc" / "x.warc.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert names(path, tree / "a" / "b") == [
        "crawl-data/CC-MAIN-2024-22/warc/x.warc.gz",
        "three.ARC.gz",
        "two.warc",
    ]


@pytest.mark.parametrize("name", ["warc.paths", "warc.paths.gz", "list.txt"])
def test_a_list_names_files(tree, name):
    lines = [
        "crawl-data/CC-MAIN-2024-22/segments/1/warc/x.warc.gz",
        "# a remark",
        "",
        "a/b/two.warc",
        str(tree / "a" / "one.warc.gz"),
        "https://host.example/y.warc.gz",
        "s3://bucket/z.warc.gz",
    ]
    data = "\n".join(lines).encode()
    (tree / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = list_inputs([str(tree / name)])
    assert sorted((file.path, file.size) for file in found) == sorted(
        [
            (f"https://data.commoncrawl.org/{lines[0]}", 0),
            (str(tree / "a" / "b" / "two.warc"), 12),
            (str(tree / "a" / "one.warc.gz"), 13),
            ("https://host.example/y.warc.gz", 0),
            ("s3://bucket/z.warc.gz", 0),
        ]
    )
    found = list_inputs([str(tree / name)], crawl_prefix="s3://commoncrawl/")
    assert WarcFile(lines[0], f"s3://commoncrawl/{lines[0]}") in found


def test_a_list_may_start_with_a_byte_order_mark(tree):
    (tree / "x.paths").write_bytes(b"\xef\xbb\xbfa/one.warc.gz\r\n")
    assert [file.name for file in list_inputs([str(tree / "x.paths")])] == ["one.warc.gz"]


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"a/one.warc.gz")[:-9], gzip.compress(b"a")[:9] + b"\xff" * 9, b"\xff"],
    ids=["cut", "corrupt", "no text"],
)
def test_a_damaged_list_is_an_error_that_names_it(tree, data):
    (tree / "x.paths").write_bytes(data)
    with pytest.raises(ValueError, match=r"the list .*x\.paths is damaged: "):
        list_inputs([str(tree / "x.paths")])


def test_what_matches_nothing_is_an_error(tree):
    with pytest.raises(ValueError, match=r"inputs: /no/such\.warc does not exist; check the path"):
        list_inputs(["/no/such.warc"])
    (tree / "empty").mkdir()
    with pytest.raises(ValueError, match=r"nothing in .*/empty is called \*\.warc"):
        list_inputs([str(tree / "empty")])
    with pytest.raises(ValueError, match=r"nothing in .*\*\.md is called .* name the files"):
        list_inputs([str(tree / "a" / "c" / "*.md")])
    (tree / "x.paths").write_text("a/one.warc.gz\nmissing.warc.gz\n")
    with pytest.raises(ValueError, match=r"x\.paths:2 names .*missing\.warc\.gz, which does not"):
        list_inputs([str(tree / "x.paths")])
    (tree / "x.paths").write_text("\n")
    with pytest.raises(ValueError, match=r"the list .*x\.paths names no file"):
        list_inputs([str(tree / "x.paths")])
    with pytest.raises(ValueError, match="is a glob, which https cannot list; give a list file"):
        list_inputs(["https://host.example/*.warc.gz"])


@pytest.mark.parametrize("name", ["x.warc.wat.gz", "x.warc.wet.gz"])
def test_what_is_derived_from_warcs_holds_no_pages(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / "wat.paths").write_text(name)
    for given in (name, "wat.paths"):
        with pytest.raises(ValueError, match=r"is a W[AE]T file, which holds no pages; name the"):
            list_inputs([str(tmp_path / given)])


def test_one_name_for_two_files_is_an_error():
    with pytest.raises(ValueError, match=r"are both crawl-data/x\.warc\.gz; leave one out"):
        list_inputs([f"https://{host}.example/crawl-data/x.warc.gz" for host in "ab"])


def test_open_input_at_an_offset():
    data = (BROKEN / "whole.warc.gz").read_bytes()
    with open_input(str(BROKEN / "whole.warc.gz"), 100) as file:
        assert file.read() == data[100:]
    for name in ("stored.wacz", "deflated.wacz"):
        with open_input(f"{BROKEN / name}!archive/data.warc.gz", 100) as file:
            assert file.read() == data[100:]
            assert file.seek(7) == 7
            assert file.read(9) == data[7:16]


def test_a_wacz_lists_its_archives_only():
    path = str(BROKEN / "stored.wacz")
    assert wacz_members(path) == (f"{path}!archive/data.warc.gz",)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves whole.warc.gz by range; each answer may break off, or be a refusal."""

    data = (BROKEN / "whole.warc.gz").read_bytes()
    cut_after = None
    refusals: ClassVar = []
    requests: ClassVar = []
    etags: ClassVar = []
    says_size = True
    misses_by = 0

    def do_GET(self):
        wanted = self.headers["Range"]
        self.requests.append(wanted)
        if self.path != "/whole.warc.gz":
            return self.send_error(404)
        if self.refusals:
            return self.send_error(self.refusals.pop(0))
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        start -= min(start, self.misses_by)
        if start >= len(self.data):
            self.send_response(416)
            if self.says_size:
                self.send_header("Content-Range", f"bytes */{len(self.data)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = self.data[start:]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etags.pop(0) if self.etags else '"1"')
        self.end_headers()
        self.wfile.write(body[: self.cut_after])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(inputs, "RETRY_SECONDS", (0,) * 6)
    for name in ("refusals", "requests", "etags"):
        monkeypatch.setattr(Server, name, [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/whole.warc.gz"
        running.shutdown()


def test_a_file_behind_http_is_streamed(server):
    with open_input(server) as file:
        assert len(list(read_records(file, server))) == 20
    assert Server.requests == ["bytes=0-"]


def test_a_stream_that_breaks_is_taken_up_where_it_broke(server, monkeypatch):
    monkeypatch.setattr(Server, "cut_after", 3000)
    with open_input(server) as file:
        assert file.read() == Server.data
    assert Server.requests == [f"bytes={at}-" for at in range(0, len(Server.data), 3000)]


def test_a_busy_server_is_asked_again(server):
    Server.refusals[:] = [503, 429, 500]
    with open_input(server) as file:
        assert file.read() == Server.data
    assert Server.requests == ["bytes=0-"] * 4


def test_random_access_behind_http(server):
    with open(BROKEN / "whole.warc.gz", "rb") as file:
        fifth = list(read_records(file))[5]
    assert read_record_at(server, fifth.offset).payload == fifth.payload
    with open_input(server) as file:
        assert file.seek(0, os.SEEK_END) == len(Server.data)
        assert file.read() == b""
        assert file.seek(-5, os.SEEK_END) == len(Server.data) - 5
        assert file.read() == Server.data[-5:]
    with open_input(server, len(Server.data) + 9) as file:
        assert file.read() == b""


@pytest.mark.parametrize("refusals", [[403], [503] * 7])
def test_a_server_that_refuses_is_an_error(server, refusals):
    Server.refusals[:] = refusals
    with open_input(server) as file, pytest.raises(OSError, match=f"HTTP status {refusals[0]}"):
        file.read()


def test_a_missing_file_behind_http_is_an_error(server):
    with open_input(server + ".no") as file, pytest.raises(FileNotFoundError, match="404"):
        file.read()


def test_a_file_that_changes_while_it_is_read_is_an_error(server, monkeypatch):
    monkeypatch.setattr(Server, "cut_after", 3000)
    Server.etags[:] = ['"1"', '"2"']
    with open_input(server) as file, pytest.raises(OSError, match="the file changed"):
        file.read()


def test_the_end_of_a_file_of_unsaid_size_is_no_end_of_what_precedes_it(server, monkeypatch):
    monkeypatch.setattr(Server, "says_size", False)
    with open_input(server, len(Server.data) + 9) as file:
        assert file.read(9) == b""
        file.seek(3)
        assert file.read(9) == Server.data[3:12]


def test_another_range_than_was_asked_for_is_an_error(server, monkeypatch):
    monkeypatch.setattr(Server, "misses_by", 50)
    with open_input(server, 3_000) as file, pytest.raises(OSError, match="asked from byte 3000"):
        file.read(9)
