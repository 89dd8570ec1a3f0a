import json
import os
import signal
import subprocess
import sys
import time
import unicodedata
from importlib.metadata import version
from pathlib import Path

import apache_beam as beam
import pytest
from typer.testing import CliRunner

from pipeline.cli import INTERRUPTED, app, root_cause
from pipeline.config import presets
from pipeline.errors import UserError
from pipeline.terminal import clean

WEFT = Path(sys.executable).with_name("weft")
WHOLE = Path(__file__).parents[1] / "data" / "warc" / "whole.warc.gz"
COMMANDS = ("run", "stats", "inspect", "show", "validate")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def weft(*arguments, **more):
    return subprocess.run(
        [WEFT, *map(str, arguments)], capture_output=True, text=True, check=False, **more
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"weft {command} " in result.output.split("Examples")[1]


def test_the_installed_command(corpus):
    done = weft("validate", corpus)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "valid: 3 documents, 2 images, 4 rejected, 1 failed\n"
    (corpus / "documents/part-00001-of-00002.parquet").unlink()
    done = weft("validate", corpus)
    assert done.returncode == 1
    assert done.stdout == (
        "documents/part-00001-of-00002.parquet: missing: the file is not there\n1 breach\n"
    )


def test_another_encoding_is_no_error(corpus):
    done = weft("show", corpus, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "image 1  8?6  png" in done.stdout


def test_validate_as_json(corpus):
    assert json.loads(invoke("validate", corpus, "--json").stdout) == {
        "valid": True,
        "breaches": [],
    }
    (corpus / "images/extra").write_text("")
    result = invoke("validate", corpus, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["breaches"] == [
        {
            "check": "stray file",
            "message": "is not in the manifest",
            "table": "images",
            "file": "images/extra",
            "row": None,
        }
    ]


@pytest.mark.parametrize("command", ["stats", "inspect", "show", "validate"])
def test_user_errors_are_a_line_and_leave_with_2(command, tmp_path):
    result = invoke(command, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path}/nowhere: no such folder\n"
    assert result.stdout == ""


def test_a_file_in_the_place_of_a_folder(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments in (
        ["validate", tmp_path / "file"],
        ["export", corpus, "text", "-o", tmp_path / "file"],
        ["run", "extract", "-i", WHOLE, "-o", tmp_path / "file"],
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {tmp_path}/file")
        assert result.stderr.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_failure(corpus):
    command = f"set -o pipefail; {WEFT} show {corpus} | head -1"
    piped = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout.count("\n") == 1


def interrupted(arguments, ready, after):
    """What a command says that Ctrl-C comes to `after` seconds after its process is `ready`."""
    started = subprocess.Popen(
        [WEFT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not ready(started.pid) and started.poll() is None:
        time.sleep(0.05)
    time.sleep(after)
    started.send_signal(signal.SIGINT)
    try:
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()  # nothing, where it has ended
    return started.returncode, said


def test_a_run_that_is_interrupted_says_so(sample_crawl, tmp_path):
    begun = tmp_path / "out" / "_work" / "extract" / "started"
    arguments = ["run", "extract", "-i", sample_crawl, "-o", tmp_path / "out"]
    code, said = interrupted(arguments, lambda _: begun.exists(), 0.7)
    assert (code, said.splitlines()[-1]) == (130, f"error: {INTERRUPTED}")


def test_a_run_that_waits_for_ever_ends_on_ctrl_c_all_the_same():
    code = """
import os, signal, threading
from pipeline import cli
cli.GRACE = 0.2
with cli._ending_on_interrupt():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, f"error: {INTERRUPTED}\n")


def test_a_query_that_is_interrupted(corpus):
    endless = "SELECT count(*) FROM range(1000000000000) t WHERE hash(t.range) = 3"

    def has_duckdb(process):
        return "duckdb" in Path(f"/proc/{process}/maps").read_text()

    assert interrupted(["query", corpus, endless], has_duckdb, 2) == (130, "")


def test_version():
    assert invoke("--version").stdout == f"weft {version('weft')}\n"


def test_a_query_without_a_statement(corpus):
    result = invoke("query", corpus, " ")
    assert (result.exit_code, result.stderr[:27]) == (2, "error: query: give a statem")


# --- weft run -------------------------------------------------------------------------------------


@pytest.fixture
def run_with(monkeypatch):
    """Puts a function in the place of the pipeline, to see what the command gives it."""

    def put(function):
        monkeypatch.setattr("pipeline.run.run", function)

    return put


def test_run_hands_over_its_arguments_and_says_what_came_of_it(tmp_path, draft, run_with):
    given = []
    out = tmp_path / "my corpus"

    def pretended(config, inputs, output, sets, beam_args, _console):
        given.append((config, inputs, output, sets, beam_args))
        return draft.write(out)

    run_with(pretended)
    result = invoke(
        "run", "sample", "--input", "a.warc", "-i", "b", "--output", out,
        "--set", "write.shards=2", "-s", "clip.threads=1",
        "--", "--direct_num_workers=2", "--x", "y",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert given == [
        ("sample", ["a.warc", "b"], str(out), ["write.shards=2", "clip.threads=1"],
         ["--direct_num_workers=2", "--x", "y"])
    ]  # fmt: skip
    assert "filter_pages   page            6     3         2       1      50.0 %" in result.stdout
    assert "3 documents and 2 images (" in result.stdout
    assert f"  weft show '{out}'       read a document" in result.stdout


def test_run_refuses_an_input_without_its_option(tmp_path):
    result = invoke("run", "sample", "a.warc", "-i", "b", "-o", tmp_path)
    assert result.exit_code == 2
    assert "a.warc: unexpected; WARC files are given with --input PATH" in result.stderr


def test_a_user_error_of_a_run(run_with):
    def refused(*_arguments):
        raise UserError("config.yaml: clip.model: unknown")

    run_with(refused)
    result = invoke("run", "config.yaml", "-i", "a", "-o", "b")
    assert (result.exit_code, result.stderr) == (2, "error: config.yaml: clip.model: unknown\n")


def broken(_element):
    try:
        raise ValueError("the index is of another width")
    except ValueError as error:
        raise RuntimeError("could not score") from error


def failing(*_arguments):
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([1]) | "Score images" >> beam.Map(broken)


def test_a_failed_job_is_shortened_to_its_root(run_with):
    run_with(failing)
    result = invoke("run", "sample", "-i", "a", "-o", "b")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "error: ValueError: the index is of another width"
    assert lines[1] == "  in step   Score images"
    assert lines[2].startswith("  at        pipeline/test_cli.py:")
    assert "--traceback" in lines[3]
    assert len(lines) == 4


def test_traceback_prints_it_all(run_with):
    run_with(failing)
    result = invoke("run", "sample", "-i", "a", "-o", "b", "--traceback")
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last)")
    assert "RuntimeError: could not score [while running 'Score images']" in result.stderr


def test_root_cause_ends_in_a_ring():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert root_cause(one) is other


def test_a_real_run_of_nothing_says_why(tmp_path):
    done = weft("run", "sample", "--input", tmp_path / "none.warc.gz", "--output", tmp_path / "o")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "none.warc.gz" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_run_and_a_report_in_json(tmp_path):
    out, page = tmp_path / "out", tmp_path / "page.html"
    told = json.loads(invoke("run", "extract", "-i", WHOLE, "-o", out, "--json").stdout)
    assert told == json.loads((out / "manifest.json").read_text())
    told = json.loads(invoke("view", out, "-o", page, "--json").stdout)
    assert told == {"path": str(page), "n_bytes": page.stat().st_size}


def test_help_names_every_preset():
    told = " ".join(invoke("run", "--help").output.replace("│", " ").split())
    assert presets()
    assert all(f" {name}" in told for name in presets())


def test_clean_leaves_no_control_and_no_bidi_character():
    for code in [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]:
        shown = clean(f"a{chr(code)}b")
        assert len(shown) == 3
        assert shown[1] == " " or unicodedata.category(shown[1]) == "So"
    assert clean("a\nb\x1b", lines=True) == "a\nb␛"
    assert clean("نام‌ها 👩‍🚀 é") == "نام‌ها 👩‍🚀 é"  # joiners are part of words and emoji
