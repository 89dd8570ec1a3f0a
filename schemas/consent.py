"""What was asked about the will of an image's owner, and what was answered.

What was refused is no image: its row in the rejected table says who refused, and how.
"""

from dataclasses import dataclass
from enum import StrEnum


class Asked(StrEnum):
    ROBOTS_TXT = "robots_txt"
    TDMREP = "tdmrep"  # /.well-known/tdmrep.json
    HEADERS = "headers"  # X-Robots-Tag, tdm-reservation
    OPT_OUT_LISTS = "opt_out_lists"  # of the config


class Answer(StrEnum):
    ALLOWED = "allowed"  # in words, which the evidence has
    SILENT = "silent"  # nothing is said of the image
    UNREACHABLE = "unreachable"  # no answer was had, which the config takes for leave
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Consent:
    """An answer that did not refuse.

    Attributes:
      evidence: the line, the rule or the headers that decided; the HTTP status of a file that is
        not there.
    """

    asked: Asked
    answer: Answer
    evidence: str = ""
