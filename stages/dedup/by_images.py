"""Documents that are copies by their images: the same set, or near text and shared images."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, get_args

import numpy as np
import xxhash

from schemas.document import Document, Image
from stages.dedup.components import component_labels, end, star
from stages.dedup.config import ComponentsConfig, Keep
from stages.dedup.fingerprint import normalise, rank
from stages.dedup.minhash import jaccard, shingles, signature, sketch

SECTION = "deduplicate_by_images"
_LOOKED_UNDER = 64  # images of a document: each takes all their hashes through the shuffle
By = Literal["sha256", "phash", "url"]


@dataclass(frozen=True)
class ImageSetConfig:
    """Documents that show the same images, in whatever order and however often.

    Source: OBELICS, build_obelics/11_01:45-47 and 11_02:86-91, there by URL and from one image on;
    it removed 11 % of the documents.

    Attributes:
      by: what an image is known by: "sha256" of its bytes, its perceptual hash ("phash", equal) or
        its "url".
      min_images: distinct images that the set must have, so that one picture that two pages share
        does not make them copies.
    """

    by: By = "sha256"
    min_images: int = 2

    def __post_init__(self) -> None:
        _check_by("image_set", self.by)
        if self.min_images < 1:
            raise ValueError(f"image_set: min_images is {self.min_images}, less than 1")


@dataclass(frozen=True)
class JointConfig:
    """Documents that share images and much of their text, though less than near-duplicates do.

    A pair is a copy if the Jaccard similarity of its sets of word n-grams (estimated by MinHash,
    standard error at most .031) is at least `min_text` and that of its sets of images (exact) at
    least `min_images`. Both must hold: two pages of a gallery share images only, two of a site's
    template text only. Source: ours; no published pipeline compares both, Data-Juicer's image
    deduplication of a sample asks for all images and the whole text to be equal.

    Attributes:
      min_text, min_images: in ]0, 1].
      by: as in `ImageSetConfig`.
      max_documents: pairs are looked for among the documents that show an image; an image in more
        documents than this, a logo say, suggests no pair. Every pair of an image is compared. A
        document of more than 64 images is looked for under those of the smallest hashes: two that
        share half of their images then miss each other once in 2**64.
      ngram, permutations, seed: of MinHash, as in `stages.dedup.config.MinHashConfig`.
    """

    min_text: float = 0.3
    min_images: float = 0.5
    by: By = "phash"
    max_documents: int = 100
    ngram: int = 3
    permutations: int = 256
    seed: int = 1

    def __post_init__(self) -> None:
        _check_by("joint", self.by)
        for name in ("min_text", "min_images"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"joint: {name} is {getattr(self, name)}, not in ]0, 1]")
        if not 2 <= self.max_documents <= 10_000:
            raise ValueError(f"joint: max_documents is {self.max_documents}, not in 2..10000")
        for name in ("ngram", "permutations"):
            if getattr(self, name) < 1:
                raise ValueError(f"joint: {name} is {getattr(self, name)}, less than 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"joint: seed is {self.seed}, not in [0, 2**32)")


@dataclass(frozen=True)
class ByImagesConfig:
    """What makes two documents copies by their images, and which copy stays.

    The images are those that joining would leave in the document; a document that joining would
    reject is compared with none.

    Attributes:
      image_set, joint: null turns one off.
      keep, quality, components: as in `stages.dedup.config.DedupConfig`.
    """

    image_set: ImageSetConfig | None = None
    joint: JointConfig | None = None
    keep: Keep = "latest"
    quality: str = ""
    components: ComponentsConfig = field(default_factory=ComponentsConfig)

    def __post_init__(self) -> None:
        if not (self.image_set or self.joint):
            raise ValueError(f"{SECTION}: set image_set or joint, for {{}} their defaults")
        if self.keep not in get_args(Keep):
            raise ValueError(
                f"{SECTION}: keep is {self.keep!r}, not one of {', '.join(get_args(Keep))}"
            )
        if (self.keep == "highest_quality") != bool(self.quality):
            raise ValueError(
                f"{SECTION}: keep highest_quality and quality, the name of a rule, go together"
            )


def _check_by(section: str, by: str) -> None:
    if by not in get_args(By):
        raise ValueError(f"{section}: by is {by!r}, not one of {', '.join(get_args(By))}")


@dataclass(frozen=True)
class Member:
    """A document where one of its images is.

    Attributes:
      end: its name in the graph of copies (`stages.dedup.components.end`).
      sketch: of the MinHash signature of its text.
      images: hashes of its images, sorted, little-endian uint64.
    """

    end: str
    sketch: bytes
    images: bytes


def end_of(document: Document, config: ByImagesConfig) -> str:
    return end(rank(document, config.keep, config.quality), document.doc_id)


def set_key(document: Document, config: ImageSetConfig) -> str | None:
    """A key that documents with the same set of images share; None for too small a set."""
    keys = _keys(document, config.by)
    if len(keys) < config.min_images:
        return None
    return xxhash.xxh3_128_hexdigest("\n".join(keys).encode(errors="replace"))


def members(document: Document, end: str, config: JointConfig) -> Iterator[tuple[str, Member]]:
    """The document under each of its images; nothing where it has no text."""
    hashes = shingles(normalise(document.text), config.ngram)
    if not hashes.size:
        return
    keys = {xxhash.xxh3_64_intdigest(key.encode(errors="replace")): key
            for key in _keys(document, config.by)}  # fmt: skip
    images = sorted(keys)
    values = signature(hashes, config.permutations, config.seed)
    member = Member(end, sketch(values).tobytes(), np.array(images, "<u8").tobytes())
    for image in images[:_LOOKED_UNDER]:
        yield keys[image], member


def joint_edges(found: Iterable[Member], config: JointConfig) -> Iterator[str]:
    """Compares every two documents of an image; each cluster leaves as edges to its best member."""
    listed = sorted(islice(found, config.max_documents + 1), key=lambda member: member.end)
    if len(listed) > config.max_documents:
        return
    sets = [frozenset(np.frombuffer(member.images, "<u8").tolist()) for member in listed]
    sketches = np.array([np.frombuffer(member.sketch, np.uint8) for member in listed])
    left, right = [], []
    for i in range(1, len(listed)):
        near = jaccard(sketches[:i], sketches[i]) >= config.min_text
        for j in np.flatnonzero(near).tolist():
            if len(sets[i] & sets[j]) / len(sets[i] | sets[j]) >= config.min_images:
                left.append(i)
                right.append(j)
    if not left:
        return
    labels = component_labels(np.array(left), np.array(right), len(listed))
    for label in range(int(labels.max()) + 1):
        yield from star("j", [listed[i].end for i in np.flatnonzero(labels == label)])


def _keys(document: Document, by: str) -> Sequence[str]:
    return sorted({_key(image, by) for image in document.images})


def _key(image: Image, by: str) -> str:
    if by == "url":
        return image.url
    assert image.record
    return image.record.image_id if by == "sha256" else image.record.phash
