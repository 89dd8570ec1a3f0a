"""Rejects pages of hosts and URLs on lists in UT1's form.

A folder holds a folder for each category, with a file `domains`, one host a line, and a file
`urls`, one `host/path` a line; either may be missing.

Source: the blacklists of the Université Toulouse Capitole (dsi.ut-capitole.fr/blacklists), as
RefinedWeb (arXiv 2306.01116, appendix G.1) and FineWeb (arXiv 2406.17557) use them. The list of
the category `adult` has millions of hosts, so hashes of the entries are kept: 8 bytes each. That
a URL matches none and is rejected has a chance of entries / 2**64 for each name looked up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import numpy as np
import xxhash

from filters.base import On, Score, register
from filters.opt_out_lists import host_of
from filters.words import check_directory
from schemas.page import Page

Hashes = np.ndarray  # sorted uint64


class Reason(StrEnum):
    LISTED = "listed"


@register(On.PAGE)
@dataclass(frozen=True)
class Ut1:
    """The score is 1 for a listed page, else 0; the detail is `category: entry`.

    Attributes:
      directory: the folder of categories.
      categories: those that are asked, in order.
    """

    name: ClassVar[str] = "ut1"

    directory: str = ""
    categories: tuple[str, ...] = ("adult",)

    def __post_init__(self) -> None:
        if not self.directory:
            raise ValueError("ut1: directory must be given")
        check_directory("ut1", self.directory)
        for category in self.categories:
            folder = Path(self.directory) / category
            if not any((folder / name).is_file() for name in ("domains", "urls")):
                raise ValueError(f"ut1: {folder} has neither a file domains nor a file urls")

    def score(self, page: Page) -> Score:
        hosts, paths = _names_of(page.url)
        for category in self.categories:
            for kind, names in (("domains", hosts), ("urls", paths)):
                listed = _entries(str(Path(self.directory) / category / kind))
                for name in names:
                    if _holds(listed, name):
                        return Score(1.0, f"{category}: {name}")
        return Score(0.0)

    def judge(self, score: Score) -> Reason | None:
        return Reason.LISTED if score.value else None


def _names_of(url: str) -> tuple[list[str], list[str]]:
    """The entries that would list a URL: its host in ASCII and those above it; its path, as it is
    and with escapes undone, and those above it, each after the host with and without www."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [], []
    host = host_of(url)
    labels = host.split(".")
    hosts = [".".join(labels[i:]) for i in range(len(labels) - 1)] or [host]
    paths = dict.fromkeys((parts.path, unquote(parts.path)))
    ways = [way for path in paths for way in _ways(path, parts.query)]
    return hosts, [name + way for name in dict.fromkeys((host, host.removeprefix("www.")))
                   for way in ways]  # fmt: skip


def _ways(path: str, query: str) -> Iterator[str]:
    if query:
        yield f"{path}?{query}"
    path = path.rstrip("/")
    while path:
        yield path
        yield path + "/"
        path = path.rpartition("/")[0]


@cache
def _entries(path: str) -> Hashes:
    """The hashes of a list's lines in lower case; none where there is no file."""
    file = Path(path)
    if not file.is_file():
        return np.empty(0, np.uint64)
    with file.open("rb") as lines:
        hashes = {_hash(entry) for line in lines if (entry := line.strip().lower())}
    return np.sort(np.fromiter(hashes, np.uint64, len(hashes)))


def _holds(listed: Hashes, name: str) -> bool:
    wanted = np.uint64(_hash(name.lower().encode("utf-8", "surrogatepass")))
    place = int(np.searchsorted(listed, wanted))
    return place < len(listed) and bool(listed[place] == wanted)


def _hash(entry: bytes) -> int:
    return xxhash.xxh3_64_intdigest(entry)
