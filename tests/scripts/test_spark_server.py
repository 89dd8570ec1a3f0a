"""The launcher of Beam's Spark job server, and jobs on real Spark through it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

TEXTS = ["the", "cat", "saw", "the", "elephant", "42", "the", "crocodile"]
SPARK = Path(__file__).parents[2] / "scripts" / "spark"


@dataclass(frozen=True)
class Word:
    text: str
    length: int


class Measure(beam.DoFn):
    """Main: words of up to five letters; `long`: the others; a digit is an error."""

    def process(self, text: str) -> Iterator[Word | beam.pvalue.TaggedOutput]:
        if any(c.isdigit() for c in text):
            raise ValueError(f"not a word: {text}")
        word = Word(text, len(text))
        yield word if word.length <= 5 else beam.pvalue.TaggedOutput("long", word)


class CountRows(beam.DoFn):
    """Emits one row a bundle, in finish_bundle, as a writer of files does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start_bundle(self) -> None:
        self.rows = 0

    def process(self, element: object) -> Iterator[tuple[str, int]]:
        self.rows += 1
        return iter(())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield WindowedValue(
            (self.name, self.rows), GlobalWindow().max_timestamp(), [GlobalWindow()]
        )


def write_json(row: tuple[str, Iterable[tuple[str, int]]], path: str) -> None:
    totals: dict[str, int] = {}
    for name, rows in row[1]:
        totals[name] = totals.get(name, 0) + rows
    Path(path).write_text(json.dumps(totals, sort_keys=True))


def run_job(folder: str, beam_options: list[str]) -> None:
    """The shape of a phase: one fused stage with three doors, and one manifest of all rows."""
    with beam.Pipeline(options=PipelineOptions(beam_options)) as p:
        doors = (
            p
            | "texts" >> beam.Create(TEXTS)
            | "measure"
            >> beam.ParDo(Measure())
            .with_outputs("long", main="short")
            .with_exception_handling(dead_letter_tag="failed", threshold=0.5)
        )
        counts = (
            doors["short"]
            | "by text" >> beam.Map(lambda word: (word.text, word.length))
            | "group" >> beam.GroupByKey()
            | "total" >> beam.MapTuple(lambda text, lengths: (text, len(list(lengths))))
        )
        rows = [
            doors[name] | f"write {name}" >> beam.ParDo(CountRows(name))
            for name in ("short", "long", "failed")
        ]
        for name, output in (("counts", (counts,)), ("manifest", tuple(rows))):
            _ = (
                output
                | f"flatten {name}" >> beam.Flatten()
                | f"one key {name}" >> beam.Map(lambda row: ("", row))
                | f"group {name}" >> beam.GroupByKey()
                | f"json {name}" >> beam.Map(write_json, str(Path(folder) / f"{name}.json"))
            )


def launch(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(SPARK), *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_two_jobs_share_one_server_and_it_is_gone_afterwards(
    spark_jars: str, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    program = (
        "import json, sys, test_spark_server as t\n"
        "for folder in sys.argv[1:3]: t.run_job(folder, sys.argv[4:])\n"
        "print(json.dumps(sys.argv[3:]))"
    )
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    status, out, err = finish(
        launch(
            *("--cores", "2", "--class-path", spark_jars, "--log", str(log)),
            *("--", sys.executable, "-c", program, *map(str, folders)),
        )
    )
    assert status == 0, err
    separator, runner, endpoint, environment, *_ = json.loads(out)
    assert (separator, runner, environment) == (
        "--",
        "--runner=PortableRunner",
        "--environment_type=LOOPBACK",
    )
    for folder in folders:
        counts = json.loads((folder / "counts.json").read_text())
        manifest = json.loads((folder / "manifest.json").read_text())
        assert counts == {"cat": 1, "saw": 1, "the": 3}
        assert manifest == {"failed": 1, "long": 2, "short": 5}
    assert not is_listening(int(endpoint.rsplit(":", 1)[1]))


def test_failing_command_gives_its_status_and_the_log_and_stops_the_server(spark_jars: str) -> None:
    program = (
        "import json, os, sys\n"
        "print(json.dumps([os.environ['BEAM_JOB_ENDPOINT'], *sys.argv[1:]]))\n"
        "sys.exit(7)"
    )
    status, out, err = finish(
        launch(
            *("--cores", "2", "--class-path", spark_jars),
            *("--", sys.executable, "-c", program, "{beam_options}", "last"),
        )
    )
    assert status == 7
    assert "end of the job server's log" in err
    endpoint, *arguments = json.loads(out)
    assert arguments[1:] == [
        f"--job_endpoint={endpoint}",
        "--environment_type=LOOPBACK",
        "--environment_cache_millis=600000",
        "--experiments=use_loopback_process_worker",
        "--sdk_worker_parallelism=2",
        "last",
    ]
    assert not is_listening(int(endpoint.rsplit(":", 1)[1]))


def test_terminated_launcher_stops_command_and_server(spark_jars: str) -> None:
    program = (
        "import os, time\n"
        "print(os.environ['BEAM_JOB_ENDPOINT'], os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    process = launch(
        "--cores", "2", "--class-path", spark_jars, "--", sys.executable, "-c", program
    )
    assert process.stdout is not None
    endpoint, pid = process.stdout.readline().split()
    assert is_listening(int(endpoint.rsplit(":", 1)[1]))
    process.send_signal(signal.SIGTERM)
    status, _, _ = finish(process)
    assert status == 128 + signal.SIGTERM
    assert not is_listening(int(endpoint.rsplit(":", 1)[1]))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_server_that_does_not_start_is_an_error_with_its_log() -> None:
    if shutil.which("java") is None:
        pytest.skip("no Java is installed")
    status, out, err = finish(launch("--class-path", "absent.jar", "--", "echo", "ran"))
    assert (status, out) == (69, "")
    assert "job server ended with 1" in err
    assert "SparkJobServerDriver" in err


def test_missing_java_and_missing_maven_are_named(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "env", "python3"):
        (tools / name).symlink_to(shutil.which(name) or "")
    bare = {"PATH": str(tools), "HOME": str(tmp_path), "JAVA_HOME": ""}
    status, out, err = finish(launch("--", "echo", "ran", **bare))
    assert (status, out) == (69, "")
    assert "java is not installed" in err
    java = shutil.which("java")
    if java is None:
        pytest.skip("no Java is installed")
    (tools / "java").symlink_to(java)
    status, out, err = finish(launch("--", "echo", "ran", **bare))
    assert (status, out) == (69, "")
    assert "mvn is not installed" in err


def test_what_maven_cannot_get_is_an_error(tmp_path: Path) -> None:
    if shutil.which("mvn") is None or shutil.which("java") is None:
        pytest.skip("Java or Maven is not installed")
    # Offline with an empty local repository, so that the outcome depends on no network.
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    settings.write_text("<settings><offline>true</offline></settings>")
    home = f"-Duser.home={tmp_path}"
    status, out, err = finish(launch("--", "echo", "ran", MAVEN_OPTS=home))
    assert (status, out) == (69, "")
    assert "Maven cannot get the job server" in err
    assert "offline" in err


def test_command_that_is_not_there_is_an_error_that_names_it(spark_jars: str) -> None:
    status, out, err = finish(
        launch("--cores", "2", "--class-path", spark_jars, "--", "no-such-command")
    )
    assert (status, out) == (69, "")
    assert "cannot run no-such-command" in err


def test_command_line_errors() -> None:
    status, _, err = finish(launch("--cores", "2", "--"))
    assert status == 2
    assert "no command" in err
    status, _, err = finish(launch("--workers", "0", "--", "echo"))
    assert status == 2
    assert "at least 1" in err
