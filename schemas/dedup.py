"""What deduplication decides. Only ids: the documents themselves stay where they are."""

from dataclasses import dataclass
from enum import StrEnum


class Sameness(StrEnum):
    """Why a document, or an image, counts as a copy; the strongest reason that holds, strongest
    first. The last three come from images, and the last is the only one of images themselves."""

    EXACT_URL = "exact_url"
    EXACT_TEXT = "exact_text"
    NEAR_DUPLICATE = "near_duplicate"
    IMAGE_SET = "image_set"
    JOINT = "text_and_images"
    SEMANTIC = "semantic_duplicate"


@dataclass(frozen=True)
class Removal:
    """A document that is a copy of another one that stays.

    Attributes:
      doc_id: the document to remove.
      survivor_id: the document of the same cluster that stays; never removed itself.
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
class ParagraphRemoval:
    """A text node to remove from a document that stays; an index into `Document.nodes`."""

    doc_id: str
    node_index: int
