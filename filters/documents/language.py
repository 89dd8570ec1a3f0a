"""Rejects documents in another language than asked for, or whose language is not sure.

Source: OBELICS, obelics/processors/web_document_filtering.py, check_lang_id: English of fastText's
lid.176 with a probability of at least 0.8. DCLM uses 0.65.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Score, register
from schemas.document import Document

_NONE = "no language"


class Reason(StrEnum):
    UNWANTED = "unwanted"
    UNSURE = "unsure"


@register(On.DOCUMENT)
@dataclass(frozen=True)
class Language:
    """The score is the probability of the document's language, 0 if that is not wanted.

    Attributes:
      languages: ISO 639 codes as lid.176 gives them; empty for any language.
    """

    name: ClassVar[str] = "language"

    languages: tuple[str, ...] = ("en",)
    min_score: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"language: min_score {self.min_score} is not in [0, 1]")
        for code in self.languages:
            if not (code.isascii() and code.isalpha() and code.islower()):
                raise ValueError(f"language: {code!r} is not an ISO 639 code")

    def score(self, document: Document) -> Score:
        if not document.language:
            return Score(0.0, _NONE)
        wanted = not self.languages or document.language in self.languages
        return Score(document.language_score if wanted else 0.0, document.language)

    def judge(self, score: Score) -> Reason | None:
        # By the score alone, so that one without its detail can be judged again.
        if not score.value:
            return Reason.UNWANTED
        return Reason.UNSURE if score.value < self.min_score else None
