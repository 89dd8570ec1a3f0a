import json
import pathlib

import pytest

from stages.warc.reader import Damage, Record, read_one, read_records

DATA = pathlib.Path(__file__).parents[2] / "data" / "warc"
EXPECTED = json.loads((DATA / "expected.json").read_text())


def read(path, **options):
    with open(path, "rb") as stream:
        found = list(read_records(stream, path.name, **options))
    records = [f for f in found if isinstance(f, Record) and f.type != "warcinfo"]
    return records, [f for f in found if isinstance(f, Damage)]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_damage_costs_what_is_damaged_and_is_located(name):
    expected = EXPECTED[name]
    records, damages = read(DATA / name)
    whole, _ = read(DATA / "whole.warc.gz")
    by_url = {r.url: r.payload for r in whole}
    assert [r.url for r in records] == [f"http://site.example/{n}" for n in expected["records"]]
    for record in records:
        if name == "lf.warc.gz" or record.truncated:
            assert record.payload.startswith(b"<html>")
        else:
            assert record.payload == by_url[record.url]
    assert [d.offset for d in damages] == [offset for offset, _ in expected["damages"]]
    for damage, (_, inner) in zip(damages, expected["damages"], strict=True):
        assert inner is None or damage.inner_offset == inner
    cut = [int(r.url.rpartition("/")[2]) for r in records if r.truncated]
    assert cut == expected["truncated"]


@pytest.mark.parametrize("name", EXPECTED)
def test_random_access_finds_what_the_sequential_read_found(name):
    records, _ = read(DATA / name)
    for record in records:
        with open(DATA / name, "rb") as stream:
            again = read_one(stream, record.offset, record.inner_offset)
        assert (again.url, again.payload) == (record.url, record.payload)
