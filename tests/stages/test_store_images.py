import hashlib
from dataclasses import replace

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that
from PIL import Image

from schemas.image import ImageRecord
from stages.imaging.elements import GatheredImage
from stages.store_images import STAGE, StoreImages, read_stored, write_images


def counters(p):
    found = p.result.metrics().query()["counters"]
    return {c.key.metric.name: c.committed for c in found if c.key.metric.namespace == STAGE}


def gathered(data, url):
    image_id = hashlib.sha256(data).hexdigest()
    record = ImageRecord(image_id, url, "png", 2, 1, len(data), "0" * 16)
    return GatheredImage(record, data, Image.new("RGB", (2, 1)))


def blob(number, size=1_000):
    return bytes([number]) * size


def run(p, images, directory, **fields):
    stored = p | beam.Create(images).with_output_types(GatheredImage)
    out = stored | StoreImages(str(directory), **fields)
    assert out.kept.element_type is ImageRecord
    return out.kept


def test_bytes_come_back_from_where_the_record_says(beam_pipeline, tmp_path):
    images = [gathered(blob(n), f"http://a/{n}") for n in range(7)]
    images.append(gathered(blob(3), "http://b/3"))  # the same bytes under another URL
    by_url = {image.record.url: image for image in images}
    directory = str(tmp_path / "store")

    def check(records):
        assert sorted(r.url for r in records) == sorted(by_url)
        for record in records:
            (data,) = read_stored(directory, record.store_file, [record.store_row])
            assert data == by_url[record.url].data
            plain = replace(record, store_file="", store_row=0)
            assert plain == by_url[record.url].record

    with beam_pipeline as p:
        assert_that(run(p, images, directory, file_bytes=3_000), check)
    files = sorted((tmp_path / "store").iterdir())
    rows = [pq.read_metadata(file).num_rows for file in files]
    assert sorted(rows) == [1, 3, 3]  # 7 different images, 3 fill a file
    assert counters(p) == {"kept": 8, "files": 3, "bytes": 7_000}


def test_the_same_images_make_the_same_files(tmp_path):
    images = [gathered(blob(n), f"http://a/{n}") for n in range(3)]
    first, second = tmp_path / "first", tmp_path / "second"
    name = write_images(str(first), images)
    assert write_images(str(second), images) == name
    assert (first / name).read_bytes() == (second / name).read_bytes()
    assert write_images(str(first), images) == name  # a retry
    assert [file.name for file in first.iterdir()] == [name]
    assert write_images(str(first), images[:2]) != name


def test_rows_are_read_in_the_order_asked_for_from_several_row_groups(tmp_path):
    images = [gathered(blob(n, 3 * 1024 * 1024), f"http://a/{n}") for n in range(7)]
    name = write_images(str(tmp_path), images)
    assert pq.read_metadata(tmp_path / name).num_row_groups == 3
    assert read_stored(str(tmp_path), name, [6, 0, 4, 0]) == [images[n].data for n in (6, 0, 4, 0)]
    assert read_stored(str(tmp_path), name, []) == []
    with pytest.raises(IndexError, match="has 7 rows, row 7 was asked for"):
        read_stored(str(tmp_path), name, [0, 7])


def test_pictures_are_stored_as_they_are_and_without_a_dictionary(tmp_path):
    name = write_images(str(tmp_path), [gathered(blob(1), "http://a/\ud800")])
    column = pq.read_metadata(tmp_path / name).row_group(0).column(5)
    assert column.path_in_schema == "data"
    assert column.compression == "UNCOMPRESSED"
    assert not column.has_dictionary_page
    table = pq.read_table(tmp_path / name)
    assert table.column_names == ["image_id", "url", "n_bytes", "clip", "luma", "data"]
    assert table["url"].to_pylist() == ["http://a/?"]
    assert table["n_bytes"].to_pylist() == [1_000]


def test_a_store_that_cannot_be_written_fails_the_bundle(beam_pipeline, tmp_path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(Exception, match="store"), beam_pipeline as p:
        run(p, [gathered(blob(1), "http://a/1")], tmp_path / "store")


def test_nothing_in_no_file(beam_pipeline, tmp_path):
    with beam_pipeline as p:
        run(p, [], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_config_is_checked():
    with pytest.raises(ValueError, match="file_bytes is 0"):
        StoreImages("x", file_bytes=0)
