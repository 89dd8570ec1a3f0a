"""Rejects texts that hold any word or phrase of a list.

Source: C4 (Raffel et al., arXiv 1910.10683, section 2.2): any entry of LDNOOBW drops the page; mmc4
inherits it. LDNOOBW is not shipped: the config names the folder of its files. The rule hits
harmless health and news texts; a ratio (`flagged_words`) is milder.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from filters.base import UNSPACED, On, Passage, Score, register
from filters.words import check_directory, word_list


class Reason(StrEnum):
    FOUND = "found"


@register(On.TEXT)
@dataclass(frozen=True)
class BadWords:
    """The score is how many distinct entries the text holds as whole words (in a language of
    `UNSPACED`, anywhere). In a language without a list the rule does not apply: the score is 0 and
    the detail says so.

    Attributes:
      directory: folder of lists, `en.txt` or `en`; ours of sexual words (`filters.words`) if empty.
      max_found: distinct entries that a text may hold.
    """

    name: ClassVar[str] = "bad_words"

    directory: str = ""
    max_found: int = 0

    def __post_init__(self) -> None:
        if self.max_found < 0:
            raise ValueError(f"bad_words: max_found is {self.max_found}, less than 0")
        check_directory("bad_words", self.directory)

    def score(self, passage: Passage) -> Score:
        bad = word_list("flagged", passage.language, self.directory)
        if bad is None:
            return Score(0, f"no list for {passage.language or 'an unknown language'}")
        text = passage.text.lower()
        found = sorted(entry for entry in bad if entry in text)
        if passage.language not in UNSPACED:
            found = [entry for entry in found if _stands_alone(entry, text)]
        return Score(len(found), ", ".join(found[:10]))

    def judge(self, score: Score) -> Reason | None:
        return Reason.FOUND if score.value > self.max_found else None


def _stands_alone(entry: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(entry)}(?!\w)", text) is not None
