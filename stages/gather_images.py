"""Gets the picture behind each image URL from where it lies.

In: ImageTask.  Out: GatheredImage, decoded once; rejected Rejection where there is no picture to be
had, failed Failure where we broke.

A task's places (records of the crawl, those of other sources, what was fetched) are tried in order,
each with its own headers' opt-out honoured: an owner's no ends the search. Tasks, never pictures,
are shuffled: by file, so that a file is read from front to back.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.consent import evidence
from schemas.consent import Answer, Asked, Consent
from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Failure, Kind, Rejection
from stages.collector import freeze_modules
from stages.doors import REJECTED, Doors, count_doors, to_failure
from stages.imaging.archives import Archives
from stages.imaging.config import GatherConfig
from stages.imaging.decode import DecodeLimits, decode
from stages.imaging.elements import GatheredImage, ImageTask
from stages.imaging.hashing import sha256
from stages.imaging.opt_out import check_listed
from stages.imaging.refusal import Reason, Refused
from stages.imaging.sources import Crawl, Payload, Source, by_name

STAGE = "gather_images"
RULE = "gather"
_FAILED = "failed"
_STRETCH = 256 * 1024 * 1024  # of a file that one worker reads


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
        out = (
            tasks
            | "By file" >> beam.Map(_by_file)
            | "Group" >> beam.GroupByKey()
            | "Gather"
            >> beam.ParDo(
                _Gather(self.config, by_name(self.sources), self.opt_out_lists)
            ).with_outputs(REJECTED, _FAILED, main="kept")
        )
        counted = count_doors(out, out[_FAILED], STAGE)
        return Doors(counted.kept, counted.rejected, counted.failed)


def to_image(
    task: ImageTask, found: Payload, limits: DecodeLimits, consent: tuple[Consent, ...] = ()
) -> GatheredImage:
    """Decodes what was found.

    Args:
      consent: what was asked besides `Payload.consent`.

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
        luma=decoded.luma,
        source=found.source,
        status=found.status,
        opt_out=evidence(found.headers),
        consent=(*found.consent, *consent),
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
    agents = (config.http.product.lower(),) if config.http.product else ()
    for place in task.locations:
        try:
            check_listed(opt_out_lists, place.url)
            # What was fetched says its own date.
            dated = place.crawl_time if place.source == Crawl.name else ""
            check = partial(config.opt_out.check, dated=dated, user_agents=agents)
            found = sources[place.source].read(place, config.max_bytes, check)
            check_listed(opt_out_lists, found.url)
            return to_image(task, found, config.limits, _asked(found, opt_out_lists))
        except Refused as refusal:
            if refusal.reason in (Reason.OPTED_OUT, Reason.TAKEN_DOWN):
                raise
            refusals.append(refusal)
    if not refusals:
        raise Refused(Reason.NOT_IN_CRAWL)
    detail = "; ".join(str(refusal) for refusal in refusals)
    raise Refused(refusals[0].reason, detail[:500])


def _asked(found: Payload, opt_out_lists: tuple[str, ...]) -> tuple[Consent, ...]:
    consent: tuple[Consent, ...] = ()
    if found.source != Archives.name:  # which know no headers
        said = evidence(found.headers)
        answer = Answer.ALLOWED if said else Answer.SILENT
        consent = (Consent(Asked.HEADERS, answer, said),)
    if opt_out_lists:
        consent = (*consent, Consent(Asked.OPT_OUT_LISTS, Answer.SILENT))
    return consent


def _by_file(task: ImageTask) -> tuple[str, ImageTask]:
    """By a stretch of the file in which the image is looked for first."""
    if not task.locations:
        return f"none {_hashed(task.reference.url) % 256}", task
    first = task.locations[0]
    return f"{first.path} {first.offset // _STRETCH}", task


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

    def setup(self) -> None:
        freeze_modules()

    def process(
        self, group: tuple[str, Iterable[ImageTask]]
    ) -> Iterable[
        GatheredImage
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
    ]:
        for task in sorted(group[1], key=_place):
            yield _door(task, self._attempt(task))

    def _attempt(self, task: ImageTask) -> GatheredImage | Exception:
        try:
            return at_hand(task, self._config, self._sources, self._lists)
        except Exception as error:  # noqa: BLE001  `_door` sends it through one
            return error


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
