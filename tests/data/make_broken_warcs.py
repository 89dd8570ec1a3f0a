"""Writes the small archive files of tests/data/warc, whole and broken, and expected.json.

What a reader must find is known by construction: nothing here reads a file back.
Run: python tests/data/make_broken_warcs.py
"""

import base64
import bz2
import gzip
import hashlib
import io
import json
import pathlib
import struct
import zipfile

import lz4.frame
import zstandard

OUT = pathlib.Path(__file__).parent / "warc"
COUNT = 20
BROKEN = 5  # which record is damaged


def http(number, line=b"\r\n"):
    body = b"<html><body><p>Page %d: %s</p></body></html>" % (number, _words(number))
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/html; charset=utf-8", b"", body]
    return line.join(lines)


def _words(number):
    words = [hashlib.sha256(b"%d %d" % (number, i)).hexdigest()[:9].encode() for i in range(40)]
    return b" ".join(words)


def record(number, line=b"\r\n", digest=False, length=None, kind=b"response"):
    """One record; `length` replaces the true Content-Length, b"" leaves it out."""
    block = http(number, line)
    fields = [
        b"WARC/1.0",
        b"WARC-Type: " + kind if kind else b"X-Type: response",
        b"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-%012d>" % number,
        b"WARC-Date: 2024-05-18T09:30:%02dZ" % number,
        b"WARC-Target-URI: http://site.example/%d" % number,
        b"Content-Type: application/http; msgtype=response",
    ]
    if digest:
        sha1 = base64.b32encode(hashlib.sha1(block).digest())
        fields.append(b"WARC-Block-Digest: sha1:" + sha1)
    if length != b"":
        fields.append(b"Content-Length: %d" % (len(block) if length is None else length))
    return line.join([*fields, b"", block]) + line * 2


def arc_record(number, extra=0):
    block = http(number)
    mark = b"http://site.example/%d 192.0.2.1 202405180930%02d text/html %d\n"
    return mark % (number, number, len(block) + extra) + block + b"\n"


def zipped(data):
    return gzip.compress(data, 6, mtime=0)


def lz4ed(data):
    return lz4.frame.compress(data, content_checksum=True)


def zstded(data):
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


class Files:
    def __init__(self):
        self.expected = {}

    def add(self, name, parts, damages=(), lost=(), unspecified=(), tail=b""):
        """Writes a file of one part a record.

        damages: (index of a part or len(parts), bytes into it, inner offset) of each one
        lost: numbers of the records that cannot be read
        unspecified: numbers of the records that are cut short
        """
        data = b"".join(parts) + tail
        (OUT / name).write_bytes(data)
        starts = [sum(map(len, parts[:i])) for i in range(len(parts) + 1)]
        self.expected[name] = {
            "records": [n for n in range(COUNT) if n not in lost],
            "damages": [[starts[part] + more, inner] for part, more, inner in damages],
            "truncated": list(unspecified),
        }


def gzip_files(files):
    plain = [record(n) for n in range(COUNT)]
    parts = [zipped(p) for p in plain]

    def at(number, part):
        return [part if n == number else p for n, p in enumerate(parts)]

    bad = parts[BROKEN]
    one = [(BROKEN, 0, 0)]
    files.add("whole.warc.gz", parts)
    files.add("digests.warc.gz", [zipped(record(n, digest=True)) for n in range(COUNT)])
    corrupt = bad[: len(bad) // 2] + b"\xff" * 20 + bad[len(bad) // 2 + 20 :]
    files.add("corrupt-deflate.warc.gz", at(BROKEN, corrupt), [(BROKEN, 0, 0)], {BROKEN})
    files.add("bad-crc.warc.gz", at(BROKEN, flip(bad, len(bad) - 7)), [(BROKEN, 0, 0)], {BROKEN})
    cut = bad[: len(bad) // 2]
    files.add("cut-member.warc.gz", at(BROKEN, cut), [(BROKEN, 0, 0)], {BROKEN})
    files.add("bad-magic.warc.gz", at(BROKEN, flip(bad, 0)), one, {BROKEN})
    files.add("bad-first-magic.warc.gz", at(0, flip(parts[0], 1)), [(0, 0, 0)], {0})
    two = [flip(p, len(p) - 7) if n in (5, 6) else p for n, p in enumerate(parts)]
    files.add("two-damaged.warc.gz", two, [(5, 0, 0), (6, 0, 0)], {5, 6})
    last = flip(parts[-1], len(parts[-1]) - 7)
    files.add("last-damaged.warc.gz", at(COUNT - 1, last), [(COUNT - 1, 0, 0)], {COUNT - 1})
    garbage = b"this is no gzip member" * 10
    files.add("garbage-between.warc.gz", at(BROKEN, garbage + bad), [(BROKEN, 0, 0)])
    looks = b"\x1f\x8b\x08 not one either"
    files.add("false-member.warc.gz", at(BROKEN, looks + bad), [(BROKEN, 0, 0)])
    files.add("zeros-between.warc.gz", at(BROKEN, bytes(5000) + bad))
    files.add("zeros-at-end.warc.gz", parts, tail=bytes(5000))
    files.add("garbage-at-end.warc.gz", parts, [(COUNT, 0, 0)], tail=garbage)
    tail = COUNT - 1
    files.add("truncated.warc.gz", [*parts[:-1], parts[-1][:-40]], [(tail, 0, 0)], {tail})
    size = len(http(BROKEN))
    for name, length, short in (("small", size - 200, ()), ("big", size + 99, (BROKEN,))):
        part = zipped(record(BROKEN, length=length))
        files.add(f"length-too-{name}.warc.gz", at(BROKEN, part), unspecified=short)
    part = zipped(record(BROKEN, length=size + 99, digest=True))
    files.add("length-too-big-digest.warc.gz", at(BROKEN, part))
    part = zipped(record(BROKEN, digest=True).replace(b"Page 5", b"Page 5 and more than was said"))
    files.add("length-and-digest-wrong.warc.gz", at(BROKEN, part), one, {BROKEN})
    files.add("length-missing.warc.gz", at(BROKEN, zipped(record(BROKEN, length=b""))))
    files.add("no-type.warc.gz", at(BROKEN, zipped(record(BROKEN, kind=b""))), one, {BROKEN})
    files.add("lf.warc.gz", [zipped(record(n, b"\n")) for n in range(COUNT)])
    middle = len(plain[BROKEN]) // 2
    split = zipped(plain[BROKEN][:middle]) + zipped(plain[BROKEN][middle:])
    files.add("split-member.warc.gz", at(BROKEN, split))

    member = zipped(b"".join(plain))
    files.add("one-member.warc.gz", [member])

    def inner_of(number):
        return sum(map(len, plain[:number]))

    bad_plain = b"".join([*plain[:BROKEN], b"WARX" + plain[BROKEN][4:], *plain[BROKEN + 1 :]])
    files.add(
        "one-member-bad-header.warc.gz", [zipped(bad_plain)], [(0, 0, inner_of(BROKEN))], {BROKEN}
    )
    flipped = flip(member, len(member) - 7)
    files.add("one-member-bad-crc.warc.gz", [flipped], [(0, 0, inner_of(COUNT - 1))], {COUNT - 1})
    middle = len(member) // 2
    corrupt = member[:middle] + b"\xff" * 20 + member[middle + 20 :]
    files.add("one-member-corrupt.warc.gz", [corrupt], [(0, 0, inner_of(9))], range(9, COUNT))
    files.add(
        "one-member-truncated.warc.gz", [member[:-99]], [(0, 0, inner_of(COUNT - 1))], {COUNT - 1}
    )
    lying = b"".join(record(n, length=10**10 if n < 3 else None) for n in range(COUNT))
    files.add("one-member-lengths.warc.gz", [zipped(lying)], unspecified=[0, 1, 2])
    (OUT / "not-a-warc.warc.gz").write_bytes(b"<html>404 not found</html>")
    (OUT / "empty.warc.gz").write_bytes(b"")
    (OUT / "not-read.warc.bz2").write_bytes(bz2.compress(b"".join(plain)))


def plain_files(files):
    parts = [record(n) for n in range(COUNT)]

    def at(number, part):
        return [part if n == number else p for n, p in enumerate(parts)]

    bad, size = parts[BROKEN], len(http(BROKEN))
    one = [(BROKEN, 0, 0)]
    files.add("whole.warc", parts)
    files.add("plain-called-gz.warc.gz", parts)
    files.add("bad-version.warc", at(BROKEN, b"WARX" + bad[4:]), one, {BROKEN})
    files.add("no-type.warc", at(BROKEN, record(BROKEN, kind=b"")), one, {BROKEN})
    files.add("garbage-between.warc", at(BROKEN, b"no record\r\n\r\n" + bad), one)
    files.add("zeros-between.warc", at(BROKEN, bytes(100_000) + bad))
    files.add("truncated.warc", [*parts[:-1], parts[-1][:-99]], [(COUNT - 1, 0, 0)], {COUNT - 1})
    files.add(
        "truncated-header.warc", [*parts[:-1], parts[-1][:99]], [(COUNT - 1, 0, 0)], {COUNT - 1}
    )
    for name, length, short in (
        ("too-small", size - 200, ()),
        ("too-big", size + 99, (BROKEN,)),
        ("absurd", 10**12, (BROKEN,)),
        ("missing", b"", ()),
    ):
        part = record(BROKEN, length=length)
        files.add(f"length-{name}.warc", at(BROKEN, part), unspecified=short)
    cut = record(BROKEN, digest=True)
    cut = cut[: len(cut) - 120] + cut[len(cut) - 60 :]
    files.add("bytes-missing.warc", at(BROKEN, cut), one, {BROKEN})


def other_files(files):
    plain = [record(n) for n in range(COUNT)]
    for suffix, compress in (("lz4", lz4ed), ("zst", zstded)):
        parts = [compress(p) for p in plain]
        files.add(f"whole.warc.{suffix}", parts)
        bad = flip(parts[BROKEN], len(parts[BROKEN]) // 2)
        parts = [*parts[:BROKEN], bad, *parts[BROKEN + 1 :]]
        files.add(f"corrupt.warc.{suffix}", parts, [(BROKEN, 0, 0)], {BROKEN})
    dictionary = zstandard.train_dictionary(2048, [record(n) for n in range(1000)])
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    raw = dictionary.as_bytes()
    for name, content in (("", raw), ("-compressed", zstandard.ZstdCompressor().compress(raw))):
        frame = struct.pack("<4sI", b"\x5d\x2a\x4d\x18", len(content)) + content
        first = frame + compressor.compress(plain[0])
        parts = [first, *(compressor.compress(p) for p in plain[1:])]
        files.add(f"dictionary{name}.warc.zst", parts)

    version = b"1 0 test\nURL IP-address Archive-date Content-type Archive-length\n"
    mark = b"filedesc://test.arc 0.0.0.0 20240518093000 text/plain %d\n" % len(version)
    head = mark + version + b"\n"
    arcs = [arc_record(n) for n in range(COUNT)]
    files.add("whole.arc", [head + arcs[0], *arcs[1:]])
    files.add("whole.arc.gz", [zipped(head), *map(zipped, arcs)])
    arcs[BROKEN] = arc_record(BROKEN, extra=77)
    files.add("length-too-big.arc", [head + arcs[0], *arcs[1:]], unspecified=[BROKEN])


def wacz_files():
    warc = (OUT / "whole.warc.gz").read_bytes()
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as wacz:
            for inside in ("archive/data.warc.gz", "datapackage.json", "indexes/index.cdx.gz"):
                info = zipfile.ZipInfo(inside, (2024, 1, 1, 0, 0, 0))
                info.compress_type = method
                wacz.writestr(info, warc if inside.startswith("archive/") else b"{}")
        (OUT / f"{name}.wacz").write_bytes(buffer.getvalue())
    (OUT / "damaged.wacz").write_bytes(buffer.getvalue()[:-30])


def main():
    OUT.mkdir(exist_ok=True)
    files = Files()
    gzip_files(files)
    plain_files(files)
    other_files(files)
    wacz_files()
    (OUT / "expected.json").write_text(json.dumps(files.expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
