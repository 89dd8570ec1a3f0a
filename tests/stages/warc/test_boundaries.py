"""A file that is read in parts gives what it gives when read as one, wherever it is cut."""

import gzip
import hashlib
import io
import json
import pathlib
import random

import pytest
import zstandard

from stages.warc.reader import Damage, Record, can_be_cut, read_records

DATA = pathlib.Path(__file__).parents[2] / "data" / "warc"
BROKEN = sorted(json.loads((DATA / "expected.json").read_text()))


def read(data, name, start=0, stop=None, **options):
    return list(read_records(io.BytesIO(data), name, start=start, stop=stop, **options))


def read_parts(data, name, cuts):
    return [
        found
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)
        for found in read(data, name, start, stop)
    ]


def blob(seed, size):
    parts = (hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(size // 32 + 1))
    return b"".join(parts)[:size]


def record(number, block):
    head = b"WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: http://a.example/%d\r\n" % number
    return head + b"Content-Length: %d\r\n\r\n" % len(block) + block + b"\r\n\r\n"


def gzipped(data, level=6):
    return gzip.compress(data, level, mtime=0)


def archive(number, size):
    """An archive whose own records are numbered from 100 on."""
    return b"".join(gzipped(record(100 + n, blob(n, size))) for n in range(number))


@pytest.mark.parametrize("name", BROKEN)
def test_a_cut_anywhere_in_a_broken_file(name):
    data = (DATA / name).read_bytes()
    whole = read(data, name)
    chance = random.Random(name)
    for cut in sorted(chance.sample(range(1, len(data)), 25)):
        assert read_parts(data, name, [cut]) == whole, cut
    for _ in range(5):
        cuts = sorted(chance.sample(range(1, len(data)), 9))
        assert read_parts(data, name, cuts) == whole, cuts


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("garbage-between.warc.gz", 1),
        ("split-member.warc.gz", 1),
        ("length-too-big.warc", 1),
        ("length-too-big.arc", 1),
        ("two-damaged.warc.gz", 9),
        ("corrupt.warc.lz4", 9),
    ],
)
def test_a_cut_at_every_byte(name, step):
    data = (DATA / name).read_bytes()
    offsets = [found.offset for found in read(data, name)]
    data = data[offsets[4] : offsets[8]]  # the damages are in it
    whole = read(data, name)
    assert len(whole) == 4
    for cut in range(1, len(data), step):
        first, second = read(data, name, 0, cut), read(data, name, cut, len(data))
        assert first + second == whole, cut


def test_a_part_for_every_byte():
    data = (DATA / "corrupt-deflate.warc.gz").read_bytes()[1500:4000]
    assert read_parts(data, "x.gz", range(1, len(data))) == read(data, "x.gz")


def test_a_record_belongs_to_the_part_in_which_it_starts():
    parts = [gzipped(record(n, blob(n, 500))) for n in range(3)]
    data, second = b"".join(parts), len(parts[0])

    def numbers(start, stop):
        return [found.url[-1] for found in read(data, "x.gz", start, stop)]

    assert numbers(0, 1) == ["0"]
    assert numbers(1, second) == []
    assert numbers(1, second + 1) == ["1"]
    assert numbers(second, second + 1) == ["1"]
    assert numbers(second + 1, len(data)) == ["2"]


@pytest.mark.parametrize("around", [b"", b"--"])
def test_a_small_archive_inside_a_record_is_not_read(around):
    inside = around + archive(5, 3000) + around
    data = b"".join([gzipped(record(0, b"x" * 50)), gzipped(record(1, inside), 0)])
    data += gzipped(record(2, b"y" * 50))
    assert inside in data
    whole = read(data, "x.gz")
    assert [found.url[-1] for found in whole] == ["0", "1", "2"]
    for cut in range(1, len(data), 29):
        assert read_parts(data, "x.gz", [cut]) == whole, cut


@pytest.mark.parametrize("damages", [0, 5])
def test_a_large_archive_inside_a_record_is_not_read(damages):
    """It is kept in blocks of 64 KB, so its members follow one another for up to that much."""
    chance = random.Random(damages)
    stored = gzipped(record(1, archive(60, 3000)), 0)
    data = bytearray(gzipped(record(0, b"x" * 50)) + stored)
    after = len(data)
    data += b"".join(gzipped(record(n, blob(n, 5000))) for n in range(2, 9))
    for _ in range(damages):  # past the archive: in a damaged record nothing tells it from others
        data[chance.randrange(after, len(data))] ^= 0x55
    whole = read(bytes(data), "x.gz")
    assert any(isinstance(found, Damage) for found in whole) == bool(damages)
    records = [found for found in whole if isinstance(found, Record)]
    assert max(int(found.url.rpartition("/")[2]) for found in records) < 9
    for _ in range(8):
        cuts = sorted(chance.sample(range(1, len(data)), 5))
        assert read_parts(bytes(data), "x.gz", cuts) == whole, cuts


def test_a_large_archive_inside_a_record_is_looked_at_once():
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size=-1):
            data = super().read(size)
            self.taken += len(data)
            return data

    data = gzipped(record(0, archive(400, 3000)), 0) + gzipped(record(1, b"x"))
    stream = Counted(data)
    (found,) = read_records(stream, "x.gz", start=len(data) // 2)
    assert found.url == "http://a.example/1"
    assert stream.taken < 10 * len(data)


def test_a_record_inside_a_plain_record_is_not_read():
    inside = b"".join(record(100 + n, blob(n, 100)) for n in range(3))
    data = record(0, b"x") + record(1, inside) + record(2, b"y")
    whole = read(data, "x.warc")
    assert [found.url[-1] for found in whole] == ["0", "1", "2"]
    for cut in range(1, len(data)):
        assert read_parts(data, "x.warc", [cut]) == whole, cut


def test_a_large_zstd_record_after_a_damage_is_found():
    """An inflater of zstd gives nothing before it has a whole block."""
    parts = [zstandard.compress(record(n, blob(n, 100_000))) for n in range(3)]
    data = b"".join([parts[0], b"\xff" * 9, *parts[1:]])
    found = read(data, "x.zst")
    assert [type(f) for f in found] == [Record, Damage, Record, Record]
    for cut in range(1, len(data), 30_011):
        assert read_parts(data, "x.zst", [cut]) == found, cut


def test_claims_grow_and_end_the_reading():
    data = (DATA / "two-damaged.warc.gz").read_bytes()
    whole = read(data, "x.gz")
    starts = [found.offset for found in whole]
    for limit in [*starts[1:], len(data)]:
        asked = []

        def claim(position, limit=limit, asked=asked):
            asked.append(position)
            return position < limit

        found = read(data, "x.gz", stop=len(data), claim=claim)
        # The damaged members 5 and 6 start no record that another part could start at.
        assert [f.offset for f in found] == [s for s in starts if s < limit or s == starts[5]][
            : len(found)
        ]
        assert asked == sorted(set(asked))


@pytest.mark.parametrize(
    ("name", "cheap", "cut"),
    [("whole.warc.gz", False, True), ("whole.warc", False, False), ("whole.warc", True, True)],
)
def test_a_plain_file_is_cut_only_where_skipping_is_cheap(name, cheap, cut):
    assert can_be_cut(io.BytesIO((DATA / name).read_bytes()), name, cheap) is cut


def test_real_files_in_parts(shared_data):
    number = 0
    for path in sorted((shared_data / "warc").rglob("*")):
        if path.suffix not in (".gz", ".warc", ".arc", ".lz4"):
            continue
        data = path.read_bytes()
        whole = read(data, path.name)
        chance = random.Random(path.name)
        count = min(4, len(data) - 1)
        cuts = sorted(chance.sample(range(1, len(data)), count))
        assert read_parts(data, path.name, cuts) == whole, (path.name, cuts)
        number += len(whole)
    assert number == 2_298
