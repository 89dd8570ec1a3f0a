"""The files of a Common Crawl snapshot: which there are, a pick of them, what they would cost.

Common Crawl lists its snapshots in ``collinfo.json`` and the files of each in
``crawl-data/SNAPSHOT/KIND.paths.gz``. A pick written to a file is an input of `weft run`.
"""

import gzip
import hashlib
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from rich.console import Console

from pipeline.card import size
from pipeline.errors import UserError
from pipeline.run import TYPICAL_WARC
from pipeline.terminal import Column, clean, print_table
from stages.inputs import COMMON_CRAWL

SNAPSHOTS = "https://index.commoncrawl.org/collinfo.json"
KINDS = ("warc", "cc-index-table")
# Common Crawl announced 3.16 billion pages in 90,000 WARC files for CC-MAIN-2024-10.
PAGES_A_WARC = 35_000

_NAME = re.compile(r"CC-MAIN-\d{4}-\d{2}(-\d{4})?")
_TIMEOUT = httpx.Timeout(30.0)


def snapshots(url: str = SNAPSHOTS) -> list[dict[str, str]]:
    """The snapshots that Common Crawl lists, the latest first: ``id`` and ``name``.

    Raises:
      UserError: the list cannot be had.
    """
    try:
        listed = json.loads(_get(url))
        return [{"id": entry["id"], "name": entry["name"]} for entry in listed]
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{url}: is no list of snapshots") from None


def paths(snapshot: str, kind: str = "warc", base: str = COMMON_CRAWL) -> list[str]:
    """The URLs of a snapshot's files, in Common Crawl's order.

    Raises:
      UserError: the name is no snapshot's, or its list cannot be had.
    """
    if not _NAME.fullmatch(snapshot):
        raise UserError(f"{snapshot}: is no snapshot; `weft crawl` lists them (CC-MAIN-YYYY-WW)")
    base = base.rstrip("/") + "/"
    url = f"{base}crawl-data/{snapshot}/{kind}.paths.gz"
    try:
        text = gzip.decompress(_get(url)).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise UserError(f"{url}: is no list of paths") from None
    return [base + line.strip() for line in text.splitlines() if line.strip()]


def pick(urls: list[str], number: int, seed: int = 0) -> list[str]:
    """`number` of the URLs, drawn by hash: a smaller pick is a part of every larger one."""

    def draw(url: str) -> bytes:
        return hashlib.sha256(f"{seed} {url.rpartition('/')[2]}".encode()).digest()

    return sorted(sorted(urls, key=draw)[:number])


def sizes(urls: list[str]) -> list[int]:
    """Bytes of each file, as its server says.

    Raises:
      UserError: a server does not say.
    """
    with (
        httpx.Client(timeout=_TIMEOUT, follow_redirects=True) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        return list(pool.map(lambda url: _size(client, url), urls))


def _size(client: httpx.Client, url: str) -> int:
    try:
        response = client.head(url)
        response.raise_for_status()
        return int(response.headers["content-length"])
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise UserError(f"{url}: its size cannot be had: {error or type(error).__name__}") from None


def _get(url: str) -> bytes:
    try:
        response = httpx.get(url, timeout=_TIMEOUT, follow_redirects=True)
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise UserError(f"{url}: HTTP status {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"{url}: cannot be had: {error or type(error).__name__}") from None
    return response.content


def estimate(files: int, n_bytes: int | None, rate: float, price: float = 0.0) -> dict[str, Any]:
    """What it takes to read `files` WARC files and extract their pages.

    Args:
      n_bytes: of all of them; a typical WARC's each if None.
      rate: pages a CPU second, from WARC bytes to documents.
      price: of a CPU hour, in any currency.

    Returns:
      ``files``, ``n_bytes``, ``exact_bytes``, ``pages``, ``cpu_hours`` and, with a price,
      ``cost``. The images' part is not in it: it depends on what is asked of the web.
    """
    pages = files * PAGES_A_WARC
    hours = pages / rate / 3600
    found = {
        "files": files,
        "n_bytes": files * TYPICAL_WARC if n_bytes is None else n_bytes,
        "exact_bytes": n_bytes is not None,
        "pages": pages,
        "cpu_hours": hours,
    }
    return found | ({"cost": hours * price} if price else {})


def print_snapshots(console: Console, found: list[dict[str, str]]) -> None:
    columns = [Column("snapshot", style="bold"), Column("name")]
    print_table(console, columns, [(entry["id"], entry["name"]) for entry in found])


def print_estimate(console: Console, name: str, found: dict[str, Any]) -> None:
    about = "" if found["exact_bytes"] else "about "
    cost = f", cost {found['cost']:,.2f}" if "cost" in found else ""
    console.print(
        f"{clean(name)}: {found['files']:,} files, {about}{size(found['n_bytes'])}, about "
        f"{found['pages']:,} pages, {found['cpu_hours']:,.1f} CPU hours to documents{cost}"
    )
