"""Gets the picture behind each image URL: from the crawl itself, else from the web.

In: ImageTask.  Out: GatheredImage, decoded once; rejected Rejection where there is no picture to be
had, failed Failure where we broke.

A task's records in the crawl are tried in order, each with its own headers' opt-out honoured: an
owner's no ends the search. Only then, and only if the config says so, the web is asked for the
primary URL. Tasks, never pictures, are shuffled: by file, so that a file is read from front to
back, and by host, so that a host is talked to by one worker.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.image import ImageLocation, ImageRecord, ImageScore
from schemas.outcome import Failure, Kind, Rejection
from stages.doors import (
    REJECTED,
    Doors,
    count_doors,
    through_doors,
    to_failure,
)
from stages.imaging.decode import DecodeLimits, decode
from stages.imaging.elements import GatheredImage, ImageTask
from stages.imaging.hashing import sha256
from stages.imaging.http_client import Headers, HttpConfig, Response, fetch_by_host
from stages.imaging.opt_out import OptOutPolicy, evidence
from stages.imaging.refusal import Reason, Refused, of_status
from stages.imaging.urls import host_of
from stages.warc.payload import PayloadError, PayloadTooLarge
from stages.warc.reader import Record, read_one
from stages.warc.window import Damaged

STAGE = "gather_images"
RULE = "gather"
_FROM_WEB = "from_web"
_STRETCH = 256 * 1024 * 1024  # of a file that one worker reads


ReadRecord = Callable[[str, int, int], Record]


@dataclass(frozen=True)
class GatherConfig:
    """How images are gathered.

    Attributes:
      max_bytes: a longer image is not taken.
    """

    http: HttpConfig = field(default_factory=HttpConfig)
    decode: DecodeLimits = field(default_factory=DecodeLimits)
    opt_out: OptOutPolicy = field(default_factory=OptOutPolicy)
    max_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise ValueError(f"gather: max_bytes is {self.max_bytes}, below 1")


def read_record_at(path: str, offset: int, inner_offset: int) -> Record:
    """Reads one record of a WARC on any filesystem that Beam knows.

    Raises:
      stages.warc.window.Damaged: there is no whole record at this place.
      OSError: the file cannot be read.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return read_one(file, offset, inner_offset)


@dataclass
class GatherImages(beam.PTransform):
    """Attributes:
    read: reads a record of the crawl, given path, offset and inner offset.
    """

    config: GatherConfig = field(default_factory=GatherConfig)
    read: ReadRecord = read_record_at

    def expand(self, tasks: PCollection[ImageTask]) -> Doors:
        crawl = tasks | "From crawl" >> _FromCrawl(self.config, self.read)
        if not self.config.http.enabled:
            return Doors(crawl.kept, crawl.rejected, crawl.failed)
        web = crawl.from_web | "From web" >> _FromWeb(self.config)
        return Doors(
            *(
                pair | f"All {door}" >> beam.Flatten()
                for door, pair in zip(
                    Doors._fields,
                    zip((crawl.kept, crawl.rejected, crawl.failed), web, strict=True),
                    strict=True,
                )
            )
        )


class Found(NamedTuple):
    """The bytes that an image URL led to."""

    data: bytes
    headers: Headers
    status: int
    source: str


def to_image(task: ImageTask, found: Found, limits: DecodeLimits) -> GatheredImage:
    """Decodes what was found.

    Raises:
      Refused: it is no image that `limits` allow.
    """
    decoded = decode(found.data, limits)
    record = ImageRecord(
        image_id=sha256(found.data),
        url=task.reference.url,
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        n_bytes=len(found.data),
        phash=decoded.phash,
        frames=decoded.frames,
        documents=task.reference.documents,
        same_bytes_documents=task.reference.documents,
        scores=(ImageScore("contrast", decoded.contrast),),
        source=found.source,
        status=found.status,
        opt_out=evidence(found.headers),
    )
    return GatheredImage(record, found.data, decoded.pixels)


def from_crawl(task: ImageTask, config: GatherConfig, read: ReadRecord) -> GatheredImage:
    """The first of a task's records that is a picture.

    Raises:
      Refused: an owner opted out, or none is; then with the reason of the best record.
      OSError: a file cannot be read.
    """
    refusals: list[Refused] = []
    for place in task.locations:
        try:
            return to_image(task, _read(place, config, read), config.decode)
        except Refused as refusal:
            if refusal.reason is Reason.OPTED_OUT:
                raise
            refusals.append(refusal)
    if not refusals:
        raise Refused(Reason.NOT_IN_CRAWL)
    detail = "; ".join(str(refusal) for refusal in refusals)
    raise Refused(refusals[0].reason, detail[:500])


def _read(place: ImageLocation, config: GatherConfig, read: ReadRecord) -> Found:
    try:
        record = read(place.path, place.offset, place.inner_offset)
        config.opt_out.check(record.headers)
        status = 200 if record.status is None else record.status  # a resource record has none
        if not 200 <= status < 300:
            raise Refused(of_status(status), str(status))
        data = record.payload
    except Damaged as error:
        raise Refused(Reason.DAMAGED_RECORD, str(error)) from error
    except PayloadTooLarge as error:
        raise Refused(Reason.TOO_LARGE, str(error)) from error
    except PayloadError as error:
        raise Refused(Reason.CONTENT_CODING, str(error)) from error
    if len(data) > config.max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes")
    return Found(data, record.headers, status, "warc")


@dataclass
class _FromCrawl(beam.PTransform):
    config: GatherConfig
    read: ReadRecord

    def expand(self, tasks: PCollection[ImageTask]) -> Any:
        by_file = (
            tasks
            | "By file" >> beam.Map(_by_file)
            | "Group" >> beam.GroupByKey()
            | "In order" >> beam.FlatMap(_in_order)
        )
        return through_doors(by_file, _ReadRecords(self.config, self.read), STAGE, _FROM_WEB)


def _by_file(task: ImageTask) -> tuple[str, ImageTask]:
    if not task.locations:
        return hashlib.sha256(task.reference.url.encode(errors="replace")).hexdigest()[:2], task
    first = task.locations[0]
    return f"{first.path} {first.offset // _STRETCH}", task


def _in_order(group: tuple[str, Iterable[ImageTask]]) -> Iterable[ImageTask]:
    def place(task: ImageTask) -> tuple[int, int, str]:
        first = task.locations[0] if task.locations else ImageLocation("", "", "", 0)
        return first.offset, first.inner_offset, task.reference.url

    yield from sorted(group[1], key=place)


class _ReadRecords(beam.DoFn):
    def __init__(self, config: GatherConfig, read: ReadRecord):
        self._config = config
        self._read = read

    def process(
        self, task: ImageTask
    ) -> Iterable[
        GatheredImage
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["from_web"], ImageTask]
    ]:
        try:
            yield from_crawl(task, self._config, self._read)
        except Refused as refusal:
            if self._config.http.enabled and refusal.reason is not Reason.OPTED_OUT:
                yield _tagged(_FROM_WEB, task)
            else:
                yield _tagged(REJECTED, _rejection(task, refusal))


@dataclass
class _FromWeb(beam.PTransform):
    config: GatherConfig

    def expand(self, tasks: PCollection[ImageTask]) -> Doors:
        out = (
            tasks
            | "By host" >> beam.Map(_by_host, self.config.http.shards)
            | "Group" >> beam.GroupByKey()
            | "Fetch"
            >> beam.ParDo(_Fetch(self.config)).with_outputs(REJECTED, "failed", main="kept")
        )
        counted = count_doors(out, out.failed, STAGE)
        return Doors(counted.kept, counted.rejected, counted.failed)


def _by_host(task: ImageTask, shards: int) -> tuple[str, ImageTask]:
    host = host_of(task.reference.url).encode(errors="replace")
    return str(int.from_bytes(hashlib.sha256(host).digest()[:8], "big") % shards), task


class _Fetch(beam.DoFn):
    """Fetches the URLs of the hosts of one shard. It has its own doors because the outputs of one
    shard are many and must not be held."""

    def __init__(self, config: GatherConfig):
        self._config = config

    def process(
        self, shard: tuple[str, Iterable[ImageTask]]
    ) -> Iterable[
        GatheredImage
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
    ]:
        tasks = {task.reference.url: task for task in shard[1]}
        http = self._config.http
        product = http.product.lower()

        def check(headers: Headers) -> None:
            self._config.opt_out.check(headers, (product,))

        outcomes = fetch_by_host(tuple(tasks), http, self._config.max_bytes, check)
        for url, outcome in outcomes:
            task = tasks[url]
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                yield to_image(task, _found(outcome), self._config.decode)
            except Refused as refusal:
                yield _tagged(REJECTED, _rejection(task, refusal))
            except Exception as error:  # noqa: BLE001  this is the failed door
                yield _tagged("failed", to_failure(task, error, STAGE))


def _found(response: Response) -> Found:
    return Found(response.body, response.headers, response.status, "http")


def _rejection(task: ImageTask, refusal: Refused) -> Rejection:
    url = task.reference.url
    return Rejection(
        element_id=url,
        kind=Kind.IMAGE,
        doc_id="",
        url=url,
        stage=STAGE,
        rule=RULE,
        reason=str(refusal.reason),
        detail=refusal.detail,
    )


def _tagged(tag: str, element: Any) -> TaggedOutput:
    return TaggedOutput(tag, element)
