"""Word lists: a folder for each kind, a file for each language (ISO 639 code), a word or phrase a
line, `#` starts a comment. The lists here were written for this project; a config may name a
folder of its own, whose files are called `en.txt` or, as in LDNOOBW, `en`.
"""

from functools import cache
from importlib import resources
from pathlib import Path


@cache
def word_list(kind: str, language: str, directory: str = "") -> frozenset[str] | None:
    """The words of a language in lower case, or None where there is no list of it.

    Args:
      kind: folder of this package; not looked at where `directory` is given.
      language: ISO 639 code, "" where unknown.
      directory: folder of lists to use in place of ours.
    """
    if not language.isalpha():
        return None
    folder = Path(directory) if directory else resources.files(__name__) / kind
    for name in (f"{language}.txt", language):
        file = folder / name
        if file.is_file():
            return parse(file.read_text("utf-8"))
    return None


@cache
def word_file(path: str) -> frozenset[str]:
    """The lines of one file in lower case."""
    return parse(Path(path).read_text("utf-8"))


def parse(text: str) -> frozenset[str]:
    lines = (line.split("#", 1)[0].strip().lower() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def check_directory(rule: str, directory: str) -> None:
    """Fails before a worker starts, not on every document.

    Raises:
      ValueError: the folder is not there.
    """
    if directory and not Path(directory).is_dir():
        raise ValueError(f"{rule}: no folder {directory!r}")


def check_file(rule: str, path: str) -> None:
    """As `check_directory`, for a file."""
    if path and not Path(path).is_file():
        raise ValueError(f"{rule}: no file {path!r}")
