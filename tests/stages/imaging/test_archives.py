import io
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.imaging.archives import Archives, archives_of
from stages.imaging.refusal import Reason, Refused

HERE = "https://a.example/"


def told(key, name, status="success"):
    """What img2dataset writes of an image."""
    return {"url": HERE + name, "key": key, "status": status, "error_message": None,
            "width": 40, "height": 30, "sha256": "0" * 64, "caption": "a caption"}  # fmt: skip


def tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


def as_json(*arguments, **more):
    return json.dumps(told(*arguments, **more)).encode()


@pytest.fixture
def archive(tmp_path, png):
    members = [
        ("000000000.jpg", png()),
        ("000000000.json", as_json("000000000", "0.jpg")),
        ("000000000.txt", b"a caption"),
        ("000000001.json", as_json("000000001", "gone.jpg", status="failed_to_download")),
        ("sub/000000002.json", as_json("000000002", "2.png")),
        ("sub/000000002.png", png(9, 9)),
        ("000000003.webp", png(7, 7)),  # nothing is told of it
        ("000000004.jpg", png(6, 6)),
        ("000000004.json", b"not json"),
        ("000000005.tar.jpg", png(5, 5)),  # no image by its name: the key ends at the first dot
        ("000000006.PNG", png(4, 4)),
        ("000000006.json", as_json("000000006", "6.png")),
    ]
    return tar(tmp_path / "00000.tar", members)


def found(source, check=lambda headers: None):
    return {
        place.url.removeprefix(HERE): source.read(place, 10_000, check)
        for path in source.files()
        for place in source.places(path)
    }


def test_images_of_a_tar_are_found_by_url(archive, png):
    payloads = found(Archives((archive,)))
    assert {url: payload.data for url, payload in payloads.items()} == {
        "0.jpg": png(), "2.png": png(9, 9), "6.png": png(4, 4),
    }  # fmt: skip
    assert {(p.headers, p.status, p.source) for p in payloads.values()} == {((), 200, "webdataset")}


def test_a_tar_that_was_cut_off_has_what_stands_before_the_cut(archive, png):
    path = Path(archive)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"000000003.webp") + 700])
    assert set(found(Archives((archive,)))) == {"0.jpg", "2.png"}


def test_images_of_a_parquet_file_are_found_by_url(tmp_path, png):
    rows = [told("0", "0.jpg"), told("1", "gone.jpg", "failed_to_download"), told("2", "2.png")]
    data = [png(), None, png(9, 9)]
    table = pa.Table.from_pylist([{**row, "jpg": d} for row, d in zip(rows, data, strict=True)])
    pq.write_table(table, tmp_path / "00000.parquet", row_group_size=2)
    # Beside a tar lies what is told of its images, without bytes.
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "00001.parquet")
    payloads = found(Archives((str(tmp_path),)))
    assert {url: p.data for url, p in payloads.items()} == {"0.jpg": png(), "2.png": png(9, 9)}


def test_limits_and_owners_are_heard(archive):
    source = Archives((archive,))
    place = next(source.places(archive))
    with pytest.raises(Refused) as caught:
        source.read(place, 10, lambda headers: None)
    assert caught.value.reason is Reason.TOO_LARGE

    def refuse(headers):
        raise Refused(Reason.OPTED_OUT)

    with pytest.raises(Refused):
        source.read(place, 10_000, refuse)


def test_paths(archive, tmp_path):
    other = tar(tmp_path / "00001.tar", [])
    assert archives_of(str(tmp_path)) == archives_of(f"{tmp_path}/0000?.tar") == [archive, other]
    assert archives_of(archive) == [archive]
    for path in (f"{tmp_path}/none.tar", f"{tmp_path}/*.zip", f"{tmp_path}/nowhere"):
        with pytest.raises(ValueError, match="names no"):
            archives_of(path)
