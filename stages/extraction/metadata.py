"""Title, date, author, site and licence, as a page declares them; nothing is read from prose."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stages.extraction.sources import squeeze
from stages.extraction.urls import absolute

# schema.org types that describe the page itself.
_ARTICLE = re.compile(
    r"Article|Posting|Report|WebPage|Recipe|Review|Product|CreativeWork|HowTo", re.I
)
_DATE = re.compile(r"^\s*(\d{4})([-/]?)(\d{2})\2(\d{2})(?!\d)")
_TITLE = ("og:title", "twitter:title", "dc.title", "citation_title")
_DATES = (
    "article:published_time",
    "datepublished",
    "og:article:published_time",
    "dc.date.issued",
    "dc.date",
    "dcterms.created",
    "citation_publication_date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "date",
)
_AUTHORS = (
    "author",
    "article:author",
    "dc.creator",
    "parsely-author",
    "sailthru.author",
    "citation_author",
)
_SITES = ("og:site_name", "application-name", "twitter:site")
_IMAGES = ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src")
_MAX_HEADLINE = 300
_LINKED_DATA = "application/ld+json"
_LICENCES = ("dcterms.license", "dcterms:license", "dc.rights.license", "cc:license")
_LICENCE_NAMES = {"license", "cc:license", "dcterms:license", "dct:license"}
_LICENCE = re.compile(r"^https?://(?:www\.)?(?:creativecommons\.org|opendatacommons\.org)/", re.I)
# All that is read of meta elements, as a page in UTF-8 writes it.
READ_NAMES = frozenset(
    name.encode() for name in (*_TITLE, *_DATES, *_AUTHORS, *_SITES, *_IMAGES, *_LICENCES)
)

# What is read, by tag.
ABOUT_TAGS = ("meta", "title", "h1", "time", "a", "link")
# Links that say what they are, with what they say.
_Links = list[tuple[set[str], Any]]


@dataclass(frozen=True)
class Metadata:
    """What the page says of itself, "" where it does not; `images` are absolute URLs."""

    title: str = ""
    date: str = ""
    author: str = ""
    site: str = ""
    licence: str = ""
    language: str = ""
    images: tuple[str, ...] = ()
    canonical_url: str = ""


def read_metadata(
    root: Any, data: list[dict[str, Any]], base: str, about: Iterable[Any] | None = None
) -> Metadata:
    """Reads meta elements, then JSON-LD (`linked_data`), then the title and h1 elements.

    Args:
      about: the elements of `ABOUT_TAGS`, where a pass over the page has met them already.
    """
    metas: dict[str, str] = {}
    images: dict[str, None] = {}
    by_tag: dict[str, list[Any]] = {}
    links: _Links = []
    for element in root.iter(*ABOUT_TAGS) if about is None else about:
        tag = element.tag
        if tag not in ("a", "link"):
            by_tag.setdefault(tag, []).append(element)
        elif said := element.get("rel") or element.get("property") or element.get("itemprop"):
            links.append((set(said.lower().split()), element))
    for meta in by_tag.get("meta", ()):
        name = meta.get("property") or meta.get("name") or meta.get("itemprop") or ""
        value = squeeze(meta.get("content"))
        name = name.strip().lower()
        if name and value:
            metas.setdefault(name, value)
            if name in _IMAGES and (url := absolute(base, value)):
                images.setdefault(url)
    articles = [item for item in data if _ARTICLE.search(str(item.get("@type", "")))]
    for item in articles:
        for url in _image_urls(item.get("image")):
            if found := absolute(base, url):
                images.setdefault(found)
    title = _first(metas, _TITLE) or _text(articles, "headline")
    if not title:
        title = _headline(by_tag.get("h1", [])) or _element_text(by_tag.get("title", [None])[0])
    date = next((d for name in _DATES if (d := iso_date(metas.get(name, "")))), "")
    if not date:
        date = next(
            (d for item in articles if (d := iso_date(str(item.get("datePublished") or "")))), ""
        )
    if not date:
        stamps = (
            e.get("datetime") or ""
            for e in by_tag.get("time", ())
            if e.get("pubdate") is not None or e.get("itemprop") == "datePublished"
        )
        date = next((d for stamp in stamps if (d := iso_date(stamp))), "")
    author = next((a for name in _AUTHORS if (a := metas.get(name, "")) and "://" not in a), "")
    author = author or _names(articles, "author")
    site = _first(metas, _SITES).lstrip("@") or _names(articles, "publisher")
    return Metadata(
        title=title,
        date=date,
        author=author[:300],
        site=site[:300],
        licence=_licence(links, metas, articles, base),
        language=squeeze(
            root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
        )[:35],
        images=tuple(images),
        canonical_url=_canonical(links, base),
    )


def iso_date(value: str) -> str:
    """The day of a machine-readable date as ISO 8601, "" for anything else."""
    match = _DATE.match(value)
    if not match:
        return ""
    year, month, day = (int(match[group]) for group in (1, 3, 4))
    if not (1990 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31):
        return ""
    return f"{year:04}-{month:02}-{day:02}"


def _canonical(links: _Links, base: str) -> str:
    """The first ``link rel=canonical`` with a URL. RFC 6596."""
    for rels, link in links:
        if (
            link.tag == "link"
            and "canonical" in rels
            and (url := absolute(base, link.get("href") or ""))
        ):
            return url
    return ""


def _first(metas: dict[str, str], names: tuple[str, ...]) -> str:
    return next((metas[name] for name in names if name in metas), "")


def _text(items: list[dict[str, Any]], key: str) -> str:
    return next((squeeze(v) for item in items if isinstance(v := item.get(key), str) and v), "")


def _names(items: list[dict[str, Any]], key: str) -> str:
    for item in items:
        value = item.get(key)
        people = value if isinstance(value, list) else [value]
        names = [
            squeeze(name)
            for person in people[:20]
            if isinstance(name := person.get("name") if isinstance(person, dict) else person, str)
        ]
        if names := [name for name in names if name and "://" not in name]:
            return "; ".join(names)
    return ""


def _image_urls(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    urls = [item.get("url") if isinstance(item, dict) else item for item in values[:20]]
    return [url for url in urls if isinstance(url, str)]


def _element_text(element: Any) -> str:
    return "" if element is None else squeeze("".join(element.itertext()))


def _headline(elements: list[Any]) -> str:
    """The only h1 of the page: unlike the title element it does not name the site."""
    heads = [text for element in elements if (text := _element_text(element))]
    return heads[0] if len(heads) == 1 and len(heads[0]) <= _MAX_HEADLINE else ""


def _licence(
    links: _Links, metas: dict[str, str], articles: list[dict[str, Any]], base: str
) -> str:
    """A link that calls itself the licence (rel=license, RDFa or microdata), else a meta element,
    else JSON-LD; of several, the first to a known deed.

    Source: HTML Standard, 4.6.7.7 "license"; Creative Commons, ccREL (cc:license); DCMI Terms.
    """
    said = [link.get("href") for names, link in links if names & _LICENCE_NAMES]
    said += [metas[name] for name in _LICENCES if name in metas]
    for item in articles:
        value = item.get("license")
        said.append(value.get("@id") or value.get("url") if isinstance(value, dict) else value)
    urls = [url for value in said if isinstance(value, str) and (url := absolute(base, value))]
    return next((url for url in urls if _LICENCE.match(url)), urls[0] if urls else "")


def linked_data(scripts: Iterable[Any]) -> list[dict[str, Any]]:
    """The objects of the JSON-LD among script elements, graphs unrolled; what does not parse is
    passed over."""
    objects: list[dict[str, Any]] = []
    for script in scripts:
        if (script.get("type") or "").strip() != _LINKED_DATA or not script.text:
            continue
        try:
            data = json.loads(script.text, strict=False)
        except (ValueError, RecursionError):
            continue
        queue = data if isinstance(data, list) else [data]
        for item in queue[:100]:
            if isinstance(item, dict):
                graph = item.get("@graph")
                objects.append(item)
                if isinstance(graph, list):
                    objects += [part for part in graph[:100] if isinstance(part, dict)]
    return objects
