import math
import random

import pytest

from schemas.document import Document, Signal, Text
from stages.dedup.components import MOST
from stages.dedup.config import DedupConfig, MinHashConfig, UrlConfig
from stages.dedup.fingerprint import fingerprint, rank


def document(**more):
    return Document("a", "https://a.example/p?x=1&ref=mail", (Text("one two three"),), **more)


def test_sizes():
    signature = fingerprint(document(), DedupConfig()).signature
    sizes = [len(part) for part in (signature.url, signature.text, signature.bands)]
    assert sizes == [16, 16, 8 * 36]
    assert len(signature.sketch) == 256


def test_what_is_off_leaves_nothing():
    off = DedupConfig(url=None, text=False, minhash=None, paragraphs=None)
    found = fingerprint(document(), off)
    assert (found.signature.url, found.signature.text, found.signature.bands) == (b"", b"", b"")
    assert found.paragraphs == ()
    empty = fingerprint(Document("a", "", ()), DedupConfig()).signature
    assert (empty.url, empty.text, empty.bands, empty.sketch) == (b"", b"", b"", b"")


def test_a_declared_url_counts_if_it_is_asked_for():
    one, two = document(canonical_url="https://a.example/p"), document()
    plain, asked = DedupConfig(), DedupConfig(url=UrlConfig(canonical_link=True))
    assert fingerprint(one, plain).signature.url == fingerprint(two, plain).signature.url
    assert fingerprint(one, asked).signature.url != fingerprint(two, asked).signature.url


def test_quality_orders_as_its_scores_do():
    rng = random.Random(0)
    scores = sorted([-1e300, -1.0, -0.0, 0.5, 1.0, 1e300, *(rng.gauss(0, 1) for _ in range(99))])
    ranks = [
        rank(document(signals=(Signal("other", 9.0), Signal("good", s))), "highest_quality", "good")
        for s in scores
    ]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)
    assert ranks[0] > 0
    assert ranks[-1] < MOST
    for unscored in ((), (Signal("good", math.nan),)):
        assert rank(document(signals=unscored), "highest_quality", "good") == 0


def test_an_id_with_blanks_is_an_error():
    with pytest.raises(ValueError, match="cannot be sorted"):
        fingerprint(Document("a b", ""), DedupConfig(minhash=MinHashConfig()))
