"""Gets the picture behind each image URL: from what lies at hand, else from the web.

In: ImageTask.  Out: GatheredImage, decoded once; rejected Rejection where there is no picture to be
had, failed Failure where we broke.

A task's places (records of the crawl, then those of other sources) are tried in order, each with
its own headers' opt-out honoured: an owner's no ends the search. Only then, and only if the config
says so, the web is asked for the primary URL. Tasks, never pictures, are shuffled: by file, so that
a file is read from front to back, or where the web is asked by host, so that a host is talked to by
one worker.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.consent import evidence
from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Failure, Kind, Rejection
from stages.doors import REJECTED, Doors, count_doors, to_failure
from stages.imaging.decode import DecodeLimits, decode
from stages.imaging.elements import GatheredImage, ImageTask
from stages.imaging.hashing import sha256
from stages.imaging.http_client import Headers, HttpConfig, Response, fetch_by_host
from stages.imaging.opt_out import OptOutPolicy, check_listed
from stages.imaging.refusal import Reason, Refused
from stages.imaging.sources import Crawl, Payload, Source, by_name
from stages.imaging.urls import host_of

STAGE = "gather_images"
RULE = "gather"
_FAILED = "failed"
_STRETCH = 256 * 1024 * 1024  # of a file that one worker reads


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

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is asked before the web, in order."""
        return (Crawl(),)


@dataclass
class GatherImages(beam.PTransform):
    """Attributes:
    sources: what the places of tasks are read by.
    opt_out_lists: files; what was found under a listed URL, another than was asked for, is refused.
    """

    config: GatherConfig = field(default_factory=GatherConfig)
    sources: tuple[Source, ...] = (Crawl(),)
    opt_out_lists: tuple[str, ...] = ()

    def expand(self, tasks: PCollection[ImageTask]) -> Any:
        """Returns `Doors`; Beam does not know the type and would warn of it."""
        http = self.config.http
        keyed = (
            tasks | "By host" >> beam.Map(_by_host, http.shards)
            if http.enabled
            else tasks | "By file" >> beam.Map(_by_file)
        )
        # Crawl and web in one step: a runner may hold what two branches send into a Flatten.
        out = (
            keyed
            | "Group" >> beam.GroupByKey()
            | "Gather"
            >> beam.ParDo(
                _Gather(self.config, by_name(self.sources), self.opt_out_lists)
            ).with_outputs(REJECTED, _FAILED, main="kept")
        )
        counted = count_doors(out, out[_FAILED], STAGE)
        return Doors(counted.kept, counted.rejected, counted.failed)


def to_image(task: ImageTask, found: Payload, limits: DecodeLimits) -> GatheredImage:
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
        dhash=decoded.dhash,
        mean_colour=decoded.mean_colour,
        frames=decoded.frames,
        documents=task.reference.documents,
        same_bytes_documents=task.reference.documents,
        same_look_documents=task.reference.documents,
        scores=(ImageScore("contrast", decoded.contrast),),
        source=found.source,
        status=found.status,
        opt_out=evidence(found.headers),
    )
    return GatheredImage(record, found.data, decoded.pixels)


def at_hand(
    task: ImageTask,
    config: GatherConfig,
    sources: Mapping[str, Source],
    opt_out_lists: tuple[str, ...] = (),
) -> GatheredImage:
    """The first of a task's places that holds a picture.

    Raises:
      Refused: an owner opted out, or none does; then with the reason of the best place.
      OSError: a file cannot be read.
    """
    refusals: list[Refused] = []
    for place in task.locations:
        try:
            check_listed(opt_out_lists, place.url)
            source = sources[place.source]
            check = partial(config.opt_out.check, dated=place.crawl_time)
            found = source.read(place, config.max_bytes, check)
            return to_image(task, found, config.decode)
        except Refused as refusal:
            if refusal.reason is Reason.OPTED_OUT:
                raise
            refusals.append(refusal)
    if not refusals:
        raise Refused(Reason.NOT_IN_CRAWL)
    detail = "; ".join(str(refusal) for refusal in refusals)
    raise Refused(refusals[0].reason, detail[:500])


def _by_file(task: ImageTask) -> tuple[str, ImageTask]:
    """By a stretch of the file in which the image is looked for first."""
    if not task.locations:
        return f"none {_hashed(task.reference.url) % 256}", task
    first = task.locations[0]
    return f"{first.path} {first.offset // _STRETCH}", task


def _by_host(task: ImageTask, shards: int) -> tuple[str, ImageTask]:
    return str(_hashed(host_of(task.reference.url)) % shards), task


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8], "big")


def _place(task: ImageTask) -> tuple[str, int, int, str]:
    if not task.locations:
        return "", 0, 0, task.reference.url
    first = task.locations[0]
    return first.path, first.offset, first.inner_offset, task.reference.url


class _Gather(beam.DoFn):
    """Gathers the images of one group. It has its own doors, because the images of a group are many
    and must not be held until the group is done."""

    def __init__(
        self, config: GatherConfig, sources: Mapping[str, Source], opt_out_lists: tuple[str, ...]
    ):
        self._config = config
        self._sources = sources
        self._lists = opt_out_lists

    def process(
        self, group: tuple[str, Iterable[ImageTask]]
    ) -> Iterable[
        GatheredImage
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
    ]:
        for_web: dict[str, ImageTask] = {}
        for task in sorted(group[1], key=_place):
            outcome = _attempt(partial(at_hand, task, self._config, self._sources, self._lists))
            if self._config.http.enabled and _may_ask(outcome):
                for_web[task.reference.url] = task
            else:
                yield _door(task, outcome)
        for url, answer in self._fetch(tuple(for_web)):
            task = for_web[url]
            if isinstance(answer, Exception):
                yield _door(task, answer)
            else:
                yield _door(task, _attempt(partial(self._from_web, task, answer)))

    def _from_web(self, task: ImageTask, answer: Response) -> GatheredImage:
        check_listed(self._lists, answer.url)
        found = Payload(answer.body, answer.headers, answer.status, "http")
        return to_image(task, found, self._config.decode)

    def _fetch(self, urls: tuple[str, ...]) -> Iterable[tuple[str, Response | Exception]]:
        if not urls:
            return ()
        product = self._config.http.product.lower()

        def check(headers: Headers) -> None:
            self._config.opt_out.check(headers, user_agents=(product,))

        return fetch_by_host(urls, self._config.http, self._config.max_bytes, check)


def _attempt(get: Callable[[], GatheredImage]) -> GatheredImage | Exception:
    try:
        return get()
    except Exception as error:  # noqa: BLE001  `_door` sends it through one
        return error


def _may_ask(outcome: GatheredImage | Exception) -> bool:
    """Whether the web may be asked for what the crawl does not have."""
    return isinstance(outcome, Refused) and outcome.reason is not Reason.OPTED_OUT


def _door(task: ImageTask, outcome: GatheredImage | Exception) -> Any:
    if isinstance(outcome, GatheredImage):
        return outcome
    if isinstance(outcome, Refused):
        return TaggedOutput(REJECTED, _rejection(task, outcome))
    return TaggedOutput(_FAILED, to_failure(task, outcome, STAGE))


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
