"""The tables of a finished corpus: plain nested Parquet that every reader opens without options.

A change of a column's name, type or meaning raises the version.
"""

from typing import Any

import pyarrow as pa

from schemas.consent import Answer, Asked, Consent
from schemas.document import Document, Image, PlacedDocument, Role, Text
from schemas.image import ImageRecord

SCHEMA_VERSION = 3


def _field(name: str, kind: pa.DataType, about: str) -> pa.Field:
    return pa.field(name, kind, metadata={"description": about})


_SIGNAL = pa.struct([("rule", pa.string()), ("score", pa.float64())])
# One for each of `schemas.consent.Asked`, in that order.
_CONSENT = pa.struct(
    [
        _field("asked", pa.string(), "robots_txt, tdmrep, headers or opt_out_lists"),
        _field("answer", pa.string(), "allowed, silent, unreachable or not_asked"),
        _field("evidence", pa.string(), "the line, rule or headers that decided"),
    ]
)

IMAGE_INFO = pa.struct(
    [
        _field("image_id", pa.string(), "SHA-256 of the stored bytes; null if nothing was fetched"),
        _field("url", pa.string(), "the URL that was asked for"),
        _field("alt", pa.string(), "alt text"),
        _field("title", pa.string(), "title attribute"),
        _field("caption", pa.string(), "caption, e.g. of a figure"),
        _field("link", pa.string(), "URL that the image links to"),
        _field("width", pa.int32(), "pixels; the declared size if nothing was fetched"),
        _field("height", pa.int32(), "pixels; the declared size if nothing was fetched"),
        _field("node_index", pa.int32(), "position in texts and images"),
        _field("matched_text_index", pa.int32(), "sentence in text_list; null if left unplaced"),
        _field("matched_sim", pa.float32(), "similarity_matrix[i][matched_text_index]"),
        _field("before_text", pa.bool_(), "the page shows it before the matched sentence"),
        _field(
            "natural_text_index",
            pa.int32(),
            "natural order: the last sentence before it, else the first; null if there is none",
        ),
        _field("nsfw", pa.float32(), "probability of being unsafe; null if not scored"),
        _field("phash", pa.string(), "64-bit DCT perceptual hash, 16 hex digits"),
    ]
)

DOCUMENTS = pa.schema(
    [
        _field("doc_id", pa.string(), "32 hex digits, a hash of where the page was read"),
        _field("url", pa.string(), "URL of the page"),
        _field("title", pa.string(), "title of the page"),
        _field("texts", pa.list_(pa.string()), "OBELICS view: text nodes, null where an image is"),
        _field("images", pa.list_(pa.string()), "OBELICS view: image URLs, null where a text is"),
        _field("roles", pa.list_(pa.string()), "what each node was: paragraph, heading ... image"),
        _field("text_list", pa.list_(pa.string()), "mmc4 view: sentences"),
        _field("text_node_index", pa.list_(pa.int32()), "node that each sentence came from"),
        _field("image_info", pa.list_(IMAGE_INFO), "mmc4 view: the images in reading order"),
        _field(
            "similarity_matrix",
            pa.list_(pa.list_(pa.float32())),
            "cosine of image i of image_info with sentence j of text_list",
        ),
        _field("language", pa.string(), "ISO 639 code"),
        _field("language_score", pa.float32(), "probability of the language"),
        _field("token_count", pa.int32(), r"words and punctuation marks: \w+|[^\w\s]"),
        _field("date", pa.string(), "date the page gives, ISO 8601"),
        _field("author", pa.string(), "author the page gives"),
        _field("site", pa.string(), "site name the page gives"),
        _field("licence", pa.string(), "licence URL the page gives"),
        _field("crawl_time", pa.string(), "WARC-Date, ISO 8601"),
        _field("canonical_url", pa.string(), "URL that the page's rel=canonical names"),
        _field("warc_file", pa.string(), "WARC the page was read from"),
        _field("warc_offset", pa.int64(), "byte offset of its record"),
        _field("warc_length", pa.int64(), "stored bytes of its record"),
        _field("text_dedup", pa.struct([("cluster_id", pa.string()), ("cluster_size", pa.int32())]),
               "near-duplicate cluster that this document survived"),
        _field("signals", pa.list_(_SIGNAL), "every score that a rule gave"),
    ]
)  # fmt: skip

IMAGES = pa.schema(
    [
        _field("image_id", pa.string(), "SHA-256 of the stored bytes, 64 hex digits"),
        _field(
            "bytes",
            pa.binary(),
            "the file as fetched, or encoded anew if the config says so; null without bytes",
        ),
        _field("url", pa.string(), "URL it was fetched from (the smallest, if several)"),
        _field("urls", pa.list_(pa.string()), "all URLs in kept documents that gave these bytes"),
        _field("format", pa.string(), "jpeg, png, webp, gif ..."),
        _field("width", pa.int32(), "pixels, EXIF orientation applied"),
        _field("height", pa.int32(), "pixels, EXIF orientation applied"),
        _field("frames", pa.int32(), "1 for a still image"),
        _field("phash", pa.string(), "64-bit DCT perceptual hash, 16 hex digits"),
        _field("dhash", pa.string(), "64-bit difference hash, 16 hex digits"),
        _field("mean_colour", pa.string(), "mean colour, 6 hex digits, red first"),
        _field("documents", pa.int32(), "distinct documents of the crawl that show these bytes"),
        _field("look_documents", pa.int32(), "distinct documents that show the same two hashes"),
        _field("nsfw", pa.float32(), "probability of being unsafe; null if not scored"),
        _field("scores", pa.list_(_SIGNAL), "further scores, those of named heads among them"),
        _field("flags", pa.list_(pa.string()), "names of the heads that flag it"),
        _field("clip_feature", pa.list_(pa.float16()), "CLIP feature, unit length; may be empty"),
        _field("source", pa.string(), "warc or http"),
        _field("status", pa.int32(), "HTTP status"),
        _field("opt_out", pa.string(), "headers in which an owner's word was looked for"),
        _field("consent", pa.list_(_CONSENT), "who was asked of the owner's will, and the answer"),
    ]
)

REJECTED = pa.schema(
    [
        _field("element_id", pa.string(), "page or document id, doc_id#node, or image URL"),
        _field("kind", pa.string(), "page, document, node or image"),
        _field("doc_id", pa.string(), "page or document concerned; empty for images"),
        _field("url", pa.string(), "URL of the element"),
        _field("stage", pa.string(), "stage that rejected it"),
        _field("rule", pa.string(), "rule that objected"),
        _field("reason", pa.string(), "why, one of a closed list for each rule"),
        _field("score", pa.float64(), "what the rule measured"),
        _field("detail", pa.string(), "on what; of an opt-out who said it, and the words"),
    ]
)

FAILED = pa.schema(
    [
        _field("element_id", pa.string(), "page or document id, image URL or file name"),
        _field("kind", pa.string(), "file, page, document or image"),
        _field("url", pa.string(), "URL of the element"),
        _field("stage", pa.string(), "stage that failed"),
        _field("error", pa.string(), "type and message"),
        _field("where", pa.string(), "innermost frames of the pipeline's own code"),
        _field("warc_file", pa.string(), "WARC concerned"),
        _field("warc_offset", pa.int64(), "byte offset of the record concerned"),
    ]
)

# What a signature is made of is part of its meaning: a change of the hashes raises the version too,
# so that signatures of unlike versions are not compared.
SIGNATURES = pa.schema(
    [
        _field("doc_id", pa.string(), "a document of the corpus, or a copy that was removed"),
        _field("rank", pa.int64(), "of several copies the highest stays"),
        _field("url", pa.binary(), "16 bytes of hash of the canonical URL"),
        _field("text", pa.binary(), "16 bytes of hash of the normalised text"),
        _field("bands", pa.binary(), "8 bytes of hash for each band of the MinHash signature"),
        _field("sketch", pa.binary(), "lowest byte of each value of the MinHash signature"),
        _field("survivor_id", pa.string(), "the document that it was removed for, or empty"),
    ]
)
# Tables that a config may leave out.
OPTIONAL = {"signatures": SIGNATURES}

TABLES = {"documents": DOCUMENTS, "images": IMAGES, "rejected": REJECTED, "failed": FAILED}
ALL_TABLES = TABLES | OPTIONAL


def document_row(placed: PlacedDocument, token_count: int) -> dict[str, Any]:
    """A placed document as a row of `DOCUMENTS`."""
    document = placed.document
    nodes = document.nodes
    return {
        "doc_id": document.doc_id,
        "url": document.url,
        "title": document.title,
        "texts": [node.text if isinstance(node, Text) else None for node in nodes],
        "images": [node.url if isinstance(node, Image) else None for node in nodes],
        "roles": [str(node.role) if isinstance(node, Text) else "image" for node in nodes],
        "text_list": [sentence.text for sentence in placed.sentences],
        "text_node_index": [sentence.node_index for sentence in placed.sentences],
        "image_info": _image_infos(placed),
        "similarity_matrix": placed.similarity,
        "language": document.language,
        "language_score": document.language_score,
        "token_count": token_count,
        "date": document.date,
        "author": document.author,
        "site": document.site,
        "licence": document.licence,
        "crawl_time": document.crawl_time,
        "canonical_url": document.canonical_url,
        "warc_file": document.warc_file,
        "warc_offset": document.warc_offset,
        "warc_length": document.warc_length,
        "text_dedup": {
            "cluster_id": document.cluster_id or document.doc_id,
            "cluster_size": document.cluster_size,
        },
        "signals": [{"rule": s.rule, "score": s.score} for s in document.signals],
    }


def document_of(row: dict[str, Any]) -> Document:
    """The document of a row of `DOCUMENTS` as it was extracted, without what was found out since.

    Raises:
      ValueError: the columns do not fit together, or one that a document must have is empty.
    """
    if lacking := [name for name in _NEEDED if row[name] in (None, "")]:
        raise ValueError(f"a document without {', '.join(lacking)}")
    if row["texts"].count(None) != len(row["image_info"]):
        raise ValueError("texts and image_info differ in their number of images")
    infos = iter(row["image_info"])
    metadata: dict[str, Any] = {name: row[name] or "" for name in _METADATA}
    return Document(
        doc_id=row["doc_id"],
        url=row["url"],
        nodes=tuple(
            _image_of(next(infos)) if text is None else Text(text, Role(role))
            for text, role in zip(row["texts"], row["roles"], strict=True)
        ),
        **metadata,
        warc_offset=row["warc_offset"],
        warc_length=row["warc_length"],
    )


_NEEDED = ("doc_id", "url", "texts", "roles", "image_info", "warc_offset", "warc_length")
_METADATA = (
    "title", "date", "author", "site", "licence", "crawl_time", "canonical_url", "warc_file",
)  # fmt: skip


def _image_of(info: dict[str, Any]) -> Image:
    names = ("url", "alt", "title", "caption", "link")
    words: dict[str, Any] = {name: info[name] or "" for name in names}
    return Image(**words, width=info["width"], height=info["height"])


def _image_infos(placed: PlacedDocument) -> list[dict[str, Any]]:
    infos = []
    for placement in placed.placements:
        image = placed.document.nodes[placement.node_index]
        assert isinstance(image, Image)
        record = image.record
        infos.append(
            {
                "image_id": record.image_id if record else None,
                "url": image.url,
                "alt": image.alt,
                "title": image.title,
                "caption": image.caption,
                "link": image.link,
                "width": record.width if record else image.width,
                "height": record.height if record else image.height,
                "node_index": placement.node_index,
                "matched_text_index": placement.matched_text_index,
                "matched_sim": placement.matched_sim,
                "before_text": placed.is_before_text(placement),
                "natural_text_index": placed.natural_text_index(placement),
                "nsfw": record.nsfw if record else None,
                "phash": record.phash if record else None,
            }
        )
    return infos


def image_row(
    record: ImageRecord, urls: list[str], data: bytes | None, feature: Any
) -> dict[str, Any]:
    """An image as a row of `IMAGES`; `feature` is a sequence of floats."""
    return {
        "image_id": record.image_id,
        "bytes": data,
        "url": record.url,
        "urls": urls,
        "format": record.format,
        "width": record.width,
        "height": record.height,
        "frames": record.frames,
        "phash": record.phash,
        "dhash": record.dhash,
        "mean_colour": record.mean_colour,
        "documents": record.same_bytes_documents,
        "look_documents": record.same_look_documents,
        "nsfw": record.nsfw,
        "scores": [{"rule": s.rule, "score": s.score} for s in record.scores],
        "flags": list(record.flags),
        "clip_feature": feature,
        "source": record.source,
        "status": record.status,
        "opt_out": record.opt_out,
        "consent": _consent_rows(record),
    }


def _consent_rows(record: ImageRecord) -> list[dict[str, Any]]:
    answers = {consent.asked: consent for consent in record.consent}
    rows = (answers.get(asked, Consent(asked, Answer.NOT_ASKED)) for asked in Asked)
    return [{"asked": c.asked, "answer": c.answer, "evidence": c.evidence} for c in rows]
