"""The main content as trafilatura itself finds it, carried back to the page.

For pages where content.py finds too little: trafilatura has more ways to look for text (wild
paragraphs, embedded data, a second try for recall). It returns a new tree without positions, so
every text run is marked before, and the markers that come out say which runs were kept.

Its parts are called, in its order, and not its whole, which cleans and copies the tree anew for
each try, keeps copies for what is not asked of it, and renders the page to know its length.
"""

import logging
import re
from copy import copy
from typing import Any

from lxml import etree
from trafilatura.baseline import baseline
from trafilatura.core import (
    ESCALATION_ACCEPT_RATIO,
    ESCALATION_MAX_LENGTH,
    ESCALATION_PAGE_SHARE,
)
from trafilatura.htmlprocessing import convert_tags, prune_unwanted_nodes, tree_cleaning
from trafilatura.main_extractor import extract_content
from trafilatura.settings import DEFAULT_CONFIG, Extractor
from trafilatura.xpaths import RAW_TREE_PRUNE_XPATH, REMOVE_COMMENTS_AND_LISTS_XPATH

from stages.extraction.content import COMMENT_NAMES
from stages.extraction.walk import (
    BLOCK_TAGS,
    FURNITURE_TAGS,
    MAX_RUNS,
    TooComplex,
    Walk,
    marked,
    marker,
)

# Not an error of ours: trafilatura warns of every page without main content.
logging.getLogger("trafilatura").setLevel(logging.CRITICAL)

_OPTIONS, _RECALL = (
    Extractor(
        config=DEFAULT_CONFIG,
        output_format="xml",
        fast=True,
        comments=False,
        tables=True,
        recall=recall,
    )
    for recall in (False, True)
)
# What any name that its rule for appended articles hits holds.
_APPENDED_NAMES = ("mvp-post-add", "infinite", "elementor-share-buttons")
_TEXT_LENGTH = etree.XPath("string-length(normalize-space())")
_SPACE = re.compile(r"\s+")
_NEVER_TEXT = ("svg", "noscript", "iframe", "select", "object", "embed", "canvas", "audio", "video")
# Text-free elements that mean something: line breaks and the grid of a table.
_KEPT_EMPTY = frozenset({"html", "body", "hr", "td", "th", "tr", "table", "tbody"})
_UNREAD_ATTRIBUTES = (
    "alt",
    "srcset",
    "sizes",
    "target",
    "rel",
    "tabindex",
    "onclick",
    "data-src",
    "data-srcset",
    "aria-label",
    "itemscope",
    "itemtype",
)
# Blocks that are often closed in the middle of running text.
_LOOSE_AFTER = ("center", "div", "p", "figure", "table", "ul", "ol", "blockquote", "pre")
_LINKED_DATA = "application/ld+json"


def _mark(found: Walk) -> None:
    """Puts a marker into every run of the tree."""
    if len(found.runs) > MAX_RUNS:
        raise TooComplex("too_many_elements", len(found.runs))
    for index, (text, element, is_tail) in enumerate(
        zip(found.runs, found.holders, found.in_tails, strict=True)
    ):
        if not text:
            continue
        body = text.lstrip()
        named = f"{text[: len(text) - len(body)]}{marker(index)}{body}"
        if is_tail:
            element.tail = named
        else:
            element.text = named


def _drop(element: Any) -> None:
    """Removes an element and its content; its tail stays."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        before = element.getprevious()
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _prepare(root: Any, found: Walk) -> None:
    """Keeps trafilatura from deleting text along with picture elements.

    A figure without an image holds a quote, a table or code; without this its text is deleted.
    `source` is an empty element that libxml2 nests what follows into.
    """
    for element in list(root.iter("script", "style")):
        if element.tag == "style" or (element.get("type") or "").strip() != _LINKED_DATA:
            _drop(element)
    for figure in root.iter("figure"):
        if next(figure.iter("img", "amp-img", "picture", "video", "iframe"), None) is None:
            figure.tag = "div"
    etree.strip_tags(root, "source")
    # The rest is speed: what trafilatura deletes unseen is copied and searched five times over.
    etree.strip_elements(root, *_NEVER_TEXT, *FURNITURE_TAGS, with_tail=False)
    head = root.find("head")
    if head is not None:
        for element in list(head):
            if element.tag != "script":
                head.remove(element)
    _drop_empty(root, found)
    etree.strip_tags(root, "img", "amp-img")
    _wrap_loose_text(root)
    etree.strip_attributes(root, *_UNREAD_ATTRIBUTES)


def _wrap_loose_text(root: Any) -> None:
    """Gives text that follows a block inside its container a paragraph of its own.

    Browsers lay such text out as an anonymous block; trafilatura drops it (measured on 2.3.1: the
    text between `</center>` or `</div>` and the next `<br><br>` is gone).
    """
    for block in list(root.iter(*_LOOSE_AFTER)):
        parent = block.getparent()
        if parent is None:
            continue
        following = []
        for sibling in block.itersiblings():
            if sibling.tag in BLOCK_TAGS:
                break
            following.append(sibling)
        # Without text of its own between them, a row of links stays what it is.
        if not any((element.tail or "").strip() for element in (block, *following)):
            continue
        paragraph = etree.Element("p")
        paragraph.text, block.tail = block.tail, None
        parent.insert(parent.index(block) + 1, paragraph)
        for sibling in following:
            paragraph.append(sibling)


def _drop_empty(root: Any, found: Walk) -> None:
    """Drops the outermost elements without text."""
    starts, ends, parents = found.starts, found.ends, found.parents
    holders = {ancestor for script in root.iter("script") for ancestor in script.iterancestors()}
    for frame, element in enumerate(found.frames):
        if starts[frame] != ends[frame] or frame == 0:
            continue
        above = parents[frame]
        if starts[above] == ends[above] and found.frames[above].tag not in _KEPT_EMPTY:
            continue
        if element.tag in _KEPT_EMPTY or element in holders:
            continue
        if element.get("data-preloaded") is None:
            _drop(element)


def kept_runs(root: Any, found: Walk, forum: bool) -> tuple[set[int], tuple[str, ...]]:
    """Runs that trafilatura keeps, and paragraphs that it found outside the text of the page.

    Args:
      forum: whether comments are the content.

    Returns:
      Indices of runs; and, where the content came from data embedded in a script and is not on the
      page, its paragraphs (the set is then empty).
    """
    _mark(found)
    _prepare(root, found)
    page = copy(root)  # the images are judged by the page that is left
    names = "\n".join(found.names)
    if any(name in names for name in _APPENDED_NAMES):
        prune_unwanted_nodes(page, RAW_TREE_PRUNE_XPATH)
    if not forum and any(name in names for name in COMMENT_NAMES):
        prune_unwanted_nodes(page, REMOVE_COMMENTS_AND_LISTS_XPATH)
    texts = list(_main_text(page).itertext())
    if kept := marked("".join(texts)):
        _fill_holes(found, kept)
        return kept, ()
    # Embedded data replaces the text of the page as a whole.
    foreign = [plain for text in texts if (plain := _SPACE.sub(" ", text).strip())]
    return _locate(foreign, found) if foreign else (set(), ())


def _main_text(page: Any) -> Any:
    """The body that trafilatura makes of a page without comments.

    Source: trafilatura 2.3, core.py: trafilatura_sequence, fast and balanced.
    """
    scripts = sum(map(_TEXT_LENGTH, page.iter("script")))
    size = _TEXT_LENGTH(page) - scripts
    tree = convert_tags(tree_cleaning(copy(page), _OPTIONS), _OPTIONS)
    again = copy(tree)
    body, text = extract_content(tree, _OPTIONS)
    if len(text) < _OPTIONS.min_extracted_size:
        other, other_text, length = baseline(page)
        if length > len(text):
            body, text = other, other_text
    if 0 < len(text) < min(ESCALATION_MAX_LENGTH, ESCALATION_PAGE_SHARE * size):
        if next(again.iter("p"), None) is None:  # cleaning for recall spares the last paragraphs
            again = convert_tags(tree_cleaning(page, _RECALL), _RECALL)
        other, other_text = extract_content(again, _RECALL)
        enough = max(_OPTIONS.min_extracted_size, ESCALATION_ACCEPT_RATIO * len(text))
        if len(other_text) >= enough:
            body = other
    return body


def _locate(paragraphs: list[str], found: Walk) -> tuple[set[int], tuple[str, ...]]:
    """Finds on the page the text that came from embedded data; half of it must be there."""
    text = _squash("".join(paragraphs))
    kept = set()
    size = 0
    for index, run in enumerate(found.runs):
        squashed = _squash(run)
        # Short runs are found anywhere by chance.
        if len(squashed) >= 20 and squashed in text:
            kept.add(index)
            size += len(squashed)
    if size * 2 >= len(text):
        return kept, ()
    return set(), tuple(paragraphs)


def _squash(text: str) -> str:
    return _SPACE.sub("", text)


def _fill_holes(found: Walk, kept: set[int]) -> None:
    """Keeps dates inside a kept sentence: trafilatura deletes every time element."""
    blocks = found.run_blocks
    for index in found.times:
        around = {index - 1, index + 1}
        if around <= kept and {blocks[near] for near in around} == {blocks[index]}:
            kept.add(index)
