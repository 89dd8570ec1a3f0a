"""Tells the language of a document, masks and prunes its text nodes and judges what is left.

In: Document.  Out: kept Document, rejected Rejection, failed Failure, and pruned Rejection: a row
for each text node that was cut out, of rejected documents, too.
Of image nodes only the words are touched, and only by masking. First come the rules on the document
(its language, its images), which cost next to nothing, then the nodes are pruned, then come the
rules on the text as a whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from filters.base import Objection, On, Passage, Rule, judge
from schemas.document import Document, Node, Role, Text
from schemas.outcome import Failure, Kind, Rejection
from stages.doors import rejected, through_doors
from stages.language import identify_language
from stages.pii import PiiMask, mask_document

STAGE = "filter_text"
PRUNED = "pruned"
EXCERPT = 120
_NO_TEXT = Objection(STAGE, "no_text", 0.0, "")


@dataclass(frozen=True)
class TextRules:
    """What is asked of a document's text.

    Attributes:
      paragraphs: rules on texts; a node that one objects to is pruned.
      documents: rules on documents and on texts; a document that one objects to is rejected. The
        order is kept within each of the two.
      spared: roles of nodes that `paragraphs` are not asked about, e.g. headings.
      mask: what is masked in texts before any rule sees them; null masks nothing.
    """

    paragraphs: tuple[Rule, ...] = ()
    documents: tuple[Rule, ...] = ()
    spared: tuple[Role, ...] = ()
    mask: PiiMask | None = None

    def __post_init__(self) -> None:
        for rule in self.paragraphs:
            if rule.on is not On.TEXT:
                raise ValueError(f"{STAGE}: {rule.name} looks at a {rule.on}, not at a paragraph")
        for rule in self.documents:
            if rule.on not in (On.TEXT, On.DOCUMENT):
                raise ValueError(f"{STAGE}: {rule.name} looks at a {rule.on}, not at a document")


class Filtered(NamedTuple):
    """What leaves the stage."""

    kept: PCollection[Document]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    pruned: PCollection[Rejection]


@dataclass
class FilterText(beam.PTransform):
    """See the module. A document left without text is rejected as ``filter_text``, ``no_text``."""

    rules: TextRules

    def expand(self, documents: PCollection[Document]) -> Filtered:
        out = through_doors(documents, _Judge(self.rules), STAGE, PRUNED)
        return Filtered(out.kept, out.rejected, out.failed, out.pruned)


class _Judge(beam.DoFn):
    def __init__(self, rules: TextRules):
        self._rules = rules

    def process(
        self, document: Document
    ) -> Iterable[
        Document
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["pruned"], Rejection]
    ]:
        judged, pruned, objection = filter_text(document, self._rules)
        for rejection in pruned:
            Metrics.counter(STAGE, f"pruned.{rejection.rule}.{rejection.reason}").inc()
            yield _to_pruned(rejection)
        yield rejected(document, STAGE, objection) if objection else judged


def _to_pruned(rejection: Rejection) -> TaggedOutput:
    return TaggedOutput(PRUNED, rejection)


def filter_text(
    document: Document, rules: TextRules
) -> tuple[Document, list[Rejection], Objection | None]:
    """The document with its language, its signals and the nodes that are left; the nodes that were
    pruned; and the objection to the document, if there is one."""
    text = document.text
    if not text.strip():
        return document, [], _NO_TEXT
    language, probability = identify_language(text)
    document = replace(document, language=language, language_score=probability)
    if rules.mask:
        document = mask_document(document, rules.mask)

    on_document = [rule for rule in rules.documents if rule.on is On.DOCUMENT]
    signals, objection = judge(on_document, document)
    document = replace(document, signals=document.signals + signals)
    if objection:
        return document, [], objection

    document, pruned = _prune(document, rules)
    text = document.text
    if not text.strip():
        return document, pruned, _NO_TEXT

    on_text = [rule for rule in rules.documents if rule.on is On.TEXT]
    signals, objection = judge(on_text, Passage(text, language))
    document = replace(document, signals=document.signals + signals)
    return document, pruned, objection


def _prune(document: Document, rules: TextRules) -> tuple[Document, list[Rejection]]:
    kept: list[Node] = []
    pruned = []
    for index, node in enumerate(document.nodes):
        if not isinstance(node, Text) or node.role in rules.spared:
            kept.append(node)
            continue
        _, objection = judge(rules.paragraphs, Passage(node.text, document.language))
        if objection:
            pruned.append(_to_rejection(document, index, node, objection))
        else:
            kept.append(node)
    return (replace(document, nodes=tuple(kept)) if pruned else document), pruned


def _to_rejection(document: Document, index: int, node: Text, objection: Objection) -> Rejection:
    return Rejection(
        f"{document.doc_id}#{index}",
        Kind.NODE,
        document.doc_id,
        document.url,
        STAGE,
        objection.rule,
        objection.reason,
        objection.score,
        " ".join(node.text.split())[:EXCERPT],
    )
