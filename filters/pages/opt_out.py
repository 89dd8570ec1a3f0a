"""Rejects pages whose owner asks not to be used.

Looks at X-Robots-Tag headers, robots meta tags and, by the TDM Reservation Protocol, at
tdm-reservation headers and meta tags.

Source: see `filters.consent` for the words and `filters.pages.robots_tag` for their syntax.
"""

from dataclasses import dataclass
from typing import ClassVar

from filters.base import On, Score, register
from filters.consent import TDM, ConsentPolicy, Reason, Refusal
from filters.pages.markup import find_meta
from filters.pages.robots_tag import meta_directives
from schemas.page import Page


@register(On.PAGE)
@dataclass(frozen=True)
class OptOut(ConsentPolicy):
    """The score is how many refusals were found; the detail lists them with what said so."""

    name: ClassVar[str] = "opt_out"

    def score(self, page: Page) -> Score:
        found = self.in_headers(page.headers, page.crawl_time) + self._in_meta(page)
        unique = dict.fromkeys(found)
        return Score(len(unique), "; ".join(map(str, unique)))

    def judge(self, score: Score) -> Reason | None:
        return Reason(score.detail.split(" ", 1)[0]) if score.value else None

    def _in_meta(self, page: Page) -> list[Refusal]:
        names = ("robots", TDM, *self.user_agents)
        if not find_meta(page.body, names, anywhere=True):
            return []
        found = []
        for meta in find_meta(page.body, names):
            said = f"meta {meta.name}: {meta.content}"
            if meta.name == TDM:
                found += self.reserved(meta.content, said)
            else:
                found += self.counted(meta_directives(meta.content), said, page.crawl_time)
        return found
