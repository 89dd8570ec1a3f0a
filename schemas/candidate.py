"""A document on its way to being joined with its images."""

from dataclasses import dataclass

from schemas.document import Document
from schemas.image import ImageVerdict


@dataclass(frozen=True)
class Candidate:
    """A document and the verdicts on its image URLs."""

    document: Document
    verdicts: tuple[ImageVerdict, ...] = ()
