"""A corpus in an object store: moto's server speaks S3 by HTTP, Beam and boto3 talk to it."""

import hashlib
import json
import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from stages import files

pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")

WARC = Path(__file__).parents[1] / "data" / "warc" / "whole.warc.gz"


@pytest.fixture(scope="module")
def store():
    """A client of a server that has one bucket, called `bucket`."""
    import boto3

    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setattr(files, "_S3_CLIENTS", {})
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
    server.stop()


@pytest.fixture
def remote(store, corpus, request):
    """The path of a sound corpus in the store."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()
    upload(store, corpus, name)
    return f"s3://bucket/{name}"


def upload(store, folder, prefix):
    for path in folder.rglob("*"):
        if path.is_file():
            store.upload_file(str(path), "bucket", f"{prefix}/{path.relative_to(folder)}")


def weft(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "--stats", "--json"],
        ["stats", "--check", "--json"],
        ["show", "--json"],
        ["sample", "--json"],
        ["query", "SELECT url, len(image_info) FROM documents ORDER BY url", "--json"],
        ["validate", "--json"],
    ],
    ids=lambda command: command[0],
)
def test_is_read_as_a_local_one(remote, corpus, command):
    name, *rest = command
    local, there = (weft(name, path, *rest) for path in (corpus, remote))
    assert json.loads(there.replace(remote, str(corpus))) == json.loads(local)


def test_runs_and_continues_there(store):
    store.upload_file(str(WARC), "bucket", "crawl/a.warc.gz")
    run = ["run", "extract", "-i", "s3://bucket/crawl/", "-o", "s3://bucket/made"]
    first = weft(*run)
    assert "finished earlier" not in first
    digest = open_corpus("s3://bucket/made").manifest["digest"]
    assert "extract: finished earlier, skipped" in weft(*run)
    assert open_corpus("s3://bucket/made").manifest["digest"] == digest


def test_exports_imports_and_takes_down_there(store, remote):
    out = f"{remote}-obelics"
    weft("export", remote, "obelics", "-o", out, "--set", "images=tar", "--shards", 1)
    tar = f"{out}/images-00000-of-00001.tar"
    weft("import", "obelics", out, "--images", tar, "-o", f"{remote}-back")
    assert open_corpus(f"{remote}-back").rows("images") == 2
    weft("takedown", remote, "--host", "b.example")
    weft("validate", remote)
    assert open_corpus(remote).rows("documents") == 2


def test_an_export_without_a_line_has_an_empty_file(store, remote):
    weft("export", remote, "text", "-o", f"{remote}-text", "--shards", 5)
    sizes = [len(files.read_bytes(path)) for path in files.listed(f"{remote}-text", "*.jsonl")]
    assert (len(sizes), sizes.count(0)) == (5, 2)


def test_a_report_is_written_there(store, remote):
    weft("view", remote, "-o", f"{remote}.html")
    assert files.read_bytes(f"{remote}.html").startswith(b"<!doctype html>")


def test_a_store_that_goes_away_is_told_in_a_line(remote, monkeypatch):
    from botocore.exceptions import EndpointConnectionError

    def gone(*_):
        raise EndpointConnectionError(endpoint_url="http://gone")

    monkeypatch.setattr("pipeline.corpus.open_file", gone)  # Beam itself would try for minutes
    assert weft("show", remote, code=2) == (
        'error: EndpointConnectionError: Could not connect to the endpoint URL: "http://gone"\n'
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("s3://bucket/none", "is no finished corpus (manifest.json is missing); check the path"),
        ("s3://nobucket/c", "there is no bucket nobucket"),
        ("https://a.example/c", "nothing is read or written there: give a local path or one of"),
    ],
)
def test_what_is_not_there(store, path, said):
    assert f"error: {path}: {said}" in weft("inspect", path, code=2)


def test_without_keys_it_says_at_once_where_they_are_looked_for(store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    said = weft("run", "extract", "-i", "s3://bucket/x", "-o", "s3://bucket/y", code=2)
    assert "s3://bucket/x: Unable to locate credentials; boto3 looks for" in said
