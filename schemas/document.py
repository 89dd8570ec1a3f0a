"""What flows: an interleaved document. Image bytes never ride inside it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.image import ImageRecord


class Role(StrEnum):
    """What a text node was on its page."""

    PARAGRAPH = "paragraph"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    QUOTE = "quote"
    TABLE_ROW = "table_row"
    CODE = "code"


@dataclass(frozen=True)
class Text:
    text: str
    role: Role = Role.PARAGRAPH


@dataclass(frozen=True)
class Image:
    """An image at its place in the page.

    Attributes:
      url: absolute URL of the best candidate.
      candidates: further absolute URLs of the same picture, best first.
      alt, title, caption: what the page says of it, whitespace collapsed.
      link: absolute URL that the image links to, or empty.
      width, height: the size that the page declares, in CSS pixels.
      record: what was found behind the URL; None until images are joined.
    """

    url: str
    candidates: tuple[str, ...] = ()
    alt: str = ""
    title: str = ""
    caption: str = ""
    link: str = ""
    width: int | None = None
    height: int | None = None
    record: ImageRecord | None = None


Node = Text | Image


@dataclass(frozen=True)
class Signal:
    """The score that a rule gave, kept whether or not the rule objected."""

    rule: str
    score: float


@dataclass(frozen=True)
class Document:
    """A page as text and images in reading order.

    Attributes:
      doc_id: the page's id (`schemas.page.Page.page_id`).
      language, language_score: ISO 639 code and probability in [0, 1]; empty and 0 if not judged.
      canonical_url: absolute URL that the page's ``rel=canonical`` names, or empty.
      title, date, author, site, licence: metadata as the page gives it, empty where it does not;
        `date` is ISO 8601, `licence` a URL.
      signals: scores of the rules that judged the document, in order.
      cluster_id, cluster_size: the near-duplicate cluster that this document survived: the id of
        its smallest member and its size. A document without duplicates is a cluster of one.
    """

    doc_id: str
    url: str
    nodes: tuple[Node, ...] = ()
    warc_file: str = ""
    warc_offset: int = 0
    warc_length: int = 0
    crawl_time: str = ""
    language: str = ""
    language_score: float = 0.0
    title: str = ""
    date: str = ""
    author: str = ""
    site: str = ""
    licence: str = ""
    canonical_url: str = ""
    signals: tuple[Signal, ...] = ()
    cluster_id: str = ""
    cluster_size: int = 1

    @property
    def texts(self) -> tuple[Text, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Image))

    @property
    def text(self) -> str:
        """The text nodes, a blank line between two."""
        return "\n\n".join(node.text for node in self.nodes if isinstance(node, Text))


@dataclass(frozen=True)
class Sentence:
    text: str
    node_index: int


def sentences_before(sentences: Sequence[Sentence], node_index: int) -> int:
    """How many sentences stand before a node; `sentences` are in reading order."""
    return bisect_left(sentences, node_index, key=lambda sentence: sentence.node_index)


@dataclass(frozen=True)
class Placement:
    """Where one image belongs among the sentences, beside where the page shows it.

    Attributes:
      node_index: the image's own place in `Document.nodes` (natural order), kept by every method.
      matched_text_index: index of the assigned sentence, None where the image stays unplaced.
      matched_sim: ``similarity[i][matched_text_index]``, None where unplaced.
    """

    node_index: int
    matched_text_index: int | None
    matched_sim: float | None


@dataclass(frozen=True)
class PlacedDocument:
    """A document with both views over one segmentation.

    `placements` is in reading order, one for each image of the document, and
    `similarity[i][j]` is the cosine of image i (same order) with sentence j; it is empty where no
    model was run.
    """

    document: Document
    sentences: tuple[Sentence, ...] = ()
    placements: tuple[Placement, ...] = ()
    similarity: tuple[tuple[float, ...], ...] = ()

    def natural_text_index(self, placement: Placement) -> int | None:
        """The sentence that the page shows an image with: the last one before it, or the first
        after it where none is before; None where the document has no sentence."""
        if not self.sentences:
            return None
        return max(0, sentences_before(self.sentences, placement.node_index) - 1)

    def is_before_text(self, placement: Placement) -> bool | None:
        """Whether the page shows an image before its assigned sentence; None where unplaced."""
        if placement.matched_text_index is None:
            return None
        return placement.node_index < self.sentences[placement.matched_text_index].node_index
