"""Which images of a page belong to its main content.

An image is content where the main text is: the smallest element around it that holds any text holds
text that was kept, it lies between the first and the last kept text (or leads the article), no
container around it is page furniture, and neither its names nor its declared size say icon.

The word lists hold what the class and id names, roles and file names of page furniture are made of,
compared as whole words (`catalogo` is no logo). Source: the tokens that trafilatura's
OVERALL_DISCARD rules and OBELICS' URL list (logo, button, icon, plugin, widget) name, without those
that hit content (widget: page builders; plugin: upload folders), grouped by what they mean.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from stages.extraction.sources import Sources, declared_size, is_hidden
from stages.extraction.walk import FURNITURE_TAGS, RawImage


class Reason(StrEnum):
    """Why an image was left out."""

    NO_URL = "no_url"
    DATA_URI = "data_uri"
    SVG = "svg"
    TRACKING_PIXEL = "tracking_pixel"
    ICON = "icon"
    LOGO = "logo"
    AVATAR = "avatar"
    AD = "ad"
    BOILERPLATE = "boilerplate"
    RELATED = "related"
    OUTSIDE_MAIN_CONTENT = "outside_main_content"
    DUPLICATE = "duplicate"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What an image is, by the names in its URL path, class, id.
_IMAGE_WORDS = {
    Reason.TRACKING_PIXEL: _words("tracking tracker beacon pixel spacer analytics counter"),
    Reason.LOGO: _words("logo logos logotype wordmark brandmark favicon"),
    Reason.AVATAR: _words("avatar avatars gravatar userpic profilepic"),
    Reason.AD: _words(
        "ad ads adv advert adverts advertisement advertising adserver doubleclick sponsor sponsors"
    ),
    Reason.ICON: _words(
        "icon icons ico sprite sprites emoji emojis smiley smilies smileys emoticon emoticons "
        "bullet btn button buttons badge badges arrow arrows"
    ),
}
# What a container is, by its class, id and role.
CONTAINER_WORDS = {
    Reason.RELATED: _words(
        "related recommended recommendation recommendations recirc recirculation popular trending "
        "outbrain taboola zergnet teaser teasers crosspromo morefrom readmore upnext mostread"
    ),
    Reason.AD: _words(
        "ad ads adv advert adverts advertisement advertising adsense dfp sponsor sponsored promo "
        "promos promotion affiliate"
    ),
    Reason.BOILERPLATE: _words(
        "nav navbar navigation menu menubar breadcrumb breadcrumbs topbar toolbar masthead "
        "contentinfo complementary footer colophon sidebar share sharing sharebar social sociable "
        "addthis follow author authors byline bio newsletter subscribe subscription signup cookie "
        "cookies consent gdpr popup comments commentlist disqus respond"
    ),
}
# Elements whose text is not shown but that may wrap real images.
_HIDING_TAGS = _words(
    "head svg iframe select textarea datalist title template video audio canvas button"
)

_MAX_NAMES = 500  # characters of class, id and role that are looked at
_NAME = re.compile(r"[A-Za-z0-9]+")
_SUFFIX = re.compile(r"\.[A-Za-z]{2,5}$")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A file name of more words is a headline (`why-the-logo-changed.jpg`), not a label.
_LABEL_WORDS = 3
_IMAGE_FILE = re.compile(r"\.(?:jpe?g|png|webp|avif|gif|bmp|tiff?)(?:$|\?)", re.I)
# Text between the headline and the first paragraph: standfirst, byline, date, share line.
_LEAD_GAP = 600
# Text that may follow the last paragraph before an image that still belongs to it: a credit line.
_TAIL_GAP = 80
# A card whose dropped text is no longer than this holds a credit, not a teaser.
_CREDIT = 80
# Declared sides up to this many pixels are beacons: 1x1 by habit, 2x2 and 3x3 seen.
_PIXEL_SIDE = 3
# A picture that declares both sides this large is content, whatever its file is called (an article
# about a logo). Source: 150 pixels is the smallest side of content in OBELICS and MINT-1T.
_PLAINLY_LARGE = 150


@lru_cache(maxsize=20_000)
def words(text: str) -> frozenset[str]:
    """Lower-case words of a name, split at camelCase: `headerLogo2` is headerlogo, header, logo.

    A part with digits inside is a hash or a number and says nothing; two letters of a camelCase
    name are chance.
    """
    found: set[str] = set()
    for part in _NAME.findall(text):
        part = part.rstrip("0123456789")
        if part.isalpha():
            found.add(part.lower())
            found.update(word.lower() for word in _CAMEL.findall(part) if len(word) > 2)
    return frozenset(found)


def label_words(url: str) -> frozenset[str]:
    """Words of the folders and of the file name of a URL that are labels, not headlines."""
    found: set[str] = set()
    for segment in unquote(urlsplit(url).path).split("/"):
        name = _SUFFIX.sub("", segment)
        if name and sum(not part.isdigit() for part in _NAME.findall(name)) <= _LABEL_WORDS:
            found |= words(name)
    return frozenset(found)


@dataclass(slots=True)
class Judged:
    """An image with the verdict on it: None for content. `detail` says on what grounds."""

    reason: Reason | None
    detail: str = ""


def judge_size(size: tuple[int | None, int | None], min_side: int) -> Judged | None:
    """The objection to a declared size (width and height in CSS pixels), if there is one."""
    known = [side for side in size if side is not None]
    if known and max(known) <= _PIXEL_SIDE:
        return Judged(Reason.TRACKING_PIXEL, _show(size))
    # A narrow plate is content, a line is not.
    if known and (max(known) < min_side or min(known) <= _PIXEL_SIDE):
        return Judged(Reason.ICON, _show(size))
    return None


def judge_name(element: Any, url: str, size: tuple[int | None, int | None]) -> Judged | None:
    """The objection to what an image element and its URL are called, if there is one."""
    if is_hidden(element) and not any(key.startswith("data-") for key in element.attrib):
        return Judged(Reason.BOILERPLATE, "hidden")  # and no script is to show it once it is loaded
    large = all(side is not None and side >= _PLAINLY_LARGE for side in size)
    name = element.get("class") or ""
    own = words(f"{name} {element.get('id') or ''}")
    path = frozenset[str]() if large else label_words(url)
    # `image-with-ads` is an image among ads, so an ad says so in a class of its own.
    exact = frozenset(name.lower().split())
    for reason, listed in _IMAGE_WORDS.items():
        if hit := (exact if reason is Reason.AD else own) & listed:
            return Judged(reason, f"named {min(hit)}")
        if hit := path & listed:
            return Judged(reason, f"URL says {min(hit)}")
    return None


def judge_container(names: str) -> tuple[Reason, str] | None:
    """The objection to what the class, id and role of a container say, if there is one."""
    return _judge_names(names[:_MAX_NAMES])


@lru_cache(maxsize=20_000)
def _judge_names(names: str) -> tuple[Reason, str] | None:
    found = words(names)
    for reason, listed in CONTAINER_WORDS.items():
        if hit := found & listed:
            return reason, f"inside {min(hit)}"
    return None


class Found(Protocol):
    """What the judge asks of a walk or a stream; their attributes are told there."""

    sizes: list[int]
    tags: list[str]
    parents: list[int]
    starts: list[int]
    ends: list[int]

    def heads(self) -> list[int]:
        """The first run of each h1 element with text."""

    def said(self, frame: int) -> str:
        """The class, id and role of a frame as one text."""

    def hides(self, frame: int) -> bool:
        """Whether a frame hides itself."""

    def holds_menu(self, frame: int) -> bool:
        """Whether a nav element lies in a frame."""

    def links_to(self, frame: int, href: str) -> bool:
        """Whether words in a frame link to a page, written just so."""


class Judge:
    """Judges the images of one page after its main text is known.

    Args:
      found: the walk or the stream.
      kept: indices of kept runs.
      captions: runs that are captions: no evidence for or against their surroundings.
      lead_urls: what the page's metadata names as its picture.
      min_side: declared sides below this are icons.
    """

    def __init__(
        self,
        found: Found,
        kept: set[int],
        captions: set[int],
        lead_urls: tuple[str, ...],
        min_side: int,
    ) -> None:
        self.found = found
        self.min_side = min_side
        self.kept_order = sorted(kept)
        self.lead_names = {name for url in lead_urls if (name := _file_name(url))}
        sizes = found.sizes.copy()
        for run in captions:
            sizes[run] = 0
        self.all_text = [0, *accumulate(sizes)]
        kept_sizes = [0] * len(sizes)
        for run in kept:
            kept_sizes[run] = sizes[run]
        self.kept_text = [0, *accumulate(kept_sizes)]
        self.total = self.kept_text[-1]
        self.root = self._content_root()
        self.headline = self._headline()
        self._container: dict[int, tuple[Reason, str] | None] = {}

    def judge(self, image: RawImage, sources: Callable[[], Sources]) -> Judged:
        """What is wrong with an image as content. The place says no to most images of a page and
        needs none of their attributes, so it is asked first."""
        if image.hidden in _HIDING_TAGS:
            return Judged(Reason.BOILERPLATE, f"inside {image.hidden}")
        if self._may_lead(image) and sources().urls and self._is_named(sources().urls[0]):
            return judge_size(declared_size(image.element), self.min_side) or Judged(None)
        if image.hidden in FURNITURE_TAGS:
            return Judged(Reason.BOILERPLATE, f"inside {image.hidden}")
        if furniture := self._furniture(image.frame):
            return Judged(*furniture)
        verdict = self._by_place(image)
        if verdict.reason is not None:
            return verdict
        size = declared_size(image.element)
        if reason := judge_size(size, self.min_side):
            return reason
        if not sources().urls:
            return Judged(Reason(sources().problem))
        return judge_name(image.element, sources().urls[0], size) or verdict

    def _furniture(self, frame: int) -> tuple[Reason, str] | None:
        """The innermost container that is page furniture, looked up to the content root."""
        chain = []
        verdict = None
        while frame >= 0:
            if frame in self._container:
                verdict = self._container[frame]
                break
            chain.append(frame)
            frame = self.found.parents[frame]
        for frame in reversed(chain):
            verdict = self._container_verdict(frame) or verdict
            if self._holds_content(frame):
                verdict = None
            self._container[frame] = verdict
        return verdict

    def _holds_content(self, frame: int) -> bool:
        """Half of the kept text is in it, or half of its own text was kept."""
        start, end = self.found.starts[frame], self.found.ends[frame]
        kept = self.kept_text[end] - self.kept_text[start]
        text = self.all_text[end] - self.all_text[start]
        return kept > 0 and (2 * kept >= self.total or (kept >= 100 and 2 * kept >= text))

    def _container_verdict(self, frame: int) -> tuple[Reason, str] | None:
        tag = self.found.tags[frame]
        if tag in ("html", "body"):
            return None
        if tag in ("button", "menu"):
            return Reason.BOILERPLATE, f"inside {tag}"
        if tag == "header" and not self._in_article(frame):
            return Reason.BOILERPLATE, "inside the site header"
        if self.found.hides(frame):
            return Reason.BOILERPLATE, "inside a hidden element"
        names = self.found.said(frame)
        return judge_container(names) if names else None

    def _in_article(self, frame: int) -> bool:
        """A header belongs to the article if it holds the headline or lies in the content."""
        starts, ends = self.found.starts, self.found.ends
        if self.headline is not None and starts[frame] <= self.headline < ends[frame]:
            return not self.found.holds_menu(frame)
        return self._inside_root(frame)

    def _by_place(self, image: RawImage) -> Judged:
        if not self.kept_order:
            return Judged(Reason.OUTSIDE_MAIN_CONTENT, "no main text")
        first, last = self.kept_order[0], self.kept_order[-1]
        position = image.position
        frame = self._card(image.frame)
        if frame < 0:
            return Judged(Reason.OUTSIDE_MAIN_CONTENT, "alone on the page")
        start, end = self.found.starts[frame], self.found.ends[frame]
        kept = self.kept_text[end] - self.kept_text[start]
        text = self.all_text[end] - self.all_text[start]
        linked = links_away(image.href)
        if linked and self._is_teaser(image, linked):
            return Judged(Reason.RELATED, "a teaser: its text links to the same page")
        if position <= first:
            return self._lead(image, frame, kept, text, linked)
        if not kept:
            if linked:
                return Judged(Reason.RELATED, f"a link with {text} characters of dropped text")
            # All that a figure says is about its image.
            if text > _CREDIT and self.found.tags[frame] != "figure":
                return Judged(
                    Reason.OUTSIDE_MAIN_CONTENT, f"among {text} characters of dropped text"
                )
        inside = self._inside_root(image.frame)
        before = self.kept_order[bisect_left(self.kept_order, position) - 1]
        if position > last:
            gap = self.all_text[position] - self.all_text[before + 1]
            if not inside or gap > _TAIL_GAP:
                return Judged(Reason.OUTSIDE_MAIN_CONTENT, f"{gap} characters after the main text")
        elif not inside:
            after = self.kept_order[bisect_left(self.kept_order, position)]
            gap = self.all_text[after] - self.all_text[before + 1]
            if gap > _LEAD_GAP:
                return Judged(Reason.OUTSIDE_MAIN_CONTENT, "beside the main text")
        return Judged(None)

    def _may_lead(self, image: RawImage) -> bool:
        """It comes before the main text, not far off, and could be what the metadata names."""
        if not self.kept_order or not self.lead_names:
            return False
        gap = self.all_text[self.kept_order[0]] - self.all_text[image.position]
        if not 0 <= gap <= 4 * _LEAD_GAP:
            return False
        element = image.element
        if element.tag == "picture" or self.found.tags[max(image.frame, 0)] == "picture":
            return True
        written = unquote(" ".join(element.values())).lower()
        return any(name in written for name in self.lead_names)

    def _is_named(self, url: str) -> bool:
        return _file_name(url) in self.lead_names

    def _is_teaser(self, image: RawImage, link: str) -> bool:
        """The smallest element around a linked image that holds any text, captions too, links to
        the same page with words."""
        frame = image.frame
        while frame >= 0 and self.found.ends[frame] == self.found.starts[frame]:
            frame = self.found.parents[frame]
        if frame < 0 or self._holds_content(frame):
            return False
        return self.found.links_to(frame, link)

    def _lead(self, image: RawImage, frame: int, kept: int, text: int, linked: str) -> Judged:
        """An image before the first kept text: near below the headline, or at the head of the
        content root."""
        position, first = image.position, self.kept_order[0]
        gap = self.all_text[first] - self.all_text[position]
        if linked and not kept:
            return Judged(Reason.RELATED, "a link before the main text")
        if gap > _LEAD_GAP:
            return Judged(Reason.OUTSIDE_MAIN_CONTENT, f"{gap} characters before the main text")
        if self._inside_root(image.frame):
            return Judged(None)
        if self.headline is not None and self.headline <= first:
            away = abs(self.all_text[position] - self.all_text[self.headline])
            if away <= _LEAD_GAP:
                return Judged(None)
        return Judged(Reason.OUTSIDE_MAIN_CONTENT, "before the main text")

    def _card(self, frame: int) -> int:
        """The smallest element around an image that holds text other than captions."""
        while frame >= 0:
            start, end = self.found.starts[frame], self.found.ends[frame]
            if self.all_text[end] > self.all_text[start]:
                return frame
            frame = self.found.parents[frame]
        return -1

    def _content_root(self) -> int:
        """The smallest element that holds four fifths of the kept text."""
        best = 0
        if not self.total:
            return best
        kept, least = self.kept_text, 4 * self.total
        for frame, (start, end) in enumerate(zip(self.found.starts, self.found.ends, strict=True)):
            # Pre-order: a frame that passes lies inside every other one that passed.
            if 5 * (kept[end] - kept[start]) >= least:
                best = frame
        return best

    def _inside_root(self, frame: int) -> bool:
        while frame > self.root:
            frame = self.found.parents[frame]
        return frame == self.root

    def _headline(self) -> int | None:
        """The run of the last h1 before the second kept run, else of the first h1."""
        heads = self.found.heads()
        if not heads:
            return None
        if not self.kept_order:
            return heads[0]
        return heads[max(0, bisect_left(heads, self.kept_order[0] + 1) - 1)]


def links_away(href: str) -> str:
    """The page that an image links to; "" for a link to a larger picture or to an anchor."""
    return "" if href.startswith("#") or _IMAGE_FILE.search(href) else href


def _file_name(url: str) -> str:
    """The file name without extension and size suffix: `photo-1024x576.jpg` is `photo`."""
    name = unquote(urlsplit(url).path).rpartition("/")[2].lower()
    name = re.sub(r"\.[a-z0-9]{2,5}$", "", name)
    name = re.sub(r"[-_]\d{2,4}x\d{2,4}$", "", name)
    return name if len(name) >= 4 else ""


def _show(size: tuple[int | None, int | None]) -> str:
    return "x".join("?" if side is None else str(side) for side in size)
