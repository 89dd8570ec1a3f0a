"""One walk over the parsed page: text runs, blocks, images and the extent of every element.

A run is one non-blank text node. A block is a stretch of runs that no block boundary interrupts.
An element's extent is the range of runs that it holds, so that any share of kept text is a
subtraction of two prefix sums.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from schemas.document import Role
from stages.extraction.sources import IMAGE_TAGS


def _tags(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Source: HTML Standard, 15.3 "Non-replaced elements": display values other than inline.
BLOCK_TAGS = _tags(
    "address article aside blockquote body center caption dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li "
    "listing main menu nav ol optgroup option p picture plaintext pre section summary table tbody "
    "td tfoot th thead tr ul xmp"
)
# Their text is not shown, or not as text of the page.
SKIPPED_TAGS = _tags(
    "head script style noscript svg iframe object embed select textarea audio video canvas applet "
    "datalist title"
)
# Inline elements that no image decision needs to know the extent of.
_PHRASING = _tags(
    "b i em strong small sub sup u s strike del ins font abbr acronym cite code kbd samp tt var "
    "mark wbr time q bdi bdo big source"
)
_PLAIN, _SPECIAL, _SKIPPED, _FRAMED, _BLOCK = range(5)
_KINDS = {
    **dict.fromkeys(_PHRASING, _PLAIN),
    **dict.fromkeys(("a", "br", "input", *IMAGE_TAGS), _SPECIAL),
    **dict.fromkeys(BLOCK_TAGS, _BLOCK),
    **dict.fromkeys(SKIPPED_TAGS, _SKIPPED),
}
_ROLES = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), Role.HEADING),
    **dict.fromkeys(("li", "dd", "dt"), Role.LIST_ITEM),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), Role.CODE),
    "blockquote": Role.QUOTE,
    "tr": Role.TABLE_ROW,
}

# Variation selectors 17 to 256: printable, word-less and almost never in text, so that trafilatura
# carries them along and its filters do not see them. Two of them name a run.
_FIRST = 0xE0100
_COUNT = 240
MAX_RUNS = _COUNT * _COUNT
MARKER = re.compile("[\U000e0100-\U000e01ef]{2}")
_ANY_MARKER = re.compile("[\U000e0100-\U000e01ef]")


def marker(index: int) -> str:
    """Two characters that name run `index`."""
    return chr(_FIRST + index // _COUNT) + chr(_FIRST + index % _COUNT)


def marked(text: str) -> set[int]:
    """The runs whose markers lie in a text."""
    return {
        (ord(pair[0]) - _FIRST) * _COUNT + ord(pair[1]) - _FIRST for pair in MARKER.findall(text)
    }


def unmark(text: str) -> str:
    return _ANY_MARKER.sub("", text)


class TooComplex(ValueError):
    """The page is deeper or larger than the limits: nothing costly was done with it."""

    def __init__(self, reason: str, value: int) -> None:
        super().__init__(f"{reason}: {value}")
        self.reason = reason
        self.value = value


@dataclass(slots=True)
class Block:
    """Where a run lies: its role, and the table row and cell that it belongs to (0 for none)."""

    role: Role
    row: int = 0
    cell: int = 0


@dataclass(slots=True)
class Run:
    text: str
    block: int
    tag: str


@dataclass(slots=True)
class RawImage:
    """An image-like element. `position`: runs before it; `href`: what the link around it says;
    `hidden`: tag of the skipped subtree that it lies in."""

    element: Any
    frame: int
    position: int
    href: str = ""
    hidden: str = ""


@dataclass
class Walk:
    """What was found, in document order.

    Attributes:
      events: ("run", index), ("image", index), ("blank", index) for the blanks between two inline
        elements, ("break", 0) for a line break.
      frames, parents, starts, ends, image_starts, image_ends: elements with an extent, pre-order;
        parent of the root is -1; extents are half-open ranges of runs and images.
    """

    runs: list[Run] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    images: list[RawImage] = field(default_factory=list)
    blanks: list[str] = field(default_factory=list)
    events: list[tuple[str, int]] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    image_starts: list[int] = field(default_factory=list)
    image_ends: list[int] = field(default_factory=list)


def walk(root: Any, max_elements: int, max_depth: int) -> Walk:
    """Walks the tree and puts a marker into every run of it.

    Raises:
      TooComplex: more elements, depth or runs than the limits.
    """
    out = Walk()
    runs, blocks, images, events = out.runs, out.blocks, out.images, out.events
    blanks, image_starts, image_ends = out.blanks, out.image_starts, out.image_ends
    frames, parents, starts, ends = out.frames, out.parents, out.starts, out.ends
    roles = [Role.PARAGRAPH]
    rows: list[list[int]] = []
    hrefs = [""]
    frame = -1
    depth = elements = row_count = 0
    block = -1  # no open block
    after_break = False

    def add(text: str, tag: str) -> str | None:
        nonlocal block, after_break
        clean = text if text.isascii() else unmark(text)
        if not clean or clean.isspace():
            if block < 0:
                return None  # indentation between blocks would only be copied along
            if clean:
                blanks.append(clean)
                events.append(("blank", len(blanks) - 1))
            return clean
        if block < 0:
            row, cell = rows[-1] if rows else (0, 0)
            blocks.append(Block(roles[-1], row, cell))
            block = len(blocks) - 1
        index = len(runs)
        if index >= MAX_RUNS:
            raise TooComplex("too_many_elements", index)
        runs.append(Run(clean, block, tag))
        events.append(("run", index))
        after_break = False
        body = clean.lstrip()
        return f"{clean[: len(clean) - len(body)]}{marker(index)}{body}"

    context = etree.iterwalk(root, events=("start", "end"))
    for event, element in context:
        tag = element.tag
        kind = _KINDS.get(tag, _FRAMED)
        if event == "start":
            depth += 1
            elements += 1
            if depth > max_depth:
                raise TooComplex("too_deep", depth)
            if elements > max_elements:
                raise TooComplex("too_many_elements", elements)
            if kind == _SKIPPED:
                for inner in element.iter("img", "image", "amp-img", "amp-anim", "input"):
                    if inner.tag != "input" or (inner.get("type") or "").lower() == "image":
                        images.append(RawImage(inner, frame, len(runs), hrefs[-1], tag))
                        events.append(("image", len(images) - 1))
                context.skip_subtree()
                continue
            if kind == _BLOCK:
                block = -1
                after_break = False
                if (role := _ROLES.get(tag)) is not None:
                    roles.append(role)
                    if tag == "tr":
                        row_count += 1
                        rows.append([row_count, 0])
                elif tag in ("td", "th") and rows:
                    rows[-1][1] += 1
                elif tag == "table":
                    rows.append([0, 0])
                    roles.append(Role.PARAGRAPH)
                elif tag == "picture" and element.find(".//img") is None:
                    images.append(RawImage(element, frame, len(runs), hrefs[-1]))
                    events.append(("image", len(images) - 1))
            elif kind == _SPECIAL:
                if tag == "a":
                    hrefs.append((element.get("href") or "").strip())
                elif tag == "br":
                    if after_break:
                        block = -1  # two line breaks end a paragraph
                    elif block >= 0:
                        events.append(("break", 0))
                        after_break = True
                elif tag != "input" or (element.get("type") or "").lower() == "image":
                    images.append(RawImage(element, frame, len(runs), hrefs[-1]))
                    events.append(("image", len(images) - 1))
            if kind >= _FRAMED or tag == "a":
                frames.append(element)
                parents.append(frame)
                starts.append(len(runs))
                ends.append(-1)
                image_starts.append(len(images))
                image_ends.append(-1)
                frame = len(frames) - 1
            if (text := element.text) and (named := add(text, tag)) != text:
                element.text = named
        else:
            depth -= 1
            if kind == _BLOCK:
                block = -1
                if tag in _ROLES:
                    roles.pop()
                    if tag == "tr":
                        rows.pop()
                elif tag == "table":
                    rows.pop()
                    roles.pop()
            elif tag == "a":
                hrefs.pop()
            if kind >= _FRAMED or tag == "a":
                ends[frame] = len(runs)
                image_ends[frame] = len(images)
                frame = parents[frame]
            if depth and (tail := element.tail):
                named = add(tail, element.getparent().tag)
                if named != tail:
                    element.tail = named
    return out
