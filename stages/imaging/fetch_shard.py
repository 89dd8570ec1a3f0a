"""Fetches the image URLs of a group of sites into the image store, many hosts at a time.

No URL is asked for that the store, or one of an earlier run, knows the answer to. Each host is
worked off by itself, the largest first, so that a slow host holds up nobody but itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

from schemas.fetch import Fetched
from stages.imaging.config import GatherConfig, store_folder
from stages.imaging.fetched import (
    BUCKETS,
    Known,
    Store,
    Writer,
    bucket_of_site,
    known_in,
    now,
    to_headers,
)
from stages.imaging.http_client import Elsewhere, HttpClient, Quest, Response, Trial
from stages.imaging.opt_out import check_listed
from stages.imaging.refusal import UNANSWERED, Reason, Refused
from stages.imaging.sources import Check
from stages.imaging.urls import host_of
from stages.progress import FETCHED, UNFETCHED, note, note_failing_host

# A row of the store; where to ask in the next round; a fault of ours.
Outcome = Known | Quest | Exception
_FLUSH_BYTES = 16 * 1024 * 1024


def shard_of(url: str, shards: int) -> int:
    """The group of the site of a URL."""
    return bucket_of_site(url) % shards


@dataclass
class FetchShard:
    """Fetches one group.

    Attributes:
      folder: the store that is added to.
      shard: number of the group.
      last: there is no further round: a redirect to a site that is not of the group ends here.
      opt_out_lists: files; a URL on them is not asked for, nor one that a redirect leads to.
      client: makes the client; replaced in tests.
    """

    config: GatherConfig
    folder: str
    shard: int
    last: bool = True
    opt_out_lists: tuple[str, ...] = ()
    client: Callable[..., HttpClient] = HttpClient
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    def run(self, quests: Iterable[Quest]) -> dict[str, Outcome]:
        """What became of each URL.

        Raises:
          OSError: the store cannot be read or written.
        """
        return asyncio.run(self._run(sorted(quests, key=lambda quest: quest.url)))

    async def _run(self, quests: list[Quest]) -> dict[str, Outcome]:
        http = self.config.http
        self._outcomes = {}
        self._writer = Writer(self.folder)
        self._flushing = asyncio.Lock()
        self._earlier: dict[str, Known] = {}
        by_host: dict[str, deque[Quest]] = {}
        for quest in self._unknown(quests):
            by_host.setdefault(host_of(quest.at), deque()).append(quest)
        waiting = deque(sorted(by_host, key=lambda host: (-len(by_host[host]), host)))

        async with (
            self.client(http, self.config.max_bytes, self._is_ours, self._permit) as client,
            asyncio.TaskGroup() as group,
        ):

            async def lane(urls: deque[Quest]) -> None:
                while urls:
                    await self._fetch(client, urls.popleft())

            async def worker() -> None:
                while waiting:
                    host = waiting.popleft()
                    async with asyncio.TaskGroup() as lanes:
                        for _ in range(min(http.host_concurrency, len(by_host[host]))):
                            lanes.create_task(lane(by_host[host]))
                    await client.leave(host)

            flusher = group.create_task(self._flush_often())
            workers = [group.create_task(worker()) for _ in range(min(http.hosts, len(waiting)))]
            await asyncio.gather(*workers)
            flusher.cancel()
        self._outcomes.update(self._writer.close())
        return self._outcomes

    def _unknown(self, quests: list[Quest]) -> list[Quest]:
        """The quests that have to be made."""
        http = self.config.http
        buckets = [b for b in range(BUCKETS) if b % http.shards == self.shard % BUCKETS]
        own = known_in(self.folder, buckets)
        for path in reversed(self.config.stores):
            self._earlier |= known_in(store_folder(path), buckets)

        def answer(known: Known | None) -> Known | None:
            return known if known and known.stands(self.config.max_bytes, self._check) else None

        # What an earlier run settled does not count against the limit of this one; what this run
        # settled before it was killed does, so that a run that was not killed has the same limit.
        by_host: dict[str, list[Quest]] = {}
        for quest in quests:
            earlier = answer(self._earlier.get(quest.url))
            if earlier and quest.url not in own and (earlier.fetched.reason or not http.revalidate):
                self._outcomes[quest.url] = earlier
            else:
                by_host.setdefault(host_of(quest.at), []).append(quest)
        unknown = []
        for host, of_host in by_host.items():
            of_host.sort(key=lambda quest: sha256(quest.url.encode(errors="replace")).digest())
            for number, quest in enumerate(of_host):
                if settled := answer(own.get(quest.url)):
                    self._outcomes[quest.url] = settled
                elif number >= http.max_host_urls:
                    self._note(quest, Refused(Reason.HOST_LIMIT, f"{host} has {len(of_host)}"))
                else:
                    unknown.append(self._conditional(quest))
        return unknown

    def _conditional(self, quest: Quest) -> Quest:
        known = self._earlier.get(quest.url)
        if not known or known.fetched.reason:
            return quest
        headers = {header.name: header.value for header in known.fetched.headers}
        return replace(
            quest, etag=headers.get("etag", ""), modified=headers.get("last-modified", "")
        )

    async def _fetch(self, client: HttpClient, quest: Quest) -> None:
        trial = Trial(0.0, quest.at)
        try:
            response = await client.fetch(quest, self._check, trial)
            if response.status == 304:
                response = self._still(quest, response)
            self._keep(quest, response)
        except Refused as refusal:
            self._note(quest, refusal, trial)
        except Elsewhere as elsewhere:
            if self.last:
                detail = f"to a further site: {elsewhere.quest.at[:200]}"
                self._note(quest, Refused(Reason.TOO_MANY_REDIRECTS, detail), trial)
            else:
                self._outcomes[quest.url] = elsewhere.quest
        except Exception as error:  # noqa: BLE001  goes through the failed door
            self._outcomes[quest.url] = error
        rows, size = self._writer.waiting
        if rows >= self.config.http.flush_images or size >= _FLUSH_BYTES:
            await self._flush()

    def _still(self, quest: Quest, response: Response) -> Response:
        """What an earlier run got, as the server says that it still is; RFC 9111, section 4.3.4."""
        known = self._earlier[quest.url]
        old = Store().read(known.location, self.config.max_bytes, lambda headers: None)
        newer = {name for name, _ in response.headers}
        kept = tuple(field for field in old.headers if field[0] not in newer)
        headers = (*response.headers, *kept)
        self._check(headers)
        return replace(response, status=old.status, headers=headers, body=old.data)

    def _keep(self, quest: Quest, response: Response) -> None:
        fetched = Fetched(
            url=quest.url,
            final_url=response.url,
            fetched_at=now(),
            status=response.status,
            attempts=response.attempts,
            limit=self.config.max_bytes,
            headers=to_headers(response.headers),
            sha256=sha256(response.body).hexdigest(),
            n_bytes=len(response.body),
            consent=response.consent,
        )
        note(FETCHED)
        self._writer.add(fetched, response.body)

    def _note(self, quest: Quest, refusal: Refused, trial: Trial | None = None) -> None:
        trial = trial or Trial(0.0, quest.at)
        note(UNFETCHED)
        if refusal.reason in UNANSWERED:
            note_failing_host(host_of(trial.at))
        self._writer.add(
            Fetched(
                url=quest.url,
                final_url=trial.at,
                fetched_at=now(),
                status=trial.status,
                attempts=trial.attempts,
                reason=str(refusal.reason),
                detail=refusal.detail,
                limit=self.config.max_bytes,
                headers=to_headers(trial.headers),
            )
        )

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(self.config.http.flush_seconds)
            await self._flush()

    async def _flush(self) -> None:
        async with self._flushing:
            # The disk may be slow; meanwhile other hosts are served.
            await asyncio.to_thread(self._writer.flush)

    @property
    def _check(self) -> Check:
        agent = self.config.http.product.lower()
        check: Callable[..., None] = self.config.opt_out.check
        return partial(check, user_agents=(agent,) if agent else ())

    def _permit(self, url: str) -> None:
        check_listed(self.opt_out_lists, url)

    def _is_ours(self, url: str) -> bool:
        return shard_of(url, self.config.http.shards) == self.shard
