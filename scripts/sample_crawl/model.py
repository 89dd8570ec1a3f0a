"""What the sample crawl is made of, and what is expected of each part."""

from dataclasses import dataclass, field

from schemas.document import Role


@dataclass(frozen=True)
class Expected:
    """How an element must leave the pipeline.

    Attributes:
      outcome: ``kept``, ``rejected`` or ``failed``.
      because: key of `gold.BECAUSE`, empty where kept.
      depends_on: a choice of the config or of the implementation that this rests on, in words.
    """

    outcome: str = "kept"
    because: str = ""
    depends_on: str = ""


KEPT = Expected()


def rejected(because: str, depends_on: str = "") -> Expected:
    return Expected("rejected", because, depends_on)


@dataclass(frozen=True)
class Shot:
    """A picture at its place in an article.

    Attributes:
      url: target URI of the image record, whether or not the crawl holds one.
      written: what the page writes in its markup.
      smaller: written and absolute URL of a smaller copy, for layouts with candidates.
      sentence: the sentence of the article that describes the picture, empty if there is none.
      caption_describes: whether the caption describes the picture as well.
    """

    url: str
    written: str
    alt: str = ""
    title: str = ""
    caption: str = ""
    smaller: tuple[str, str] | None = None
    scene: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    sentence: str = ""
    caption_describes: bool = False
    expected: Expected = KEPT


@dataclass(frozen=True)
class Block:
    """A text or an image of an article, or a list or table of several texts.

    `required` is False for texts that a cutoff on short or list-like text may prune.
    """

    role: Role | None
    texts: tuple[str, ...] = ()
    shot: Shot | None = None
    required: bool = True
    ordered: bool = False


@dataclass(frozen=True)
class Article:
    title: str
    author: str
    date: str
    blocks: tuple[Block, ...]
    order: str = ""

    @property
    def shots(self) -> tuple[Shot, ...]:
        return tuple(block.shot for block in self.blocks if block.shot)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        return tuple(t for b in self.blocks if b.role == Role.PARAGRAPH for t in b.texts)


@dataclass(frozen=True)
class Junk:
    """An image of a page that belongs to its furniture, and what it is."""

    url: str
    why: str


@dataclass(frozen=True)
class Rendered:
    """A page's HTML and what of it must not end up in a document."""

    html: str
    junk_images: tuple[Junk, ...] = ()
    junk_texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A record of the crawl that is or looks like a page."""

    url: str
    crawl_time: str
    site: str
    layout: str
    kind: str
    body: bytes
    expected: Expected = KEPT
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html; charset=utf-8"),)
    record_type: str = "response"
    warc: int = 0
    article: Article | None = None
    title: str = ""
    cluster: str = ""
    junk_images: tuple[Junk, ...] = ()
    junk_texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resource:
    """An image record of the crawl, or a record that is served as an image."""

    url: str
    crawl_time: str
    body: bytes
    mime: str
    kind: str
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()
    warc: int = 0


@dataclass
class Crawl:
    """Everything that is written: pages and resources in the order in which they were made."""

    pages: list[Page] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
