"""One walk over the parsed page: text runs, blocks, images and the extent of every element.

A run is one non-blank text node. A block is a stretch of runs that no block boundary interrupts.
An element's extent is the range of runs that it holds, so that any share of kept text is a
subtraction of two prefix sums.

Everything that follows (main content, captions, images, text) reads these lists and hardly ever
the tree: a property of an element costs more than all that is done with it.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from schemas.document import Role
from stages.extraction.sources import IMAGE_TAGS, is_hidden


def tag_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Source: HTML Standard, 15.3 "Non-replaced elements": display values other than inline.
BLOCK_TAGS = tag_set(
    "address article aside blockquote body center caption dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li "
    "listing main menu nav ol optgroup option p picture plaintext pre section summary table tbody "
    "td tfoot th thead tr ul xmp"
)
# Their text is not shown, or not as text of the page.
SKIPPED_TAGS = tag_set(
    "head script style noscript svg iframe object embed select textarea audio video canvas applet "
    "datalist title template"
)
# Page furniture by its own word; the text in it is only measured, and images are all that is taken.
# Source: trafilatura 2.3 settings.py, MANUALLY_CLEANED, those that hold more than a word.
FURNITURE_TAGS = tag_set("aside dialog footer nav")
# Elements whose text is text, whatever else stands between them and it.
_TEXT_TAGS = tag_set(
    "p h1 h2 h3 h4 h5 h6 li dd dt blockquote pre listing xmp plaintext td th caption summary"
)
# Inline elements that no image decision needs to know the extent of.
_PHRASING = tag_set(
    "b i em strong small sub sup u s strike del ins font abbr acronym cite code kbd samp tt var "
    "mark wbr time q bdi bdo big source"
)
_PLAIN, _SPECIAL, _SKIPPED, _LINK, _FRAMED, _BLOCK, _TELLING = range(7)
_KINDS = {
    **dict.fromkeys(_PHRASING, _PLAIN),
    **dict.fromkeys(("br", "input", *IMAGE_TAGS), _SPECIAL),
    "a": _LINK,
    **dict.fromkeys(BLOCK_TAGS, _BLOCK),
    # Blocks that say more than where they end.
    **dict.fromkeys(_TEXT_TAGS | {"table", "tr", "picture"}, _TELLING),
    **dict.fromkeys(SKIPPED_TAGS | FURNITURE_TAGS, _SKIPPED),
}
_TEXT_LENGTH = etree.XPath("string-length(normalize-space())")
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
    """Where a run lies.

    Attributes:
      role: what its text is.
      frame: the innermost block element around it.
      in_text: whether it lies in an element that is there to hold text.
      after_break: whether a line break, not an element, began it.
      row, cell: the table row and cell that it belongs to, 0 for none.
    """

    role: Role
    frame: int
    in_text: bool
    after_break: bool = False
    row: int = 0
    cell: int = 0


@dataclass(slots=True)
class RawImage:
    """An image-like element. `position`: runs before it; `href`: what the link around it says;
    `hidden`: tag of the skipped subtree that it lies in."""

    element: Any
    frame: int
    position: int
    href: str = ""
    hidden: str = ""


RUN, IMAGE, BLANK, BREAK = range(4)


@dataclass
class Walk:
    """What was found, in document order.

    Attributes:
      runs, run_blocks: text of each run and the number of its block; "" stands for furniture.
      sizes: characters of each run without the blanks around it.
      holders, in_tails: the element of each run, and whether the run is its tail.
      times: runs that a time element holds.
      events: (RUN, index), (IMAGE, index), (BLANK, index) for the blanks between two inline
        elements, (BREAK, 0) for a line break.
      frames: elements with an extent, pre-order: all but those that only mark phrases up.
      tags, names: tag of each frame, and its class and id as one text.
      parents: number of the frame around, -1 for the root.
      starts, ends, image_starts, image_ends: half-open ranges of runs and images.
      lasts: number after the last frame inside.
      links: frames that are links and hold text.
      captions: frames that call themselves a caption.
    """

    runs: list[str] = field(default_factory=list)
    run_blocks: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    holders: list[Any] = field(default_factory=list)
    in_tails: list[bool] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    images: list[RawImage] = field(default_factory=list)
    blanks: list[str] = field(default_factory=list)
    events: list[tuple[int, int]] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    image_starts: list[int] = field(default_factory=list)
    image_ends: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    captions: list[int] = field(default_factory=list)

    # What the judge asks; see judge.Found.

    def heads(self) -> list[int]:
        return [
            self.starts[frame]
            for frame, tag in enumerate(self.tags)
            if tag == "h1" and self.ends[frame] > self.starts[frame]
        ]

    def said(self, frame: int) -> str:
        role = self.frames[frame].get("role")
        return f"{self.names[frame]} {role}" if role else self.names[frame]

    def hides(self, frame: int) -> bool:
        return is_hidden(self.frames[frame])

    def holds_menu(self, frame: int) -> bool:
        return self.frames[frame].find(".//nav") is not None

    def links_to(self, frame: int, href: str) -> bool:
        return any(
            (anchor.get("href") or "").strip() == href and "".join(anchor.itertext()).strip()
            for anchor in self.frames[frame].iter("a")
        )


def walk(root: Any, max_elements: int, max_depth: int) -> Walk:
    """Walks a tree without comments.

    Raises:
      TooComplex: more elements, depth or runs than the limits.
    """
    out = Walk()
    runs, blocks, images, events = out.runs, out.blocks, out.images, out.events
    frames, starts, ends = out.frames, out.starts, out.ends
    image_ends, lasts, blanks = out.image_ends, out.lasts, out.blanks
    # Bound once: these run for every element.
    add_frame, add_tag, add_name = frames.append, out.tags.append, out.names.append
    add_start, add_end, add_parent = starts.append, ends.append, out.parents.append
    add_image_start, add_image_end = out.image_starts.append, image_ends.append
    add_last, add_event = lasts.append, events.append
    kind_of = _KINDS.get
    roles = [Role.PARAGRAPH]
    containers = [0]
    rows: list[list[int]] = []
    hrefs = [""]
    # (tag, kind, frame around) from the root to the current element.
    stack: list[tuple[str, int, int]] = []
    push, pop = stack.append, stack.pop
    frame = -1
    elements = row_count = text_depth = 0
    block = -1  # no open block
    broken = after_break = False

    def add(text: str, element: Any, is_tail: bool) -> None:
        """Adds a text that is more than blanks."""
        nonlocal block, after_break, broken
        if not text.isascii():
            text = unmark(text)
            if not text or text.isspace():
                return
        if block < 0:
            row, cell = rows[-1] if rows else (0, 0)
            block = len(blocks)
            blocks.append(Block(roles[-1], containers[-1], text_depth > 0, broken, row, cell))
            broken = False
        add_event((RUN, len(runs)))
        runs.append(text)
        out.sizes.append(len(text.strip()))
        out.run_blocks.append(block)
        out.holders.append(element)
        out.in_tails.append(is_tail)
        after_break = False

    def add_image(element: Any, hidden: str = "") -> None:
        add_event((IMAGE, len(images)))
        images.append(RawImage(element, frame, len(runs), hrefs[-1], hidden))

    context = etree.iterwalk(root, events=("start", "end"))
    for event, element in context:
        if event == "end":
            tag, kind, around = pop()
            if kind >= _LINK:
                ends[frame] = len(runs)
                image_ends[frame] = len(images)
                lasts[frame] = len(frames)
                if kind >= _BLOCK:
                    block = -1
                    broken = False
                    containers.pop()
                    if kind == _TELLING:
                        text_depth -= tag in _TEXT_TAGS
                        if tag in _ROLES:
                            roles.pop()
                            if tag == "tr":
                                rows.pop()
                        elif tag == "table":
                            rows.pop()
                            roles.pop()
                elif kind == _LINK:
                    hrefs.pop()
                    if starts[frame] < len(runs):
                        out.links.append(frame)
                frame = around
            text = element.tail
            if text and stack:
                if not text.isspace():
                    add(text, element, True)
                elif block >= 0:  # indentation between blocks is nothing
                    add_event((BLANK, len(blanks)))
                    blanks.append(text)
            continue
        tag = element.tag
        kind = kind_of(tag, _FRAMED)
        push((tag, kind, frame))
        elements += 1
        if elements > max_elements:
            raise TooComplex("too_many_elements", elements)
        if len(stack) > max_depth:
            raise TooComplex("too_deep", len(stack))
        if kind == _SKIPPED:
            if len(element):
                for inner in element.iter(*IMAGE_TAGS, "input", "picture"):
                    if _is_image(inner):
                        add_image(inner, tag)
            if tag in FURNITURE_TAGS:
                block = -1
                if size := int(_TEXT_LENGTH(element)):
                    blocks.append(Block(Role.PARAGRAPH, containers[-1], False))
                    runs.append("")
                    out.run_blocks.append(len(blocks) - 1)
                    out.sizes.append(size)
                    out.holders.append(element)
                    out.in_tails.append(False)
            context.skip_subtree()
            continue
        if kind >= _LINK:
            if kind >= _BLOCK:
                block = -1
                after_break = broken = False
                containers.append(len(frames))
                if kind == _TELLING:
                    text_depth += tag in _TEXT_TAGS
                    if (role := _ROLES.get(tag)) is not None:
                        roles.append(role)
                        if tag == "tr":
                            row_count += 1
                            rows.append([row_count, 0])
                    elif tag == "table":
                        rows.append([0, 0])
                        roles.append(Role.PARAGRAPH)
                    elif tag in ("td", "th"):
                        if rows:
                            rows[-1][1] += 1
                    elif tag == "picture" and _is_image(element):
                        add_image(element)
            elif kind == _LINK:
                hrefs.append((element.get("href") or "").strip())
            add_parent(frame)
            frame = len(frames)
            add_frame(element)
            add_tag(tag)
            name = element.get("class") or ""
            if tag == "figcaption" or "aption" in name:
                out.captions.append(frame)
            if identity := element.get("id"):
                name = f"{name} {identity}"
            add_name(name)
            add_start(len(runs))
            add_end(-1)
            add_image_start(len(images))
            add_image_end(-1)
            add_last(-1)
        elif kind == _SPECIAL:
            if tag != "br":
                if _is_image(element):
                    add_image(element)
            elif after_break:
                block = -1  # two line breaks end a paragraph
                broken = True
            elif block >= 0:
                add_event((BREAK, 0))
                after_break = True
            else:
                broken = True
        elif tag == "time":
            out.times.append(len(runs))
        text = element.text
        if text:
            if not text.isspace():
                add(text, element, False)
            elif block >= 0:
                add_event((BLANK, len(blanks)))
                blanks.append(text)
    return out


def _is_image(element: Any) -> bool:
    if element.tag == "picture":
        return element.find(".//img") is None
    return element.tag != "input" or (element.get("type") or "").lower() == "image"
