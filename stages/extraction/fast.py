"""The fast engine: resiliparse's main content, with images carried through it as tokens.

No tree is built in Python. One scan over the bytes of the page cuts out what is never shown as text
and puts a token where an image, a caption or a quotation stands; resiliparse finds the main content
of the rest and returns it as reduced HTML (headings, paragraphs, lists, code), in which the tokens
say where everything is. An image whose token is lost with its surroundings lies outside the main
content. What an image is by its names and its size, and where its URLs are, is for the modules of
the accurate engine to say.

Source: https://resiliparse.chatnoir.eu/en/stable/man/extract/html2text.html
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import numpy as np
from resiliparse.extract.html2text import extract_plain_text

from schemas.document import Image, Node, Role, Text
from stages.extraction.charset import decode
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import DroppedImage, Extraction, parse
from stages.extraction.judge import (
    Judged,
    Reason,
    judge_container,
    judge_name,
    judge_size,
    links_away,
)
from stages.extraction.metadata import Metadata, linked_data, read_metadata
from stages.extraction.sources import (
    Sources,
    declared_size,
    image_sources,
    merge_sizes,
    same_file,
    squeeze,
)
from stages.extraction.urls import absolute
from stages.extraction.walk import TooComplex

# A token is \x02, a letter, a number and \x03: control characters, which no rule of resiliparse
# looks at. Those of the page itself are taken out before.
_BLANK_CONTROL = bytes(32 if c < 32 and c not in (9, 10, 13) else c for c in range(256))
_TOKEN = re.compile("\x02([a-z])([0-9]{1,7})\x03")
_TAGS = re.compile(rb"<[^>]*>")
# Elements with text of theirs that is not read, and with the page's own words on itself.
_HEAD_TAGS = re.compile(
    rb"<(?:meta|META|base|BASE)\s[^>]*>|<(?:title|TITLE)[^>]*>[^<]*</(?:title|TITLE)>|<(?:html|HTML)\s[^>]*>|<(?:link|LINK)\s[^>]*\b(?:license|canonical)\b[^>]*>"
)
_HEAD_BYTES = 50_000
# A link that may name the licence; so many places that say so are looked at.
_LINK = re.compile(rb"<(?:a|link)\s[^>]*$")
_MARKS = 10
# Fewer elements cannot lie deep enough to cost anything.
_SURELY_FLAT = 4_000
# Elements whose end tag may be left out do not nest, whatever is left out.
_NESTING = re.compile(
    rb"<(/?)(?!(?:p|li|d[dt]|t[rdh]|thead|tbody|tfoot|option|optgroup|r[bpt]|colgroup|col|br|hr|img"
    rb"|input|meta|link|source|wbr|area|base|embed|track|param|html|head|body)[\s>/])[a-z]"
)
# resiliparse takes a list that lies close below the body for the menu of the site.
_WRAPPER = b"<div><div><div>"
_TEX = re.compile(rb'<annotation[^>]*encoding="application/x-tex"[^>]*>([^<]*)', re.I)
_CAPTION = re.compile(
    rb'(<(?:p|div|span|small|dd|td|em)\s(?=[^>]{0,200}class="[^">]{0,100}aption)[^>]*>)'
)
_NEAR = 1_000
_LABEL = 100
_AROUND = 1_500
_SMALL = 300
_MAX_CAPTION = 1_000
_CONTAINER = re.compile(rb"<(/?)(div|section|ul|ol|li|span|p|td|form|figure|header)(?=[\s>])[^>]*>")
_NAMES = re.compile(rb"\s(?:class|id|role)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_SRC = re.compile(rb"\ssrc\s*=\s*[\"']?([^\"'\s>]+)", re.I)
_NAME_END = re.compile(r"<[^\s/>]*")

# What the scan stops at, by what is done there: comments, elements to cut, images, and tags that a
# token stands for.
_COMMENT, _CUT, _IMAGE, _NOSCRIPT, _TAG = range(5)
_KINDS = {
    b"!--": _COMMENT,
    b"noscript": _NOSCRIPT,
    **dict.fromkeys(
        b"script style svg nav aside footer select iframe object video audio canvas template "
        b"textarea button datalist dialog".split(),
        _CUT,
    ),
    **dict.fromkeys(b"img image input amp-img amp-anim".split(), _IMAGE),
    **dict.fromkeys(
        b"figure /figure figcaption /figcaption picture /picture source blockquote /blockquote "
        b"time /time main /main math header h1".split(),
        _TAG,
    ),
}
# By first letters, which is a third of the time of a list of the names.
_STOP = re.compile(
    rb"<(!--|(?:s(?:cript|tyle|vg|elect|ource)|n(?:av|oscript)|a(?:side|udio|mp-img|mp-anim)"
    rb"|i(?:mg|mage|nput|frame)|f(?:igure|igcaption|ooter)|header|p(?:icture)|b(?:lockquote|utton)"
    rb"|t(?:ime|emplate|extarea)|ma(?:in|th)|h1|object|video|canvas|dialog|datalist"
    rb"|/(?:fig(?:ure|caption)|picture|blockquote|time|main))(?=[\s/>]))"
)
_INNER_IMAGE = re.compile(rb"<(img|amp-img|amp-anim|image|input)(?=[\s/])")
# A tag with its quoted values; possessive, so that an odd quote costs one pass.
_WHOLE_TAG = re.compile(rb"<[^>\"']*+(?:(?:\"[^\"]*+\"|'[^']*+')[^>\"']*+)*+>")
_ATTRIBUTE = re.compile(
    r"([^\s=>\"'/<][^\s=>/]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+)))?"
)
_STEPS = re.compile("<(/?)(h[1-6]|p|ul|ol|li|pre|br)>|\n+|\x02([a-z])([0-9]{1,7})\x03")


class Tag:
    """A tag of the page as sources.py and judge.py ask for it: an element without a tree."""

    __slots__ = ("_attributes", "picture", "sources", "tag", "text")

    def __init__(self, text: bytes, tag: str, picture: "Tag | None" = None) -> None:
        self.text = text
        self.tag = tag
        self.picture = picture
        self.sources: list[Tag] = []
        self._attributes: dict[str, str] | None = None

    @property
    def attrib(self) -> dict[str, str]:
        if self._attributes is None:
            self._attributes = _attributes(self.text)
        return self._attributes

    def get(self, name: str) -> str | None:
        return self.attrib.get(name)

    def iterancestors(self) -> Iterator["Tag"]:
        if self.picture is not None:
            yield self.picture

    def iter(self, tag: str) -> Iterator["Tag"]:
        return iter(self.sources)


def _attributes(tag: bytes) -> dict[str, str]:
    text = tag.decode("utf-8", "replace")
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text, _NAME_END.match(text).end()):  # type: ignore[union-attr]
        name, one, two, bare = match.groups()
        value = one or two or bare or ""
        found.setdefault(name.lower(), unescape(value) if "&" in value else value)
    return found


@dataclass(slots=True)
class _Found:
    """An image element. `start`: offset of its tag; `figure`: number of the figure that it lies in;
    `inside`: the element that it was cut out with; `copy_of`: the image that it stands in for where
    no script runs."""

    element: Tag
    start: int
    figure: int = 0
    inside: str = ""
    copy_of: int = -1


@dataclass(slots=True)
class _Cut:
    """A page cut down to what may be content.

    Attributes:
      source, low: the page without scripts, in UTF-8; the same in lower case.
      html: the same for resiliparse, with tokens.
      images: every image element in document order.
    """

    source: bytes
    low: bytes
    html: str
    images: list[_Found]


def extract_fast(
    body: bytes | str, url: str, content_type: str, config: ExtractionConfig
) -> Extraction:
    """Extracts one page; see `extract.extract`.

    Raises:
      TooComplex: the page is deeper or larger than the limits.
    """
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    bom = raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    try:
        page, metadata, base = _read(raw, url, config, "replace" if bom else "strict")
        if bom:
            raise UnicodeError
    except UnicodeError:
        raw = decode(raw, content_type).encode("utf-8", "replace")
        page, metadata, base = _read(raw, url, config, "replace")
    text = extract_plain_text(
        page.html,
        preserve_formatting="minimal_html",
        main_content=True,
        list_bullets=True,
        alt_texts=False,
        comments=False,
        post_meta=False,
    )
    return _assemble(page, text, metadata, base, config)


def _read(
    raw: bytes, url: str, config: ExtractionConfig, errors: str
) -> tuple[_Cut, Metadata, str]:
    source, data = _cut_scripts(raw)
    if b"\x02" in source or b"\x03" in source:
        source = source.translate(_BLANK_CONTROL)
    low = source.lower()
    if b"caption" in low:
        source = _CAPTION.sub(rb"\1" + b"\x02d0\x03", source)
        low = source.lower()
    _check(low, config)
    body = max(low.find(b"<body"), 0)
    page, marked = _cut(source, low, body, errors)
    head = _head(source, low, body, marked, data)
    base = url
    if head is None:
        return page, Metadata(), base
    for element in head.iter("base"):
        if href := absolute(url, element.get("href")):
            base = href
            break
    return page, read_metadata(head, linked_data(head.iter("script")), base), base


def _cut_scripts(source: bytes) -> tuple[bytes, list[bytes]]:
    """The page without its scripts, and the scripts that hold linked data, from their attributes
    on."""
    parts, data = [], []
    for number, part in enumerate(source.split(b"<script")):
        if number:
            end = part.find(b"</script")
            if b"ld+json" in part[:200]:
                data.append(part[: end if end >= 0 else len(part)])
            part = part[end + 9 :] if end >= 0 else b""
        parts.append(part)
    return b"".join(parts), data


def _check(low: bytes, config: ExtractionConfig) -> None:
    tags = int(np.count_nonzero(np.frombuffer(low, np.uint8) == ord("<")))
    if tags <= _SURELY_FLAT:
        return
    elements = tags - low.count(b"</")
    if (depth := _depth(low, config.max_depth)) > config.max_depth:
        raise TooComplex("too_deep", depth)
    if elements > config.max_elements:
        raise TooComplex("too_many_elements", elements)


def _depth(low: bytes, most: int) -> int:
    """How deep elements are nested that have to be closed; counting stops beyond `most`."""
    depth = deepest = 0
    for tag in _NESTING.finditer(low):
        depth += -1 if tag[1] else 1
        if depth > deepest:
            deepest = depth
            if depth > most:
                break
    return deepest


def _head(source: bytes, low: bytes, body: int, marked: list[bytes], data: list[bytes]) -> Any:
    """A small tree of all that metadata is read from; None where there is nothing."""
    parts = _HEAD_TAGS.findall(source, 0, body or _HEAD_BYTES)
    parts += marked
    at = -1
    for _ in range(_MARKS):
        if (at := low.find(b"license", at + 1)) < 0:
            break
        start = low.rfind(b"<", max(0, at - _NEAR), at)
        if start >= body and _LINK.match(low, start, at):
            parts.append(_whole_tag(source, start))
    parts += [b"<script" + script + b"</script>" for script in data]
    return parse(b"\n".join(parts).decode("utf-8", "replace")) if parts else None


def _whole_tag(source: bytes, start: int) -> bytes:
    if match := _WHOLE_TAG.match(source, start):
        return match[0]
    end = source.find(b">", start)
    return source[start : end + 1] if end >= 0 else source[start:]


def _cut(source: bytes, low: bytes, at: int, errors: str) -> tuple[_Cut, list[bytes]]:
    """Cuts the body, which starts at an offset, and sets the tokens.

    Returns:
      What was cut, and elements of the body that say something of the page: headlines and times.
    """
    out: list[bytes] = []
    images: list[_Found] = []
    picture: Tag | None = None
    seen = figure = figures = 0
    header = -1  # where the header of the site ends
    marked: list[bytes] = []
    stamps: list[bytes] = []
    # Places in `out`, and number of headlines before: where the main element starts and ends.
    main_starts: list[tuple[int, int]] = []
    main_ends: list[tuple[int, int]] = []
    for match in _STOP.finditer(low, at):
        start = match.start()
        if start < at:
            continue
        out.append(source[at:start])
        name = match[1]
        group = _KINDS[name]
        if group == _IMAGE:
            tag = _whole_tag(source, start)
            at = start + len(tag)
            element = Tag(tag, name.decode(), picture)
            if name != b"input" or _is_image_input(element):
                if start < header and not marked:
                    images.append(_Found(element, start, figure, "header"))
                else:
                    out.append(b"\x02i%d\x03" % len(images))
                    images.append(_Found(element, start, figure))
        elif group == _COMMENT:
            end = low.find(b"-->", start)
            at = len(low) if end < 0 else end + 3
        elif group == _TAG:
            tag = _whole_tag(source, start)
            at = start + len(tag)
            if name == b"source":
                if picture is not None:
                    picture.sources.append(Tag(tag, "source"))
            elif name == b"picture":
                picture = Tag(tag, "picture")
                seen = len(images)
            elif name == b"/picture":
                if picture is not None and seen == len(images):
                    out.append(b"\x02i%d\x03" % len(images))
                    images.append(_Found(picture, start, figure))
                picture = None
            elif name == b"h1":
                end = low.find(b"</h1", start, start + _HEAD_BYTES)
                if end > 0:
                    marked.append(source[start:end] + b"</h1>")
                out.append(tag)
            elif name == b"header":
                end = low.find(b"</header", start)
                if low.find(b"<h1", start, end) < 0:
                    header = end
                out.append(tag)
            elif name == b"math":
                end = low.find(b"</math>", start)
                if end > 0 and (tex := _tex(source[at:end], Tag(tag, "math"))):
                    out.append(tex)
                    at = end + 7
                else:
                    out.append(tag)
            elif name == b"main":
                main_starts.append((len(out), len(marked)))
                out.append(tag)
            elif name == b"/main":
                out.append(tag)
                main_ends.append((len(out), len(marked)))
            elif name == b"figure":
                figures += 1
                figure = figures
                out.append(b"<div>")
            elif name == b"/figure":
                figure = 0
                out.append(b"</div>")
            elif name == b"figcaption":
                out.append(b"<p>\x02c%d\x03" % figure)
            elif name == b"/figcaption":
                out.append(b"\x02e0\x03</p>")
            elif name == b"blockquote":
                out.append(tag + b"\x02q1\x03")
            elif name == b"/blockquote":
                out.append(b"\x02q0\x03" + tag)
            elif name == b"time":
                if b"pubdate" in tag or b"datePublished" in tag:
                    stamps.append(tag)
                out.append(b"<span>")
            elif name == b"/time":
                out.append(b"</span>")
        else:
            end = low.find(b"</" + name, start)
            if end < 0:
                at = match.end()  # one that is not closed would take the page with it
                out.append(source[start:at])
                continue
            at = low.find(b">", end) + 1 or len(low)
            for element, place in _images(source, low, start, end):
                found = _Found(element, place, figure)
                if group == _CUT:
                    found.inside = name.decode()
                elif images and _stands_in(low, images[-1], start):
                    found.copy_of = len(images) - 1
                else:
                    out.append(b"\x02i%d\x03" % len(images))
                images.append(found)
    out.append(source[at:])
    if len(main_starts) == len(main_ends) == 1:
        (start, before), (end, within) = main_starts[0], main_ends[0]
        if before == 0 and within == len(marked) > 0:
            out = out[start:end]
    return _Cut(source, low, b"".join([_WRAPPER, *out]).decode("utf-8", errors), images), marked[
        :2
    ] + stamps


def _tex(inside: bytes, math: Tag) -> bytes:
    """The TeX source of MathML in the delimiters of TeX, "" where there is none."""
    noted = _TEX.search(inside)
    tex = noted[1].strip() if noted else (math.get("alttext") or "").strip().encode()
    opening, closing = (b"\\[", b"\\]") if math.get("display") == "block" else (b"\\(", b"\\)")
    return opening + tex.replace(b"<", b"&lt;") + closing if tex else b""


def _images(source: bytes, low: bytes, start: int, end: int) -> Iterator[tuple[Tag, int]]:
    """The image elements between two offsets, with theirs."""
    for match in _INNER_IMAGE.finditer(low, start, end):
        element = Tag(_whole_tag(source, match.start()), match[1].decode())
        if match[1] != b"input" or _is_image_input(element):
            yield element, match.start()


def _is_image_input(element: Tag) -> bool:
    return (element.get("type") or "").lower() == "image"


def _stands_in(low: bytes, original: _Found, start: int) -> bool:
    """The noscript element that starts at `start` follows the image within a small wrapper."""
    if original.inside or original.copy_of >= 0:
        return False
    between = low[original.start + len(original.element.text) : start]
    return len(between) < _NEAR and not _TAGS.sub(b"", between).strip()


def _assemble(
    page: _Cut, text: str, metadata: Metadata, base: str, config: ExtractionConfig
) -> Extraction:
    """Judges the images and builds the nodes."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.replace("\ufeff", "").replace("\u00ad", ""))
    shown = {int(number) for letter, number in _TOKEN.findall(text) if letter == "i"}
    verdicts = _judge(page, shown, base, config)
    content = {n: image for n, (image, verdict) in verdicts.items() if verdict.reason is None}
    nodes = _trim(_build(text, content))
    if len(nodes) > config.max_nodes:
        raise TooComplex("too_many_nodes", len(nodes))
    dropped = tuple(
        DroppedImage(image, verdict.reason, number, verdict.detail)
        for number, (image, verdict) in verdicts.items()
        if verdict.reason is not None
    )
    return Extraction(tuple(nodes), dropped, metadata)


def _trim(nodes: list[Node]) -> list[Node]:
    """Drops what stands around the main text without being prose: labels before the headline, and
    headings at the end that nothing follows."""
    end = len(nodes)
    while end and isinstance(last := nodes[end - 1], Text) and last.role is Role.HEADING:
        end -= 1
    first = next(
        (n for n, node in enumerate(nodes) if getattr(node, "role", None) is Role.HEADING), 0
    )
    labels = all(isinstance(n, Image) or len(n.text) < _LABEL for n in nodes[:first])
    if labels and end:
        return [n for n in nodes[:first] if isinstance(n, Image)] + nodes[first:end]
    return nodes


def _judge(
    page: _Cut, shown: set[int], base: str, config: ExtractionConfig
) -> dict[int, tuple[Image, Judged]]:
    """Every image element with the verdict on it, by number."""
    verdicts: dict[int, tuple[Image, Judged]] = {}
    copies = {found.copy_of: found for found in page.images if found.copy_of >= 0}
    seen: set[str] = set()
    last: tuple[int, Sources] | None = None  # the last content image, while no text follows it
    for number, found in enumerate(page.images):
        if number not in shown:
            if found.copy_of >= 0:
                verdict = Judged(Reason.DUPLICATE, "noscript copy of the image before it")
            elif found.inside:
                verdict = Judged(Reason.BOILERPLATE, f"inside {found.inside}")
            else:
                verdict = Judged(Reason.OUTSIDE_MAIN_CONTENT, "not with the main text")
            verdicts[number] = Image(_plain_url(found.element, base)), verdict
            continue
        element = found.element
        sources = image_sources(element, base, config.preferred_width)
        if copy := copies.get(number):
            # The noscript copy knows the URL where a script was to fill in the original's.
            more = image_sources(copy.element, base, config.preferred_width)
            urls = tuple(dict.fromkeys((*sources.urls, *more.urls)))
            sources = Sources(urls, sources.problem, sources.raw)
        size = declared_size(element)
        link = ""
        if not sources.urls:
            verdict = Judged(Reason(sources.problem))
        else:
            url = sources.urls[0]
            link = _link(page.source, found)
            verdict = (
                judge_size(size, config.min_side)
                or judge_name(element, url, size)
                or _judge_link(page.source, found, link)
                or _judge_around(page.low, found.start)
                or (Judged(Reason.DUPLICATE, "shown before") if url in seen else Judged(None))
            )
            seen.add(url)
        image = _image(element, sources, size, absolute(base, link), base)
        if verdict.reason is None:
            if last and page.images[last[0]].figure == found.figure and same_file(last[1], sources):
                # Loaders put a blurred preview before the picture: the larger one is it.
                sources = merge_sizes(last[1], sources)
                before = verdicts[last[0]][0]
                merged = replace(before, url=sources.urls[0], candidates=sources.urls[1:])
                verdicts[last[0]] = merged, Judged(None)
                verdict = Judged(Reason.DUPLICATE, "another size of the image before it")
                last = last[0], sources
            else:
                last = number, sources
        verdicts[number] = image, verdict
    return verdicts


def _plain_url(element: Tag, base: str) -> str:
    """The URL of an image that is left out, for the record."""
    match = _SRC.search(element.text)
    src = unescape(match[1].decode("utf-8", "replace")) if match else ""
    return absolute(base, src) or src[:200]


def _image(
    element: Tag, sources: Sources, size: tuple[int | None, int | None], link: str, base: str
) -> Image:
    urls = sources.urls or (absolute(base, sources.raw) or sources.raw[:200],)
    return Image(
        url=urls[0],
        candidates=urls[1:],
        alt=squeeze(element.get("alt")),
        title=squeeze(element.get("title")),
        link=link,
        width=size[0],
        height=size[1],
    )


def _link(source: bytes, found: _Found) -> str:
    """What the link around an image says."""
    opening = source.rfind(b"<a ", max(0, found.start - _NEAR), found.start)
    if opening < 0 or source.find(b"</a", opening, found.start) >= 0:
        return ""
    return (Tag(_whole_tag(source, opening), "a").get("href") or "").strip()


def _judge_around(low: bytes, start: int) -> Judged | None:
    """A small container around an image that is named as furniture."""
    opened: list[re.Match[bytes]] = []
    for tag in _CONTAINER.finditer(low, max(0, start - _AROUND), start):
        if not tag[1]:
            opened.append(tag)
        elif opened and opened[-1][2] == tag[2]:
            opened.pop()
    for tag in reversed(opened):
        names = b" ".join(one or two for one, two in _NAMES.findall(tag[0]))
        verdict = judge_container(names.decode("utf-8", "replace")) if names else None
        if verdict and _is_small(low, tag):
            return Judged(*verdict)
    return None


def _is_small(low: bytes, opening: re.Match[bytes]) -> bool:
    """The container is closed soon and holds little text."""
    depth = 0
    start = opening.start()
    for tag in _CONTAINER.finditer(low, start, start + 2 * _AROUND):
        if tag[2] == opening[2]:
            depth += -1 if tag[1] else 1
            if depth == 0:
                text = _TAGS.sub(b"", low[start : tag.start()])
                return len(b" ".join(text.split())) < _SMALL
    return False


def _judge_link(source: bytes, found: _Found, link: str) -> Judged | None:
    """A teaser: words beside the image link to the same page as the image."""
    if not (link := links_away(link)):
        return None
    key = link.encode("utf-8", "replace")
    at, end = max(0, found.start - _AROUND), found.start + _AROUND
    while (at := source.find(key, at, end)) >= 0:
        at += len(key)
        opened, closed = source.find(b">", at, at + _NEAR), source.find(b"</a", at, at + _AROUND)
        # A longer URL starts alike.
        words = _TAGS.sub(b"", source[opened + 1 : closed]).decode("utf-8", "replace")
        whole = source[at : at + 1] in (b'"', b"'", b" ", b">") and 0 <= opened < closed
        if whole and any(map(str.isalnum, words)):
            return Judged(Reason.RELATED, "a teaser: its text links to the same page")
    return None


def _add_lead(nodes: list[Node], page: _Cut, verdicts: Any, names: set[str]) -> None:
    """Puts the picture that the metadata names before the first paragraph that follows it."""


def _build(text: str, content: dict[int, Image]) -> list[Node]:
    """The nodes of resiliparse's reduced HTML."""
    nodes: list[Node] = []
    parts: list[str] = []
    heading = code = False
    items = quotes = 0
    breaks = 0
    caption = -1
    labelled = False

    def flush() -> None:
        nonlocal breaks, labelled
        if parts:
            block = "".join(parts)
            parts.clear()
            if code:
                block = block.strip("\n").rstrip()
            else:
                block = block.strip()
                if "\t" in block and not code:
                    cells = [squeeze(cell) for cell in block.split("\t\t")]
                    cells = [cell for cell in cells if cell]
                    if len(cells) > 1:
                        nodes.append(Text(" | ".join(cells), Role.TABLE_ROW))
                        return
                    block = cells[0] if cells else ""
                elif "\n" in block:
                    block = "\n".join(" ".join(line.split()) for line in block.split("\n"))
                else:
                    block = " ".join(block.split())
            if block:
                if "&" in block:
                    block = unescape(block)
                if heading:
                    role = Role.HEADING
                elif code:
                    role = Role.CODE
                elif quotes:
                    role = Role.QUOTE
                elif items:
                    role = Role.LIST_ITEM
                else:
                    role = Role.PARAGRAPH
                nodes.append(Text(block, role))
                if labelled:
                    _caption(nodes, len(nodes) - 1)
                    labelled = False
        breaks = 0

    at = 0
    for step in _STEPS.finditer(text):
        start = step.start()
        if start > at:
            chunk = text[at:start]
            if breaks and not chunk.isspace():
                parts.append("\n")
                breaks = 0
            parts.append(chunk)
        at = step.end()
        kind = step.lastindex
        if kind is None:  # a line end
            if code:
                parts.append(step[0])
            elif parts and not breaks:
                flush()
        elif kind == 2:
            name = step[2]
            opening = text[start + 1] != "/"
            if name == "br":
                breaks += 1
                if breaks > 1:
                    flush()
                    breaks = 0
            else:
                flush()
                if name == "li":
                    items += 1 if opening else -1
                elif name == "pre":
                    code = opening
                elif name[0] == "h":
                    heading = opening
        else:
            letter, number = step[3], int(step[4])
            if letter == "i":
                # Once: a page may spell tokens of its own with character references.
                if image := content.pop(number, None):
                    flush()
                    nodes.append(image)
                    labelled = False
            elif letter == "q":
                flush()
                quotes += 1 if number else -1
                quotes = max(quotes, 0)
            elif letter == "c":
                flush()
                caption = number
                caption_from = len(nodes)
            elif letter == "d":
                flush()
                labelled = True
            elif letter == "e" and caption >= 0:
                flush()
                _caption(nodes, caption_from)
                caption = -1
    if at < len(text):
        parts.append(text[at:])
    flush()
    return nodes


def _caption(nodes: list[Node], start: int) -> None:
    """Gives the texts from `start` on to the image before them, if there is one."""
    texts = [node.text for node in nodes[start:] if isinstance(node, Text)]
    before = nodes[start - 1] if start else None
    alone = len(texts) == len(nodes) - start and sum(map(len, texts)) <= _MAX_CAPTION
    if texts and alone and isinstance(before, Image) and not before.caption:
        nodes[start - 1 :] = [replace(before, caption=" ".join(texts))]
