"""Reads the captures of WARC files.

In: `WarcFile`s. Out: by exactly one way for each capture:
  kept      a `Page` (any media type, any status: filter_pages decides)
  images    an `ImageLocation`, for an image: where it lies, not its bytes
  rejected  a capture that holds no page, rule ``record``
  failed    a damaged record or payload (kind page), or a file that cannot be read (kind file)
The records that describe a crawl (warcinfo, request, metadata) are no captures and leave no row.

A large file is read in parts by a splittable DoFn: a part has the records that start in its bytes,
and a runner may cut it further while it is read. What is found, ids and places included, does not
depend on the cuts.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, BinaryIO, Literal, NamedTuple

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.image import ImageLocation
from schemas.outcome import Failure, Kind, Rejection
from schemas.page import Page
from stages.cc_index import Chosen, IndexConfig, Nowhere, Stretch, choose, stretches
from stages.doors import REJECTED, Identity, count_doors, to_failure
from stages.inputs import (
    WarcFile,
    is_local,
    is_wacz,
    open_input,
    seekable_size,
    wacz_members,
)
from stages.progress import READ_BYTES, note
from stages.warc.payload import PayloadTooLarge
from stages.warc.reader import (
    MAX_PAYLOAD,
    UNSPECIFIED,
    Claim,
    Damage,
    Record,
    can_be_cut,
    claim_all,
    read_records,
    to_url,
)

STAGE = "read_pages"
RULE = "record"
IMAGES = "images"
FAILED = "failed"

_NOT_CAPTURES = frozenset({"warcinfo", "request", "metadata"})


class Reason(StrEnum):
    REVISIT = "revisit"  # the same bytes were captured before, and are not stored again
    OTHER_TYPE = "other_type"  # conversion, continuation and types that WARC 1.1 does not know
    NOT_HTTP = "not_http"  # dns and whatever else is no HTTP response
    EMPTY_BODY = "empty_body"
    TOO_LARGE = "too_large"


@dataclass(frozen=True)
class ReadConfig:
    """Attributes:
    max_payload_bytes: a capture with more, stored or decoded, is rejected as too large.
    split_bytes: a file is read in parts of about this many stored bytes.
    cc_index: the inputs are Parquet files of Common Crawl's columnar index, and only the captures
      that this section chooses of it are read. See `stages.cc_index.IndexConfig`.
    corpus: the inputs are finished corpora (or their documents tables), whose documents are taken
      as they were extracted; `filter_pages` and `extract` are not asked. No document may lie in
      two of them.
    """

    max_payload_bytes: int = MAX_PAYLOAD
    split_bytes: int = 64 * 1024 * 1024
    cc_index: IndexConfig | None = None
    corpus: bool = False

    def __post_init__(self) -> None:
        if self.corpus and self.cc_index:
            raise ValueError("read: corpus and cc_index are two kinds of input; choose one")
        if self.max_payload_bytes < 1:
            raise ValueError(f"read: max_payload_bytes is {self.max_payload_bytes}, less than 1")
        if self.split_bytes < 1:
            raise ValueError(f"read: split_bytes is {self.split_bytes}, less than 1")


Capture = Page | ImageLocation | Rejection | Failure


class ReadOutputs(NamedTuple):
    kept: PCollection[Page]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    images: PCollection[ImageLocation]


@dataclass
class ReadPages(beam.PTransform):
    """Reads the captures of files; damage costs what is damaged."""

    config: ReadConfig = field(default_factory=ReadConfig)

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, files: PCollection[WarcFile]) -> Any:
        """Returns `ReadOutputs`; Beam does not know the type and would warn of it."""
        spread = files | "Spread files" >> beam.Reshuffle()
        if self.config.cc_index:
            found = spread | "Choose" >> beam.ParDo(_Choose(self.config.cc_index)).with_outputs(
                FAILED, main="found"
            )
            to_read = (
                found.found
                | "By WARC" >> beam.GroupByKey()
                | "Join" >> beam.FlatMap(_stretches, self.config.cc_index)
                | "Spread" >> beam.Reshuffle()
            )
            reader: beam.DoFn = _ReadStretch(self.config)
        else:
            found = spread | "Open" >> beam.ParDo(_Open(self.config)).with_outputs(
                FAILED, main="found"
            )
            to_read, reader = found.found, _Read(self.config)
        out = to_read | "Read" >> beam.ParDo(reader).with_outputs(
            REJECTED, FAILED, IMAGES, main="kept"
        )
        failed = (found[FAILED], out[FAILED]) | "All failed" >> beam.Flatten()
        doors = count_doors(out, failed, STAGE, IMAGES)
        images = doors.images | "Count images" >> beam.Map(_count_image)
        return ReadOutputs(doors.kept, doors.rejected, doors.failed, images)


def page_id(warc_file: str, offset: int, inner_offset: int, url: str) -> str:
    """The id of a capture, and of all that is made of it: 32 hex digits of a SHA-256.

    It hashes where the record lies and its URL, so that it depends neither on the content nor on
    how the input was split; two captures of one URL differ.
    """
    key = f"{warc_file}\n{offset}\n{inner_offset}\n{url}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def to_capture(record: Record, file: WarcFile) -> Page | ImageLocation | Rejection | None:
    """Says what a record is; None for one that is no capture.

    Raises:
      ValueError: the record has no target URI, or its payload is corrupt.
    """
    if record.type in _NOT_CAPTURES:
        return None
    if reason := _objection(record):
        return _rejection(record, file, reason)
    if not record.url:
        raise ValueError(f"a {record.type} record without WARC-Target-URI")
    status = 200 if record.status is None else record.status
    if status == 200 and record.mime.startswith("image/"):
        return ImageLocation(
            record.url,
            file.path,
            file.name,
            record.offset,
            record.inner_offset,
            record.length,
            status,
            record.mime,
            record.date,
            truncated=bool(record.truncated),
        )
    try:
        payload = record.decoded
    except PayloadTooLarge:
        return _rejection(record, file, Reason.TOO_LARGE)
    if not payload.data:
        return _rejection(record, file, Reason.EMPTY_BODY)
    return Page(
        page_id(file.name, record.offset, record.inner_offset, record.url),
        record.url,
        file.name,
        record.offset,
        record.length,
        record.date,
        status,
        record.mime,
        record.headers,
        payload.data,
        record.truncated or (UNSPECIFIED if payload.incomplete else ""),
    )


def _objection(record: Record) -> Reason | None:
    if record.type == "revisit":
        return Reason.REVISIT
    if record.type not in ("response", "resource"):
        return Reason.OTHER_TYPE
    if record.type == "response" and record.status is None:
        return Reason.NOT_HTTP
    if not record.body:
        return Reason.EMPTY_BODY
    return None


def _rejection(record: Record, file: WarcFile, reason: Reason) -> Rejection:
    who = page_id(file.name, record.offset, record.inner_offset, record.url)
    detail = f"{record.type} {record.mime}".strip()[:120]
    return Rejection(
        who, Kind.PAGE, who, record.url, STAGE, RULE, str(reason), float(len(record.body)), detail
    )


@dataclass(frozen=True)
class _Place:
    """What a failure is about."""

    identity: Identity


@dataclass(frozen=True)
class _Opened:
    """A file that can be read.

    Attributes:
      split_bytes: in parts of how many bytes; 0 where it must be read as one.
    """

    file: WarcFile
    split_bytes: int


class _Open(beam.DoFn):
    """Says of each file whether it can be read, and in which parts."""

    def __init__(self, config: ReadConfig) -> None:
        self._config = config

    def process(
        self, file: WarcFile
    ) -> Iterable[_Opened | TaggedOutput[Literal["failed"], Failure]]:
        for found in open_files(file, self._config):
            yield found if isinstance(found, _Opened) else _tagged("failed", found)


def open_files(file: WarcFile, config: ReadConfig) -> Iterator[_Opened | Failure]:
    """Yields the file, or those inside it, sized. Raises nothing that a file can cause."""
    try:
        if not is_wacz(file.path):
            size = seekable_size(file.path)
            yield _Opened(
                replace(file, size=size), config.split_bytes if _can_cut(file, size) else 0
            )
            return
        members = wacz_members(file.path)
        if not members:
            raise ValueError("the WACZ holds no archive/*.warc file")
        for path in members:
            inside = path.removeprefix(file.path)
            yield from open_files(WarcFile(file.name + inside, path), config)
    except Exception as error:  # noqa: BLE001 - the failed door
        yield _file_failure(file, error)


def _can_cut(file: WarcFile, size: int) -> bool:
    if not size:
        return False
    with open_input(file.path) as stream:
        return can_be_cut(stream, file.name, cheap_to_skip=is_local(file.path))


class _Parts(beam.transforms.core.RestrictionProvider):
    """The parts of a file are runs of its stored bytes."""

    def initial_restriction(self, opened: _Opened) -> OffsetRange:
        return OffsetRange(0, max(1, opened.file.size))

    def create_tracker(self, part: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(part)

    def split(self, opened: _Opened, part: OffsetRange) -> Iterator[OffsetRange]:
        yield from part.split(opened.split_bytes) if opened.split_bytes else (part,)

    def restriction_size(self, opened: _Opened, part: OffsetRange) -> int:
        return int(part.size())


class _Read(beam.DoFn):
    def __init__(self, config: ReadConfig) -> None:
        self._config = config

    def process(
        self,
        opened: _Opened,
        tracker: Any = beam.DoFn.RestrictionParam(_Parts()),  # noqa: B008 - how Beam has it
    ) -> Iterable[
        Page
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
        | TaggedOutput[Literal["images"], ImageLocation]
    ]:
        yield from read_opened(opened, self._config, tracker)


def read_opened(opened: _Opened, config: ReadConfig, tracker: Any) -> Iterator[Any]:
    """Reads the part of a file that a restriction tracker stands for."""
    part, cut = tracker.current_restriction(), bool(opened.split_bytes)
    last = part.start - 1

    def claim(position: int) -> bool:
        nonlocal last
        last = position
        return bool(tracker.try_claim(position))

    if not cut and not claim(part.stop - 1):  # all at once, so that no runner cuts it
        return
    for found in read_part(
        opened.file,
        config,
        part.start,
        part.stop if cut else None,
        claim if cut else claim_all,
    ):
        yield _by_door(found)
    end = tracker.current_restriction().stop
    if last < end:
        claim(end)


class _Choose(beam.DoFn):
    """Index files to the WARC and the place of each capture that is wanted."""

    def __init__(self, config: IndexConfig) -> None:
        self._config = config

    def process(
        self, file: WarcFile
    ) -> Iterable[tuple[str, Chosen] | TaggedOutput[Literal["failed"], Failure]]:
        try:
            for found in choose(file.path, self._config):
                yield _nowhere(found, file) if isinstance(found, Nowhere) else found
        except Exception as error:  # noqa: BLE001 - the failed door
            yield _tagged("failed", _file_failure(file, error))


def _nowhere(row: Nowhere, file: WarcFile) -> TaggedOutput:
    who = page_id(file.name, 0, 0, repr(tuple(row)))
    error = f"the index does not say where: {row}"
    return _tagged("failed", Failure(who, Kind.PAGE, row.url or "", STAGE, error, "", file.name))


def _stretches(rows: tuple[str, Iterable[Chosen]], config: IndexConfig) -> Iterator[Stretch]:
    yield from stretches(*rows, config)


class _ReadStretch(beam.DoFn):
    def __init__(self, config: ReadConfig) -> None:
        self._config = config

    def process(
        self, stretch: Stretch
    ) -> Iterable[
        Page
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
        | TaggedOutput[Literal["images"], ImageLocation]
    ]:
        yield from map(_by_door, read_stretch(stretch, self._config))


def read_stretch(stretch: Stretch, config: ReadConfig) -> Iterator[Capture]:
    """Yields what each chosen capture is. Raises nothing that a file can cause.

    A row of the index whose bytes are not the record that it speaks of is a failure.
    """
    assert config.cc_index
    path = f"{config.cc_index.base.rstrip('/')}/{stretch.name}"
    file = WarcFile(stretch.name, path)
    read = 0
    try:
        with open_input(path, stretch.start, stretch.stop) as stream:
            for row in stretch.chosen:
                _go_to(stream, row.offset)
                capture = _chosen(row, stream.read(row.length), file, config)
                read += 1
                yield capture
    except Exception as error:  # noqa: BLE001 - the failed door
        yield from (_row_failure(row, error, file) for row in stretch.chosen[read:])


def _go_to(stream: BinaryIO, offset: int) -> None:
    """Reads over a gap: to seek is to ask a server again."""
    gap = offset - stream.tell()
    if gap > 0:
        stream.read(gap)
    elif gap:
        stream.seek(offset)


def _chosen(row: Chosen, data: bytes, file: WarcFile, config: ReadConfig) -> Capture:
    try:
        if len(data) < row.length:
            raise ValueError(f"the file ends before the {row.length} bytes that the index says")
        found = [*read_records(io.BytesIO(data), file.name, config.max_payload_bytes)]
        if len(found) != 1:
            raise ValueError(f"the index says one record, and {len(found)} lie here")
        if isinstance(found[0], Damage):
            raise ValueError(f"no record where the index says: {found[0].error}")
        record = replace(found[0], offset=row.offset)
        if record.url != to_url(row.url):
            raise ValueError(f"the index says another record than that of {record.url}")
        if not (capture := _told(record, file)):
            raise ValueError(f"the index says a capture, and a {record.type} record lies here")
        return capture
    except Exception as error:  # noqa: BLE001 - the failed door
        return _row_failure(row, error, file)


def _row_failure(row: Chosen, error: Exception, file: WarcFile) -> Failure:
    who = page_id(file.name, row.offset, 0, to_url(row.url))
    failure = to_failure(
        _Place(Identity(who, Kind.PAGE, row.url, who, file.name, row.offset)), error, STAGE
    )
    return replace(failure, error=failure.error.replace(file.path, file.name))


def _by_door(found: Capture) -> Page | TaggedOutput:
    match found:
        case ImageLocation():
            return _tagged("images", found)
        case Rejection():
            return _tagged("rejected", found)
        case Failure():
            return _tagged("failed", found)
    return found


def _tagged(tag: str, found: object) -> TaggedOutput:
    return TaggedOutput(tag, found)


def read_captures(file: WarcFile, config: ReadConfig) -> Iterator[Capture]:
    """Yields what each capture of a file is, in order. Raises nothing that a file can cause."""
    for opened in open_files(file, config):
        if isinstance(opened, Failure):
            yield opened
        else:
            yield from read_part(opened.file, config)


def read_part(
    file: WarcFile,
    config: ReadConfig,
    start: int = 0,
    stop: int | None = None,
    claim: Claim = claim_all,
) -> Iterator[Capture]:
    """As `read_captures`, for a part of a file that is no WACZ.

    Args:
      start, stop, claim: the part, as for `stages.warc.reader.read_records`.
    """
    try:
        with open_input(file.path) as stream:
            at = start
            for found in read_records(
                stream, file.name, config.max_payload_bytes, start, stop, claim
            ):
                note(READ_BYTES, found.offset - at)
                at = found.offset
                if capture := _told(found, file):
                    yield capture
            if stop is None and not stream.tell():
                raise ValueError("the file is empty")
    except Exception as error:  # noqa: BLE001 - the failed door
        yield _file_failure(file, error, start)


def _told(found: Record | Damage, file: WarcFile) -> Capture | None:
    if isinstance(found, Damage):
        return _page_failure(found, file)
    try:
        return to_capture(found, file)
    except Exception as error:  # noqa: BLE001 - the failed door
        who = page_id(file.name, found.offset, found.inner_offset, found.url)
        place = Identity(who, Kind.PAGE, found.url, who, file.name, found.offset)
        return to_failure(_Place(place), error, STAGE)


def _page_failure(damage: Damage, file: WarcFile) -> Failure:
    who = page_id(file.name, damage.offset, damage.inner_offset, "")
    inner = f" (at byte {damage.inner_offset} of the member)" if damage.inner_offset else ""
    error = damage.error + inner
    return Failure(who, Kind.PAGE, "", STAGE, error, "", file.name, damage.offset)


def _file_failure(file: WarcFile, error: Exception, start: int = 0) -> Failure:
    who = f"{file.name}#{start}" if start else file.name
    place = _Place(Identity(who, Kind.FILE, "", "", file.name, start))
    failure = to_failure(place, error, STAGE)
    # A corpus does not say where its input lay.
    return replace(failure, error=failure.error.replace(file.path, file.name))


def _count_image(image: ImageLocation) -> ImageLocation:
    Metrics.counter(STAGE, IMAGES).inc()
    return image
