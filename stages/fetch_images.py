"""Asks the web for the images that lie nowhere at hand, and puts the answers into the image store.

In: ImageTask.  Out: ImageTask with a place, kept; rejected Rejection where the web has no picture
for us, failed Failure where we broke.

Sites are hashed into groups, and a group is one worker's for the whole step, so that no host is
talked to by two workers and a worker's own limits are the limits. A redirect to another site is
handed to the worker that owns that one, in a further round that begins when all have ended this
one. What the store knows from a run that was killed, or from an earlier one, is not asked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.fetch import Fetched
from schemas.image import ImageLocation
from schemas.outcome import Failure, Kind, Rejection
from stages.collector import freeze_modules
from stages.doors import REJECTED, Doors, count_doors, to_failure
from stages.imaging.config import GatherConfig
from stages.imaging.elements import ImageTask
from stages.imaging.fetch_shard import FetchShard, Outcome, shard_of
from stages.imaging.fetched import Known, Store
from stages.imaging.http_client import Quest

STAGE = "fetch_images"
RULE = "fetch"
_FAILED: Final = "failed"
_WANTED: Final = "wanted"
_MOVED: Final = "moved"


class Search(NamedTuple):
    """A task and where redirects have led so far."""

    task: ImageTask
    seen: tuple[str, ...] = ()


@dataclass
class FetchImages(beam.PTransform):
    """Attributes:
    folder: the image store that is added to.
    opt_out_lists: files; what they name is not asked for, not by a redirect either.
    """

    config: GatherConfig
    folder: str
    opt_out_lists: tuple[str, ...] = ()

    def expand(self, tasks: PCollection[ImageTask]) -> Any:
        """Returns `Doors`; Beam does not know the type and would warn of it."""
        http = self.config.http
        sorted_out = tasks | "At hand" >> beam.ParDo(_AtHand(http.revalidate)).with_outputs(
            _WANTED, main="kept"
        )
        searches = sorted_out[_WANTED]
        kept, rejected, failed = [sorted_out.kept], [], []
        fetch = _Fetch(self.config, self.folder, self.opt_out_lists)
        for change in range(http.max_site_changes + 1):
            last = change == http.max_site_changes
            out = (
                searches
                | f"By site {change}" >> beam.Map(_by_site, http.shards)
                | f"Group {change}" >> beam.GroupByKey()
                | f"Fetch {change}"
                >> beam.ParDo(fetch, last).with_outputs(REJECTED, _FAILED, _MOVED, main="kept")
            )
            kept.append(out.kept)
            rejected.append(out[REJECTED])
            failed.append(out[_FAILED])
            searches = out[_MOVED]
        doors = Doors(
            kept | "All kept" >> beam.Flatten(),
            rejected | "All rejected" >> beam.Flatten(),
            failed | "All failed" >> beam.Flatten(),
        )
        return count_doors(doors, doors.failed, STAGE)


class _AtHand(beam.DoFn):
    """Lets tasks pass of which some file has a whole picture."""

    def __init__(self, revalidate: bool):
        self._revalidate = revalidate

    def process(
        self, task: ImageTask
    ) -> Iterable[ImageTask | TaggedOutput[Literal["wanted"], Search]]:
        if any(self._serves(place) for place in task.locations):
            yield task
        else:
            yield TaggedOutput(_WANTED, Search(task))

    def _serves(self, place: ImageLocation) -> bool:
        return not place.truncated and not (self._revalidate and place.source == Store.name)


def _by_site(search: Search, shards: int) -> tuple[str, Search]:
    return str(shard_of(_quest(search).at, shards)), search


def _quest(search: Search) -> Quest:
    return Quest(search.task.reference.url, search.seen)


class _Fetch(beam.DoFn):
    def __init__(self, config: GatherConfig, folder: str, opt_out_lists: tuple[str, ...]):
        self._config = config
        self._folder = folder
        self._lists = opt_out_lists

    def setup(self) -> None:
        freeze_modules()

    def process(
        self, group: tuple[str, Iterable[Search]], last: bool
    ) -> Iterable[
        ImageTask
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["failed"], Failure]
        | TaggedOutput[Literal["moved"], Search]
    ]:
        searches = {search.task.reference.url: search for search in group[1]}
        fetch = FetchShard(self._config, self._folder, int(group[0]), last, self._lists)
        for url, outcome in fetch.run(map(_quest, searches.values())).items():
            yield _door(searches[url].task, outcome)


def _door(task: ImageTask, outcome: Outcome) -> Any:
    match outcome:
        case Known() if outcome.fetched.reason:
            return TaggedOutput(REJECTED, _rejection(outcome.fetched))
        case Known():
            return replace(task, locations=(outcome.location, *task.locations))
        case Quest():
            return TaggedOutput(_MOVED, Search(task, outcome.seen))
        case _:
            return TaggedOutput(_FAILED, to_failure(task, outcome, STAGE))


def _rejection(fetched: Fetched) -> Rejection:
    return Rejection(
        element_id=fetched.url,
        kind=Kind.IMAGE,
        doc_id="",
        url=fetched.url,
        stage=STAGE,
        rule=RULE,
        reason=fetched.reason,
        detail=fetched.detail,
    )
