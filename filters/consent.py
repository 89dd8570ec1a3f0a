"""What the owner of a page or an image says about its use, in headers and meta tags.

Which directives count is policy and belongs to the config: img2dataset counts ``noindex``,
datadiligence does not. ``none`` is ``noindex, nofollow`` and counts where ``noindex`` does.

Source: noai and noimageai after DeviantArt and Spawning (datadiligence); noml after Mojeek;
noindex, noimageindex, none, unavailable_after and max-image-preview after Google's robots meta tag
specification, by which a date that is none has no effect; tdm-reservation after the W3C community
group's TDMRep. img2dataset cuts a header at its first colon and so takes
``noai, max-snippet:-1`` for permission.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from filters.pages.robots_tag import Directive, header_directives

ROBOTS_TAG, TDM = "x-robots-tag", "tdm-reservation"
Headers = tuple[tuple[str, str], ...]


class Reason(StrEnum):
    NOAI = "noai"
    NOIMAGEAI = "noimageai"
    NOML = "noml"
    NONE = "none"
    NOINDEX = "noindex"
    NOIMAGEINDEX = "noimageindex"
    UNAVAILABLE_AFTER = "unavailable_after"
    NO_IMAGE_PREVIEW = "no_image_preview"  # max-image-preview:none
    TDM_RESERVATION = "tdm_reservation"


@dataclass(frozen=True)
class Refusal:
    """Attributes:
    reason: what was said.
    said: where and how, e.g. ``x-robots-tag: noai, max-snippet:-1``.
    """

    reason: Reason
    said: str

    def __str__(self) -> str:
        return f"{self.reason} in {self.said}"


@dataclass(frozen=True)
class ConsentPolicy:
    """Which words of an owner count as a refusal.

    Attributes:
      directives: of X-Robots-Tag and robots meta tags: names of `Reason` but for tdm_reservation.
      user_agents: names, in lower case, under which we are addressed besides "everyone".
      tdm_reservation: count ``tdm-reservation: 1`` as well.
      as_of: ISO 8601 date that ``unavailable_after`` is compared with; empty for the date of the
        record itself: that of the crawl, or the Date header. Without any the date counts as past.
    """

    directives: tuple[str, ...] = ("noai", "noimageai", "noml")
    user_agents: tuple[str, ...] = ("ccbot",)
    tdm_reservation: bool = True
    as_of: str = ""

    def __post_init__(self) -> None:
        for name in ("directives", "user_agents"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        known = set(Reason) - {Reason.TDM_RESERVATION}
        if unknown := sorted(set(self.directives) - known):
            raise ValueError(
                f"opt_out: unknown directives {', '.join(unknown)}; known are {sorted(known)}"
            )
        if any(agent != agent.strip().lower() or not agent for agent in self.user_agents):
            raise ValueError("opt_out: user agents are given in lower case")
        if self.as_of and moment_of(self.as_of) is None:
            raise ValueError(f"opt_out: as_of is {self.as_of!r}, no date such as 2025-01-31")

    def in_headers(
        self, headers: Headers, dated: str = "", user_agents: Collection[str] = ()
    ) -> list[Refusal]:
        """The refusals in HTTP headers, in order.

        Args:
          headers: names in lower case.
          dated: when they were sent, see `as_of`; the Date header where empty.
          user_agents: further names under which we are addressed.
        """
        agents = {*self.user_agents, *user_agents}
        dated = dated or next((value for name, value in headers if name == "date"), "")
        found = []
        for name, value in headers:
            if name == ROBOTS_TAG:
                directives = header_directives(value, agents)
                found += self.counted(directives, f"{name}: {value}", dated)
            elif name == TDM:
                found += self.reserved(value, f"{name}: {value}")
        return found

    def counted(self, directives: Iterable[Directive], said: str, dated: str) -> list[Refusal]:
        """The refusals among directives."""
        reasons = (self._reason(directive, dated) for directive in directives)
        return [Refusal(reason, said[:300]) for reason in reasons if reason]

    def reserved(self, value: str, said: str) -> list[Refusal]:
        """The refusal that a value of tdm-reservation is, if any."""
        counts = self.tdm_reservation and value.strip() == "1"
        return [Refusal(Reason.TDM_RESERVATION, said[:300])] if counts else []

    def _reason(self, directive: Directive, dated: str) -> Reason | None:
        name, value = directive
        if name == Reason.UNAVAILABLE_AFTER:
            counts = name in self.directives and _is_past(value, self.as_of or dated)
        elif name == Reason.NONE:
            counts = not {Reason.NONE, Reason.NOINDEX}.isdisjoint(self.directives)
        elif name == "max-image-preview":
            name, counts = Reason.NO_IMAGE_PREVIEW, value == "none"
            counts = counts and name in self.directives
        else:
            counts = name in self.directives
        return Reason(name) if counts else None


def _is_past(limit: str, dated: str) -> bool:
    end = moment_of(limit)
    now = moment_of(dated)
    return end is not None and (now is None or now > end)


def moment_of(text: str) -> datetime | None:
    """A date as RFC 822, RFC 850 or ISO 8601 write it, UTC where no zone is named; None for what is
    no date."""
    try:
        found = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, IndexError):
            return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def evidence(headers: Headers) -> str:
    """The headers that an owner's word was looked for in, one a line."""
    looked_at = (f"{name}: {value}" for name, value in headers if name in (ROBOTS_TAG, TDM))
    return "\n".join(looked_at)[:1_000]
