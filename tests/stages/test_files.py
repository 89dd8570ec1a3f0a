import hashlib
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystem import FileMetadata, FileSystem

from stages import files


def names(folder):
    return sorted(
        os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs
    )


def test_a_file_counts_and_hashes_what_goes_in(tmp_path):
    path = tmp_path / "deep" / "er" / "file"
    with files.atomic_output(str(path)) as output:
        assert output.writable()
        assert output.write(b"abc") == 3
        assert output.write(memoryview(b"defgh")[1:]) == 4
        assert output.write(pa.py_buffer(b"")) == 0
        assert not path.exists()
    assert path.read_bytes() == b"abcefgh"
    assert output.n_bytes == 7
    assert output.sha256 == hashlib.sha256(b"abcefgh").hexdigest()
    assert names(tmp_path) == ["deep/er/file"]


def test_bytes_of_wide_items_are_counted_as_bytes(tmp_path):
    with files.atomic_output(str(tmp_path / "file")) as output:
        assert output.write(memoryview(b"\1\0\0\0\2\0\0\0").cast("I")) == 8
    assert output.n_bytes == os.path.getsize(tmp_path / "file") == 8


def test_a_parquet_file_written_through_it_has_its_hash(tmp_path):
    path = str(tmp_path / "t.parquet")
    table = pa.table({"x": list(range(10_000))})
    with files.atomic_output(path) as output, pq.ParquetWriter(output, table.schema) as writer:
        writer.write_table(table)
    content = files.read_bytes(path)
    assert output.n_bytes == len(content)
    assert output.sha256 == hashlib.sha256(content).hexdigest()
    with files.open_parquet(path) as stored:
        assert stored.read() == table


def test_an_error_leaves_nothing(tmp_path):
    path = str(tmp_path / "file")

    def write():
        with files.atomic_output(path) as output:
            output.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names(tmp_path) == []


def test_an_error_leaves_the_file_that_was_there(tmp_path):
    path = str(tmp_path / "file")
    files.write_atomically(path, b"old")

    def write():
        with files.atomic_output(path) as output:
            output.write(b"half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write()
    assert names(tmp_path) == ["file"]
    assert files.read_bytes(path) == b"old"
    files.write_atomically(path, b"new")
    assert files.read_bytes(path) == b"new"
    assert names(tmp_path) == ["file"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = str(tmp_path / "file")
    with files.atomic_output(path) as first:
        first.write(b"first")
        with files.atomic_output(path) as second:
            second.write(b"second, longer")
        assert files.read_bytes(path) == b"second, longer"
    assert files.read_bytes(path) == b"first"
    assert names(tmp_path) == ["file"]


def test_a_file_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_atomically("plain", b"x")
    assert names(tmp_path) == ["plain"]


def test_compressed_names_are_read_as_they_are(tmp_path):
    path = str(tmp_path / "x.json.gz")
    files.write_atomically(path, b"no gzip")
    assert files.read_bytes(path) == b"no gzip"


def test_parquet_bytes():
    schema = pa.schema([("x", pa.int64())])
    table = pa.table({"x": [1, 2, 3]})
    content = files.parquet_bytes(lambda w: w.write_table(table), schema, compression="zstd")
    assert pq.read_table(pa.BufferReader(content)) == table


def test_what_matches_is_listed_in_order(tmp_path):
    for name in ("b/2.parquet", "b/10.parquet", "b/note.txt", "a/1.parquet"):
        files.write_atomically(str(tmp_path / name), b"")
    assert files.listed(files.join(str(tmp_path), "b"), "*.parquet") == [
        str(tmp_path / "b/10.parquet"),
        str(tmp_path / "b/2.parquet"),
    ]
    assert files.listed(str(tmp_path / "c"), "*") == []


def test_a_folder_may_have_marks_of_a_pattern_in_its_name(tmp_path):
    for folder in ("run[1]", "run1", "a*", "ab"):
        files.write_atomically(str(tmp_path / folder / "part-0.parquet"), b"")
    for folder in ("run[1]", "a*"):
        path = str(tmp_path / folder)
        assert files.listed(path, "part-*.parquet") == [f"{path}/part-0.parquet"]
        files.delete([path])
    assert names(tmp_path) == ["ab/part-0.parquet", "run1/part-0.parquet"]


def test_files_and_folders_are_deleted_and_the_missing_is_not_missed(tmp_path):
    for name in ("keep", "file", "folder/a", "folder/deep/b"):
        files.write_atomically(str(tmp_path / name), b"")
    files.delete([str(tmp_path / name) for name in ("file", "folder", "nothing")])
    assert names(tmp_path) == ["keep"]
    assert not files.exists(str(tmp_path / "folder"))
    files.delete([])
    files.delete([str(tmp_path / "nothing")])


# --- An object store --------------------------------------------------------------------------


class Written(io.BytesIO):
    """Becomes an object when it is closed, however that comes about."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def close(self):
        if not self.closed:
            OBJECTS[self._path] = self.getvalue()
        super().close()


OBJECTS: dict[str, bytes] = {}


class ObjectStore(FileSystem):
    """Objects by name in memory, as on S3 or GCS: no folders, no rename in place."""

    @classmethod
    def scheme(cls):
        return "weftmemory"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def mkdirs(self, path):
        pass

    def has_dirs(self):
        return False

    def _list(self, dir_or_prefix):
        for path in sorted(OBJECTS):
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(OBJECTS[path]))

    def create(self, path, mime_type="", compression_type=""):
        return Written(path)

    def open(self, path, mime_type="", compression_type=""):
        return io.BytesIO(OBJECTS[path])

    def exists(self, path):
        return path in OBJECTS

    def delete(self, paths):
        for path in paths:
            del OBJECTS[path]

    def metadata(self, path):
        return FileMetadata(path, len(OBJECTS[path]))

    def copy(self, source_file_names, destination_file_names):
        raise NotImplementedError

    rename = copy

    def size(self, path):
        return len(OBJECTS[path])

    last_updated = checksum = size


@pytest.fixture
def store():
    OBJECTS.clear()
    yield "weftmemory://bucket/out"
    OBJECTS.clear()


def test_an_object_is_written_read_and_listed(store):
    path = files.join(store, "documents", "part-0.parquet")
    with files.atomic_output(path) as output:
        output.write(b"abc")
        assert not files.exists(path)
    assert files.read_bytes(path) == b"abc"
    files.write_atomically(files.join(store, "documents", "note"), b"")
    assert files.listed(files.join(store, "documents"), "part-*.parquet") == [path]


def test_an_error_leaves_no_half_object(store):
    path = files.join(store, "part-0.parquet")

    def write():
        with files.atomic_output(path) as output:
            output.write(b"half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write()
    assert OBJECTS == {}


def test_a_folder_of_an_object_store_is_deleted_with_all_it_holds(store):
    for name in ("_work/extract/a", "_work/extract/deep/b", "_work/extract2/c", "manifest.json"):
        files.write_atomically(f"{store}/{name}", b"x")
    files.delete([f"{store}/_work/extract", f"{store}/manifest.json", f"{store}/nothing"])
    assert list(OBJECTS) == [f"{store}/_work/extract2/c"]
