"""What an image is known by. Its bytes lie in a store and are named by location.

The classes have slots: without the names of their fields they are pickled smaller, and they are
what is shuffled most.
"""

from dataclasses import dataclass

from schemas.consent import Consent

# The head whose score has a column of its own.
NSFW = "nsfw"
LUMA_SIDE = 64


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Where an image lies in a file: a record of a WARC that is being read, or a place of another
    source (`stages.imaging.sources`), which says itself what the offsets mean.

    Attributes:
      url: target URI of the record, as the crawler wrote it.
      path: where the file can be opened.
      warc_file: its name, as in `schemas.page.Page.warc_file`.
      offset: byte offset of the gzip member, or of the record in a plain file.
      inner_offset: offset of the record inside the inflated member; 0 for one record a member.
      length: stored bytes, 0 where unknown.
      status: HTTP status; 200 for resource records.
      mime: media type without parameters, lower case.
      crawl_time: ISO 8601.
      source: name of the source that reads it.
      truncated: the record holds less than the crawler was sent.
    """

    url: str
    path: str
    warc_file: str
    offset: int
    inner_offset: int = 0
    length: int = 0
    status: int = 200
    mime: str = ""
    crawl_time: str = ""
    source: str = "warc"
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A distinct image URL and how many distinct documents show it."""

    url: str
    documents: int = 1


@dataclass(frozen=True, slots=True)
class ImageScore:
    """A named score of one image, e.g. ``nsfw``."""

    rule: str
    score: float


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A decoded image.

    Attributes:
      image_id: SHA-256 of the stored bytes, 64 hex digits.
      url: the distinct URL that was asked for.
      format: Pillow's format name in lower case: jpeg, png, webp, gif ...
      width, height: pixels, EXIF orientation applied.
      n_bytes: size of the stored bytes.
      phash, dhash: 64-bit perceptual hashes, of frequencies and of gradients, 16 hex digits.
      mean_colour: 6 hex digits, red first.
      frames: number of frames, 1 for a still image.
      documents: distinct documents that show this URL.
      same_bytes_documents: distinct documents that show these bytes under any URL.
      same_look_documents: distinct documents that show an image of the same phash and dhash.
      nsfw: probability in [0, 1] that the image is unsafe; None is "not scored", never "safe".
      scores: further named scores.
      flags: names of the heads that flag it.
      clip: CLIP feature, unit length, float32 little-endian; empty where no model was run.
      luma: grey thumbnail of LUMA_SIDE x LUMA_SIDE, a byte a pixel; empty once it is of no use.
      source: ``warc``, ``http`` or the name of another source.
      status: HTTP status.
      opt_out: the headers in which an owner's word was looked for, e.g. X-Robots-Tag.
      consent: who was asked about the will of its owner, and what was answered.
      store_file, store_row: where the bytes lie: a Parquet file of the image store, row in it.
    """

    image_id: str
    url: str
    format: str
    width: int
    height: int
    n_bytes: int
    phash: str
    frames: int = 1
    documents: int = 1
    same_bytes_documents: int = 1
    same_look_documents: int = 1
    nsfw: float | None = None
    scores: tuple[ImageScore, ...] = ()
    flags: tuple[str, ...] = ()
    clip: bytes = b""
    luma: bytes = b""
    source: str = ""
    status: int = 200
    opt_out: str = ""
    store_file: str = ""
    store_row: int = 0
    dhash: str = ""
    mean_colour: str = ""
    consent: tuple[Consent, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """What became of a distinct image URL, told to the documents that show it.

    Attributes:
      doc_id: one of those documents; it says in which bucket the verdict is needed.
      record: the image, if it was kept.
      stage, rule, reason: who rejected it and why; a failure has the reason ``failed``.
    """

    doc_id: str
    url: str
    record: ImageRecord | None = None
    stage: str = ""
    rule: str = ""
    reason: str = ""
