"""Chooses captures from Common Crawl's columnar index, before a byte of a WARC is read.

The index is a table in Parquet with a row for each capture. Its columns that are used here:

  url, url_host_name     as crawled; host in lower case
  fetch_status           HTTP status
  content_mime_type      what the server said, content_mime_detected what the crawler found
  content_languages      ISO 639-3 codes in order of their share of the page, as "fra,eng"
  warc_filename          path below the crawl's root
  warc_record_offset, warc_record_length   the record's bytes in it

Source: github.com/commoncrawl/cc-index-table, schema/cc-index-schema-flat.json.
"""

import functools
import hashlib
import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset

from stages.inputs import COMMON_CRAWL, open_input

COLUMNS = ("url", "warc_filename", "warc_record_offset", "warc_record_length")
_ADDRESS = re.compile(r"[\d.]+|\[.*\]")
_WWW = re.compile(r"^(www\d*\.)+")


@dataclass(frozen=True)
class IndexConfig:
    """Which captures of an index are read; an empty list is no condition.

    Attributes:
      base: where the index's WARC paths start: a URL, ``s3://commoncrawl/`` or a local folder.
      languages: ISO 639-3 codes (eng, deu); the first that the index has of a capture counts.
      mime: media types; the detected one counts where the index has one.
      status: HTTP statuses.
      hosts: hosts, each with all below it: example.com takes www.example.com.
      sample: share of the captures left, by a hash of the URL.
      gap_bytes: what lies between two chosen records is read and dropped if it is no longer.
      split_bytes: a request reads about this much of a WARC at most.

    How much will be chosen is not known before the run, so `write.shards` is to be set by hand.
    """

    base: str = COMMON_CRAWL
    languages: tuple[str, ...] = ()
    mime: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    status: tuple[int, ...] = (200,)
    hosts: tuple[str, ...] = ()
    sample: float = 1.0
    gap_bytes: int = 1024 * 1024
    split_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if not self.base:
            raise ValueError("cc_index: base is empty; say where the WARCs are")
        if not 0 < self.sample <= 1:
            raise ValueError(f"cc_index: sample is {self.sample}, not in (0, 1]")
        if self.gap_bytes < 0:
            raise ValueError(f"cc_index: gap_bytes is {self.gap_bytes}, less than 0")
        if self.split_bytes < 1:
            raise ValueError(f"cc_index: split_bytes is {self.split_bytes}, less than 1")
        if wrong := [code for code in self.languages if len(code) != 3 or code != code.lower()]:
            raise ValueError(
                f"cc_index: languages: {wrong[0]!r} is no code of ISO 639-3, such as eng or deu"
            )
        if wrong := [host for host in self.hosts if host != host.lower() or "/" in host]:
            raise ValueError(f"cc_index: hosts: {wrong[0]!r} is no host in lower case")


class Chosen(NamedTuple):
    """A row of the index: where a capture lies.

    Attributes:
      offset, length: of the record in its WARC, in bytes.
    """

    offset: int
    length: int
    url: str


class Nowhere(NamedTuple):
    """A wanted row that does not say where its capture lies: what it says instead."""

    url: str | None
    name: str | None
    offset: int | None
    length: int | None


@dataclass(frozen=True)
class Stretch:
    """A run of bytes of a WARC that is read at once.

    Attributes:
      name: path of the WARC below the crawl's root.
      chosen: the captures in it that are wanted, by offset.
    """

    name: str
    chosen: tuple[Chosen, ...]

    @property
    def start(self) -> int:
        return self.chosen[0].offset

    @property
    def stop(self) -> int:
        return max(row.offset + row.length for row in self.chosen)


def choose(path: str, config: IndexConfig) -> Iterator[tuple[str, Chosen] | Nowhere]:
    """Yields the WARC and the place of each capture of an index file that is wanted.

    The conditions are pushed down to Parquet: what its statistics exclude is not read.

    Raises:
      ValueError: it is no such index: no Parquet file, or without a column.
      OSError: the file cannot be read.
    """
    with open_input(path) as stream:
        try:
            index = dataset.ParquetFileFormat().make_fragment(pa.PythonFile(stream, "r"))
            known = set(index.physical_schema.names)
            scanner = index.scanner(columns=list(COLUMNS), filter=_condition(config, known))
        except pa.ArrowInvalid as error:
            raise ValueError(f"no index of Common Crawl: {error}") from error
        for batch in scanner.to_batches():
            columns = (batch.column(name).to_pylist() for name in COLUMNS)
            for row in zip(*columns, strict=True):
                url, name, offset, length = row
                if None in row or offset < 0 or length < 1:
                    yield Nowhere(*row)
                elif is_sampled(url, config.sample):
                    yield name, Chosen(offset, length, url)


def is_sampled(url: str, share: float) -> bool:
    """Whether a URL is in a share of all URLs: the same ones whatever else is asked for."""
    digest = hashlib.sha256(url.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def stretches(name: str, rows: Iterable[Chosen], config: IndexConfig) -> Iterator[Stretch]:
    """Joins the chosen records of one WARC that lie close; a row that stands twice counts once."""
    joined: list[Chosen] = []
    stop = 0
    for row in sorted(set(rows)):
        far = row.offset > stop + config.gap_bytes
        if joined and (far or row.offset + row.length > joined[0].offset + config.split_bytes):
            yield Stretch(name, tuple(joined))
            joined, stop = [], 0
        joined.append(row)
        stop = max(stop, row.offset + row.length)
    if joined:
        yield Stretch(name, tuple(joined))


def _condition(config: IndexConfig, known: set[str]) -> pc.Expression:
    condition = pc.scalar(True)
    if config.status:
        condition &= pc.field("fetch_status").isin(config.status)
    if config.mime:
        mime = pc.field("content_mime_type")
        if "content_mime_detected" in known:
            mime = pc.coalesce(pc.field("content_mime_detected"), mime)
        condition &= mime.isin(config.mime)
    if config.languages:
        first = f"^({'|'.join(config.languages)})(,|$)"
        condition &= pc.match_substring_regex(pc.field("content_languages"), first)
    if config.hosts:
        hosts = (_on_host(host, known) for host in config.hosts)
        condition &= functools.reduce(operator.or_, hosts)
    return condition


def _on_host(host: str, known: set[str]) -> pc.Expression:
    name = pc.field("url_host_name")
    on_host = (name == host) | pc.ends_with(name, f".{host}")
    if "url_surtkey" in known and not _ADDRESS.fullmatch(host):
        # The index is sorted by this key (com,example)/path), which leaves out a leading www.
        prefix = ",".join(reversed(_WWW.sub("", host).split(".")))
        key = pc.field("url_surtkey")
        on_host = (key >= prefix) & (key < f"{prefix}\U0010ffff") & on_host
    return on_host
