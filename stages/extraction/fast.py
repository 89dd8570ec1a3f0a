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
from html.entities import html5

from resiliparse.extract.html2text import extract_plain_text

from schemas.document import Image, Node, Role, Text
from stages.extraction.charset import decode, is_told_by_bytes
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import DroppedImage, Extraction, is_stand_in
from stages.extraction.judge import (
    Judged,
    Reason,
    judge_container,
    judge_name,
    judge_size,
    links_away,
)
from stages.extraction.metadata import READ_NAMES, Metadata, linked_data, read_metadata
from stages.extraction.sources import (
    Sources,
    declared_size,
    image_sources,
    merge_sizes,
    same_file,
    squeeze,
    without_controls,
)
from stages.extraction.urls import absolute
from stages.extraction.walk import TooComplex

# A token is \x02, a letter, a number and \x03: control characters, which no rule of resiliparse
# looks at. Those of the page itself are taken out before.
_BLANK_CONTROL = bytes(32 if c < 32 and c not in (9, 10, 13) else c for c in range(256))
_SHOWN = re.compile("\x02i([0-9]{1,7})\x03")
_TAGS = re.compile(rb"<[^>]*>")
_ABOUT_LINK = re.compile(rb"canonical|license")
# So many places that speak of a licence are looked at.
_MARKS = 10
_MAX_HEADLINE = 50_000
# Fewer elements cannot lie deep enough to cost anything.
_SURELY_FLAT = 4_000
# Elements whose end tag may be left out do not nest, whatever is left out.
_NESTING = re.compile(
    r"<(/?)(?!(?:p|li|d[dt]|t[rdh]|thead|tbody|tfoot|option|optgroup|r[bpt]|colgroup|col|br|hr|img"
    r"|input|meta|link|source|wbr|area|base|embed|track|param|html|head|body)[\s>/])[a-z]"
)
# resiliparse takes a list that lies close below the body for the menu of the site.
_WRAPPER = b"<div><div><div>"
_COMMENT_END = re.compile(rb"--!?>")
# What says how to read the characters of a ruby element; resiliparse loses the characters to it.
_READING = re.compile(rb"<r[pt]\b[^>]*>.*?(?:</r[pt]>|(?=<r[bpt]\b)|\Z)|</?rb>", re.I | re.DOTALL)
_TEX = re.compile(rb'<annotation[^>]*encoding="application/x-tex"[^>]*>([^<]*)', re.I)
_CAPTION = re.compile(
    r'(<(?:p|div|span|small|dd|td|em)\s(?=[^>]{0,200}class="[^">]{0,100}aption)[^>]*>)', re.I
)
_NEAR = 1_000
_LABEL = 100
_AROUND = 1_500
_SMALL = 300
_MAX_CAPTION = 1_000
_CONTAINER = re.compile(rb"<(/?)(div|section|ul|ol|li|span|p|td|form|figure|header)(?=[\s>])[^>]*>")
_NAMES = re.compile(rb"\s(?:class|id|role)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)
_SRC = re.compile(rb"\ssrc\s*=\s*[\"']?([^\"'\s>]+)", re.I)
_NAME_END = re.compile(r"<[^\s/>]*")
# No part may be read twice: such a tag may be as long as the page.
_PICTURE_LINK = re.compile(rb"\shref\s*=[^\s>]*?\.(?:jpe?g|png|webp|gif)(?=[\"'?#\s>])", re.I)

# What the scan stops at, by what is done there: comments, elements to cut, images, what the page
# says of itself, and tags that a token stands for.
_COMMENT, _RAW, _CUT, _IMAGE, _NOSCRIPT, _ABOUT, _TAG, _CLOSED = range(8)
_CUT_TAGS = (
    b"svg nav aside footer select iframe object video audio canvas template textarea button "
    b"datalist dialog".split()
)
_KINDS = {
    b"!--": _COMMENT,
    b"noscript": _NOSCRIPT,
    **dict.fromkeys((b"script", b"style"), _RAW),
    **dict.fromkeys(_CUT_TAGS, _CUT),
    **dict.fromkeys(
        (b"/" + tag for tag in (b"script", b"style", b"noscript", *_CUT_TAGS)), _CLOSED
    ),
    **dict.fromkeys(b"img image input amp-img amp-anim".split(), _IMAGE),
    **dict.fromkeys(b"meta link title base".split(), _ABOUT),
    **dict.fromkeys(
        b"figure /figure figcaption /figcaption picture /picture source blockquote /blockquote "
        b"time /time main /main math ruby header h1 html body".split(),
        _TAG,
    ),
}
# By first letters, which is a third of the time of a list of the names. The last is any tag with a
# capital.
_STOP = re.compile(
    rb"<(?:(!--|(?:s(?:cript|tyle|vg|elect|ource)|n(?:av|oscript)|a(?:side|udio|mp-img|mp-anim)"
    rb"|i(?:mg|mage|nput|frame)|f(?:igure|igcaption|ooter)|h(?:eader|1|tml)|picture"
    rb"|b(?:lockquote|utton|ody|ase)|t(?:ime|emplate|extarea|itle)|m(?:eta|ain|ath)|link|object|ruby"
    rb"|video|canvas|d(?:ialog|atalist)"
    rb"|/(?:s(?:cript|tyle|vg|elect)|n(?:av|oscript)|a(?:side|udio)|f(?:ig(?:ure|caption)|ooter)"
    rb"|picture|b(?:lockquote|utton)|t(?:ime|emplate|extarea)|main|iframe|object|video|canvas"
    rb"|d(?:ialog|atalist)))(?=[\s/>]))|[A-Z]|/[A-Z])"
)
# Of the meta elements, those that the metadata is read from; the common form, and any.
_PLAIN_META = re.compile(
    rb"<meta\s+(property|name|itemprop)=\"([^\"<>]*)\"\s+content=\"([^\"<>]*)\"\s*/?>"
)
_META_NAME = re.compile(rb"(?:name|property|itemprop)\s*=\s*[\"']?\s*([^\s\"'>]+)")
# A tag with its quoted values; possessive, so that an odd quote costs one pass.
_WHOLE_TAG = re.compile(rb"<[^>\"']*+(?:(?:\"[^\"]*+\"|'[^']*+')[^>\"']*+)*+>")
_ATTRIBUTE = re.compile(
    r"([^\s=>\"'/<][^\s=>/]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+)))?"
)
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|([A-Za-z][A-Za-z0-9]*+(?:;|(?!=))))")
_STEPS = re.compile(
    "<(p|h[1-6]|li)>([^<\n\t\x02]*)</(?:p|h[1-6]|li)>\\s*"  # a whole block
    "|<(/?)(h[1-6]|p|ul|ol|li|pre|br)>|\n+|\x02([a-z])([0-9]{1,7})\x03"
)


class Tag:
    """A tag of the page as sources.py, judge.py and metadata.py ask for it: an element without a
    tree. `text`: of a script what it holds, of others the text in it."""

    __slots__ = ("_attributes", "picture", "source", "sources", "tag", "text")

    def __init__(
        self, source: bytes, tag: str, picture: "Tag | None" = None, text: str = ""
    ) -> None:
        self.source = source
        self.tag = tag
        self.picture = picture
        self.text = text
        self.sources: list[Tag] = []
        self._attributes: dict[str, str] | None = None

    @property
    def attrib(self) -> dict[str, str]:
        if self._attributes is None:
            self._attributes = _attributes(self.source)
        return self._attributes

    def get(self, name: str) -> str | None:
        return self.attrib.get(name)

    def iterancestors(self) -> Iterator["Tag"]:
        if self.picture is not None:
            yield self.picture

    def iter(self, *tags: str) -> Iterator["Tag"]:
        return (source for source in self.sources if source.tag in tags)

    def itertext(self) -> Iterator[str]:
        yield self.text


def _attributes(tag: bytes) -> dict[str, str]:
    text = tag.decode("utf-8", "replace")
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text, _NAME_END.match(text).end()):  # type: ignore[union-attr]
        name, one, two, bare = match.groups()
        value = one or two or bare or ""
        found.setdefault(name.lower(), _unescape_value(value) if "&" in value else value)
    return found


def _unescape_value(text: str) -> str:
    """The value of an attribute, in which `&copy=` is a parameter and no copyright sign.

    Source: HTML Standard, 13.2.5.73 "Named character reference state".
    """
    return _REFERENCE.sub(lambda m: html5.get(m[1], m[0]) if m[1] else unescape(m[0]), text)


class _Found(Tag):
    """An image element. `start`: offset of its tag; `figure`: number of the figure that it lies in;
    `inside`: the element that it was cut out with; `copy_of`: the image that it stands in for where
    no script runs."""

    __slots__ = ("copy_of", "figure", "inside", "start")

    def __init__(
        self,
        source: bytes,
        tag: str,
        start: int,
        figure: int,
        picture: Tag | None = None,
        inside: str = "",
    ) -> None:
        # Not through Tag's: a page holds many.
        self.source = source
        self.tag = tag
        self.picture = picture
        self.text = ""
        self.sources = []
        self._attributes = None
        self.start = start
        self.figure = figure
        self.inside = inside
        self.copy_of = -1


@dataclass(slots=True)
class _Cut:
    """A page cut down to what may be content.

    Attributes:
      source, low: the page in UTF-8; the same in lower case.
      html: what may be content, with tokens.
      images: every image element in document order.
      about: the html element with all that the page says of itself as `sources`.
    """

    source: bytes
    low: bytes
    html: str
    images: list[_Found]
    about: Tag


def extract_fast(
    body: bytes | str, url: str, content_type: str, config: ExtractionConfig
) -> Extraction:
    """Extracts one page; see `extract.extract`.

    Raises:
      TooComplex: the page is deeper or larger than the limits.
    """
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    try:
        if is_told_by_bytes(raw):
            page = _read(decode(raw, content_type).encode("utf-8", "replace"), config, "replace")
        else:
            page = _read(raw, config, "strict")
    except UnicodeError:
        page = _read(decode(raw, content_type).encode("utf-8", "replace"), config, "replace")
    text = extract_plain_text(
        page.html,
        preserve_formatting="minimal_html",
        main_content=True,
        list_bullets=True,
        alt_texts=False,
        comments=False,
        post_meta=False,
    )
    base = next((u for b in page.about.iter("base") if (u := absolute(url, b.get("href")))), url)
    metadata = read_metadata(page.about, linked_data(page.about.iter("script")), base)
    return _assemble(page, text, metadata, base, config)


def _read(source: bytes, config: ExtractionConfig, errors: str) -> _Cut:
    if b"\x02" in source or b"\x03" in source:
        source = source.translate(_BLANK_CONTROL)
    page = _cut(source, source, errors, config, {})
    if page is None:
        page = _cut(source, source.lower(), errors, config, {})
        assert page is not None
    _check(page, config)
    if "aption" in page.html:
        page.html = _CAPTION.sub("\\1\x02d0\x03", page.html)
    return page


def _check(page: _Cut, config: ExtractionConfig) -> None:
    if page.html.count("<") <= _SURELY_FLAT:
        return
    low = page.html.lower()
    if (depth := _depth(low, config.max_depth)) > config.max_depth:
        raise TooComplex("too_deep", depth)
    elements = low.count("<") - low.count("</") + len(page.images)
    if elements > config.max_elements:
        raise TooComplex("too_many_elements", elements)


def _depth(low: str, most: int) -> int:
    """How deep elements are nested that have to be closed; counting stops beyond `most`."""
    depth = deepest = 0
    for tag in _NESTING.finditer(low):
        depth += -1 if tag[1] else 1
        if depth > deepest:
            deepest = depth
            if depth > most:
                break
    return deepest


def _whole_tag(source: bytes, start: int) -> bytes:
    if match := _WHOLE_TAG.match(source, start):
        return match[0]
    end = source.find(b">", start)
    return source[start : end + 1] if end >= 0 else source[start:]


def _comment_end(source: bytes, start: int) -> int:
    end = _COMMENT_END.search(source, start + 2)  # `<!-->` is a whole comment
    return end.end() if end else len(source)


def _cut(
    source: bytes, low: bytes, errors: str, config: ExtractionConfig, unclosed: dict[bytes, int]
) -> _Cut | None:
    """Cuts the page and sets the tokens.

    Args:
      source, low: the page, and what its tags are looked for in.
      unclosed: elements to cut that are not closed, with where the first of them starts. They are
        not cut: they would take the rest of the page with them.

    Returns:
      None for a page with tags in capitals that `low` does not have in lower case.
    """
    out: list[bytes] = []
    images: list[_Found] = []
    picture: Tag | None = None
    html = Tag(b"<html>", "html")
    about: list[Tag] = []
    stamps: list[Tag] = []
    at = seen = figure = figures = headlines = shadows = 0
    in_body = False
    token = 0  # place in `out` of the last image
    header = -1  # where the header of the site ends
    # The element that is cut, its end tag and where it starts; the element that a script lies in.
    cut = end_tag = script = b""
    cut_start = 0
    # Places in `out`, and number of headlines before: where the main element starts and ends.
    main_starts: list[tuple[int, int]] = []
    main_ends: list[tuple[int, int]] = []
    for match in _STOP.finditer(low):
        start = match.start()
        if start < at:
            continue
        name = match[1]
        if name is None:
            raw = cut in (b"script", b"style")
            if not raw or low[start + 1 : start + 1 + len(end_tag)].lower() == end_tag:
                return None
            continue
        group = _KINDS[name]
        if end_tag:
            if name == end_tag:
                at = low.find(b">", start) + 1 or len(low)
                if cut == b"footer" or cut == b"aside":
                    about += _licences(source, cut_start, start)
                elif cut == b"script":
                    opened = low.find(b">", cut_start)
                    if low.find(b"ld+json", cut_start, opened) > 0:
                        text = source[opened + 1 : start].decode("utf-8", "replace")
                        about.append(Tag(source[cut_start : opened + 1], "script", text=text))
                    elif not script and low.find(b"math/tex", cut_start, opened) > 0:
                        is_block = low.find(b"mode=display", cut_start, opened) > 0
                        out.append(_delimited(source[opened + 1 : start].strip(), is_block))
                cut, end_tag = script, b"/" + script if script else b""
                script = b""
            elif cut == b"script" or cut == b"style":
                pass
            elif group == _COMMENT:
                at = _comment_end(low, start)
            elif name == b"script" and start < unclosed.get(name, len(low)):
                script, cut, end_tag, cut_start = cut, name, b"/script", start
            elif group == _IMAGE:
                tag = _whole_tag(source, start)
                at = start + len(tag)
                if name == b"input" and not _is_image_input(tag):
                    continue
                found = _Found(tag, name.decode(), start, figure)
                if cut != b"noscript":
                    found.inside = cut.decode()
                elif images and _stands_in(images[_original(images)], out[token + 1 :]):
                    found.copy_of = _original(images)
                else:
                    token = len(out)
                    out.append(b"\x02i%d\x03" % len(images))
                images.append(found)
            continue
        if start > at:
            out.append(source[at:start])
        if group <= _NOSCRIPT and group != _COMMENT and group != _IMAGE:
            at = match.end()
            if start >= unclosed.get(name, len(low)):
                out.append(source[start:at])
            elif name == b"template" and low.find(b"shadowrootmode", at, low.find(b">", at)) > 0:
                out.append(b"<div")  # shown in place of what holds it
                shadows += 1
            else:
                cut, end_tag, cut_start = name, b"/" + name, start
        elif group == _COMMENT:
            at = _comment_end(low, start)
        elif group == _IMAGE:
            tag = _whole_tag(source, start)
            at = start + len(tag)
            if name == b"input" and not _is_image_input(tag):
                continue
            if len(images) > config.max_elements:
                raise TooComplex("too_many_elements", len(images))
            if start < header and not headlines:
                images.append(_Found(tag, name.decode(), start, figure, picture, "header"))
            else:
                found = _Found(tag, name.decode(), start, figure, picture)
                if (
                    name[:4] == b"amp-"
                    and images
                    and is_stand_in(found)
                    and _stands_in(images[_original(images)], out[token + 1 :])
                ):
                    found.copy_of = _original(images)
                else:
                    token = _before_link(out)
                    out.insert(token, b"\x02i%d\x03" % len(images))
                images.append(found)
        elif group == _CLOSED:
            at = low.find(b">", start) + 1 or len(low)
            if shadows and name == b"/template":
                out.append(b"</div>")
                shadows -= 1
        elif group == _ABOUT:
            at = low.find(b">", start) + 1 or len(low)
            if name == b"meta":
                if meta := _meta(source, low, start, at):
                    about.append(meta)
            elif name == b"title":
                end = low.find(b"</title", at)
                if end > 0:
                    about.append(Tag(b"<title>", "title", text=_text(source[at:end])))
                    at = end + 8
            elif name == b"base":
                about.append(Tag(_whole_tag(source, start), "base"))
            elif _ABOUT_LINK.search(low, start, at):
                about.append(Tag(_whole_tag(source, start), "link"))
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
                    token = len(out)
                    out.append(b"\x02i%d\x03" % len(images))
                    image = _Found(picture.source, "picture", start, figure)
                    image.sources = picture.sources
                    images.append(image)
                picture = None
            elif name == b"h1":
                end = low.find(b"</h1", at, start + _MAX_HEADLINE)
                if end > 0:
                    headlines += 1
                    if headlines <= 2:
                        about.append(Tag(b"<h1>", "h1", text=_text(source[at:end])))
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
            elif name == b"ruby":
                end = low.find(b"</ruby", at)
                if end > 0:
                    out.append(_READING.sub(b"", source[at:end]))
                    at = low.find(b">", end) + 1 or len(low)
            elif name == b"main":
                main_starts.append((len(out), headlines))
                out.append(tag)
            elif name == b"/main":
                out.append(tag)
                main_ends.append((len(out), headlines))
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
                    stamps.append(Tag(tag, "time"))
                out.append(b"<span>")
            elif name == b"/time":
                out.append(b"</span>")
            elif name == b"html":
                html = Tag(tag, "html")
            elif name == b"body" and not in_body:
                in_body = True
                out = [tag]
    if end_tag:
        # What was not closed is read as if it had not been there.
        first = min(cut_start, unclosed.get(cut, cut_start))
        return _cut(source, low, errors, config, {**unclosed, cut: first})
    out.append(source[at:])
    if len(main_starts) == len(main_ends) == 1:
        (start, before), (end, within) = main_starts[0], main_ends[0]
        if before == 0 and within == headlines > 0:
            out = out[start:end]
    kept = b"".join([_WRAPPER, *out])
    about += _licences(kept, 0, len(kept))
    html.sources = about + stamps
    return _Cut(source, low, kept.decode("utf-8", errors), images, html)


def _before_link(out: list[bytes]) -> int:
    """The place in `out` for an image: before a link to a picture that has just been opened.
    resiliparse drops a block that holds nothing but a link, and this one leads to no other page."""
    place = len(out)
    while place and out[place - 1].isspace():
        place -= 1
    if not place:
        return len(out)
    chunk = out[place - 1]
    opened = chunk.rfind(b"<")
    tag = chunk[opened:].rstrip() if opened >= 0 else b""
    just_opened = tag[:2].lower() == b"<a" and tag.find(b">") == len(tag) - 1
    if not just_opened or not _PICTURE_LINK.search(tag):
        return len(out)
    out[place - 1 : place] = [chunk[:opened], chunk[opened:]]
    return place


def _licences(source: bytes, at: int, end: int) -> list[Tag]:
    """The links between two offsets that may name the licence."""
    found: list[Tag] = []
    for _ in range(_MARKS):
        if (at := source.find(b"license", at, end)) < 0:
            break
        start = source.rfind(b"<", max(0, at - _NEAR), at)
        at += 7
        if start >= 0 and source[start : start + 3] == b"<a ":
            found.append(Tag(_whole_tag(source, start), "a"))
    return found


def _meta(source: bytes, low: bytes, start: int, end: int) -> Tag | None:
    """A meta element if the metadata reads it."""
    if match := _PLAIN_META.match(source, start, end):
        kind, name, value = match.groups()
        if name.lower().strip() not in READ_NAMES:
            return None
        tag = Tag(match[0], "meta")
        text = value.decode("utf-8", "replace")
        tag._attributes = {
            kind.decode(): name.decode("utf-8", "replace"),
            "content": _unescape_value(text),
        }
        return tag
    if READ_NAMES.isdisjoint(_META_NAME.findall(low, start, end)):
        return None
    return Tag(_whole_tag(source, start), "meta")


def _text(inner: bytes) -> str:
    """The text in an element."""
    return unescape(_TAGS.sub(b"", inner).decode("utf-8", "replace"))


def _tex(inside: bytes, math: Tag) -> bytes:
    """The TeX source of MathML in the delimiters of TeX, "" where there is none."""
    noted = _TEX.search(inside)
    tex = noted[1].strip() if noted else (math.get("alttext") or "").strip().encode()
    return _delimited(tex, math.get("display") == "block")


def _delimited(tex: bytes, is_block: bool) -> bytes:
    opening, closing = (b"\\[", b"\\]") if is_block else (b"\\(", b"\\)")
    return opening + tex.replace(b"<", b"&lt;") + closing if tex else b""


def _is_image_input(tag: bytes) -> bool:
    return b"image" in tag.lower() and (Tag(tag, "input").get("type") or "").lower() == "image"


def _original(images: list[_Found]) -> int:
    """The number of the image that the next one may stand in for."""
    last = images[-1]
    return last.copy_of if last.copy_of >= 0 and last.tag != "img" else len(images) - 1


def _stands_in(original: _Found, between: list[bytes]) -> bool:
    """Nothing but the tags of a small wrapper lies between."""
    if original.inside or original.copy_of >= 0:
        return False
    return sum(map(len, between)) < _NEAR and not _TAGS.sub(b"", b"".join(between)).strip()


def _assemble(
    page: _Cut, text: str, metadata: Metadata, base: str, config: ExtractionConfig
) -> Extraction:
    """Judges the images and builds the nodes."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.replace("\ufeff", "").replace("\u00ad", ""))
    content, dropped = _judge(page, set(map(int, _SHOWN.findall(text))), base, config)
    nodes = _trim(_build(text, content))
    if len(nodes) > config.max_nodes:
        raise TooComplex("too_many_nodes", len(nodes))
    return Extraction(tuple(nodes), tuple(dropped), metadata)


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
) -> tuple[dict[int, Image], list[DroppedImage]]:
    """The content images by number, and all other image elements."""
    content: dict[int, Image] = {}
    dropped: list[DroppedImage] = []
    copies = {found.copy_of: found for found in page.images if found.copy_of >= 0}
    seen: set[str] = set()
    last: tuple[int, Sources] | None = None  # the last content image, while no text follows it
    for number, element in enumerate(page.images):
        if number not in shown:
            image = Image(_plain_url(element, base))
            if element.copy_of >= 0:
                reason, detail = Reason.DUPLICATE, "stands in for the image before it"
            elif element.inside:
                reason, detail = Reason.BOILERPLATE, f"inside {element.inside}"
            else:
                reason, detail = Reason.OUTSIDE_MAIN_CONTENT, "not with the main text"
            dropped.append(DroppedImage(image, reason, number, detail))
            continue
        sources = image_sources(element, base, config.preferred_width)
        if copy := copies.get(number):
            # The noscript copy knows the URL where a script was to fill in the original's.
            more = image_sources(copy, base, config.preferred_width)
            urls = tuple(dict.fromkeys((*sources.urls, *more.urls)))
            sources = Sources(urls, sources.problem, sources.raw)
        size = declared_size(element)
        link = ""
        if not sources.urls:
            verdict = Judged(Reason(sources.problem))
        else:
            url = sources.urls[0]
            link = _link(page.source, element)
            verdict = (
                judge_size(size, config.min_side)
                or judge_name(element, url, size)
                or _judge_link(page.source, element, link)
                or _judge_around(page, element.start)
                or (Judged(Reason.DUPLICATE, "shown before") if url in seen else Judged(None))
            )
            seen.add(url)
        image = _image(element, sources, size, absolute(base, link), base)
        if verdict.reason is None:
            if (
                last
                and page.images[last[0]].figure == element.figure
                and same_file(last[1], sources)
            ):
                # Loaders put a blurred preview before the picture: the larger one is it.
                sources = merge_sizes(last[1], sources)
                urls = sources.urls
                content[last[0]] = replace(content[last[0]], url=urls[0], candidates=urls[1:])
                verdict = Judged(Reason.DUPLICATE, "another size of the image before it")
                last = last[0], sources
            else:
                content[number] = image
                last = number, sources
        if verdict.reason is not None:
            dropped.append(DroppedImage(image, verdict.reason, number, verdict.detail))
    return content, dropped


def _plain_url(element: Tag, base: str) -> str:
    """The URL of an image that is left out, for the record."""
    match = _SRC.search(element.source)
    if not match:
        return ""
    src = match[1].decode("utf-8", "replace")
    if "&" in src:
        src = _unescape_value(src)
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


def _judge_around(page: _Cut, start: int) -> Judged | None:
    """A small container around an image that is named as furniture."""
    low = page.low
    opened: list[re.Match[bytes]] = []
    for tag in _CONTAINER.finditer(low, max(0, start - _AROUND), start):
        if not tag[1]:
            opened.append(tag)
        elif opened and opened[-1][2] == tag[2]:
            opened.pop()
    for tag in reversed(opened):
        names = b" ".join(one or two for one, two in _NAMES.findall(page.source, *tag.span()))
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
        nonlocal breaks
        breaks = 0
        if not parts:
            return
        block = "".join(parts)
        parts.clear()
        if code:
            add(block.strip("\n").rstrip())
        elif "\t" in (block := block.strip()):
            cells = [squeeze(cell) for cell in block.split("\t\t")]
            cells = [cell for cell in cells if cell]
            if len(cells) > 1:
                nodes.append(Text(" | ".join(cells), Role.TABLE_ROW))
            elif cells:
                add(cells[0])
        elif "\n" in block:
            add("\n".join(" ".join(line.split()) for line in block.split("\n")))
        else:
            add(" ".join(block.split()))

    def add(block: str) -> None:
        nonlocal labelled
        if not block:
            return
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
        nodes.append(Text(without_controls(unescape(block) if "&" in block else block), role))
        if labelled:
            _caption(nodes, len(nodes) - 1)
            labelled = False

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
        if kind == 2 and not code:
            if parts or breaks:
                flush()
            name = step[1]
            within = heading, items
            heading, items = heading or name[0] == "h", items + (name == "li")
            add(" ".join(step[2].split()))
            heading, items = within
        elif kind == 2:
            parts.append(step[2])
        elif kind is None:  # a line end
            if code:
                parts.append(step[0])
            elif parts and not breaks:
                flush()
        elif kind == 4:
            name = step[4]
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
            letter, number = step[5], int(step[6])
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
