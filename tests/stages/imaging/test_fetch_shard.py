import pyarrow.parquet as pq
import pytest

from stages.imaging.config import GatherConfig
from stages.imaging.fetch_shard import FetchShard, shard_of
from stages.imaging.fetched import BUCKETS, Known, Store, known_in
from stages.imaging.http_client import HttpConfig, Quest
from stages.imaging.opt_out import OptOutPolicy


def http(**fields):
    defaults = {
        "enabled": True,
        "user_agent": "testbot/1.0 (+https://example.org/bot)",
        "deadline": 5.0,
        "backoff": 0.0,
        "host_delay": 0.0,
        "robots": False,
        "tdmrep": False,
        "allow_loopback": True,
        "shards": 1,
    }
    return HttpConfig(**{**defaults, **fields})


class Fetching:
    """Fetches into one store."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, urls, kept, refused=None, lists=(), **fields):
        gather = {name: fields.pop(name) for name in {"stores", "max_bytes", "opt_out"} & {*fields}}
        config = GatherConfig(http=http(**fields), **gather)
        shard = FetchShard(config, str(self.folder), 0, opt_out_lists=lists)
        found = shard.run([Quest(url) for url in urls])
        assert all(isinstance(outcome, Known) for outcome in found.values()), found
        reasons = {url: known.fetched.reason for url, known in found.items()}
        assert {url: reason for url, reason in reasons.items() if reason} == (refused or {})
        places = {url: found[url].location for url, reason in reasons.items() if not reason}
        read = {url: Store().read(place, 10**9, lambda _: None) for url, place in places.items()}
        assert {url: payload.data for url, payload in read.items()} == kept

    def known(self):
        known = known_in(str(self.folder), range(BUCKETS))
        return {url: known.fetched for url, known in known.items()}


@pytest.fixture
def fetch(tmp_path):
    return Fetching(tmp_path / "store")


def test_equal_bytes_lie_in_the_store_once(fetch, web, png):
    urls = [web.url(f"/ok.png?{number}") for number in range(5)]
    fetch(urls, dict.fromkeys(urls, png()))
    [path] = fetch.folder.glob("*/*.parquet")
    data = pq.read_table(path, columns=["data"]).column("data").to_pylist()
    assert [len(content or b"") for content in data] == [len(png()), 0, 0, 0, 0]


def test_loopback_is_out_of_reach_by_default(fetch, web):
    url = web.url("/ok.png")
    fetch([url], {}, refused={url: "forbidden_address"}, allow_loopback=False)
    assert web.requests.total() == 0


def test_a_second_run_asks_only_for_what_may_have_passed(fetch, web, png):
    web.pages["/down.png"] = (503, b"", {})
    web.pages["/large.png"] = (200, bytes(1000), {})
    web.pages["/no.png"] = (200, png(), {"X_Robots_Tag": "noai"})
    ok, gone, down, large, no = (
        web.url(f"/{name}.png") for name in ("ok", "missing", "down", "large", "no")
    )
    urls = [ok, gone, down, large, no]
    refused = {gone: "http_4xx", down: "http_5xx", large: "too_large", no: "opted_out"}
    fetch(urls, {ok: png()}, refused, retries=0, max_bytes=500)
    web.requests.clear()
    fetch(urls, {ok: png()}, refused, retries=0, max_bytes=500)
    assert dict(web.requests) == {"/down.png": 1}
    # What was refused by a limit or a policy of ours is asked for once that allows it.
    web.requests.clear()
    kept = {ok: png(), large: bytes(1000), no: png()}
    heedless = OptOutPolicy(directives=())
    fetch(
        urls,
        kept,
        {gone: "http_4xx", down: "http_5xx"},
        retries=0,
        max_bytes=1000,
        opt_out=heedless,
    )
    assert dict(web.requests) == {"/down.png": 1, "/large.png": 1, "/no.png": 1}


def test_the_store_of_an_earlier_run_is_used(fetch, web, png, tmp_path):
    tagged, gone = web.url("/tagged.png"), web.url("/missing.png")
    fetch([tagged, gone], {tagged: png()}, {gone: "http_4xx"})
    web.requests.clear()
    later = Fetching(tmp_path / "later")
    stores = (str(fetch.folder),)
    later([tagged, gone], {tagged: png()}, {gone: "http_4xx"}, stores=stores)
    assert web.requests.total() == 0
    assert not later.known()


def test_a_store_of_an_earlier_version_knows_no_consent(fetch, web, png):
    url = web.url("/ok.png")
    fetch([url], {url: png()})
    [path] = fetch.folder.glob("*/*.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["consent"]), path)
    web.requests.clear()
    fetch([url], {url: png()})
    assert web.requests.total() == 0
    assert fetch.known()[url].consent == ()


def test_what_an_earlier_run_has_is_asked_for_by_its_etag(fetch, web, png, tmp_path):
    tagged, plain = web.url("/tagged.png"), web.url("/ok.png")
    fetch([tagged, plain], dict.fromkeys([tagged, plain], png()))
    web.pages["/ok.png"] = (200, png(7, 7), {})
    later = Fetching(tmp_path / "later")
    kept = {tagged: png(), plain: png(7, 7)}
    later([tagged, plain], kept, stores=(str(fetch.folder),), revalidate=True)
    assert web.headers["/tagged.png"]["If-None-Match"] == '"one"'
    assert web.requests == {"/tagged.png": 2, "/ok.png": 2}
    assert later.known()[tagged].status == 200
    web.requests.clear()  # a run that was killed does not do it again
    later([tagged, plain], kept, stores=(str(fetch.folder),), revalidate=True)
    assert web.requests.total() == 0


def test_redirects_from_site_to_site_end(fetch, web, png):
    web.pages["/far.png"] = (302, b"", {"Location": web.url("/ok.png", "localhost")})
    url = web.url("/far.png")
    # Of sixteen groups the two hosts are in different ones.
    config = GatherConfig(http=http(shards=16))
    shard = shard_of(url, 16)
    assert shard_of(web.url("/", "localhost"), 16) != shard
    run = FetchShard(config, str(fetch.folder), shard, last=False).run
    assert run([Quest(url)]) == {url: Quest(url, (url, web.url("/ok.png", "localhost")))}
    found = FetchShard(config, str(fetch.folder), shard, last=True).run([Quest(url)])
    assert found[url].fetched.reason == "too_many_redirects"
    assert web.requests["/ok.png"] == 0


def test_a_large_host_is_left_for_a_later_run(web, tmp_path):
    urls = [web.url(f"/ok.png?{number}") for number in range(6)]
    other = web.url("/ok.png", "localhost")

    def taken(folder, stores=()):
        config = GatherConfig(http=http(max_host_urls=4), stores=stores)
        found = FetchShard(config, folder, 0).run([Quest(url) for url in [*urls, other]])
        reasons = {url: known.fetched.reason for url, known in found.items()}
        assert set(reasons.values()) <= {"", "host_limit"}
        return {url for url, reason in reasons.items() if not reason}

    first = str(tmp_path / "first")
    some = taken(first)
    assert len(some) == 5
    assert other in some
    assert taken(first) == some  # the same run again
    assert taken(str(tmp_path / "later"), (first,)) == {*urls, other}
    assert web.requests == {"/ok.png": 7}


def test_a_listed_url_is_not_asked_for_and_no_redirect_leads_there(fetch, web, png, tmp_path):
    listed = tmp_path / "asked.txt"
    listed.write_text(web.url("/ok.png"))
    web.pages["/moved.png"] = (302, b"", {"Location": "/ok.png"})
    moved = web.url("/moved.png")
    fetch([moved], {}, refused={moved: "opted_out"}, lists=(str(listed),))
    assert web.requests == {"/moved.png": 1}


def test_what_is_on_disk_early_survives_and_is_made_one_file_in_the_end(fetch, web, png):
    web.pages.update({f"/{n}.png": (200, png(n + 1, 5), {}) for n in range(7)})
    urls = {web.url(f"/{n}.png"): png(n + 1, 5) for n in range(7)}
    fetch(list(urls), urls, flush_images=2, hosts=1)
    assert len(list(fetch.folder.glob("*/*.parquet"))) == 1
    assert not list(fetch.folder.glob("*/*.tmp"))
