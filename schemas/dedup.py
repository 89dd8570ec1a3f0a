"""What deduplication decides. Only ids: the documents themselves stay where they are."""

from dataclasses import dataclass
from enum import StrEnum


class Sameness(StrEnum):
    """Why a document, or an image, counts as a copy; the strongest reason that holds, strongest
    first. Three come from images, and the last of them is the only one of images themselves.
    After them: what makes a document go that is a copy of no document."""

    EXACT_URL = "exact_url"
    EXACT_TEXT = "exact_text"
    NEAR_DUPLICATE = "near_duplicate"
    IMAGE_SET = "image_set"
    JOINT = "text_and_images"
    SEMANTIC = "semantic_duplicate"
    BENCHMARK = "benchmark"


@dataclass(frozen=True)
class Removal:
    """A document that is a copy of another one that stays.

    Attributes:
      doc_id: the document to remove.
      survivor_id: the document of the same cluster that stays; never removed itself. It may be one
        of an earlier corpus; empty where the document is a copy of no document.
      rule: a `Sameness`. It holds between this document and some member of the cluster, not
        necessarily the survivor.
    """

    doc_id: str
    survivor_id: str
    rule: str


@dataclass(frozen=True)
class Cluster:
    """A set of two or more documents that are copies of each other.

    Attributes:
      doc_id: the survivor.
      cluster_id: the smallest id of all members.
      cluster_size: number of members, the survivor included; at least 2.
    """

    doc_id: str
    cluster_id: str
    cluster_size: int


@dataclass(frozen=True)
class Signature:
    """What tells the copies of a document without its text; also a row of `corpus.SIGNATURES`.

    Attributes:
      rank: orders the members of a cluster; the highest stays.
      url, text: 16 bytes of hash each of the canonical URL and of the normalised text, or none.
      bands: 8 bytes of hash for each band of the MinHash signature, or none.
      sketch: the lowest byte of each value of the MinHash signature, or none.
      survivor_id: in a finished corpus, the document that this one was removed for; or empty.
    """

    doc_id: str
    rank: int
    url: bytes
    text: bytes
    bands: bytes
    sketch: bytes
    survivor_id: str = ""


@dataclass(frozen=True)
class Published:
    """A document that is in the corpus."""

    doc_id: str


@dataclass(frozen=True)
class ParagraphRemoval:
    """A text node to remove from a document that stays; an index into `Document.nodes`."""

    doc_id: str
    node_index: int


@dataclass(frozen=True)
class CellMember:
    """An image in one of the cells in which it is compared with others.

    Attributes:
      end: its name in the graph of copies (`stages.dedup.components.end`).
      clip: its feature, as in `schemas.image.ImageRecord`.
    """

    cell: int
    end: str
    clip: bytes
