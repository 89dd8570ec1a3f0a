"""What is kept of every URL that was ever asked for."""

from dataclasses import dataclass

from schemas.consent import Consent


@dataclass(frozen=True, slots=True)
class Header:
    """A field of an HTTP response, its name in lower case."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """The outcome of one URL.

    Attributes:
      url: as the page has it.
      final_url: where the last redirect led.
      fetched_at: ISO 8601, UTC. It stays here: a corpus knows no clock.
      status: of the last answer, 0 where there was none.
      attempts: requests that were made for it.
      reason: why there are no bytes (`stages.imaging.refusal.Reason`), empty where there are.
      detail: in words.
      limit: the most bytes that were allowed.
      headers: of the last answer, those that say something of the image or of its owner's will.
      sha256: of the bytes.
      n_bytes: their number.
      row: of the file in which this row lies, where the bytes are: its own, or that of an earlier
        URL with the same bytes.
      consent: what the site of `final_url` says to robots, as far as it was asked.
    """

    url: str
    final_url: str = ""
    fetched_at: str = ""
    status: int = 0
    attempts: int = 0
    reason: str = ""
    detail: str = ""
    limit: int = 0
    headers: tuple[Header, ...] = ()
    sha256: str = ""
    n_bytes: int = 0
    row: int = 0
    consent: tuple[Consent, ...] = ()
