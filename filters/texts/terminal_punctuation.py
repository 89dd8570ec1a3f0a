"""Rejects paragraphs that do not end like a sentence.

Source: C4 (Raffel et al., arXiv 1910.10683, section 2.2): a line is kept only if it ends with a
terminal punctuation mark, a period, exclamation or question mark or an end quotation mark; the
code (c4_utils.py of TensorFlow Datasets) drops lines that end with an ellipsis. mmc4 inherits it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import On, Passage, Score, register

# The end quotation marks, full stops and question marks of other scripts count as well.
_ENDS = (".", "!", "?", '"', "”", "»", "’", "。", "！", "？", "」", "』", "।", "؟", "۔")


class Reason(StrEnum):
    NO_SENTENCE_END = "no_sentence_end"


@register(On.TEXT)
@dataclass(frozen=True)
class TerminalPunctuation:
    """The score is 1 for a text that ends like a sentence, else 0.

    Attributes:
      ellipsis: an ellipsis is such an end, too.
    """

    name: ClassVar[str] = "terminal_punctuation"

    ellipsis: bool = False

    def score(self, passage: Passage) -> Score:
        text = passage.text.rstrip()
        if text.endswith(("...", "…")):
            return Score(float(self.ellipsis), text[-10:])
        return Score(float(text.endswith(_ENDS)), text[-10:])

    def judge(self, score: Score) -> Reason | None:
        return None if score.value else Reason.NO_SENTENCE_END
