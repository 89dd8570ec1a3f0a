"""Leaves out what was taken down from an earlier corpus in the same folder.

In: Candidate.  Out: Candidate without the image nodes that the log of takedowns names by URL, host
or SHA-256; rejected Rejection of documents that it names, one row each in `pruned` for the nodes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

import apache_beam as beam
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection
from filters.opt_out_lists import check_files, find_image, find_url, reason_of
from schemas.candidate import Candidate
from schemas.document import Image
from schemas.outcome import Kind, Rejection
from stages.doors import rejected, through_doors

STAGE = "honour_takedowns"
RULE = "takedown"
LOG = "takedowns.jsonl"  # in the folder of the corpus
PRUNED: Final = "pruned"


class Reason(StrEnum):
    """Beside the reasons of `filters.opt_out_lists`."""

    NO_IMAGE_LEFT = "no_image_left"
    NO_DOCUMENT_LEFT = "no_document_left"


@dataclass
class HonourTakedowns(beam.PTransform):
    """Attributes:
    log: path of the log.
    """

    log: str

    def __post_init__(self) -> None:
        check_files((self.log,))

    def expand(self, candidates: PCollection[Candidate]) -> Any:
        return through_doors(candidates, _Honour(self.log), STAGE, PRUNED)


class _Honour(beam.DoFn):
    def __init__(self, log: str):
        self._files = (log,)

    def process(
        self, candidate: Candidate
    ) -> Iterable[Candidate | TaggedOutput[Literal["rejected", "pruned"], Rejection]]:
        document = candidate.document
        score = find_url(self._files, document.url)
        if reason := reason_of(score):
            objection = Objection(RULE, str(reason), score.value, score.detail)
            yield rejected(document, STAGE, objection)
            return
        records = {v.url: v.record for v in candidate.verdicts if v.record}
        nodes = []
        for index, node in enumerate(document.nodes):
            if isinstance(node, Image):
                score = find_url(self._files, node.url)
                if not score.value and (record := records.get(node.url)):
                    score = find_image(self._files, record.image_id)
                if reason := reason_of(score):
                    yield TaggedOutput(PRUNED, _row(document.doc_id, index, node, score, reason))
                    continue
            nodes.append(node)
        if len(nodes) < len(document.nodes):
            document = replace(document, nodes=tuple(nodes))
        yield replace(candidate, document=document)


def _row(doc_id: str, index: int, node: Image, score: Any, reason: StrEnum) -> Rejection:
    return Rejection(
        f"{doc_id}#{index}", Kind.NODE, doc_id, node.url, STAGE, RULE, str(reason), None,
        score.detail,
    )  # fmt: skip
