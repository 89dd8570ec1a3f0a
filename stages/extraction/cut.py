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
# Longer titles, formulas and ruby texts are none: their end tag is missing.
_MAX_TITLE, _MAX_INLINE = 10_000, 50_000
_COMMENT_END = re.compile(rb"--!?>")
# What says how to read the characters of a ruby element.
_READING = re.compile(rb"<r[pt]\b[^>]*>.*?(?:</r[pt]>|(?=<r[bpt]\b)|\Z)|</?rb>", re.I | re.DOTALL)
_TEX = re.compile(rb'<annotation[^>]*encoding="application/x-tex"[^>]*>([^<]*)', re.I)

# What the scan stops at, by what is done there.
_COMMENT, _RAW, _CUT, _IMAGE, _ABOUT, _TAG, _CLOSED = range(7)
_RAW_TAGS = (b"script", b"style")
_CUT_TAGS = (
    b"svg nav aside footer select iframe object video audio canvas template textarea button "
    b"datalist dialog noscript".split()
)
_KINDS = {
    b"!--": _COMMENT,
    **dict.fromkeys(_RAW_TAGS, _RAW),
    **dict.fromkeys(_CUT_TAGS, _CUT),
    **{b"/" + tag: _CLOSED for tag in (*_RAW_TAGS, *_CUT_TAGS)},
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
_RAW_ENDS = {
    b"script": re.compile(rb"</[Ss][Cc][Rr][Ii][Pp][Tt](?=[\s/>])"),
    b"style": re.compile(rb"</[Ss][Tt][Yy][Ll][Ee](?=[\s/>])"),
}
# What to stop at in an element that is cut: images, its end, and what may hold such tags as text.
_INSIDE = {
    tag: re.compile(
        rb"<(?:(!--|script(?=[\s/>]))|(/%b(?=[\s/>]))"
        rb"|((?:img|image|input|amp-img|amp-anim)(?=[\s/>]))|/?[A-Z])" % tag
    )
    for tag in _CUT_TAGS
}
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
# The common form: in lower case and double quotes, without character references.
_PLAIN_ATTRIBUTES = re.compile(r"(?:\s+[a-z0-9_:-]+=\"[^\"&]*\")*+\s*/?")
_PLAIN_ATTRIBUTE = re.compile(r"([a-z0-9_:-]+)=\"([^\"]*)\"")
_PLAIN_SRC = re.compile(r"\ssrc=\"([^\"&]*)\"")
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
        found = self._attributes
        if found is None:
            # All that is asked of most images, which are left out.
            if name == "src" and (match := _PLAIN_SRC.search(self.written)):
                return match[1]
            found = self._attributes = read_attributes(self.written)
        return found.get(name)

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
    """The attributes of a tag, by their names in lower case; of a name's values the first."""
    if _PLAIN_ATTRIBUTES.fullmatch(written):
        pairs = _PLAIN_ATTRIBUTE.findall(written)
        found: dict[str, str] = dict(pairs)
        if len(found) < len(pairs):
            found.update(reversed(pairs))
        return found
    found = {}
    for name, one, two, bare in _ATTRIBUTE.findall(written):
        value = one or two or bare
        found.setdefault(name.lower(), unescape_value(value) if "&" in value else value)
    return found


def unescape_value(text: str) -> str:
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
    return _cut(page, page, errors) or _cut(page, page.lower(), errors)  # type: ignore[return-value]


def _cut(source: bytes, low: bytes, errors: str) -> Cut | None:
    """Cuts the page.

    Args:
      source, low: the page, and what its tags are looked for in.

    Returns:
      None for a page with tags in capitals that `low` does not have in lower case.
    """
    out: list[bytes] = []
    root = Tag("html", "")
    about: list[Tag] = []
    shadows = 0
    in_body = False
    images: list[bytes] = []  # in the element that is cut
    unclosed: set[bytes] = set()
    ends: dict[bytes, int] = {}

    def next_end(name: bytes, start: int) -> int:
        """Where the next end tag is, beyond the page if there is none; looked for once."""
        end = ends.get(name, 0)
        if end < start:
            end = low.find(b"</%b>" % name, start)
            ends[name] = end = end if end >= 0 else 2 * len(low) + _MAX_INLINE
        return end

    # What is before `at` is in `out` or left out; no tag begins before `past`.
    at = past = 0
    search = _STOP.search
    while match := search(low, past):
        start = match.start()
        name = match[1]
        if name is None:
            return None
        group = _KINDS[name]
        if group == _IMAGE:
            past = start + len(_whole_tag(source, start))
            continue
        if start > at:
            out.append(source[at:start])
        if group == _COMMENT:
            ended = _COMMENT_END.search(low, start + 2)  # `<!-->` is a whole comment
            at = ended.end() if ended else len(low)
        elif group == _RAW:
            at = match.end()
            if name in unclosed or not (ended := _RAW_ENDS[name].search(low, at)):
                unclosed.add(name)
                out.append(source[start:at])
            else:
                opened = low.find(b">", start) + 1
                at = low.find(b">", ended.end()) + 1 or len(low)
                if name == b"script" and opened - start > len(b"<script>"):
                    if low.find(b"ld+json", start, opened) > 0:
                        text = _decode(source[opened : ended.start()])
                        about.append(_tag(source[start:opened], "script", text))
                    elif low.find(b"math/tex", start, opened) > 0:
                        is_block = low.find(b"mode=display", start, opened) > 0
                        out.append(_delimited(source[opened : ended.start()].strip(), is_block))
        elif group == _CUT:
            at = match.end()
            if name == b"template" and low.find(b"shadowrootmode", at, low.find(b">", at)) > 0:
                out.append(b"<div")  # shown in place of what holds it
                shadows += 1
            elif name in unclosed:
                out.append(source[start:at])
            elif (end_tag := _end_of(source, low, name, at, images)) is None:
                return None
            elif end_tag < 0:
                # It would take the rest of the page with it.
                unclosed.add(name)
                out.append(source[start:at])
            else:
                at = low.find(b">", end_tag) + 1 or len(low)
                if images or name == b"nav":
                    out += [b"<%b%b>" % (_HIDDEN, name), *images, b"</%b>" % _HIDDEN]
                if name == b"footer" or name == b"aside":
                    about += _licences(source, start, end_tag)
            images.clear()
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
                end = next_end(name, at)
                if end - at < _MAX_TITLE:
                    about.append(Tag("title", "", _text(source[at:end])))
                    at = end + len(b"</title>")
            elif name == b"base":
                about.append(_tag(_whole_tag(source, start), "base"))
            elif _ABOUT_LINK.search(low, start, at):
                about.append(_tag(_whole_tag(source, start), "link"))
        else:
            tag = _whole_tag(source, start)
            at = start + len(tag)
            if name == b"math":
                end = next_end(name, at)
                if end - at < _MAX_INLINE and (tex := _tex(source[at:end], _tag(tag, "math"))):
                    out.append(tex)
                    at = end + len(b"</math>")
                else:
                    out.append(tag)
            elif name == b"ruby":
                end = next_end(name, at)
                if end - at < _MAX_INLINE:
                    out.append(_READING.sub(b"", source[at:end]))
                    at = end + len(b"</ruby>")
            elif name == b"html":
                root = _tag(tag, "html")
            elif not in_body:
                in_body = True
                out = [_IN_HEAD if part == _IN_NOSCRIPT else part for part in out]
        past = at
    out.append(source[at:])
    root.sources = about
    return Cut(b"".join(out).decode("utf-8", errors), source is not low, root)


def _end_of(source: bytes, low: bytes, name: bytes, start: int, images: list[bytes]) -> int | None:
    """Where the end tag of an element is, -1 if there is none, None where a tag in capitals comes
    before. Adds the tags of its images."""
    search = _INSIDE[name].search
    while match := search(low, start):
        start = match.start()
        if match[1]:
            end = _COMMENT_END if match[1] == b"!--" else _RAW_ENDS[b"script"]
            if not (ended := end.search(low, start + 2)):
                break
            start = ended.end()
        elif match[2]:
            return start
        elif match[3]:
            tag = _whole_tag(source, start)
            start += len(tag)
            images.append(tag)
        else:
            return None
    return -1


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _tag(whole: bytes, name: str, text: str = "") -> Tag:
    return Tag(name, _decode(whole[_NAME_END.match(whole).end() :]), text)  # type: ignore[union-attr]


def _whole_tag(source: bytes, start: int) -> bytes:
    if match := _WHOLE_TAG.match(source, start):
        return match[0]
    end = source.find(b">", start)
    return source[start : end + 1] if end >= 0 else source[start:]


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
        tag._attributes = {kind.decode(): _decode(name), "content": unescape_value(_decode(value))}
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
