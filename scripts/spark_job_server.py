"""Runs a command with a Beam Spark 3 job server beside it.

    scripts/spark [--cores N] [--workers N] [--log FILE] -- COMMAND [ARGUMENT ...]

The server is started once, so a command that runs several Beam jobs shares it, and is stopped
whatever happens to the command. The Beam options that lead to it replace the argument
`{beam_options}` of the command; where there is none, they are appended after a `--`. The endpoint
is also in the environment, as BEAM_JOB_ENDPOINT. The exit status is that of the command.

What the server runs on comes from Maven, as spark.pom.xml names it, and stays in Maven's local
repository, so that only the first start needs a network. The stages run in processes that the
command starts (LOOPBACK), so this is for one machine.

Source of the command line and of the JVM options: apache_beam 2.77,
runners/portability/spark_runner.py and job_server.py.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

DRIVER = "org.apache.beam.runners.spark.SparkJobServerDriver"
POM = Path(__file__).with_name("spark.pom.xml")
# Pinned, so that every machine resolves the jars in the same way.
MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
PLACEHOLDER = "{beam_options}"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0
LOG_TAIL_LINES = 40
SETUP_FAILED = 69  # EX_UNAVAILABLE of sysexits.h: the command was not run

# Spark reaches into these packages, which Java 17 closes.
JVM_OPTIONS = (
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.invoke=ALL-UNNAMED",
    "-Dspark.ui.enabled=false",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class SetupError(Exception):
    """The job server cannot be had or does not start; the message says what to do."""


def find_java() -> str:
    """Path of the Java launcher: that of JAVA_HOME where it is set, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    if home:
        java = shutil.which(str(Path(home) / "bin" / "java"))
        if java is None:
            raise SetupError(f"JAVA_HOME is {home}, but there is no bin/java in it")
        return java
    java = shutil.which("java")
    if java is None:
        raise SetupError("java is not installed: Spark 3.5 needs a Java 11 or 17 runtime on PATH")
    return java


def find_jars() -> str:
    """Class path of the job server, fetched by Maven where it is not yet in its repository."""
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError("mvn is not installed: install Maven, or pass --class-path")
    with tempfile.TemporaryDirectory(prefix="spark-class-path-") as folder:
        listed = Path(folder) / "class-path"
        command = [maven, "--batch-mode", "--quiet", "--file", str(POM), MAVEN_GOAL]
        # A failed look-up is otherwise remembered for a day.
        command += ["--update-snapshots", f"-Dmdep.outputFile={listed}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0 or not listed.is_file():
            lines = (done.stdout + done.stderr).splitlines()
            errors = (line.partition("[ERROR] ")[2] for line in lines)
            reason = next(filter(None, errors), f"exit status {done.returncode}")
            raise SetupError(
                f"Maven cannot get the job server (pass --class-path if you have it): {reason}"
            )
        return listed.read_text().strip()


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def beam_options(port: int, workers: int) -> list[str]:
    """Beam options of a job for the server at `port`, its stages in `workers` processes."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{port}",
        "--environment_type=LOOPBACK",
        # The default of 0 ends the worker, and what it has loaded, after every stage.
        "--environment_cache_millis=600000",
        # Threads of one process would share one core.
        "--experiments=use_loopback_process_worker",
        f"--sdk_worker_parallelism={workers}",
    ]


def with_beam_options(command: list[str], options: list[str]) -> list[str]:
    """The command with the options in place of `{beam_options}`, else after a final `--`."""
    if PLACEHOLDER not in command:
        return [*command, "--", *options]
    at = command.index(PLACEHOLDER)
    return [*command[:at], *options, *command[at + 1 :]]


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def wait_until_listening(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Returns once the server accepts connections; SetupError if it ends or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SetupError(f"job server ended with {server.returncode}:\n{tail(log)}")
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SetupError(f"job server not ready after {START_TIMEOUT_S:.0f} s:\n{tail(log)}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Ends the server and every process that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sent)
        except ProcessLookupError:
            break
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
    server.wait()


@contextmanager
def job_server(java: str, class_path: str, cores: int, log: Path) -> Iterator[int]:
    """A job server on Spark `local[cores]`, logging into the file `log`; yields its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="spark-artifacts-") as artifacts:
        command = [java, *JVM_OPTIONS, "-cp", class_path, DRIVER]
        command += ["--spark-master-url", f"local[{cores}]", "--artifacts-dir", artifacts]
        command += ["--job-port", str(port), "--artifact-port", "0", "--expansion-port", "0"]
        with log.open("wb") as out:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Its own group: an interrupt at the terminal must reach the command first.
                start_new_session=True,
            )
        try:
            wait_until_listening(server, port, log)
            yield port
        finally:
            stop(server)


def run(command: list[str], port: int, workers: int) -> int:
    """Runs the command to its end; returns its exit status, 128 + signal where one ended it."""
    environment = {
        **os.environ,
        "BEAM_JOB_ENDPOINT": f"localhost:{port}",
        # Beam starts the processes of the stages as `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    try:
        child = subprocess.Popen(
            with_beam_options(command, beam_options(port, workers)), env=environment
        )
    except OSError as error:
        raise SetupError(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        status = child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    return status if status >= 0 else 128 - status


def on_terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/spark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="N of local[N]")
    parser.add_argument(
        "--workers", type=int, help="processes of the stages, one a core by default"
    )
    parser.add_argument(
        "--class-path", help="of the job server, instead of what Maven has: Beam's own jar will do"
    )
    parser.add_argument("--log", type=Path, help="keep the log of the server in this file")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    parsed = parser.parse_args(arguments)
    if parsed.command[:1] == ["--"]:
        parsed.command = parsed.command[1:]
    if not parsed.command:
        parser.error("no command: scripts/spark [--cores N] -- COMMAND [ARGUMENT ...]")
    parsed.workers = parsed.cores if parsed.workers is None else parsed.workers
    if parsed.cores < 1 or parsed.workers < 1:
        parser.error("--cores and --workers must be at least 1")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, on_terminate)
    with tempfile.TemporaryDirectory(prefix="spark-log-") as scratch:
        log: Path = options.log or Path(scratch) / "job-server.log"
        try:
            java = find_java()
            class_path = options.class_path or find_jars()
            with job_server(java, class_path, options.cores, log) as port:
                status = run(options.command, port, options.workers)
        except SetupError as error:
            print(f"scripts/spark: {error}", file=sys.stderr)
            return SETUP_FAILED
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        if status != 0:
            print(f"scripts/spark: end of the job server's log:\n{tail(log)}", file=sys.stderr)
        return status


if __name__ == "__main__":
    sys.exit(main())
