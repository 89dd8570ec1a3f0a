from dataclasses import replace

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageLocation, ImageReference
from schemas.outcome import Kind, Rejection
from stages.fetch_images import RULE, STAGE, FetchImages
from stages.imaging.config import GatherConfig
from stages.imaging.elements import ImageTask
from stages.imaging.fetched import BUCKETS, Store, known_in
from stages.imaging.http_client import HttpConfig

GATHER = GatherConfig(
    http=HttpConfig(
        enabled=True,
        user_agent="testbot/1.0 (+https://example.org/bot)",
        backoff=0.0,
        host_delay=0.0,
        robots=False,
        tdmrep=False,
        allow_loopback=True,
    )
)


def task(url, *places):
    return ImageTask(ImageReference(url), places)


def fetched_bytes(task):
    """The URL and what lies at the first place of a task."""
    first = task.locations[0]
    return task.reference.url, Store().read(first, 10**9, lambda _: None).data


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def test_the_web_is_asked_and_every_url_has_a_row(beam_pipeline, tmp_path, web, png):
    web.pages["/no.png"] = (200, png(), {"X_Robots_Tag": "testbot: noai"})
    web.pages["/moved.png"] = (302, b"", {"Location": "/ok.png"})
    ok, moved, flaky, gone, no = (
        web.url(f"/{name}.png") for name in ("ok", "moved", "flaky", "missing", "no")
    )
    odd = "ftp://a/x.png"
    with beam_pipeline as p:
        out = (
            p
            | beam.Create(list(map(task, [ok, moved, flaky, gone, no, odd])))
            | FetchImages(GATHER, str(tmp_path))
        )
        assert out.kept.element_type is ImageTask
        found = out.kept | beam.Map(fetched_bytes)
        assert_that(found, equal_to([(url, png()) for url in (ok, moved, flaky)]))
        said = {gone: ("http_4xx", "404"), no: ("opted_out", "x-robots-tag: testbot: noai"),
                odd: ("scheme", odd)}  # fmt: skip
        rejected = [
            Rejection(url, Kind.IMAGE, "", url, STAGE, RULE, reason, None, detail)
            for url, (reason, detail) in said.items()
        ]
        assert_that(out.rejected, equal_to(rejected), label="rejected")
        assert_that(out.failed, equal_to([]), label="failed")
    assert counters(p) == {
        "kept": 3,
        "rejected.fetch.http_4xx": 1,
        "rejected.fetch.opted_out": 1,
        "rejected.fetch.scheme": 1,
    }
    assert dict(web.requests) == {
        "/ok.png": 2, "/moved.png": 1, "/flaky.png": 2, "/missing.png": 1, "/no.png": 1,
    }  # fmt: skip
    known = known_in(str(tmp_path), range(BUCKETS))
    known = {url: found.fetched for url, found in known.items()}
    rows = {
        url: (row.final_url, row.status, row.attempts, row.reason, row.n_bytes)
        for url, row in known.items()
    }
    size = len(png())
    assert rows == {
        ok: (ok, 200, 1, "", size),
        moved: (ok, 200, 2, "", size),
        flaky: (flaky, 200, 2, "", size),
        gone: (gone, 404, 1, "http_4xx", 0),
        no: (no, 200, 1, "opted_out", 0),
        odd: (odd, 0, 0, "scheme", 0),
    }
    assert all(row.fetched_at.startswith("20") for row in known.values())
    [header] = [h.value for h in known[no].headers if h.name == "x-robots-tag"]
    assert header == "testbot: noai"


def test_a_redirect_to_another_site_is_followed_by_the_worker_that_owns_it(
    beam_pipeline, tmp_path, web, png
):
    def hop(name, to, host):
        web.pages[f"/{name}.png"] = (302, b"", {"Location": web.url(f"/{to}.png", host)})
        return web.url(f"/{name}.png")

    # localhost and 127.0.0.1 are two sites, of different groups among sixteen.
    one = hop("one", "ok", "localhost")
    hop("two", "there", "localhost")
    two = web.url("/two.png")
    web.pages["/there.png"] = (302, b"", {"Location": web.url("/ok.png")})
    with beam_pipeline as p:
        out = p | beam.Create([task(one), task(two)]) | FetchImages(GATHER, str(tmp_path))
        found = out.kept | beam.Map(fetched_bytes)
        assert_that(found, equal_to([(one, png()), (two, png())]))
        assert_that(out.rejected, equal_to([]), label="rejected")
    assert web.requests == {"/one.png": 1, "/two.png": 1, "/there.png": 1, "/ok.png": 2}
    known = known_in(str(tmp_path), range(BUCKETS))
    assert {url: found.fetched.final_url for url, found in known.items()} == {
        one: web.url("/ok.png", "localhost"),
        two: web.url("/ok.png"),
    }


def test_nobody_is_asked_for_what_lies_at_hand(beam_pipeline, tmp_path, web, png):
    url = web.url("/ok.png")
    place = ImageLocation(url, "a.warc.gz", "a.warc.gz", 0)
    whole, cut = task(url, place), task(url + "?cut", replace(place, truncated=True))
    with beam_pipeline as p:
        out = p | beam.Create([whole, cut]) | FetchImages(GATHER, str(tmp_path))
        places = out.kept | beam.Map(lambda t: (t.reference.url, [p.source for p in t.locations]))
        assert_that(places, equal_to([(url, ["warc"]), (url + "?cut", ["store", "warc"])]))
    assert web.requests.total() == 1
