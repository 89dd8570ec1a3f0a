"""What the owner of an image says in its headers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from filters.consent import ConsentPolicy, Headers
from filters.opt_out_lists import find_url
from stages.imaging.refusal import Reason, Refused


@dataclass(frozen=True)
class OptOutPolicy(ConsentPolicy):
    """Which headers of an image count as a refusal."""

    def check(self, headers: Headers, dated: str = "", user_agents: Collection[str] = ()) -> None:
        """Raises:
        Refused: a header says no; see `ConsentPolicy.in_headers`.
        """
        if found := self.in_headers(headers, dated, user_agents):
            raise Refused(Reason.OPTED_OUT, found[0].said)


def check_listed(files: Sequence[str], url: str) -> None:
    """Raises:
    Refused: one of the lists of opt-outs names the URL.
    """
    listed = find_url(files, url)
    if listed.value:
        raise Refused(Reason.OPTED_OUT, listed.detail)
