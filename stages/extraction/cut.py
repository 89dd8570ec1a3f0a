"""A page cut down to what may be its content: the first pass of the fast engine.

No tree is built. One scan over the bytes of the page cuts out what is never shown as text of it
(scripts, menus, forms' controls, comments) and gathers what the metadata is read from. The images
in what was cut stay, in an element that says where they were (`HIDDEN`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from html.entities import html5

from stages.extraction.metadata import READ_NAMES

# Begins the name of an element that no page can have: control characters are taken out of it. Named
# after the element that was cut out, it holds the images of that.
HIDDEN = "\x02"
_HIDDEN = HIDDEN.encode()
_IN_NOSCRIPT, _IN_HEAD = b"<\x02noscript>", b"<\x02head>"
_BLANK_CONTROL = bytes(32 if c < 32 and c not in (9, 10, 13) else c for c in range(256))
_TAGS = re.compile(rb"<[^>]*>")
_ABOUT_LINK = re.compile(rb"canonical|license")
# So many places that speak of a licence are looked at, each with so many bytes before it.
_MARKS = 10
_NEAR = 1_000
_COMMENT_END = re.compile(rb"--!?>")
# What says how to read the characters of a ruby element.
_READING = re.compile(rb"<r[pt]\b[^>]*>.*?(?:</r[pt]>|(?=<r[bpt]\b)|\Z)|</?rb>", re.I | re.DOTALL)
_TEX = re.compile(rb'<annotation[^>]*encoding="application/x-tex"[^>]*>([^<]*)', re.I)

# What the scan stops at, by what is done there.
_COMMENT, _RAW, _CUT, _IMAGE, _ABOUT, _TAG, _CLOSED = range(7)
_CUT_TAGS = (
    b"svg nav aside footer select iframe object video audio canvas template textarea button "
    b"datalist dialog noscript".split()
)
_KINDS = {
    b"!--": _COMMENT,
    **dict.fromkeys((b"script", b"style"), _RAW),
    **dict.fromkeys(_CUT_TAGS, _CUT),
    **dict.fromkeys((b"/" + tag for tag in (b"script", b"style", *_CUT_TAGS)), _CLOSED),
    **dict.fromkeys(b"img image input amp-img amp-anim".split(), _IMAGE),
    **dict.fromkeys(b"meta link title base".split(), _ABOUT),
    **dict.fromkeys(b"math ruby html body".split(), _TAG),
}
# By first letters, which is a third of the time of a list of the names. The last is any tag with a
# capital.
_STOP = re.compile(
    rb"<(?:(!--|(?:s(?:cript|tyle|vg|elect)|n(?:av|oscript)|a(?:side|udio|mp-img|mp-anim)"
    rb"|i(?:mg|mage|nput|frame)|footer|html|b(?:utton|ody|ase)|t(?:emplate|extarea|itle)"
    rb"|m(?:eta|ath)|link|object|ruby|video|canvas|d(?:ialog|atalist)"
    rb"|/(?:s(?:cript|tyle|vg|elect)|n(?:av|oscript)|a(?:side|udio)|footer|button"
    rb"|t(?:emplate|extarea)|iframe|object|video|canvas|d(?:ialog|atalist)))(?=[\s/>]))"
    rb"|[A-Z]|/[A-Z])"
)
# Of the meta elements, those that the metadata is read from; the common form, and any.
_PLAIN_META = re.compile(
    rb"<meta\s+(property|name|itemprop)=\"([^\"<>]*)\"\s+content=\"([^\"<>]*)\"\s*/?>"
)
_META_NAME = re.compile(rb"(?:name|property|itemprop)\s*=\s*[\"']?\s*([^\s\"'>]+)")
# A tag with its quoted values; possessive, so that an odd quote costs one pass.
_WHOLE_TAG = re.compile(rb"<[^>\"']*+(?:(?:\"[^\"]*+\"|'[^']*+')[^>\"']*+)*+>")
_NAME_END = re.compile(rb"<[^\s/>]*")
_ATTRIBUTE = re.compile(
    r"([^\s=>\"'/<][^\s=>/]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+)))?"
)
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|([A-Za-z][A-Za-z0-9]*+(?:;|(?!=))))")


class Tag:
    """A tag of the page as sources.py, judge.py and metadata.py ask for it: an element without a
    tree.

    Attributes:
      written: the attributes as the page writes them.
      text: of a script what it holds, of others the text in it.
      picture: the picture element around it.
      sources: of a picture its source elements; of the page all that it says of itself.
    """

    __slots__ = ("_attributes", "picture", "sources", "tag", "text", "written")

    def __init__(self, tag: str, written: str, text: str = "", picture: "Tag | None" = None):
        self.tag = tag
        self.written = written
        self.text = text
        self.picture = picture
        self.sources: list[Tag] = []
        self._attributes: dict[str, str] | None = None

    @property
    def attrib(self) -> dict[str, str]:
        if self._attributes is None:
            self._attributes = read_attributes(self.written)
        return self._attributes

    def get(self, name: str) -> str | None:
        return self.attrib.get(name)

    def values(self) -> list[str]:
        return list(self.attrib.values())

    def iterancestors(self) -> Iterator["Tag"]:
        if self.picture is not None:
            yield self.picture

    def iter(self, *tags: str) -> Iterator["Tag"]:
        return (source for source in self.sources if source.tag in tags)

    def itertext(self) -> Iterator[str]:
        yield self.text


def read_attributes(written: str) -> dict[str, str]:
    """The attributes of a tag, by their names in lower case."""
    found: dict[str, str] = {}
    for name, one, two, bare in _ATTRIBUTE.findall(written):
        value = one or two or bare
        found.setdefault(name.lower(), _unescape_value(value) if "&" in value else value)
    return found


def _unescape_value(text: str) -> str:
    """The value of an attribute, in which `&copy=` is a parameter and no copyright sign.

    Source: HTML Standard, 13.2.5.73 "Named character reference state".
    """
    return _REFERENCE.sub(lambda m: html5.get(m[1], m[0]) if m[1] else unescape(m[0]), text)


@dataclass(slots=True)
class Cut:
    """What is left of a page.

    Attributes:
      html: what may be content, and the `HIDDEN` elements.
      folded: whether the page has tags in capitals.
      root: the html element, with all else that was gathered as its sources.
    """

    html: str
    folded: bool
    root: Tag


def cut(page: bytes, errors: str = "strict") -> Cut:
    """Cuts a page in UTF-8.

    Raises:
      UnicodeError: the page is in another encoding, unless `errors` is "replace".
    """
    if _HIDDEN in page:
        page = page.translate(_BLANK_CONTROL)
    return _cut(page, page, errors, {}) or _cut(page, page.lower(), errors, {})  # type: ignore[return-value]


def _cut(source: bytes, low: bytes, errors: str, unclosed: dict[bytes, int]) -> Cut | None:
    """Cuts the page.

    Args:
      source, low: the page, and what its tags are looked for in.
      unclosed: elements to cut that are not closed, with where the first of them starts. They are
        not cut: they would take the rest of the page with them.

    Returns:
      None for a page with tags in capitals that `low` does not have in lower case.
    """
    out: list[bytes] = []
    root = Tag("html", "")
    about: list[Tag] = []
    images: list[bytes] = []  # in the element that is cut
    shadows = 0
    in_body = False
    # What is before `at` is in `out` or left out; no tag begins before `past`.
    at = past = 0
    # The element that is cut, its end tag and where it starts; the element that a script lies in.
    name_cut = end_tag = script = b""
    cut_start = 0
    for match in _STOP.finditer(low):
        start = match.start()
        if start < past:
            continue
        name = match[1]
        if name is None:
            raw = name_cut in (b"script", b"style")
            if not raw or low[start + 1 : start + 1 + len(end_tag)].lower() == end_tag:
                return None
            continue
        group = _KINDS[name]
        if end_tag:
            if name == end_tag:
                past = low.find(b">", start) + 1 or len(low)
                if name_cut == b"script":
                    opened = low.find(b">", cut_start)
                    if low.find(b"ld+json", cut_start, opened) > 0:
                        text = _decode(source[opened + 1 : start])
                        about.append(_tag(source[cut_start : opened + 1], "script", text))
                    elif not script and low.find(b"math/tex", cut_start, opened) > 0:
                        is_block = low.find(b"mode=display", cut_start, opened) > 0
                        out.append(_delimited(source[opened + 1 : start].strip(), is_block))
                elif name_cut == b"footer" or name_cut == b"aside":
                    about += _licences(source, cut_start, start)
                name_cut, end_tag = script, b"/" + script if script else b""
                script = b""
                if not end_tag:
                    at = past
                    if images or name == b"/nav":
                        out += [b"<%b%b>" % (_HIDDEN, name[1:]), *images, b"</%b>" % _HIDDEN]
                        images.clear()
            elif name_cut == b"script" or name_cut == b"style":
                pass
            elif group == _COMMENT:
                past = _comment_end(low, start)
            elif name == b"script" and start < unclosed.get(name, len(low)):
                script, name_cut, end_tag, cut_start = name_cut, name, b"/script", start
            elif group == _IMAGE:
                tag = _whole_tag(source, start)
                past = start + len(tag)
                images.append(tag)
            continue
        if group == _IMAGE:
            past = start + len(_whole_tag(source, start))
            continue
        if start > at:
            out.append(source[at:start])
        if group <= _CUT and group != _COMMENT:
            at = match.end()
            if start >= unclosed.get(name, len(low)):
                out.append(source[start:at])
            elif name == b"template" and low.find(b"shadowrootmode", at, low.find(b">", at)) > 0:
                out.append(b"<div")  # shown in place of what holds it
                shadows += 1
            else:
                name_cut, end_tag, cut_start = name, b"/" + name, start
        elif group == _COMMENT:
            at = _comment_end(low, start)
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
                    about.append(Tag("title", "", _text(source[at:end])))
                    at = end + 8
            elif name == b"base":
                about.append(_tag(_whole_tag(source, start), "base"))
            elif _ABOUT_LINK.search(low, start, at):
                about.append(_tag(_whole_tag(source, start), "link"))
        else:
            tag = _whole_tag(source, start)
            at = start + len(tag)
            if name == b"math":
                end = low.find(b"</math>", start)
                if end > 0 and (tex := _tex(source[at:end], _tag(tag, "math"))):
                    out.append(tex)
                    at = end + 7
                else:
                    out.append(tag)
            elif name == b"ruby":
                end = low.find(b"</ruby", at)
                if end > 0:
                    out.append(_READING.sub(b"", source[at:end]))
                    at = low.find(b">", end) + 1 or len(low)
            elif name == b"html":
                root = _tag(tag, "html")
            elif not in_body:
                in_body = True
                out = [_IN_HEAD if part == _IN_NOSCRIPT else part for part in out]
        past = at
    if end_tag:
        # What was not closed is read as if it had not been there.
        first = min(cut_start, unclosed.get(name_cut, cut_start))
        return _cut(source, low, errors, {**unclosed, name_cut: first})
    out.append(source[at:])
    kept = b"".join(out)
    about += _licences(kept, 0, len(kept))
    root.sources = about
    return Cut(kept.decode("utf-8", errors), source is not low, root)


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _tag(whole: bytes, name: str, text: str = "") -> Tag:
    return Tag(name, _decode(whole[_NAME_END.match(whole).end() :]), text)  # type: ignore[union-attr]


def _whole_tag(source: bytes, start: int) -> bytes:
    if match := _WHOLE_TAG.match(source, start):
        return match[0]
    end = source.find(b">", start)
    return source[start : end + 1] if end >= 0 else source[start:]


def _comment_end(source: bytes, start: int) -> int:
    end = _COMMENT_END.search(source, start + 2)  # `<!-->` is a whole comment
    return end.end() if end else len(source)


def _licences(source: bytes, at: int, end: int) -> list[Tag]:
    """The links between two offsets that may name the licence."""
    found: list[Tag] = []
    for _ in range(_MARKS):
        if (at := source.find(b"license", at, end)) < 0:
            break
        start = source.rfind(b"<", max(0, at - _NEAR), at)
        at += 7
        if start >= 0 and source[start : start + 3] == b"<a ":
            found.append(_tag(_whole_tag(source, start), "a"))
    return found


def _meta(source: bytes, low: bytes, start: int, end: int) -> Tag | None:
    """A meta element if the metadata reads it."""
    if match := _PLAIN_META.match(source, start, end):
        kind, name, value = match.groups()
        if name.lower().strip() not in READ_NAMES:
            return None
        tag = Tag("meta", "")
        tag._attributes = {kind.decode(): _decode(name), "content": _unescape_value(_decode(value))}
        return tag
    if READ_NAMES.isdisjoint(_META_NAME.findall(low, start, end)):
        return None
    return _tag(_whole_tag(source, start), "meta")


def _text(inner: bytes) -> str:
    """The text in an element."""
    return unescape(_decode(_TAGS.sub(b"", inner)))


def _tex(inside: bytes, math: Tag) -> bytes:
    """The TeX source of MathML in the delimiters of TeX, "" where there is none."""
    noted = _TEX.search(inside)
    tex = noted[1].strip() if noted else (math.get("alttext") or "").strip().encode()
    return _delimited(tex, math.get("display") == "block")


def _delimited(tex: bytes, is_block: bool) -> bytes:
    opening, closing = (b"\\[", b"\\]") if is_block else (b"\\(", b"\\)")
    return opening + tex.replace(b"<", b"&lt;") + closing if tex else b""
