"""Every registered rule is held to the same promises, without a line of its own."""

import dataclasses
import enum
import importlib
import math
import pickle

import numpy as np
import pytest

from filters.base import On, Passage, Score, judge, load_all
from schemas.document import Document, Image, PlacedDocument, Placement, Sentence, Signal, Text
from schemas.image import ImageRecord, ImageReference
from schemas.page import Page

ODD = ["", " \n\t\u3000", "\U0001f600\u200b\x00", "\ufffd\ud800", "a" * 3_000, "\u0301\u0301"]
LANGUAGES = ["", "en", "zh", "../en", "tlh"]
URLS = ["", "http://", "http://[::1", "//a", "data:image/png;base64,AAAA", "http://\u4f8b/%ff\x00"]
IMAGE = Image("http://a/1.png")


def page(url="http://a/", status=200, mime="", headers=(), body=b""):
    return Page("0" * 32, url, "a.warc", 0, 0, "", status, mime, headers, body)


def record(width=1, height=1, n_bytes=0, nsfw=None, **more):
    values = {"format": "", "phash": "0" * 16, **more}
    return ImageRecord(
        "0" * 64, "http://a/1", width=width, height=height, n_bytes=n_bytes, nsfw=nsfw, **values
    )


DOCUMENTS = [
    Document("empty", "http://a"),
    Document("blank", "", (Text(" \n\t"),)),
    Document("images-only", "http://a", (IMAGE, IMAGE)),
    *(Document("odd", "http://a", (Text(text), IMAGE), language="xx") for text in ODD),
]
AWKWARD = {
    On.PAGE: [
        page(),
        *(page(url) for url in URLS),
        page(status=0, mime="\x00"),
        page(headers=(("", ""), ("x-robots-tag", ":,;"), ("content-type", "\udcff"))),
        page(body=bytes(range(256))),
        page(body=b"<meta" * 2_000),
        page(body=b"<!--<script><meta name=robots content='"),
        page(body="<html lang=en><img>\ud83d".encode("utf-16-le", "surrogatepass")),
    ],
    On.TEXT: [Passage(text, language) for text in ODD for language in LANGUAGES],
    On.DOCUMENT: DOCUMENTS,
    On.REFERENCE: [*(ImageReference(url) for url in URLS), ImageReference("http://a/", 0)],
    On.IMAGE: [
        record(),
        record(width=0, height=0),
        record(width=10**9, height=1, n_bytes=10**12),
        record(nsfw=0.0),
        record(nsfw=1.0, clip=b"\x00" * 8, frames=0, documents=0, status=0),
        record(format="\U0001f600", phash=""),
    ],
    On.PLACED: [
        *map(PlacedDocument, DOCUMENTS),
        PlacedDocument(DOCUMENTS[2], (), (Placement(0, None, None), Placement(1, None, None))),
        PlacedDocument(
            DOCUMENTS[2], (Sentence("s", 0),), (Placement(0, 0, -1.0),), ((-1.0,), (0.5,))
        ),
    ],
}
RULES = load_all()


@pytest.fixture(scope="session")
def required(tmp_path_factory):
    """The config of rules that cannot do without one."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "common.txt").write_text("the\n")
    (folder / "hashes.txt").write_text("00000000000000ff\n")
    (folder / "adult").mkdir()
    (folder / "adult" / "domains").write_text("bad.example\n")
    np.save(folder / "features.npy", np.eye(2, dtype=np.float32))
    return {
        (On.TEXT, "common_words"): {"file": str(folder / "common.txt")},
        (On.PAGE, "ut1"): {"directory": str(folder)},
        (On.IMAGE, "benchmark_hash"): {"file": str(folder / "hashes.txt")},
        (On.IMAGE, "benchmark_feature"): {"file": str(folder / "features.npy")},
    }


@pytest.fixture(params=RULES, ids=["-".join(key) for key in RULES])
def rule(request, required):
    return RULES[request.param](**required.get(request.param, {}))


def test_every_kind_of_element_has_rules():
    assert {on for on, _ in RULES} >= {On.PAGE, On.TEXT, On.DOCUMENT, On.PLACED}


def test_it_cites_its_source(rule):
    assert "Source:" in importlib.import_module(type(rule).__module__).__doc__


def test_it_is_a_frozen_dataclass_that_pickles(rule):
    assert type(rule).__dataclass_params__.frozen
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(rule) == hash(pickle.loads(pickle.dumps(rule)))


def test_its_name_is_that_of_its_module_and_its_folder_says_what_it_looks_at(rule):
    _, folder, module = type(rule).__module__.split(".")
    assert folder in (f"{rule.on}s", str(rule.on))
    assert rule.name == module
    assert rule.name.isidentifier()
    assert rule.name.islower()


def test_its_reasons_are_an_enum_of_plain_names(rule):
    reasons = importlib.import_module(type(rule).__module__).Reason
    assert issubclass(reasons, enum.StrEnum)
    assert all(reason.isidentifier() and reason.islower() for reason in reasons)


def test_it_survives_awkward_input_and_scores_before_it_judges(rule):
    for element in AWKWARD[rule.on]:
        score = rule.score(element)
        assert repr(score) == repr(rule.score(element))  # "not scored" is NaN, unequal to itself
        assert math.isfinite(score.value) or score.detail
        reason = rule.judge(Score(score.value, score.detail))  # nothing but the score is needed
        assert reason is None or isinstance(reason, enum.StrEnum)
        assert reason == rule.judge(score)
        [signal], objection = judge([rule], element)
        assert repr(signal) == repr(Signal(rule.name, score.value))
        assert (objection is None) == (reason is None)


def test_its_config_is_made_of_plain_values(rule):
    for field in dataclasses.fields(rule):
        value = getattr(rule, field.name)
        plain = value if isinstance(value, tuple) else (value,)
        assert all(isinstance(x, str | int | float | None) for x in plain), field.name
