"""What one image element says of itself: its URLs, its size, its words."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stages.extraction.urls import MAX_URL, Candidate, absolute, parse_srcset, rank

IMAGE_TAGS = frozenset({"img", "image", "amp-img", "amp-anim"})
# Elements whose `source` children list candidates.
_PICTURE = "picture"
# What every decoder knows.
_COMMON = frozenset({"", "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/gif"})
_MODERN_FILE = re.compile(r"\.(?:webp|avif|jxl|jp2|jxr)(?![a-z0-9])", re.I)

# Media that is no wide and light screen: a phone, a dark theme, paper. CSS pixels of a laptop.
_SCREEN = 1_280
_MAX_WIDTH = re.compile(
    r"(?:max(?:-device)?-width\s*:|width\s*<=?)\s*(\d{1,5}(?:\.\d+)?)\s*(px|r?em)?"
)
_ELSEWHERE = re.compile(r"\bprint\b|prefers-color-scheme\s*:\s*dark|orientation\s*:\s*portrait")

# Attributes that loaders put the real URL in, most telling first; names seen in the loaders'
# documentation: lazysizes (data-src, data-srcset), jQuery Lazy Load (data-original), WP Rocket and
# Jetpack (data-lazy-src, data-lazy-srcset), Unveil (data-src-retina), bLazy (data-src-small),
# WordPress (data-orig-file, data-large-file, data-medium-file), and those that OBELICS reads (its
# pre_extraction_simplificator.py: data-src-fg, data-scroll-image, data-lateloadsrc, data-img-src,
# data-gt-lazy-src, data-lazy, src2).
_LAZY = (
    "data-src",
    "data-original",
    "data-lazy-src",
    "data-orig-src",
    "data-original-src",
    "data-actualsrc",
    "data-full-src",
    "data-hi-res-src",
    "data-lazy",
    "data-large-file",
    "data-orig-file",
    "data-medium-file",
    "data-src-retina",
    "data-src-medium",
    "data-src-small",
    "data-src-fg",
    "data-scroll-image",
    "data-lateloadsrc",
    "data-img-src",
    "data-gt-lazy-src",
    "data-echo",
    "data-url",
    "data-image",
    "data-img",
    "src2",
)
_LAZY_NAMES = frozenset(_LAZY)
_LAZY_SRCSET = ("data-srcset", "data-lazy-srcset", "data-original-set", "data-responsive")
_WIDTH = "{width}"
_KNOWN = frozenset((*_LAZY, *_LAZY_SRCSET, "src", "srcset", "alt", "title", "href", "longdesc"))
_OF_MANY_USES = frozenset({"data-url", "data-image", "data-img", "data-lazy", "data-echo"})
_LESSER = re.compile(
    r"(?<![a-z])(?:thumb|low|small|tiny|mobile|preview|placeholder|lqip|blur|fallback|error|pin|share"
    r"|social|facebook|twitter)"
)
_SIMPLE = frozenset(
    {"src", "alt", "title", "width", "height", "class", "id", "style", "border", "align", "loading"}
)
_EXTENSION = re.compile(r"\.(?:jpe?g|png|webp|avif|gif|bmp|tiff?|jfif)(?![a-z0-9])", re.I)
_LOOKS_LIKE_URL = re.compile(r"^(?:https?:)?//\S+$|^\S*/\S+$|^\S+\.\w{3,4}$", re.I)
_WITH_HOST = re.compile(r"(?:https?:)?//[^\s/]", re.I)
# File names of what stands where a lazy image will be.
_PLACEHOLDER = re.compile(
    r"(?:^|[/_.-])(?:blank|placeholder|spacer|transparent|pixel|loading|loader|lazy(?:load)?|grey|gray|"
    r"dummy|empty|trans|clear|1x1|fallback|preload|default)[^/]*\.(?:gif|png|svg|jpe?g|webp)(?:$|\?)",
    re.I,
)
_PIXELS = re.compile(r"^\s*(\d{1,5})(?:\.\d+)?\s*(?:px)?\s*$", re.I)
_STYLE = re.compile(r"(?:^|;)\s*(width|height)\s*:\s*(\d{1,5})(?:\.\d+)?px", re.I)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_HIDDEN = re.compile(r"display\s*:\s*none", re.I)
_SVG = re.compile(r"\.svgz?(?:$|[?#])|^data:image/svg", re.I)


@dataclass(frozen=True)
class Sources:
    """URLs of one image, absolute and best first, and why there is none.

    Attributes:
      urls: distinct URLs.
      problem: with no URL: "svg", "data_uri" or "no_url"; "" otherwise.
      raw: what the page wrote, for the record of what was left out.
    """

    urls: tuple[str, ...]
    problem: str = ""
    raw: str = ""


def squeeze(text: str | None) -> str:
    return " ".join(without_controls(text).split()) if text else ""


def without_controls(text: str) -> str:
    """The text without the characters that no browser shows and no XML may hold."""
    if text.isprintable() or not _CONTROLS.search(text):
        return text
    return _CONTROLS.sub("", text)


def _lazy_attributes(attributes: dict[str, str]) -> tuple[list[str], list[str]]:
    """Values of lazy attributes: those to prefer to src, and those that are worse or no image.

    The former are known names, then any whose value names an image file; the latter are called a
    thumbnail or the like, or have a name of many uses and a value that names no image file.
    """
    lazy = _LAZY_NAMES.intersection(attributes)
    better = [name for name in _LAZY if name in lazy] if len(lazy) > 1 else list(lazy)
    better += [
        name
        for name, value in attributes.items()
        if name.startswith("data-")
        and name not in _KNOWN
        and len(value) <= MAX_URL
        and _EXTENSION.search(value)
    ]
    lesser = []
    for name in better.copy():
        # The pattern takes quadratic time, and no URL is longer. Values with blanks are srcset
        # lists, which `_srcsets` reads.
        value = attributes[name].strip()
        if len(value) > MAX_URL or " " in value or not _LOOKS_LIKE_URL.match(value):
            better.remove(name)
        elif (
            not _EXTENSION.search(value)
            if name in _OF_MANY_USES
            else name not in _KNOWN and _LESSER.search(name)
        ):
            better.remove(name)
            lesser.append(name)
    return [attributes[name] for name in better], [attributes[name] for name in lesser]


def _url_in_json(value: str) -> str:
    """The first URL with a host among the strings of a JSON text, "" if there is none: MSN's
    loader has {"default": {"load": "defer", "src": "//host/..."}, ...} in data-src."""
    if len(value) > MAX_URL:
        return ""
    try:
        left = [json.loads(value)]
    except (ValueError, RecursionError):
        return ""
    while left:
        item = left.pop()
        if isinstance(item, str) and _WITH_HOST.match(item):
            return item
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list):
            left += reversed(item)
    return ""


def _widths(attributes: dict[str, str]) -> list[int]:
    """The widths that a loader has for the `{width}` of a URL, as lazysizes' RIaS plugin (and with
    it Shopify's themes) lists them: data-widths="[180, 360, 540]"."""
    return [int(width) for width in re.findall(r"\d{1,5}", attributes.get("data-widths", ""))][:32]


def _srcsets(attributes: dict[str, str], lazy_only: bool = False) -> list[Candidate]:
    names = _LAZY_SRCSET if lazy_only else (*_LAZY_SRCSET, "srcset")
    found = []
    for name in names:
        if value := attributes.get(name):
            found += parse_srcset(value)
    for name in ("data-src", "data-lazy-src"):  # some loaders put a whole srcset there
        if (value := attributes.get(name)) and re.search(r"\s\d+w\s*(?:,|$)", value):
            found += parse_srcset(value)
    return found


def image_sources(element: Any, base: str, preferred_width: int) -> Sources:
    """The URLs of an img, amp-img or img-less picture element.

    Order: srcset of the element (lazy srcset before it), lazy attributes, the `source` elements of
    its picture in formats that every decoder knows, src, the other `source` elements, what is meant
    for other screens, attributes with a thumbnail. A src that is data: or names a placeholder goes
    behind all others.
    """
    attributes = dict(element.attrib)
    src = (
        attributes.get("src") or attributes.get("href") or attributes.get("xlink:href") or ""
    ).strip()
    picture = _picture_of(element)
    simple = attributes.keys() <= _SIMPLE and not src.startswith("data:") and _WIDTH not in src
    if picture is None and simple:
        # Nothing to choose from.
        url = "" if _SVG.search(src) else absolute(base, src)
        return Sources((url,) if url else (), "" if url else _problem(src), src)
    templates = []
    for name in sorted(_LAZY_NAMES.intersection(attributes), key=_LAZY.index):
        value = attributes[name]
        if value.lstrip()[:1] in ("{", "["):
            attributes[name] = _url_in_json(value)
        elif _WIDTH in value:
            templates.append(attributes.pop(name))
    if _WIDTH in src:
        templates.append(src)
        src = ""
    better, lesser = _lazy_attributes(attributes)
    listed = rank(_srcsets(attributes), preferred_width)
    if templates:
        widths = _widths(attributes) or [preferred_width]
        sized = [Candidate(t.replace(_WIDTH, str(w)), width=w) for t in templates for w in widths]
        listed += rank(sized, preferred_width)
    known: list[Candidate] = []
    modern: list[Candidate] = []
    elsewhere: list[Candidate] = []
    if picture is not None:
        for source in picture.iter("source"):
            kind = (source.get("type") or "").lower()
            found = _srcsets(dict(source.attrib))
            if not found and source.get("src"):
                found = [Candidate(source.get("src"))]
            if "svg" not in kind:
                if not _suits(source.get("media") or ""):
                    elsewhere += found
                    continue
                for candidate in found:
                    late = kind not in _COMMON or _MODERN_FILE.search(candidate.url)
                    # Where src is of such a format too, there is no other to wait for.
                    (modern if late and not _MODERN_FILE.search(src) else known).append(candidate)
    is_placeholder = src.startswith("data:") or bool(_PLACEHOLDER.search(src.partition("?")[0]))
    ordered = [candidate.url for candidate in listed]
    ordered += better
    ordered += [candidate.url for candidate in rank(known, preferred_width)]
    if not is_placeholder:
        ordered.append(src)
    ordered += [candidate.url for candidate in rank(modern, preferred_width)]
    ordered += [candidate.url for candidate in rank(elsewhere, preferred_width)]
    ordered += lesser
    if is_placeholder and not any(ordered):
        ordered.append(src)
    urls: dict[str, None] = {}
    svg = False
    for url in ordered:
        if _SVG.search(url):
            svg = True
            continue
        if url.startswith("data:") or (url is not src and _is_pure_placeholder(url)):
            continue
        if found_url := absolute(base, url):
            urls.setdefault(found_url)
    raw = src or next(iter(ordered), "")
    if urls:
        return Sources(tuple(urls), raw=raw)
    return Sources((), "svg" if svg else _problem(raw), raw)


def is_stand_in(element: Any) -> bool:
    """Whether an AMP image is shown only until, or if not, the one around it is.

    Source: https://amp.dev/documentation/guides-and-tutorials/develop/style_and_layout/placeholders
    """
    return element.tag.startswith("amp-") and (
        element.get("fallback") is not None or element.get("placeholder") is not None
    )


def is_hidden(element: Any) -> bool:
    """Whether an element hides itself."""
    return element.get("hidden") is not None or bool(_HIDDEN.search(element.get("style") or ""))


def _suits(media: str) -> bool:
    """Whether a source is for a wide and light screen: one query of the list admits it."""
    return not media or any(_admits(query) for query in media.lower().split(","))


def _admits(query: str) -> bool:
    widths = (
        float(n) * (16 if unit.endswith("em") else 1) for n, unit in _MAX_WIDTH.findall(query)
    )
    return min(widths, default=_SCREEN) >= _SCREEN and not _ELSEWHERE.search(query)


def _problem(src: str) -> str:
    if _SVG.search(src):
        return "svg"
    return "data_uri" if src.startswith("data:") else "no_url"


def _is_pure_placeholder(url: str) -> bool:
    return url.lower().endswith((".gif", ".svg")) and bool(_PLACEHOLDER.search(url))


def _picture_of(element: Any) -> Any:
    if element.tag == _PICTURE:
        return element
    # libxml2 does not know that `source` is empty: the img is a descendant of it.
    for ancestor in element.iterancestors():
        if ancestor.tag == _PICTURE:
            return ancestor
        if ancestor.tag != "source":
            return None
    return None


# Shorter file names (`1.jpg`, `image.png`) are shared by different pictures.
_TELLING_NAME = 10
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(\d{2,4})(?![0-9A-Za-z])|(?:w|width|h|height)[_=-]?(\d{2,4})"
)


def same_file(first: Sources, second: Sources) -> bool:
    """Two URLs of one host that end in the same telling file name: sizes of one picture."""
    a, b = urlsplit(first.urls[0]), urlsplit(second.urls[0])
    name = a.path.rpartition("/")[2]
    return a.netloc == b.netloc and len(name) >= _TELLING_NAME and b.path.endswith("/" + name)


def merge_sizes(first: Sources, second: Sources) -> Sources:
    """All URLs of two sizes of one picture, those of the larger before; sizes are read off the
    numbers in the folders and the query where the two differ."""

    def size(source: Sources) -> int:
        parts = urlsplit(source.urls[0])
        text = f"{parts.path.rpartition('/')[0]}?{parts.query}"
        return max((int(a or b) for a, b in _NUMBER.findall(text)), default=0)

    pair = (second, first) if size(second) > size(first) else (first, second)
    return Sources(tuple(dict.fromkeys((*pair[0].urls, *pair[1].urls))), raw=first.raw)


def declared_size(element: Any) -> tuple[int | None, int | None]:
    """Width and height in CSS pixels from attributes, else from the inline style."""
    sizes: dict[str, int] = {}
    if style := element.get("style"):
        for name, value in _STYLE.findall(style):
            sizes[name.lower()] = int(value)
    for name in ("width", "height"):
        if (said := element.get(name)) and (match := _PIXELS.match(said)):
            sizes[name] = int(match[1])
    # A zero is a script's "not yet known"; two of them hide a beacon.
    if sizes.get("width") == sizes.get("height") == 0:
        return 0, 0
    return sizes.get("width") or None, sizes.get("height") or None
