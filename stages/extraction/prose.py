"""Which runs of a stream are the main content: the rules of the fast engine.

What is named as furniture is cut. The content is then what calls itself so, else the smallest
element around four fifths of the prose; blocks that are mostly links go from it, and what lies in
elements of text, or is long, is taken. These are the ideas of trafilatura and of readability
(names, link density, the container of the paragraphs), each asked once of each element.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, compress
from operator import mul

from schemas.document import Role
from stages.extraction.cut import Tag
from stages.extraction.judge import CONTAINER_WORDS, words
from stages.extraction.sources import is_hidden
from stages.extraction.stream import HEADINGS, Stream, names_of
from stages.extraction.walk import tag_set

_CLASS = re.compile(r"\sclass\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+)", re.I)
_MAX_NAMES = 500  # characters that are looked at

# Names of what is no part of the text. Those of the second set stand in the names of sections, too
# ("sharing-with-others", "author-jane", "tag-cats"), and say nothing of what holds prose; comments
# may be longer than the text, and say nothing where they are all there is.
_FURNITURE = tag_set(
    "related recommended recommendation recommendations recirc recirculation popular trending "
    "outbrain taboola zergnet crosspromo morefrom readmore upnext mostread ad ads adv advert "
    "adverts advertisement advertising adsense dfp sponsor sponsored nav navbar navigation menu "
    "menubar breadcrumb breadcrumbs topbar toolbar masthead contentinfo complementary footer "
    "colophon sidebar addthis newsletter subscribe subscription signup cookie cookies consent gdpr "
    "popup"
)
_COMMENTS = tag_set("comments commentlist disqus respond")
_SMALL = (frozenset().union(*CONTAINER_WORDS.values()) - _FURNITURE - _COMMENTS) | tag_set(
    "tags tag meta rating button buttons banner widget attachment timestamp overlay options "
    "comment reply hidden"
)
_NAMED, _NAMED_SMALL, _NAMED_COMMENTS = range(1, 4)
# Names of what holds the text. Source: the tokens of trafilatura 2.3's first rule (xpaths.py,
# BODY_XPATH), as pairs of words.
_CONTENT = re.compile(
    r"\s(?:class|id|itemprop)\s*=\s*[\"']?[^\"']*"
    r"(?:(?:article|post|entry|story|blog|news|single)[-_]{0,2}(?:body|content|text|copy)|fulltext)",
    re.I,
)
_CONTAINERS = frozenset({"article", "div", "main", "section"})
_NEVER = frozenset({"form", "menu"})
_LISTS = frozenset({"ul", "ol", "dl", "div", "section"})
_TEXTS = HEADINGS | tag_set(
    "p br li dd dt blockquote pre listing xmp plaintext td th caption summary"
)
_TEXT_ROLES = frozenset({Role.LIST_ITEM, Role.QUOTE, Role.CODE})
_PROSE = frozenset({"p", "br", "blockquote", "pre", "td"})
_NO_ROOTS = frozenset({"blockquote", "pre", "td", "tr"})
# Characters. Numbers of trafilatura 2.3: MIN_EXTRACTED_SIZE, ESCALATION_PAGE_SHARE (a fifth).
_MIN_TEXT = 250
_PAGE_SHARE = 5
_SOME_PROSE = 300
# Loose text from this length on is prose, not a label.
_LONG = 80


def main_runs(found: Stream) -> set[int]:
    """The runs of the main content."""
    prose = [
        size if (size >= _LONG or tag in _PROSE) and 2 * linked < size else 0
        for size, linked, tag in zip(found.sizes, found.linked, found.run_tags, strict=True)
    ]
    alive = _without_furniture(found, prose)
    if main := _main(found):
        start, end = found.starts[main], found.ends[main]
        alive[:start], alive[end:] = bytes(start), bytes(len(alive) - end)
    roots = _roots(found, list(accumulate(map(mul, prose, alive), initial=0)))
    for root in roots:
        _cut_links(found, root, alive)
    return _take(found, roots, alive)


def _without_furniture(found: Stream, prose: list[int]) -> bytearray:
    """A byte for each run: 0 for those in furniture."""
    starts, ends, tags = found.starts, found.ends, found.tags
    sums = list(accumulate(prose, initial=0))
    alive = bytearray(b"\1") * len(prose)
    done = 0
    for frame, written in enumerate(found.frames):
        start, end = starts[frame], ends[frame]
        if start < done or start == end:
            continue
        tag = tags[frame]
        named = _named(written) if written else 0
        if not named and tag in _NEVER:
            named = _NAMED
        if not named:
            continue
        inside = sums[end] - sums[start]
        if named == _NAMED_SMALL:
            is_wrong = inside >= _SOME_PROSE or tag == "article" or tag == "main"
        elif named == _NAMED_COMMENTS:
            is_wrong = sums[-1] - inside < _MIN_TEXT
        else:
            is_wrong = 0 < sums[-1] <= 2 * inside
        if not is_wrong:
            alive[start:end] = bytes(end - start)
            done = end
    return alive


def _main(found: Stream) -> int:
    """The only main element if the headline of the page lies in it and none outside, else 0."""
    mains = [frame for frame, tag in enumerate(found.tags) if tag == "main"]
    if len(mains) != 1 or not found.headlines:
        return 0
    start, end = found.starts[mains[0]], found.ends[mains[0]]
    return mains[0] if all(start <= first < end for first, _ in found.headlines) else 0


@lru_cache(maxsize=20_000)
def _named(written: str) -> int:
    """What the attributes of an element say that it is, 0 for nothing."""
    if "hidden" in written or "none" in written:
        element = Tag("", written)
        if is_hidden(element) or element.get("aria-hidden") == "true":
            return _NAMED
    names = words(names_of(written)[:_MAX_NAMES])
    if not _FURNITURE.isdisjoint(names):
        return _NAMED
    if not _COMMENTS.isdisjoint(names):
        return _NAMED_COMMENTS
    return 0 if _SMALL.isdisjoint(names) else _NAMED_SMALL


def _roots(found: Stream, prose: list[int]) -> list[int]:
    """The elements that hold the content: what calls itself so (of several alike all, as pages are
    written in chunks), else the first article, else the smallest element around four fifths of the
    prose.

    Args:
      prose: characters of prose before each run.
    """
    starts, ends, tags, frames = found.starts, found.ends, found.tags, found.frames
    root = 0
    least = 4 * prose[-1]
    named: list[tuple[int, int]] = []
    articles: list[tuple[int, int]] = []
    for frame, (start, end, tag) in enumerate(zip(starts, ends, tags, strict=True)):
        if not (size := prose[end] - prose[start]):
            continue
        if 5 * size >= least and tag not in _NO_ROOTS:
            # Pre-order: a frame that passes lies inside every other one that passed.
            root = frame
        if tag in _CONTAINERS:
            if frames[frame] and _is_content(frames[frame]):
                named.append((frame, size))
            elif tag == "article":
                articles.append((frame, size))
    for candidates in (named, articles):
        most = max((size for _, size in candidates), default=0)
        if most < _MIN_TEXT or _PAGE_SHARE * most < prose[-1]:
            continue
        # A teaser may come before the article.
        first = next(frame for frame, size in candidates if 4 * size >= most)
        name = _class(frames[first])
        chosen = [first]
        for frame, _ in candidates:
            if starts[frame] >= ends[chosen[-1]] and _class(frames[frame]) == name:
                chosen.append(frame)
        return chosen
    return [root]


@lru_cache(maxsize=20_000)
def _is_content(written: str) -> bool:
    return bool(_CONTENT.search(written))


def _class(written: str) -> str:
    match = _CLASS.search(written)
    return match[0] if match else ""


def _cut_links(found: Stream, root: int, alive: bytearray) -> None:
    """Cuts lists, containers and tables that are mostly links.

    Source: trafilatura 2.3, htmlprocessing.py: link_density_test and its callers.
    """
    starts, ends, tags = found.starts, found.ends, found.tags
    linked = list(accumulate(map(mul, found.linked, alive), initial=0))
    last = ends[root]
    if linked[last] == linked[starts[root]]:
        return
    total = list(accumulate(map(mul, found.sizes, alive), initial=0))
    number = list(accumulate(map(bool, map(mul, found.linked, alive)), initial=0))
    for frame in range(root + 1, len(starts)):
        start = starts[frame]
        if start >= last:
            break
        end = ends[frame]
        links = linked[end] - linked[start]
        if not links:
            continue
        text = total[end] - total[start]
        if tags[frame] in _LISTS:
            count = number[end] - number[start]
            dense = (
                (text < 100 and links > 0.8 * text)
                or (count == 1 and links > 100 and links > 0.9 * text)
                or (count > 4 and 0.9 * text < links < 100 * count)
            )
        else:
            enough = 0.8 if text < 1000 else 0.5
            dense = tags[frame] == "table" and text >= 200 and links > enough * text
        if dense:
            alive[start:end] = bytes(end - start)


def _take(found: Stream, roots: Sequence[int], alive: bytearray) -> set[int]:
    """Runs in elements of text, after line breaks, and in loose prose."""
    sizes, linked, tags, frames = found.sizes, found.linked, found.run_tags, found.run_frames
    roles, rows, parents = found.roles, found.rows, found.parents
    runs: list[int] = []
    for root in roots:
        start, end = found.starts[root], found.ends[root]
        runs += compress(range(start, end), alive[start:end])
    # Where paragraphs are few, the text is in the containers.
    few = sum([sizes[run] for run in runs if tags[run] == "p"]) < 3 * _MIN_TEXT
    kept: list[int] = []
    loose: dict[int, list[int]] = {}
    holders: set[int] = set()
    for run in runs:
        tag, frame = tags[run], frames[run]
        if tag == "p" and sizes[run] < 30 and linked[run] > 0.8 * sizes[run]:
            continue
        if few or tag in _TEXTS or roles[frame] in _TEXT_ROLES or rows[frame] >= 0:
            kept.append(run)
            holders.add(frame)
            holders.add(parents[frame])
        elif tag != "figcaption" and 2 * linked[run] < sizes[run]:
            loose.setdefault(frame, []).append(run)
    for frame, numbers in loose.items():
        # Among text, or much of it; else it is a caption, a byline, a notice.
        if frame in holders or sum([sizes[run] for run in numbers]) >= _MIN_TEXT:
            kept += [run for run in numbers if sizes[run] >= _LONG]
    kept.sort()
    while kept and tags[kept[-1]] in HEADINGS:
        kept.pop()  # nothing stands below it
    return set(kept)
