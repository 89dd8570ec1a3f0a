"""Peers of the benchmarks: each in an environment of its own, asked over a pipe.

An environment lies in the user's cache folder (`--peers DIR` says another) and is made by uv on
first use, with the newest versions that the peer's own requirements allow.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weft" / "bench"


def environment(name: str, packages: list[str], folder: Path = CACHE) -> Path:
    """The Python of the environment `name`, made if it is not there.

    Raises:
      subprocess.CalledProcessError: uv could not install the packages.
    """
    python = folder / name / "bin" / "python"
    done = folder / name / "complete"
    if not done.exists():
        uv = Path(sys.executable).parent / "uv"
        tool = str(uv) if uv.exists() else "uv"
        subprocess.run(
            [tool, "venv", "-q", "--clear", "--python", sys.executable, str(folder / name)],
            check=True,
        )
        install = [tool, "pip", "install", "-q", "--python", str(python), *packages]
        subprocess.run(install, check=True)
        done.touch()
    return python


def ask(python: Path, program: str, question: Any) -> Any:
    """Runs a program that reads a pickle from `question` and leaves its `answer`.

    Raises:
      subprocess.CalledProcessError: the program failed.
    """
    wrapped = (
        "import os, pickle, sys\n"
        "question = pickle.load(sys.stdin.buffer)\n"
        "sink = os.fdopen(os.dup(1), 'wb'); os.dup2(2, 1)\n"
        f"{program}\n"
        "pickle.dump(answer, sink)\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-c", wrapped],
        input=pickle.dumps(question),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        check=True,
    )
    return pickle.loads(done.stdout)
