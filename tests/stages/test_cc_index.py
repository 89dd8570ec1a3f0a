"""Reading what a columnar index chooses, of WARCs behind a server that notes what it is asked."""

import gzip
import http.server
import re
import threading

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that, equal_to
from warcio.archiveiterator import ArchiveIterator

from pipeline.run import run
from schemas.outcome import Failure, Kind
from schemas.page import Page
from stages.cc_index import Chosen, IndexConfig, choose, is_sampled, stretches
from stages.inputs import list_inputs
from stages.read_pages import ReadConfig, ReadPages, read_captures, read_stretch

NAME = "crawl-data/CC-MAIN-2024-10/segments/1/warc/{}.warc.gz"
PAGES = 40


def member(number, filler):
    body = b"<html><body><p>Page %d %s</p></body></html>" % (number, b"x" * filler)
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    head = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2024-05-18T09:30:00Z\r\n"
        b"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-%012d>\r\n"
        b"WARC-Target-URI: http://h%d.example/%d\r\n"
        b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
    )
    data = head % (number, number % 4, number, len(block)) + block + b"\r\n\r\n"
    return gzip.compress(data, 0, mtime=0)


def index_rows(path, name):
    """The index's rows for a WARC, offsets and lengths by warcio."""
    with path.open("rb") as stream:
        records = ArchiveIterator(stream)
        for record in records:
            record.content_stream().read()
            url = record.rec_headers.get_header("WARC-Target-URI")
            if record.rec_type != "response":
                continue
            host = re.search("//([^/:]+)", url)[1]
            yield {
                "url_surtkey": ",".join(reversed(host.split("."))) + ")/",
                "url": url,
                "url_host_name": host,
                "fetch_status": int(record.http_headers.get_statuscode()),
                "content_mime_type": "text/html",
                "content_mime_detected": "text/html",
                "content_languages": "eng",
                "warc_filename": name,
                "warc_record_offset": records.get_record_offset(),
                "warc_record_length": records.get_record_length(),
            }


SCHEMA = pa.schema(
    [
        ("url_surtkey", pa.string()),
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("fetch_status", pa.int16()),
        ("content_mime_type", pa.string()),
        ("content_mime_detected", pa.string()),
        ("content_languages", pa.string()),
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
    ]
)


def write_index(path, rows, **options):
    rows = sorted(rows, key=lambda row: (row["url_surtkey"], row["url"]))
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, **options)
    return path


@pytest.fixture
def crawl(tmp_path):
    """Two WARCs of 40 pages on 4 hosts, and their rows in an index."""
    rows = []
    for letter in "ab":
        path = tmp_path / NAME.format(letter)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(member(n, 1000) for n in range(PAGES)))
        rows += index_rows(path, NAME.format(letter))
    assert len(rows) == 2 * PAGES
    for number, row in enumerate(rows):
        row["content_languages"] = ["eng", "deu,eng", None, "fra"][number % 4]
    return tmp_path, rows


class _Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"]).groups()
        self.server.asked.append((self.path.lstrip("/"), int(first), last and int(last)))
        part = data[int(first) : int(last) + 1 if last else None]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        end = int(first) + len(part) - 1
        self.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def server(crawl):
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    served.daemon_threads = True
    served.folder, served.asked = crawl[0], []
    served.base = f"http://127.0.0.1:{served.server_address[1]}/"
    thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()


def test_only_the_chosen_bytes_are_read(beam_pipeline, crawl, server):
    folder, rows = crawl
    index = write_index(folder / "part-0.parquet", rows)
    config = IndexConfig(server.base, languages=("deu",), gap_bytes=0)
    with beam_pipeline as p:
        files = list_inputs([str(index)], index=True)
        out = p | beam.Create(files) | ReadPages(ReadConfig(cc_index=config))
        urls = out.kept | beam.Map(lambda page: (page.warc_file, page.url))
        wanted = [row for row in rows if row["content_languages"] == "deu,eng"]
        assert_that(urls, equal_to([(row["warc_filename"], row["url"]) for row in wanted]))
    spans = [
        (
            row["warc_filename"],
            row["warc_record_offset"],
            row["warc_record_offset"] + row["warc_record_length"] - 1,
        )
        for row in wanted
    ]
    assert len(spans) == 20
    assert sorted(server.asked) == sorted(spans)


def test_close_ranges_are_read_in_one_request(beam_pipeline, crawl, server):
    folder, rows = crawl
    index = write_index(folder / "part-0.parquet", rows)
    gap = 3 * max(row["warc_record_length"] for row in rows)
    config = IndexConfig(server.base, languages=("deu",), gap_bytes=gap)
    with beam_pipeline as p:
        files = list_inputs([str(index)], index=True)
        out = p | beam.Create(files) | ReadPages(ReadConfig(cc_index=config))
        count = out.kept | beam.combiners.Count.Globally()
        assert_that(count, equal_to([20]))
    assert sorted(name for name, _, _ in server.asked) == [NAME.format("a"), NAME.format("b")]
    first, last = rows[1], rows[PAGES - 3]
    end = last["warc_record_offset"] + last["warc_record_length"] - 1
    assert (NAME.format("a"), first["warc_record_offset"], end) in server.asked


def test_what_an_index_chooses_is_what_a_whole_reading_gives(beam_pipeline, crawl):
    folder, rows = crawl
    index = write_index(folder / "part-0.parquet", rows)
    whole = [
        capture
        for file in list_inputs([str(folder / "crawl-data")])
        for capture in read_captures(file, ReadConfig())
    ]
    with beam_pipeline as p:
        files = list_inputs([str(index)], index=True)
        config = ReadConfig(cc_index=IndexConfig(str(folder)))
        out = p | beam.Create(files) | ReadPages(config)
        assert_that(out.kept, equal_to(whole))


def test_a_row_whose_bytes_are_another_thing_is_a_failure_that_says_where(beam_pipeline, crawl):
    folder, rows = crawl
    rows = rows[:6]
    rows[1] = rows[1] | {"warc_record_offset": rows[1]["warc_record_offset"] + 3}
    rows[2] = rows[2] | {"url": "http://h2.example/another"}
    rows[3] = rows[3] | {"warc_record_length": 50}
    rows[4] = rows[4] | {"warc_record_offset": 10**8}
    rows[5] = rows[5] | {"warc_filename": NAME.format("absent")}
    index = write_index(folder / "part-0.parquet", rows)
    with beam_pipeline as p:
        files = list_inputs([str(index)], index=True)
        config = ReadConfig(cc_index=IndexConfig(str(folder)))
        out = p | beam.Create(files) | ReadPages(config)
        kept = out.kept | beam.Map(lambda page: page.url)
        failed = out.failed | beam.Map(
            lambda f: (f.kind, f.url, f.warc_file, f.warc_offset, _short(f.error))
        )
        assert_that(kept, equal_to([rows[0]["url"]]), label="kept")
        errors = [
            "no record where the index says",
            "the index says another record than that of http://h2.example/2",
            "no record where the index says",
            "the file ends before",
            "No such file or directory",
        ]
        expected = [
            (Kind.PAGE, row["url"], row["warc_filename"], row["warc_record_offset"], error)
            for row, error in zip(rows[1:], errors, strict=True)
        ]
        assert_that(failed, equal_to(expected), label="failed")


def _short(error):
    known = (
        "no record where the index says",
        "the index says another record than that of http://h2.example/2",
        "the file ends before",
        "No such file or directory",
    )
    return next((text for text in known if text in error), error)


def test_a_row_that_does_not_say_where_is_a_failure_and_costs_no_other(beam_pipeline, crawl):
    folder, rows = crawl
    lacks = ["url", "warc_filename", "warc_record_offset", "warc_record_length"]
    wrong = [{name: None} for name in lacks]
    wrong += [{"warc_record_offset": -1}, {"warc_record_length": 0}, {"warc_record_length": -1}]
    rows = [row | (wrong[n] if n < len(wrong) else {}) for n, row in enumerate(rows)]
    index = folder / "part-0.parquet"
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), index)
    with beam_pipeline as p:
        files = list_inputs([str(index)], index=True)
        config = ReadConfig(cc_index=IndexConfig(str(folder)))
        out = p | beam.Create(files) | ReadPages(config)
        kept = out.kept | beam.Map(lambda page: (page.warc_file, page.url))
        found = out.failed | beam.Map(
            lambda f: (f.kind, f.url, f.warc_file, "does not say where" in f.error)
        )
        whole = [(row["warc_filename"], row["url"]) for row in rows[len(wrong) :]]
        assert_that(kept, equal_to(whole), label="kept")
        failed = [(Kind.PAGE, row["url"] or "", index.name, True) for row in rows[: len(wrong)]]
        assert_that(found, equal_to(failed), label="failed")


def test_what_is_no_index_is_a_failure_of_the_file(beam_pipeline, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no table")
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "b.parquet")
    with beam_pipeline as p:
        files = list_inputs([str(tmp_path)], index=True)
        out = p | beam.Create(files) | ReadPages(ReadConfig(cc_index=IndexConfig()))
        failed = out.failed | beam.Map(lambda f: (f.kind, f.element_id, "no index" in f.error))
        assert_that(
            failed, equal_to([(Kind.FILE, "a.parquet", True), (Kind.FILE, "b.parquet", True)])
        )


def urls(path, **conditions):
    return [row.url for _, row in choose(str(path), IndexConfig(**conditions))]


def test_conditions(tmp_path):
    base = dict.fromkeys(SCHEMA.names, "") | {
        "fetch_status": 200,
        "content_mime_type": "text/html",
        "content_mime_detected": None,
        "content_languages": "eng",
        "warc_record_offset": 0,
        "warc_record_length": 9,
    }

    def row(url, host="a.example", **changes):
        surt = ",".join(reversed(host.removeprefix("www.").split("."))) + ")/"
        return base | {"url": url, "url_host_name": host, "url_surtkey": surt} | changes

    path = write_index(
        tmp_path / "i.parquet",
        [
            row("plain"),
            row("moved", fetch_status=301),
            row("pdf", content_mime_detected="application/pdf"),
            row("xhtml", content_mime_type="?", content_mime_detected="application/xhtml+xml"),
            row("german", content_languages="deu,eng"),
            row("unknown", content_languages=None),
            row("www", host="www.b.example"),
            row("b", host="b.example"),
            row("other", host="notb.example"),
            row("short", host="www.example", url_surtkey="example)/"),
        ],
    )
    everything = {"plain", "xhtml", "german", "unknown", "www", "b", "other", "short"}
    assert set(urls(path)) == everything
    assert set(urls(path, status=(301,))) == {"moved"}
    assert set(urls(path, status=(), mime=())) == everything | {"moved", "pdf"}
    assert set(urls(path, languages=("deu",))) == {"german"}
    assert set(urls(path, languages=("eng",))) == everything - {"german", "unknown"}
    assert set(urls(path, hosts=("b.example",))) == {"www", "b"}
    assert set(urls(path, hosts=("www.b.example",))) == {"www"}
    assert set(urls(path, hosts=("www.example",))) == {"short"}
    assert set(urls(path, hosts=("b.example", "notb.example"))) == {"www", "b", "other"}


def test_row_groups_without_a_wanted_host_are_not_read(crawl):
    """Their bytes are overwritten, which to read would be an error."""
    folder, rows = crawl
    path = write_index(folder / "i.parquet", rows, row_group_size=20)
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups == 4
    data = bytearray(path.read_bytes())
    for group in range(3):
        for column in range(len(SCHEMA)):
            chunk = metadata.row_group(group).column(column)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            data[start : start + chunk.total_compressed_size] = (
                b"\xff" * chunk.total_compressed_size
            )
    path.write_bytes(data)
    assert len(urls(path, hosts=("h3.example",))) == 20
    with pytest.raises(OSError, match="Couldn't deserialize"):
        urls(path, hosts=("h2.example",))


def test_a_sample_is_a_share_of_urls_and_a_smaller_one_is_part_of_it():
    every = [f"http://a.example/{n}" for n in range(10_000)]
    tenth = {url for url in every if is_sampled(url, 0.1)}
    fifth = {url for url in every if is_sampled(url, 0.2)}
    assert (len(tenth), len(fifth)) == (957, 2003)
    assert tenth < fifth
    assert all(is_sampled(url, 1.0) for url in every)


def test_stretches():
    rows = [Chosen(0, 10, "a"), Chosen(10, 10, "b"), Chosen(25, 5, "c"), Chosen(100, 10, "d")]

    def spans(**options):
        found = stretches("w", [*reversed(rows), rows[0]], IndexConfig(**options))
        return [(s.start, s.stop, len(s.chosen)) for s in found]

    assert spans(gap_bytes=0) == [(0, 20, 2), (25, 30, 1), (100, 110, 1)]
    assert spans(gap_bytes=5) == [(0, 30, 3), (100, 110, 1)]
    assert spans(gap_bytes=70) == [(0, 110, 4)]
    assert spans(gap_bytes=70, split_bytes=29) == [(0, 20, 2), (25, 30, 1), (100, 110, 1)]
    assert spans(gap_bytes=70, split_bytes=1) == [(0, 10, 1), (10, 20, 1), (25, 30, 1),
                                                  (100, 110, 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": ""}, "base is empty"),
        ({"sample": 0.0}, r"sample is 0.0, not in \(0, 1\]"),
        ({"gap_bytes": -1}, "gap_bytes is -1"),
        ({"split_bytes": 0}, "split_bytes is 0"),
        ({"languages": ("en",)}, "'en' is no code of ISO 639-3"),
        ({"hosts": ("http://a.example/",)}, "is no host"),
    ],
)
def test_config_is_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        IndexConfig(**settings)


def test_inputs_and_config_must_agree(tmp_path):
    (tmp_path / "i.parquet").write_bytes(b"")
    (tmp_path / "w.warc.gz").write_bytes(b"")
    assert [f.name for f in list_inputs([str(tmp_path)], index=True)] == ["i.parquet"]
    assert [f.name for f in list_inputs([str(tmp_path)])] == ["w.warc.gz"]
    with pytest.raises(ValueError, match=r"set read\.cc_index to read what an index lists"):
        list_inputs([str(tmp_path / "i.parquet")])
    with pytest.raises(
        ValueError, match=r"is no Parquet file; read\.cc_index and read\.corpus read no archives"
    ):
        list_inputs([str(tmp_path / "w.warc.gz")], index=True)


def test_an_index_of_real_warcs(shared_data, tmp_path):
    """All that warcio finds in the real WARCs, read by its offsets: the same pages as by ours."""
    folder = shared_data / "warc" / "dolma"
    rows = [row for path in folder.iterdir() for row in index_rows(path, path.name)]
    index = write_index(tmp_path / "i.parquet", rows)
    config = IndexConfig(str(folder), status=(), mime=())
    found = {}
    chosen = {}
    for name, row in choose(str(index), config):
        chosen.setdefault(name, []).append(row)
    for name, wanted in chosen.items():
        for stretch in stretches(name, wanted, config):
            for capture in read_stretch(stretch, ReadConfig(cc_index=config)):
                assert not isinstance(capture, Failure)
                found[name, capture.warc_offset] = capture
    whole = {
        (file.name, page.warc_offset): page
        for file in list_inputs([str(folder)])
        for page in read_captures(file, ReadConfig())
        if isinstance(page, Page) and not page.url.startswith("metadata:")  # wget's own notes
    }
    assert found == whole
    assert len(found) == len(rows)


def test_a_run_over_an_index_makes_the_corpus_of_its_captures(crawl, tmp_path):
    folder, rows = crawl
    write_index(folder / "part-0.parquet", rows)
    settings = f"read.cc_index={{base: {folder}, hosts: [h3.example]}}"
    manifest = run("extract", [str(folder / "part-0.parquet")], str(tmp_path / "out"), [settings])
    entered = {stage["stage"]: stage["entered"] for stage in manifest["funnel"]}
    assert entered["read_pages"] == entered["extract_documents"] == 20
    assert [file["name"] for file in manifest["inputs"]] == ["part-0.parquet"]
