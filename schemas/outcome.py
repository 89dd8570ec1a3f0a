"""How an element leaves a stage: kept, rejected by a rule, or failed in code."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an outcome is about. A page is what is read, a document what was extracted from it,
    a node a part of a document, an image what lies behind a distinct URL, a file an input."""

    FILE = "file"
    PAGE = "page"
    DOCUMENT = "document"
    NODE = "node"
    IMAGE = "image"


class Door(StrEnum):
    """Where an element was counted: on the way in, or by the door it left."""

    ENTERED = "entered"
    KEPT = "kept"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True)
class Rejection:
    """A rule said no.

    Attributes:
      element_id: id of the page or document; ``doc_id#node`` for a node; the URL for an image.
      doc_id: the page or document concerned, empty for images (a URL belongs to many).
      url: URL of the element.
      score, detail: what the rule measured and, in words, on what.
    """

    element_id: str
    kind: Kind
    doc_id: str
    url: str
    stage: str
    rule: str
    reason: str
    score: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Failure:
    """The input or our code broke.

    Attributes:
      error: type and message of the error.
      where: innermost frames of our own code, ``file:line function``, innermost last.
      warc_file, warc_offset: where the input lies; empty and 0 where there is none.
    """

    element_id: str
    kind: Kind
    url: str
    stage: str
    error: str
    where: str = ""
    warc_file: str = ""
    warc_offset: int = 0


@dataclass(frozen=True)
class Tally:
    """How many elements of a kind a stage let in or let out by a door."""

    stage: str
    kind: Kind
    door: Door
    count: int
