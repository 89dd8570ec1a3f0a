"""A page's HTML to text and image nodes in reading order, and every image that was left out.

Captions go to `Image.caption` of the first content image that they belong to, and not into the
text.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import lxml.html
from lxml import etree

from schemas.document import Image, Node, Role, Text
from stages.extraction.charset import to_utf8
from stages.extraction.config import ExtractionConfig
from stages.extraction.content import Content
from stages.extraction.judge import Judge, Reason
from stages.extraction.metadata import ABOUT_TAGS, Metadata, linked_data, read_metadata
from stages.extraction.rescue import kept_runs
from stages.extraction.sources import (
    Sources,
    declared_size,
    image_sources,
    is_stand_in,
    merge_sizes,
    same_file,
    squeeze,
    without_controls,
)
from stages.extraction.stream import Stream
from stages.extraction.urls import absolute
from stages.extraction.walk import (
    BLANK,
    BREAK,
    IMAGE,
    RUN,
    RawImage,
    TooComplex,
    Walk,
    tag_set,
    walk,
)

# What a head may hold, by the HTML Standard and by what its parser reads as if there.
_IN_HEAD = tag_set("base basefont bgsound link meta noframes noscript script style template title")
# Not allowed in XML; libxml2 would refuse or cut the text there.
_CONTROL_BYTES = bytes(c for c in range(32) if c not in (9, 10, 13))
# Invisible and in the way of comparing words: byte order mark and soft hyphen.
_INVISIBLE = re.compile("[\ufeff\u00ad]")
# What follows them belongs to the body all the same (HTML Standard, 13.2.6.4.19 "after body");
# libxml2 would drop it.
_END_OF_PAGE = re.compile(rb"</(?:[bB][oO][dD][yY]|[hH][tT][mM][lL])\s*>")
_XML_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*\?>")
# trafilatura wants lxml.html's elements; its own lookup asks Python for the class of every element.
_LOOKUP = etree.ElementDefaultClassLookup(
    element=lxml.html.HtmlElement,
    comment=lxml.html.HtmlComment,
    pi=lxml.html.HtmlProcessingInstruction,
    entity=lxml.html.HtmlEntity,
)
# libxml2 compares an attribute with all before it in its tag: 50,000 take ten seconds. A tag of
# too many is at least twice as long as this.
_LONG_TAG = 10_000
_MAX_ATTRIBUTES = 5_000
_TAG = re.compile(rb"<[A-Za-z]")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
# A caption is a sentence or two, not the article in a wrongly named element.
_MAX_CAPTION = 1_000
# How far above a caption its image is looked for: wrapper, link wrapper, figure, aligning div.
_CAPTION_LEVELS = 4


class DroppedImage(NamedTuple):
    """An image element that is no node. `place`: its number among the page's image elements;
    `image.url` is what the page wrote where no URL could be made of it."""

    image: Image
    reason: Reason
    place: int
    detail: str = ""


@dataclass(frozen=True)
class Extraction:
    """What a page holds.

    Attributes:
      nodes: text and images in reading order.
      dropped: all other image elements: images in `nodes` + dropped = image elements.
      refused: why the page was not looked at (too_large, too_many_attributes, too_many_elements,
        too_deep), or "".
    """

    nodes: tuple[Node, ...] = ()
    dropped: tuple[DroppedImage, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    refused: str = ""
    detail: str = ""


def extract(
    body: bytes | str,
    url: str,
    *,
    content_type: str = "",
    config: ExtractionConfig = ExtractionConfig(),  # noqa: B008  frozen
) -> Extraction:
    """Extracts one page.

    Args:
      body: the payload; a str is taken as decoded.
      url: address of the page, for relative URLs.
      content_type: the Content-Type header, for its charset.

    Returns:
      An extraction; one without nodes for a page without content.
    """
    if len(body) > config.max_body_bytes:
        return Extraction(refused="too_large", detail=f"{len(body)} bytes")
    if config.engine == "fast":
        from stages.extraction.fast import extract_fast  # which needs the names of this module

        try:
            return extract_fast(body, url, content_type, config)
        except TooComplex as error:
            return Extraction(refused=error.reason, detail=str(error.value))
    page = (
        to_utf8(body, content_type) if isinstance(body, bytes) else body.encode("utf-8", "replace")
    )
    if (attributes := most_attributes(page)) > _MAX_ATTRIBUTES:
        return Extraction(refused="too_many_attributes", detail=str(attributes))
    root = parse(page)
    if root is None:
        return Extraction()
    try:
        return _extract_tree(root, url, config)
    except TooComplex as error:
        return Extraction(refused=error.reason, detail=str(error.value))


def most_attributes(page: bytes) -> int:
    """How many attributes the fullest of the very long tags has; 0 where no tag is very long."""
    most = position = 0
    while position < len(page):
        window = position + _LONG_TAG
        if (end := page.find(b">", position, window)) < 0:
            opening = page.rfind(b"<", 0, position + 1)
            end = page.find(b">", window)
            end = len(page) if end < 0 else end
            tag = page[max(opening, 0) : end]
            if _TAG.match(tag) and b">" not in page[opening:position]:
                most = max(most, len(_QUOTED.sub(b"", tag).split()) - 1)
            window = end
        position = window
    return most


def parse(page: bytes | str) -> Any:
    """The tree of a page (bytes are UTF-8), or None where there is no element in it."""
    data = page.encode("utf-8", "replace") if isinstance(page, str) else page
    data = _XML_DECLARATION.sub(b"", data.translate(None, _CONTROL_BYTES), count=1)
    data = _END_OF_PAGE.sub(b"", data)
    if not data or data.isspace():
        return None
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False
    )
    parser.set_element_class_lookup(_LOOKUP)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:  # a document of comments only
        return None
    # libxml2 makes a bare element the root where a page starts oddly.
    if root is not None and root.tag == "html":
        _end_head(root)
    return root


def _end_head(root: Any) -> None:
    """Moves what a head cannot hold, and all after it, into the body: libxml2, which knows no
    article, main or section, leaves these in the head of a page that does not name its body.

    Source: HTML Standard, 13.2.6.4.4 "The in head insertion mode".
    """
    head = next(iter(root), None)
    if head is None or head.tag != "head":
        return
    children = list(head)
    first = next((n for n, child in enumerate(children) if child.tag not in _IN_HEAD), None)
    if first is None:
        return
    body = root.find("body")
    if body is None:
        body = etree.SubElement(root, "body")
    text, body.text = body.text, None
    for place, child in enumerate(children[first:]):
        body.insert(place, child)
    if text:
        child.tail = (child.tail or "") + text


def _extract_tree(root: Any, url: str, config: ExtractionConfig) -> Extraction:
    base = ""
    scripts, about = [], []
    # One pass over the page for all that is looked for by its tag.
    for element in list(root.iter("base", "math", "script", "template", *ABOUT_TAGS)):
        tag = element.tag
        if tag in ABOUT_TAGS:
            about.append(element)
        elif tag == "script":
            scripts.append(element)
            if (element.get("type") or "").startswith("math/tex"):
                _write_out_tex(element)
        elif tag == "template":
            if element.get("shadowrootmode"):
                element.tag = "div"  # shown in place of what holds it
        elif tag == "math":
            _write_out_math(element)
        else:
            base = base or absolute(url, element.get("href"))
    base = base or url
    data = linked_data(scripts)
    metadata = read_metadata(root, data, base, about)
    found = walk(root, config.max_elements, config.max_depth)
    forum = _is_forum(data)
    content_text = Content(found, forum)
    kept = content_text.kept
    foreign: tuple[str, ...] = ()
    if not content_text.complete:
        kept, foreign = kept_runs(root, found, forum)
    nodes, dropped = assemble(
        found, kept, _noscript_pairs(found), metadata.images, base, config, partial(_build, found)
    )
    nodes += [Text(text) for paragraph in foreign if (text := tidy(paragraph))]
    if len(nodes) > config.max_nodes:
        raise TooComplex("too_many_nodes", len(nodes))
    return Extraction(tuple(nodes), dropped, metadata)


def assemble(
    found: Walk | Stream,
    kept: set[int],
    copies: dict[int, int],
    lead_urls: tuple[str, ...],
    base: str,
    config: ExtractionConfig,
    build: Callable[[set[int], dict[int, Image]], list[Node]],
) -> tuple[list[Node], tuple[DroppedImage, ...]]:
    """Judges the images, gives captions to them and builds the nodes.

    Args:
      kept: runs of the main content; those that become a caption are taken out.
      copies: images that stand in for an earlier one: copy -> original.
      lead_urls: what the page's metadata names as its picture.
      build: makes the nodes of the kept runs and the content images by their numbers.
    """
    sources: dict[int, Sources] = {}

    copies_of: dict[int, list[int]] = {}
    for copy, original in copies.items():
        copies_of.setdefault(original, []).append(copy)

    def sources_of(number: int) -> Sources:
        if number not in sources:
            element = found.images[number].element
            said = image_sources(element, base, config.preferred_width)
            for copy in copies_of.get(number, ()):
                # It knows the URL where a script was to fill in the original's.
                more = image_sources(found.images[copy].element, base, config.preferred_width)
                urls = dict.fromkeys((*said.urls, *more.urls))
                said = Sources(tuple(urls), said.problem, said.raw)
            sources[number] = said
        return sources[number]

    captions = _captions(found)
    caption_runs = {run for start, end, _ in captions for run in range(start, end)}
    judge = Judge(found, kept, caption_runs, lead_urls, config.min_side)
    verdicts: list[tuple[Reason | None, str]] = []
    seen: set[str] = set()
    shown: tuple[int, int] = (-1, -1)  # place among the kept runs and number of the last one kept
    for number, image in enumerate(found.images):
        if number in copies:
            verdicts.append((Reason.DUPLICATE, "stands in for the image before it"))
            continue
        verdict = judge.judge(image, partial(sources_of, number))
        if verdict.reason is None:
            if sources[number].urls[0] in seen:
                verdicts.append((Reason.DUPLICATE, "shown before"))
                continue
            place = bisect_left(judge.kept_order, image.position)
            if shown[0] == place and same_file(sources[shown[1]], sources[number]):
                # Loaders put a blurred preview before the picture: the larger one is it.
                sources[shown[1]] = merge_sizes(sources[shown[1]], sources[number])
                verdicts.append((Reason.DUPLICATE, "another size of the image before it"))
                continue
            shown = (place, number)
            seen.add(sources[number].urls[0])
        verdicts.append((verdict.reason, verdict.detail))
    content = {number for number, (reason, _) in enumerate(verdicts) if reason is None}
    owners = _assign_captions(found, captions, content, kept)
    images = {
        number: _image(found.images[number], sources[number], owners.get(number, ""), base)
        for number in content
    }
    dropped = tuple(
        DroppedImage(_left_out(found.images[n], partial(sources_of, n), base), reason, n, detail)
        for n, (reason, detail) in enumerate(verdicts)
        if reason is not None
    )
    return build(kept, images), dropped


def _write_out_math(element: Any) -> None:
    """Replaces MathML by its TeX source, in the delimiters of TeX."""
    tex = ""
    for annotation in element.iter():
        name = annotation.tag.rpartition(":")[2] if isinstance(annotation.tag, str) else ""
        if name == "annotation" and annotation.get("encoding") == "application/x-tex":
            tex = (annotation.text or "").strip()
            break
    tex = tex or (element.get("alttext") or "").strip()
    if not tex:
        return
    _replace(element, tex, element.get("display") == "block")


def _write_out_tex(element: Any) -> None:
    """The same for the TeX that MathJax 2 keeps in scripts."""
    if tex := (element.text or "").strip():
        _replace(element, tex, "mode=display" in element.get("type"))


def _replace(element: Any, tex: str, is_block: bool) -> None:
    opening, closing = ("\\[", "\\]") if is_block else ("\\(", "\\)")
    tail = element.tail
    element.clear()
    element.tag = "span"
    element.text = f"{opening}{tex}{closing}"
    element.tail = tail


def _is_forum(data: list[dict[str, Any]]) -> bool:
    return any("DiscussionForumPosting" in str(item.get("@type")) for item in data)


def _captions(found: Walk | Stream) -> list[tuple[int, int, int]]:
    """(first run, end, frame) of elements that hold a caption and no image."""
    captions: list[tuple[int, int, int]] = []
    end_of_last = 0
    for frame in found.captions:
        start, end = found.starts[frame], found.ends[frame]
        if start >= end or start < end_of_last:
            continue
        if found.image_ends[frame] > found.image_starts[frame]:
            continue
        if sum(len(found.runs[i]) for i in range(start, end)) <= _MAX_CAPTION:
            captions.append((start, end, frame))
            end_of_last = end
    return captions


def _assign_captions(
    found: Walk | Stream, captions: list[tuple[int, int, int]], content: set[int], kept: set[int]
) -> dict[int, str]:
    """The caption of each content image; runs that became one leave the text."""
    owners: dict[int, str] = {}
    numbers = sorted(content)
    positions = [found.images[number].position for number in numbers]
    for start, end, frame in captions:
        around = found.parents[frame]
        for _ in range(_CAPTION_LEVELS):
            if around < 0 or found.tags[around] in ("body", "main", "article", "html"):
                break
            first = bisect_left(numbers, found.image_starts[around])
            last = bisect_left(numbers, found.image_ends[around])
            if first < last:
                before = bisect_right(positions, start, first, last)
                in_figure = found.tags[around] == "figure"
                owner = numbers[first if in_figure or before == first else before - 1]
                if owner not in owners:
                    owners[owner] = squeeze(clean(" ".join(found.runs[start:end])))
                    kept.difference_update(range(start, end))
                break
            if found.tags[around] == "figure":
                break
            around = found.parents[around]
    return owners


def _noscript_pairs(found: Walk) -> dict[int, int]:
    """Images that stand in for the one before them, in a noscript element that follows it or as an
    AMP image's fallback or placeholder: copy -> original."""
    pairs: dict[int, int] = {}
    for number, image in enumerate(found.images):
        if number == 0:
            continue
        original = pairs.get(number - 1, number - 1)
        before = found.images[original]
        if image.hidden != "noscript":
            if is_stand_in(image.element) and image.element.getparent() is before.element:
                pairs[number] = original
            continue
        same_place = before.position == image.position and not before.hidden
        is_first = found.images[number - 1].hidden != "noscript"
        if same_place and is_first and _close(before.element, image.element):
            pairs[number] = original
    return pairs


def _close(original: Any, copy: Any) -> bool:
    """The noscript of the copy follows the original within the same small wrapper."""
    noscript = next(copy.iterancestors("noscript"))
    if noscript.getparent() is original:  # an AMP image
        return True
    before = noscript.getprevious()
    while before is not None and not isinstance(before.tag, str):
        before = before.getprevious()
    return before is not None and (before is original or original in before.iter("img", "amp-img"))


def _image(image: RawImage, sources: Sources, caption: str, base: str) -> Image:
    size = declared_size(image.element)
    return Image(
        url=sources.urls[0],
        candidates=sources.urls[1:],
        alt=squeeze(image.element.get("alt")),
        title=squeeze(image.element.get("title")),
        caption=caption,
        link=absolute(base, image.href),
        width=size[0],
        height=size[1],
    )


def _left_out(image: RawImage, sources: Callable[[], Sources], base: str) -> Image:
    """The record of an image that is no content: the URL that it shows."""
    url = absolute(base, image.element.get("src")) or absolute(base, image.element.get("data-src"))
    if not url:
        written = sources()
        url = next(iter(written.urls), "") or absolute(base, written.raw) or written.raw[:200]
    return Image(url)


def _build(found: Walk, kept: set[int], images: dict[int, Image]) -> list[Node]:
    """Reads the events in order: kept runs of a block become one text, content images a node."""
    data_rows = _data_rows(found, kept)
    nodes: list[Node] = []
    parts: list[str] = []
    open_block = -1
    is_code = False

    def flush() -> None:
        nonlocal open_block
        if parts:
            block = found.blocks[open_block]
            role = Role.PARAGRAPH if block.role is Role.TABLE_ROW else block.role
            text = clean("".join(parts)).strip("\n").rstrip() if is_code else tidy("".join(parts))
            if text:
                nodes.append(Text(text, role))
            parts.clear()
        open_block = -1

    for kind, index in found.events:
        if kind == IMAGE:
            if index in images:
                flush()
                nodes.append(images[index])
        elif kind == BREAK:
            if parts:
                parts.append("\n")
        elif kind == BLANK:
            if parts:
                parts.append(found.blanks[index] if is_code else " ")
        elif index in kept:
            block = found.run_blocks[index]
            row = found.blocks[block].row
            if row in data_rows:
                flush()
                if text := data_rows[row]:
                    nodes.append(Text(text, Role.TABLE_ROW))
                    data_rows[row] = ""
                continue
            if block != open_block:
                flush()
                open_block = block
                is_code = found.blocks[block].role is Role.CODE
            # A line end in the source is a blank; only br ends a line.
            text = found.runs[index]
            parts.append(text if is_code or "\n" not in text else text.replace("\n", " "))
    flush()
    return nodes


def _data_rows(found: Walk, kept: set[int]) -> dict[int, str]:
    """The text of rows that are data: two or more cells with text, and one block in each."""
    rows: dict[int, dict[int, dict[int, list[str]]]] = {}
    if not any(block.row for block in found.blocks):
        return {}
    headings = set()
    parts: list[str] = []
    for kind, index in found.events:
        if kind == RUN:
            parts = []
            number = found.run_blocks[index]
            block = found.blocks[number]
            if block.row and index in kept:
                cells = rows.setdefault(block.row, {})
                parts = cells.setdefault(block.cell, {}).setdefault(number, [])
                parts.append(found.runs[index])
                if block.role is not Role.TABLE_ROW:
                    headings.add(block.row)
        elif parts and kind != IMAGE:
            parts.append(" ")
    return {
        row: " | ".join(
            squeeze(tidy("".join(parts))) for blocks in cells.values() for parts in blocks.values()
        )
        for row, cells in rows.items()
        if len(cells) >= 2
        and row not in headings
        and all(len(blocks) == 1 for blocks in cells.values())
    }


def tidy(text: str) -> str:
    """Composes characters (NFC) and collapses blanks; line breaks stay."""
    text = clean(text)
    if "\n" not in text:
        return " ".join(text.split())
    return "\n".join(line for part in text.split("\n") if (line := " ".join(part.split())))


def clean(text: str) -> str:
    text = without_controls(text)
    return text if text.isascii() else unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
