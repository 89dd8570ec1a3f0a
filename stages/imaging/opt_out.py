"""What the owner of an image says in its headers.

Source: X-Robots-Tag as read by `filters.pages.robots_tag`; TDMRep, section 6.1 (tdm-reservation).
img2dataset cuts a header at its first colon and so takes ``noai, max-snippet:-1`` for permission.
"""

from collections.abc import Collection
from dataclasses import dataclass

from filters.pages.robots_tag import header_directives
from stages.imaging.refusal import Reason, Refused

_NAMES = ("x-robots-tag", "tdm-reservation")
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class OptOutPolicy:
    """Which headers of an image count as a refusal.

    Attributes:
      directives: of X-Robots-Tag, in lower case. img2dataset counts noindex and noimageindex as
        well, datadiligence does not.
      user_agents: names, in lower case, under which a crawl is addressed besides "everyone".
      tdm_reservation: count ``tdm-reservation: 1`` as well.
    """

    directives: tuple[str, ...] = ("noai", "noimageai", "noml")
    user_agents: tuple[str, ...] = ("ccbot",)
    tdm_reservation: bool = True

    def __post_init__(self) -> None:
        for name in ("directives", "user_agents"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if any(value != value.strip().lower() or not value for value in values):
                raise ValueError(f"opt_out: {name} are given in lower case, not {list(values)}")

    def check(self, headers: Headers, user_agents: Collection[str] = ()) -> None:
        """Raises:
        Refused: a header says no to everyone, to `self.user_agents` or to `user_agents`.
        """
        agents = {*self.user_agents, *user_agents}
        for name, value in headers:
            if name == "x-robots-tag":
                found = set(header_directives(value, agents)).intersection(self.directives)
            else:
                tdm = name == "tdm-reservation" and self.tdm_reservation
                found = {name} if tdm and value.strip() == "1" else set()
            if found:
                raise Refused(Reason.OPTED_OUT, f"{name}: {value}"[:300])


def evidence(headers: Headers) -> str:
    """The headers that were looked at, one a line."""
    return "\n".join(f"{name}: {value}" for name, value in headers if name in _NAMES)[:1_000]
