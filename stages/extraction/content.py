"""Which text of a page is its main content: trafilatura's rules, read off one walk.

trafilatura chooses the container of the content by its names, cuts what is named as furniture and
blocks that are mostly links, and takes what stands in text elements. Its functions copy and search
the tree some thirty times for that. Here the same decisions are made on the lists of the walk: its
XPath rules are asked once for each kind of element that could matter, the rest is arithmetic on
prefix sums. A page where this finds little is given to trafilatura itself (rescue.py).

Where trafilatura loses text, this does not follow it. Prose that stands loose in a container, what
stands in a container in a text element (a div in a quote or a cell) and dates in a sentence are
kept; a container that holds little beside another of its kind is not taken for the content; and
where no container is named, the one around the prose of the page is taken with its headings and
lists, not single paragraphs.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from operator import mul

from lxml import etree
from trafilatura.xpaths import (
    BODY_XPATH,
    OVERALL_DISCARD_XPATH,
    REMOVE_COMMENTS_AND_LISTS_XPATH,
    TEASER_DISCARD_XPATH,
)

from stages.extraction.walk import Walk, tag_set

# Never part of the running text; the walk has left out larger ones. Source: trafilatura 2.3
# settings.py, MANUALLY_CLEANED.
_CLEANED = tag_set(
    "button fieldset figure form label legend map marquee menu menuitem noindex optgroup option "
    "output progress rp rt rtc"
)
_CONTAINERS = frozenset({"article", "div", "main", "section"})
_LISTS = frozenset({"ul", "ol", "dl"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_ITEMS = frozenset({"li", "dd", "dt", "td", "th"})
_PROSE = frozenset({"p", "blockquote", "pre", "td"})
_NO_ROOTS = _PROSE | {"tbody", "tr"}
# trafilatura's rules see its own names of elements.
_RENAMED = {**dict.fromkeys(_LISTS, "list"), **dict.fromkeys(("li", "dd", "dt"), "item")}
# The attributes that its rules read.
_READ = tag_set(
    "class id role style itemprop aria-hidden data-component data-lp-replacement-content"
)
_MAX_VALUE = 500  # characters of an attribute that are looked at
# Only so many containers are asked what they are, the largest: a page may hold any number.
_MAX_CONTAINERS = 300
# What any name that its rule for comments hits holds.
COMMENT_NAMES = ("omment", "comol", "disqus", "dsq-")
_COMMENT_NAME = re.compile("|".join(COMMENT_NAMES))
# Numbers of trafilatura 2.3: MIN_EXTRACTED_SIZE, ESCALATION_PAGE_SHARE (a fifth).
_MIN_TEXT = 250
_PAGE_SHARE = 5
# Above this a text is right though small on its page (comments, other articles). On the 470 shared
# pages that are not of books, trafilatura's second try added nothing to any longer text.
_MIN_SURE = 1_000
# Loose text from this length on is prose, not a label.
_LONG = 80
# A block of short links stays if this much other text is in it: a headline with its tags.
_UNLINKED = 60

_Attributes = tuple[tuple[str, str], ...]


class Content:
    """The main content of one walk.

    Args:
      found: the walk.
      forum: whether comments are the content.

    Attributes:
      kept: indices of runs.
      complete: whether they are enough; else trafilatura should be asked.
    """

    def __init__(self, found: Walk, forum: bool = False) -> None:
        self.kept: set[int] = set()
        self.complete = False
        self._found = found
        self._sizes = found.sizes
        self._alive = bytearray(map(bool, found.runs))
        self._in_link = bytearray(len(found.runs))
        for link in found.links:
            start, end = found.starts[link], found.ends[link]
            self._in_link[start:end] = b"\1" * (end - start)
        self._links = sorted(found.links)
        self._said: dict[int, _Attributes] = {}
        self._sum()
        self._clean(forum)
        self._page = self._total[-1]
        if self._page >= _MIN_TEXT:
            self._choose()

    def _sum(self) -> None:
        self._total = list(accumulate(map(mul, self._sizes, self._alive), initial=0))

    def _text(self, frame: int) -> int:
        """Characters of a frame that were not cut."""
        return self._total[self._found.ends[frame]] - self._total[self._found.starts[frame]]

    def _cut(self, frames: Iterable[int]) -> None:
        for frame in frames:
            start, end = self._found.starts[frame], self._found.ends[frame]
            self._alive[start:end] = bytes(end - start)
        self._sum()

    def _clean(self, forum: bool) -> None:
        """Cuts what is no running text on any page."""
        found = self._found
        cut, forms = [], []
        comments = not forum and bool(_COMMENT_NAME.search("\n".join(found.names)))
        for frame, tag in enumerate(found.tags):
            if tag in _CLEANED:
                if tag == "form":
                    forms.append(frame)
                elif tag != "figure" or not self._is_text(frame):
                    cut.append(frame)
            elif (
                comments
                and _COMMENT_NAME.search(found.names[frame])
                and self._is("comments", frame)
            ):
                cut.append(frame)
        self._cut(cut)
        # Some frameworks write the whole page into one form.
        if forms:
            self._cut([frame for frame in forms if 2 * self._text(frame) <= self._total[-1]])

    def _is_text(self, figure: int) -> bool:
        """A figure without a picture holds a quote, a table or code."""
        found = self._found
        return (
            found.image_starts[figure] == found.image_ends[figure]
            or "table" in found.tags[figure : found.lasts[figure]]
        )

    def _choose(self) -> None:
        found, whole = self._found, bytes(self._alive)
        total, starts, ends = self._total, found.starts, found.ends
        containers = [
            frame
            for frame, tag in enumerate(found.tags)
            if tag in _CONTAINERS and total[ends[frame]] - total[starts[frame]] >= _MIN_TEXT
        ]
        by_size = sorted(containers, key=self._text, reverse=True)[:_MAX_CONTAINERS]
        containers = sorted(by_size)
        for rule in _CONTAINER_RULES:
            largest = next((frame for frame in by_size if self._is(rule, frame)), None)
            if largest is None:
                continue
            # The first one, but a teaser may come before the article.
            enough = self._text(largest) / 4
            body = next(f for f in containers if self._text(f) >= enough and self._is(rule, f))
            self._prune(body)
            kept = self._take(body)
            size = sum(map(self._sizes.__getitem__, kept))
            if size >= _MIN_TEXT and len({found.run_blocks[run] for run in kept}) > 1:
                self.kept = kept
                self.complete = size >= _MIN_SURE or _PAGE_SHARE * size >= self._page
                return
            self._alive[:] = whole
            self._sum()
        kept = self._around_prose()
        size = sum(map(self._sizes.__getitem__, kept))
        if size >= _MIN_TEXT and _PAGE_SHARE * size >= self._page:
            self.kept = kept
            self.complete = True

    def _around_prose(self) -> set[int]:
        """The content of a page that names no container: the smallest element around four fifths
        of its prose."""
        found = self._found
        body = next((frame for frame, tag in enumerate(found.tags) if tag == "body"), -1)
        if body < 0:
            return set()
        self._prune(body)
        sizes, linked = self._by_block(found.starts[body], found.ends[body])
        prose = [0] * (len(found.runs) + 1)
        for run, (block, size) in enumerate(zip(found.run_blocks, self._sizes, strict=True)):
            prose[run + 1] = prose[run]
            if not self._alive[run] or self._in_link[run]:
                continue
            if found.tags[found.blocks[block].frame] in _PROSE or (
                sizes[block] >= _LONG and 2 * linked.get(block, 0) < sizes[block]
            ):
                prose[run + 1] += size
        if prose[-1] < _MIN_TEXT:
            return set()
        root = body
        for frame in range(body, found.lasts[body]):
            # Pre-order: a frame that passes lies inside every other one that passed.
            inside = prose[found.ends[frame]] - prose[found.starts[frame]]
            if 5 * inside >= 4 * prose[-1] and found.tags[frame] not in _NO_ROOTS:
                root = frame
        return self._take(root)

    def _prune(self, body: int) -> None:
        """Cuts furniture, teasers and blocks of links in a container."""
        found = self._found
        total, starts, ends = self._total, found.starts, found.ends
        cut = []
        frame, last = body + 1, found.lasts[body]
        while frame < last:
            if total[ends[frame]] > total[starts[frame]] and self._is("furniture", frame):
                cut.append(frame)
                frame = found.lasts[frame]
            else:
                frame += 1
        # Rules that hit nearly all are wrong about this page.
        text = self._text(body)
        if 7 * (text - sum(map(self._text, cut))) > text:
            self._cut(cut)
        if any("easer" in name for name in found.names[body + 1 : last]):
            self._cut(f for f in range(body + 1, last) if self._is("teasers", f))
        self._cut_links(body)

    def _cut_links(self, body: int) -> None:
        """Cuts blocks, lists, paragraphs and tables that are mostly links."""
        found, links = self._found, self._links
        links = links[bisect_left(links, body) : bisect_left(links, found.lasts[body])]
        around: set[int] = set()
        for link in links:
            frame = found.parents[link]
            while frame >= body and frame not in around:
                around.add(frame)
                frame = found.parents[frame]
        holders = sorted(around)
        for _ in range(2):
            before = self._total[-1]
            for tags in (("div",), _LISTS, ("p",)):
                self._cut_densest([f for f in holders if found.tags[f] in tags], links)
            if self._total[-1] == before:
                break
        self._cut_densest([f for f in holders if found.tags[f] == "table"], links)

    def _cut_densest(self, frames: list[int], links: list[int]) -> None:
        found = self._found
        if not frames:
            return
        sizes = [self._text(link) for link in links]
        linked = list(accumulate(sizes, initial=0))
        number = list(accumulate((size > 0 for size in sizes), initial=0))
        short = list(accumulate((0 < size < 10 for size in sizes), initial=0))
        cut = []
        for frame in frames:
            first, last = bisect_left(links, frame), bisect_left(links, found.lasts[frame])
            count = number[last] - number[first]
            if count and self._is_dense(
                frame,
                links[first:last],
                count,
                linked[last] - linked[first],
                short[last] - short[first],
            ):
                cut.append(frame)
        if cut:
            self._cut(cut)

    def _is_dense(self, frame: int, links: list[int], number: int, linked: int, short: int) -> bool:
        """Source: trafilatura 2.3, htmlprocessing.py: link_density_test and its callers."""
        found, text = self._found, self._text(frame)
        tag = found.tags[frame]
        if tag == "table":
            return text >= 200 and linked > (0.8 if text < 1000 else 0.5) * text
        if tag == "p" and found.tags[found.parents[frame]] in _ITEMS:
            return False
        if number == 1 and linked > 100 and linked > 0.9 * text:
            return True
        least, most = (30, 60) if tag == "p" else (100, 300)
        if text < least or (text < most and found.frames[frame].getnext() is None):
            if linked > 0.8 * text:
                return True
            if number > 1 and short > 0.8 * number and text - linked < _UNLINKED:
                return True
            return tag == "div" and text < 100 and len(found.frames[frame]) >= 3
        if number > 4 and linked > 0.9 * text and linked < 100 * number:
            # Links that have a paragraph each are a list of documents.
            parents = [found.parents[link] for link in links]
            return len(set(parents)) < len(parents) or any(found.tags[p] != "p" for p in parents)
        return False

    def _by_block(self, start: int, end: int) -> tuple[dict[int, int], dict[int, int]]:
        """Characters of each block that were not cut, and those of them in links."""
        sizes: dict[int, int] = {}
        linked: dict[int, int] = {}
        blocks = self._found.run_blocks
        for run in range(start, end):
            if self._alive[run]:
                block = blocks[run]
                sizes[block] = sizes.get(block, 0) + self._sizes[run]
                if self._in_link[run]:
                    linked[block] = linked.get(block, 0) + self._sizes[run]
        return sizes, linked

    def _take(self, body: int) -> set[int]:
        """Runs in text elements, after line breaks, and in loose prose."""
        found = self._found
        start, end = found.starts[body], found.ends[body]
        sizes, linked = self._by_block(start, end)
        tags = {block: found.tags[found.blocks[block].frame] for block in sizes}
        # Where paragraphs are few, the text is in the containers.
        few = sum(size for block, size in sizes.items() if tags[block] == "p") < 3 * _MIN_TEXT
        kept: list[int] = []
        loose: dict[int, list[int]] = {}
        holders: set[int] = set()
        for number in sizes:
            block = found.blocks[number]
            if block.in_text or few or block.after_break:
                kept.append(number)
                holders.update((block.frame, found.parents[block.frame]))
            elif tags[number] != "figcaption" and 2 * linked.get(number, 0) < sizes[number]:
                loose.setdefault(block.frame, []).append(number)
        for frame, numbers in loose.items():
            # Among text, or much of it; else it is a caption, a byline, a notice.
            if frame in holders or sum(map(sizes.__getitem__, numbers)) >= _MIN_TEXT:
                kept += [number for number in numbers if sizes[number] >= _LONG]
        kept.sort()
        while kept and tags[kept[-1]] in _HEADINGS:
            kept.pop()  # nothing stands below it
        chosen = set(kept)
        return {
            run for run in range(start, end) if self._alive[run] and found.run_blocks[run] in chosen
        }

    def _is(self, rule: str, frame: int) -> bool:
        """Whether one of trafilatura's rules hits an element, judged by its own tag and names."""
        tag = self._found.tags[frame]
        said = self._said.get(frame)
        if said is None:
            items = self._found.frames[frame].items()
            said = tuple([(name, value[:_MAX_VALUE]) for name, value in items if name in _READ])
            self._said[frame] = said
        # Nothing is said of a div without names.
        return bool(said or tag in ("article", "main")) and _hits(rule, tag, said)


_CONTAINER_RULES = tuple(f"container {number}" for number in range(len(BODY_XPATH)))
_RULES = {
    "comments": REMOVE_COMMENTS_AND_LISTS_XPATH,
    "furniture": OVERALL_DISCARD_XPATH,
    "teasers": TEASER_DISCARD_XPATH,
    **{name: [path] for name, path in zip(_CONTAINER_RULES, BODY_XPATH, strict=True)},
}


@lru_cache(maxsize=20_000)
def _hits(rule: str, tag: str, attributes: _Attributes) -> bool:
    root = etree.Element("root")
    name = _RENAMED.get(tag, tag) if rule in ("furniture", "teasers") else tag
    etree.SubElement(root, name, dict(attributes))
    return any(path(root) for path in _RULES[rule])
