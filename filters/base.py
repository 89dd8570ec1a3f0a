"""The contract that every rule signs. No Beam below this line.

A rule measures first and judges after: `score` looks at the element, `judge` only at the score, so
that a stored score says what another threshold would have kept.
"""

import importlib
import pkgutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, ClassVar, Protocol, TypeVar

from schemas.document import Signal


class On(StrEnum):
    """What a rule looks at; the same name may be used once for each."""

    PAGE = "page"  # schemas.page.Page
    TEXT = "text"  # Passage: a paragraph or the text of a whole document
    DOCUMENT = "document"  # schemas.document.Document
    REFERENCE = "reference"  # schemas.image.ImageReference, before anything is fetched
    IMAGE = "image"  # schemas.image.ImageRecord
    PLACED = "placed"  # schemas.document.PlacedDocument


@dataclass(frozen=True)
class Score:
    """What a rule measured: a number and, where it helps a reader, on what."""

    value: float
    detail: str = ""


# Written without spaces between words: there every letter counts as a word.
UNSPACED = frozenset({"ja", "km", "lo", "my", "th", "wuu", "yue", "zh"})


@cache
def is_letter(character: str) -> bool:
    """True for letters and the marks that combine with them (Unicode L and M)."""
    return unicodedata.category(character)[0] in "LM"


@dataclass(frozen=True)
class Passage:
    """A text to be judged and the language of its document ("" where unknown)."""

    text: str
    language: str = ""

    @cached_property
    def characters(self) -> dict[str, int]:
        """How often each character occurs."""
        distinct = set(self.text)
        if len(distinct) > 200:
            return Counter(self.text)
        return {character: self.text.count(character) for character in distinct}  # 5 times faster

    @cached_property
    def words(self) -> list[str]:
        """Words in lower case: split at whitespace, stripped of all that is not a letter at both
        ends, so that numbers and lone marks are no words; a typographic apostrophe reads as "'".
        In a language of `UNSPACED` every letter is a word.
        """
        text = self.text.lower().replace("\u2019", "'")
        if self.language in UNSPACED:
            return [character for character in text if is_letter(character)]
        marks = "'" + "".join([c for c in self.characters if not is_letter(c)])
        return [word for piece in text.split() if (word := piece.strip(marks))]


class Rule(Protocol):
    """A frozen dataclass whose fields are its config, checked in ``__post_init__``."""

    name: ClassVar[str]
    on: ClassVar[On]

    def score(self, element: Any) -> Score:
        """Measures the element. Raises nothing on odd input: empty, blank, image-only."""

    def judge(self, score: Score) -> StrEnum | None:
        """Returns the reason to reject an element of this score, or None to keep it."""


@dataclass(frozen=True)
class Objection:
    """Which rule rejected an element, and why."""

    rule: str
    reason: str
    score: float
    detail: str


REGISTRY: dict[tuple[On, str], type[Rule]] = {}

R = TypeVar("R", bound=type[Any])


def register(on: On) -> Callable[[R], R]:
    """Makes a rule reachable by name from a config file.

    Raises:
      ValueError: two rules on the same kind of element share a name.
    """

    def add(cls: R) -> R:
        cls.on = on
        known = REGISTRY.setdefault((on, cls.name), cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two {on} rules are named {cls.name!r}")
        return cls

    return add


def load_all() -> dict[tuple[On, str], type[Rule]]:
    """Imports every module of the `filters` package and returns the registry."""
    package = importlib.import_module("filters")
    for module in pkgutil.walk_packages(package.__path__, "filters."):
        importlib.import_module(module.name)
    return REGISTRY


def judge(rules: Sequence[Rule], element: Any) -> tuple[tuple[Signal, ...], Objection | None]:
    """Applies rules in order and stops at the first that objects.

    Returns:
      The signals of the rules that were asked, in order, and the objection or None.
    """
    signals = []
    for rule in rules:
        score = rule.score(element)
        signals.append(Signal(rule.name, score.value))
        if reason := rule.judge(score):
            return tuple(signals), Objection(rule.name, str(reason), score.value, score.detail)
    return tuple(signals), None
