"""Rejects pages whose owner asks not to be used.

Looks at X-Robots-Tag headers, robots meta tags and, by the TDM Reservation Protocol, at
tdm-reservation headers and meta tags. Which directives count is policy and belongs to the config:
img2dataset rejects ``noindex``, datadiligence ignores it.

Source: noai and noimageai after DeviantArt and Spawning (datadiligence); noml after Mojeek;
tdm-reservation after the W3C community group's TDMRep; syntax in `filters.pages.robots_tag`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from filters.pages.markup import Meta, find_meta
from filters.pages.robots_tag import header_directives, meta_directives
from schemas.page import Page

TDM = "tdm-reservation"


class Reason(StrEnum):
    NOAI = "noai"
    NOIMAGEAI = "noimageai"
    NOML = "noml"
    NONE = "none"
    NOINDEX = "noindex"
    NOIMAGEINDEX = "noimageindex"
    TDM_RESERVATION = "tdm_reservation"


@register(On.PAGE)
@dataclass(frozen=True)
class OptOut:
    """The score is how many opt-outs were found; the detail lists them with their places.

    Attributes:
      directives: what counts, of `Reason` without tdm_reservation.
      user_agents: names, in lower case, under which we are addressed besides "everyone".
      tdm_reservation: count ``tdm-reservation: 1`` as well.
    """

    name: ClassVar[str] = "opt_out"

    directives: tuple[str, ...] = ("noai", "noimageai", "noml")
    user_agents: tuple[str, ...] = ("ccbot",)
    tdm_reservation: bool = True

    def __post_init__(self) -> None:
        known = set(Reason) - {Reason.TDM_RESERVATION}
        if unknown := sorted(set(self.directives) - known):
            raise ValueError(f"opt_out: unknown directives {', '.join(unknown)}")
        if any(agent != agent.lower() for agent in self.user_agents):
            raise ValueError("opt_out: user agents are given in lower case")

    def score(self, page: Page) -> Score:
        found = self._in_headers(page)
        names = ("robots", TDM, *self.user_agents)
        if self._in_meta(find_meta(page.body, names, anywhere=True)):  # hardly ever
            found += self._in_meta(find_meta(page.body, names))
        unique = list(dict.fromkeys(found))
        return Score(len(unique), "; ".join(f"{reason} in {place}" for reason, place in unique))

    def judge(self, score: Score) -> Reason | None:
        return Reason(score.detail.split(" ", 1)[0]) if score.value else None

    def _in_headers(self, page: Page) -> list[tuple[Reason, str]]:
        found = []
        for name, value in page.headers:
            if name == "x-robots-tag":
                found += self._counted(header_directives(value, self.user_agents), "header")
            elif name == TDM and self.tdm_reservation and value.strip() == "1":
                found.append((Reason.TDM_RESERVATION, "header"))
        return found

    def _in_meta(self, metas: Iterable[Meta]) -> list[tuple[Reason, str]]:
        found = []
        for meta in metas:
            if meta.name != TDM:
                found += self._counted(meta_directives(meta.content), "meta")
            elif self.tdm_reservation and meta.content == "1":
                found.append((Reason.TDM_RESERVATION, "meta"))
        return found

    def _counted(self, directives: list[str], place: str) -> list[tuple[Reason, str]]:
        return [(Reason(name), place) for name in directives if name in self.directives]
