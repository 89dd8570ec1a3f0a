"""One pass over the tags of a page that has been cut down: text runs, images, extents of elements.

What walk.py reads off a tree is read here off the tags as they come, for the fast engine: its lists
have the names and the meaning of the walk's, so that the same judge asks them. A run is the text
between two block boundaries or images.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape

from schemas.document import Role
from stages.extraction.cut import HIDDEN, Tag, unescape_value
from stages.extraction.sources import IMAGE_TAGS, is_hidden, is_stand_in
from stages.extraction.walk import (
    BLOCK_TAGS,
    FURNITURE_TAGS,
    SKIPPED_TAGS,
    RawImage,
    TooComplex,
    tag_set,
)

# A tag with its quoted values; where a quote is not closed, up to the next ">". What else begins
# with "<" is text.
_TAG = re.compile(
    rf"<(/?[a-zA-Z!?{HIDDEN}][^\s/>]*+)"
    r"([^>\"']*+(?:(?:\"[^\"]*+\"|'[^']*+')[^>\"']*+)*+(?=>)|[^>]*+)>?"
)
_HREF = re.compile(r"\shref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.I)
_NAMES = re.compile(r"\s(?:class|id|role)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.I)
_CAPTION = "aption"
_BREAK = "\x03"
# So many open elements are looked at for the one that an end tag closes.
_REACH = 16
# Fewer tags cannot lie deep enough to cost anything.
_SURELY_FLAT = 4_000
# Elements that are empty, or whose end tag may be left out; whatever is, they do not nest.
_NOT_NESTING = tag_set(
    "p li dd dt tr td th thead tbody tfoot option optgroup rb rp rt colgroup col br hr img input "
    "meta link source wbr area base embed track param html head body"
)
# Tags that a loader may wrap around an image before its noscript copy comes.
_WRAPPERS = 8

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# Elements of text that hold no others, and boundaries that hold nothing.
_TEXTS = HEADINGS | {"p", "caption"}
_BOUNDARIES = tag_set("hr legend option optgroup tbody tfoot thead html body head")
# What is done at a tag; the first ones end a run. Of the elements with an extent, those that say
# what the text in them is are told apart.
_OPEN, _CLOSE, _TEXT, _TEXT_END, _TELL, _PICTURE, _PICTURE_END, _BOUNDARY = range(8)
_INLINE, _LINK, _LINK_END, _LINE, _IMAGE, _SOURCE, _HIDE, _HIDE_END, _TIME = range(8, 17)
_TELLING = tag_set("li dd dt td th tr table pre listing xmp plaintext blockquote figcaption")
_FRAMES = (BLOCK_TAGS | FURNITURE_TAGS) - _TEXTS - _BOUNDARIES - {"picture"}
_KINDS = {
    "a": _LINK,
    "/a": _LINK_END,
    "br": _LINE,
    "picture": _PICTURE,
    "/picture": _PICTURE_END,
    "source": _SOURCE,
    "time": _TIME,
    f"/{HIDDEN}": _HIDE_END,
    **dict.fromkeys(_FRAMES, _OPEN),
    **dict.fromkeys(_TELLING, _TELL),
    **{f"/{tag}": _CLOSE for tag in _FRAMES},
    **dict.fromkeys(_TEXTS, _TEXT),
    **{f"/{tag}": _TEXT_END for tag in _TEXTS},
    **{slash + tag: _BOUNDARY for tag in _BOUNDARIES for slash in ("", "/")},
    **dict.fromkeys((*IMAGE_TAGS, "input"), _IMAGE),
    **{HIDDEN + tag: _HIDE for tag in SKIPPED_TAGS | FURNITURE_TAGS | {"button"}},
}
_ROLES = {
    **dict.fromkeys(("li", "dd", "dt"), Role.LIST_ITEM),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), Role.CODE),
    "blockquote": Role.QUOTE,
    "table": Role.PARAGRAPH,
}
# Elements that end where another of the same set begins.
_ENDED_BY = {
    "li": frozenset({"li"}),
    **dict.fromkeys(("dd", "dt"), frozenset({"dd", "dt"})),
    **dict.fromkeys(("td", "th"), frozenset({"td", "th"})),
    "tr": frozenset({"td", "th", "tr"}),
}


@dataclass(slots=True)
class Stream:
    """What was found, in document order.

    Attributes:
      runs, sizes: text of each run, and its characters without the blanks around it. A line end in
        it is one of the page's (br), but for code.
      linked: characters of each run that lie in links.
      run_frames, run_tags: the innermost frame around each run, and the tag of the element of text
        that it lies in, else that of the frame.
      run_blocks: a number that runs share if only images lie between them.
      frames, tags: what each element with an extent says of itself, and its tag, pre-order.
      roles, rows: the role of what lies in each frame, None for text; the table row around it, -1
        for none.
      parents: number of the frame around, -1 for the root.
      starts, ends, image_starts, image_ends: half-open ranges of runs and images.
      images: all image elements. copies: those that stand in for an earlier one: copy -> original.
      captions: frames that call themselves a caption.
      links: (run, attributes) of the links with text.
      headlines: half-open ranges of the runs in h1 elements.
      about: links that may name the licence, and time elements that may date the page.
      menus: frames around nav elements.
    """

    runs: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    linked: list[int] = field(default_factory=list)
    run_frames: list[int] = field(default_factory=list)
    run_tags: list[str] = field(default_factory=list)
    run_blocks: list[int] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    roles: list[Role | None] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    image_starts: list[int] = field(default_factory=list)
    image_ends: list[int] = field(default_factory=list)
    images: list[RawImage] = field(default_factory=list)
    copies: dict[int, int] = field(default_factory=dict)
    captions: list[int] = field(default_factory=list)
    links: list[tuple[int, str]] = field(default_factory=list)
    headlines: list[list[int]] = field(default_factory=list)
    about: list[Tag] = field(default_factory=list)
    menus: list[int] = field(default_factory=list)

    # What the judge asks; see judge.Found.

    def heads(self) -> list[int]:
        return [start for start, end in self.headlines if end > start]

    def said(self, frame: int) -> str:
        return names_of(self.frames[frame])

    def hides(self, frame: int) -> bool:
        written = self.frames[frame]
        return ("hidden" in written or "none" in written) and is_hidden(Tag("", written))

    def holds_menu(self, frame: int) -> bool:
        for menu in self.menus:
            while menu > frame:
                menu = self.parents[menu]
            if menu == frame:
                return True
        return False

    def links_to(self, frame: int, href: str) -> bool:
        first = bisect_left(self.links, (self.starts[frame], ""))
        last = bisect_left(self.links, (self.ends[frame], ""))
        return any(_href(written) == href for _, written in self.links[first:last])


def read_stream(html: str, folded: bool, max_elements: int, max_depth: int) -> Stream:
    """Reads the tags of a page.

    Args:
      folded: whether it has tags in capitals.

    Raises:
      TooComplex: more elements or depth than the limits.
    """
    out = Stream()
    runs, images = out.runs, out.images
    frames, tags, roles, rows, parents = out.frames, out.tags, out.roles, out.rows, out.parents
    starts, ends, image_starts, image_ends = out.starts, out.ends, out.image_starts, out.image_ends
    # Bound once: these run for every element.
    add_run, add_size, add_linked = runs.append, out.sizes.append, out.linked.append
    add_run_frame, add_run_tag = out.run_frames.append, out.run_tags.append
    add_run_block = out.run_blocks.append
    add_frame, add_tag, add_parent = frames.append, tags.append, parents.append
    add_role, add_row, add_start, add_end = roles.append, rows.append, starts.append, ends.append
    add_image_start, add_image_end, add_link = (
        image_starts.append,
        image_ends.append,
        out.links.append,
    )
    kind_of, ended_by, role_of = _KINDS.get, _ENDED_BY.get, _ROLES.get
    parts: list[str] = []
    tag = ""
    frame = -1
    block = 0
    broken = False
    link: str | None = None
    link_frame = 0
    linked = linked_before = linked_at = 0  # characters in links: so far, before the run, the link
    picture: Tag | None = None
    picture_images = 0
    hidden = ""
    shown_at = 0  # the place among the tags of the last image that is shown
    captioned = _CAPTION in html

    def flush() -> None:
        nonlocal linked_before, broken
        text = "".join(parts)
        parts.clear()
        if "\n" in text and roles[frame] is not Role.CODE:
            text = text.replace("\n", " ")
        if broken:
            text = text.replace(_BREAK, "\n")
            broken = False
        links = linked - linked_before
        if "&" in text:
            written = len(text)
            text = unescape(text)
            links = links * len(text) // written
        if size := len(text.strip()):
            add_run(text)
            add_size(size)
            add_linked(min(links, size))
            add_run_frame(frame)
            add_run_tag(tag)
            add_run_block(block)
        linked_before = linked

    def open_frame(name: str, written: str, role: Role | None, row: int) -> None:
        nonlocal frame, tag
        add_parent(frame)
        frame = len(tags)
        tag = name
        add_frame(written)
        add_tag(name)
        add_role(role)
        add_row(row)
        add_start(len(runs))
        add_image_start(len(images))
        add_end(-1)
        add_image_end(-1)

    def close_frame() -> None:
        nonlocal frame, tag, link
        ends[frame] = len(runs)
        image_ends[frame] = len(images)
        frame = parents[frame]
        tag = tags[frame]
        if link is not None and frame < link_frame:
            link = None

    def add_image(element: Tag, at: int) -> None:
        nonlocal shown_at
        number = len(images)
        shown = not hidden or hidden == "noscript"
        if parts and shown:
            flush()
        if images and not parts and at - shown_at <= _WRAPPERS:
            original = out.copies.get(number - 1, number - 1)
            before = images[original]
            # Nothing but a wrapper lies between.
            if before.position == len(runs) and not before.hidden:
                again = hidden and images[-1].hidden != hidden
                if is_stand_in(element) if not hidden else again and shown:
                    out.copies[number] = original
        images.append(RawImage(element, frame, len(runs), _href(link) if link else "", hidden))
        if shown:
            shown_at = at

    open_frame("html", "", None, -1)
    pieces = _TAG.split(html)
    names = pieces[1::3]
    if folded:
        names = [name.lower() for name in names]
    if len(names) > _SURELY_FLAT:
        _check(names, max_elements, max_depth)
    pairs = zip(pieces[::3], names, pieces[2::3], strict=False)  # the last text has no tag
    for at, (text, name, written) in enumerate(pairs):
        if text and (parts or not text.isspace()):
            parts.append(text)
            if link is not None:
                linked += len(text)
        kind = kind_of(name, _INLINE)
        if kind <= _BOUNDARY:
            if parts:
                flush()
            block += 1
            if kind == _OPEN:
                if captioned and _CAPTION in written:
                    out.captions.append(len(tags))
                open_frame(name, written, roles[frame], rows[frame])
            elif kind == _CLOSE:
                name = name[1:]
                if tags[frame] == name:
                    close_frame()
                else:
                    opened = frame
                    for _ in range(_REACH):
                        opened = parents[opened]
                        if opened <= 0 or tags[opened] == name:
                            break
                    if opened > 0 and tags[opened] == name:
                        while frame >= opened:
                            close_frame()
            elif kind == _TEXT:
                tag = name
                if name == "h1":
                    out.headlines.append([len(runs), -1])
                elif captioned and _CAPTION in written:
                    out.captions.append(len(tags))
                    open_frame(name, written, roles[frame], rows[frame])
            elif kind == _TEXT_END:
                if tags[frame] == name[1:]:
                    close_frame()
                else:
                    tag = tags[frame]
                    if name == "/h1" and out.headlines:
                        out.headlines[-1][1] = len(runs)
            elif kind == _TELL:
                if ended := ended_by(name):
                    while tags[frame] in ended:
                        close_frame()
                if captioned and (_CAPTION in written or name == "figcaption"):
                    out.captions.append(len(tags))
                row = len(tags) if name == "tr" else -1 if name == "table" else rows[frame]
                open_frame(name, written, role_of(name, roles[frame]), row)
            elif kind == _PICTURE:
                open_frame(name, written, roles[frame], rows[frame])
                picture = Tag(name, written)
                picture_images = len(images)
            elif kind == _PICTURE_END:
                if picture is not None and len(images) == picture_images:
                    add_image(picture, at)
                picture = None
                if tags[frame] == "picture":
                    close_frame()
            else:
                tag = tags[frame]
        elif kind == _INLINE:
            if captioned:
                if _CAPTION in written:
                    if parts:
                        flush()
                    out.captions.append(len(tags))
                    open_frame(name, written, roles[frame], rows[frame])
                elif name[0] == "/" and name[1:] == tags[frame]:
                    if parts:
                        flush()
                    close_frame()
        elif kind == _LINK:
            if "license" in written:
                out.about.append(Tag(name, written))
            is_link = "href" in written or (folded and "href" in written.lower())
            link = written if is_link else None
            link_frame, linked_at = frame, linked
        elif kind == _LINK_END:
            if link is not None and linked > linked_at:
                add_link((len(runs) if parts else len(runs) - 1, link))
            link = None
        elif kind == _IMAGE:
            if name != "input":
                add_image(Tag(name, written, "", picture), at)
            elif "image" in written.lower():
                element = Tag(name, written)
                if (element.get("type") or "").lower() == "image":
                    add_image(element, at)
        elif kind == _LINE:
            if parts:
                last = parts[-1] if len(parts) == 1 or not parts[-1].isspace() else parts[-2]
                if last is _BREAK:  # two line breaks end a paragraph
                    flush()
                    block += 1
                    tag = "br"
                else:
                    parts.append(_BREAK)
                    broken = True
        elif kind == _SOURCE:
            if picture is not None:
                picture.sources.append(Tag(name, written))
        elif kind == _HIDE:
            hidden = name[1:]
            if hidden == "nav":
                out.menus.append(frame)
        elif kind == _HIDE_END:
            hidden = ""
        elif "pubdate" in written or "datePublished" in written:
            out.about.append(Tag(name, written))
    if pieces[-1]:
        parts.append(pieces[-1])
    if parts:
        flush()
    while frame > 0:
        close_frame()
    ends[0], image_ends[0] = len(runs), len(images)
    for head in out.headlines:
        if head[1] < 0:  # not closed
            head[1] = min(head[0] + 1, len(runs))
    return out


def _check(names: list[str], max_elements: int, max_depth: int) -> None:
    """Raises TooComplex where elements are too many, or nested too deep of those that have to be
    closed."""
    depth = elements = 0
    for name in names:
        if name[0] == "/":
            if depth and name[1:] not in _NOT_NESTING:
                depth -= 1
        else:
            elements += 1
            depth += name not in _NOT_NESTING
            if depth > max_depth:
                raise TooComplex("too_deep", depth)
    if elements > max_elements:
        raise TooComplex("too_many_elements", elements)


@lru_cache(maxsize=20_000)
def names_of(written: str) -> str:
    """The class, id and role among attributes as one text."""
    return " ".join([one or two or bare for one, two, bare in _NAMES.findall(written)])


def _href(written: str) -> str:
    match = _HREF.search(written)
    if not match:
        return ""
    href = (match[1] or match[2] or match[3] or "").strip()
    return unescape_value(href) if "&" in href else href
