"""What must come out of the pipeline for the sample crawl, as plain data for end-to-end tests.

An expectation names why an element leaves (`because`); `BECAUSE` says by which stage, rule and
reason that may happen. Where an expectation rests on a choice, `depends_on` says on which.
"""

import hashlib
from collections import Counter
from typing import Any

from schemas.document import Role
from scripts.sample_crawl.build import KEEP_POLICY
from scripts.sample_crawl.layouts import SITES
from scripts.sample_crawl.model import Article, Crawl, Expected, Page, Resource, Shot
from scripts.sample_crawl.warcs import FILES, GROUPED, PLAIN, Written

VERSION = 1

RULES: dict[str, Any] = {
    "filter_pages": {
        "status": [200],
        "mime": ["text/html", "application/xhtml+xml"],
        "opt_out": ["noai", "noimageai", "noml"],
        "has_image": True,
    },
    "filter_text": "OBELICS cutoffs or milder ones; English with at least 0.8 or less",
    "deduplicate": ["canonical URL", "exact text", "MinHash of 5-grams"],
    "keep_policy": KEEP_POLICY,
    "images": {
        "sources": ["the crawl itself"],
        "url_words": ["logo", "button", "icon", "plugin", "widget", "banner", "avatar"],
        "formats": ["jpeg", "png", "webp", "gif"],
        "min_side": 150,
        "aspect": [0.5, 2.0],
        "max_documents": 10,
        "unsafe": "hazard signs",
    },
    "documents": {"images": [1, 30], "near_duplicate_images": "removed, the first is kept"},
}

BECAUSE: dict[str, dict[str, Any]] = {
    # Pages. `stages` lists where it may happen; None where a rule or reason is not fixed.
    "status": {"stages": ["filter_pages"], "rule": "status", "reason": "unwanted"},
    "mime": {"stages": ["filter_pages", "read_pages"], "rule": "mime", "reason": "unwanted"},
    "opt_out": {"stages": ["filter_pages"], "rule": "opt_out", "reason": None},
    "no_image": {
        "stages": ["filter_pages", "extract_documents", "filter_text", "filter_documents"],
        "rule": None,
        "reason": None,
    },
    "language": {"stages": ["filter_pages", "filter_text"], "rule": None, "reason": None},
    "too_short": {"stages": ["extract_documents", "filter_text"], "rule": None, "reason": None},
    "repetition": {"stages": ["filter_text"], "rule": None, "reason": None},
    "url_duplicate": {"stages": ["deduplicate"], "rule": None, "reason": None},
    "text_duplicate": {"stages": ["deduplicate"], "rule": None, "reason": None},
    "near_duplicate": {"stages": ["deduplicate"], "rule": None, "reason": None},
    "image_count": {"stages": ["filter_documents"], "rule": "image_count", "reason": "too_few"},
    "too_many_images": {
        "stages": ["filter_documents", "filter_text"],
        "rule": "image_count",
        "reason": "too_many",
    },
    "damaged_record": {"stages": ["read_pages"], "rule": None, "reason": None},
    "revisit": {"stages": ["read_pages"], "rule": None, "reason": "revisit"},
    "empty_body": {"stages": ["read_pages"], "rule": None, "reason": "empty_body"},
    # Images.
    "frequency": {
        "stages": ["filter_references", "filter_images"],
        "rule": None,
        "reason": "too_frequent",
    },
    "nsfw": {"stages": ["filter_images"], "rule": "nsfw", "reason": "unsafe"},
    "size": {"stages": ["filter_images"], "rule": "short_side", "reason": "too_small"},
    "aspect": {"stages": ["filter_images"], "rule": None, "reason": None},
    "not_in_crawl": {"stages": ["gather_images"], "rule": None, "reason": "not_in_crawl"},
    "broken": {"stages": ["gather_images"], "rule": None, "reason": None},
    "not_an_image": {"stages": ["gather_images"], "rule": None, "reason": None},
    "svg": {"stages": ["filter_references", "gather_images"], "rule": None, "reason": None},
    "image_opt_out": {"stages": ["gather_images"], "rule": None, "reason": None},
    "near_duplicate_image": {"stages": ["join_images"], "rule": None, "reason": None},
    "repeated_url": {"stages": ["extract_documents", "join_images"], "rule": None, "reason": None},
}


def make_gold(crawl: Crawl, written: Written) -> dict[str, Any]:
    pages = [_page(page, written) for page in crawl.pages]
    resources = [
        _resource(resource, written)
        for resource in sorted(crawl.resources.values(), key=lambda r: r.url)
    ]
    return {
        "version": VERSION,
        "rules": RULES,
        "because": BECAUSE,
        "warc_files": {
            name: "plain" if i == PLAIN else "grouped" if i == GROUPED else "gzip"
            for i, name in enumerate(FILES)
        },
        "boilerplate": {site.host: list(site.boilerplate) for site in SITES.values()},
        "totals": _totals(pages, resources),
        "pages": pages,
        "resources": resources,
    }


def _resource(resource: Resource, written: Written) -> dict[str, Any]:
    place = written.places[resource.url, resource.crawl_time, "response"]
    return {
        "url": resource.url,
        "crawl_time": resource.crawl_time,
        "warc_file": place.file,
        "warc_offset": place.offset,
        "warc_length": place.length,
        "kind": resource.kind,
        "mime": resource.mime,
        "sha256": hashlib.sha256(resource.body).hexdigest(),
        "n_bytes": len(resource.body),
    }


def _expected(expected: Expected) -> dict[str, str]:
    fields = {"outcome": expected.outcome}
    if expected.because:
        fields["because"] = expected.because
    if expected.depends_on:
        fields["depends_on"] = expected.depends_on
    return fields


def _page(page: Page, written: Written) -> dict[str, Any]:
    place = written.places[page.url, page.crawl_time, page.record_type]
    fields: dict[str, Any] = {
        "url": page.url,
        "crawl_time": page.crawl_time,
        "warc_file": place.file,
        "warc_offset": place.offset,
        "warc_length": place.length,
        "record": page.record_type,
        "status": int(page.status.split()[0]),
        "site": page.site,
        "layout": page.layout,
        "kind": page.kind,
        "expected": _expected(page.expected),
        "cluster": page.cluster or None,
        "title": page.title,
    }
    if page.article is None or page.record_type != "response":
        return fields
    nodes = _nodes(page.article)
    kept = [shot for shot in page.article.shots if shot.expected.outcome == "kept"]
    return fields | {
        "author": page.article.author,
        "date": page.article.date,
        "order": page.article.order,
        "words": sum(len(text.split()) for text in page.article.paragraphs),
        "nodes": nodes,
        "images": [_shot(shot, nodes) for shot in kept],
        "rejected_images": [
            _shot(shot, nodes) for shot in page.article.shots if shot.expected.outcome != "kept"
        ],
        "junk_images": [{"url": junk.url, "why": junk.why} for junk in page.junk_images],
        "junk_texts": list(page.junk_texts),
    }


def _nodes(article: Article) -> list[dict[str, Any]]:
    """Texts and kept images in reading order, the title first."""
    nodes: list[dict[str, Any]] = [
        {"type": "text", "role": str(Role.HEADING), "text": article.title, "required": False}
    ]
    for block in article.blocks:
        if block.shot is None:
            nodes += [
                {"type": "text", "role": str(block.role), "text": text, "required": block.required}
                for text in block.texts
            ]
        elif block.shot.expected.outcome == "kept":
            nodes.append({"type": "image", "url": block.shot.url})
    return nodes


def _shot(shot: Shot, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "url": shot.url,
        "written": shot.written,
        "urls": [shot.url, *([shot.smaller[1]] if shot.smaller else [])],
        "alt": " ".join(shot.alt.split()),
        "title": shot.title,
        "caption": shot.caption,
        "caption_describes": shot.caption_describes,
        "scene": shot.scene,
        "format": shot.format,
        "width": shot.width,
        "height": shot.height,
        "expected": _expected(shot.expected),
        "sentence": shot.sentence or None,
        "sentence_node": None,
        "near": False,
    }
    if shot.sentence:
        home = next(i for i, n in enumerate(nodes) if shot.sentence in n.get("text", ""))
        here = next((i for i, n in enumerate(nodes) if n.get("url") == shot.url), None)
        fields["sentence_node"] = home
        fields["near"] = here is not None and home in (
            _neighbour(nodes, here, -1),
            _neighbour(nodes, here, 1),
        )
    return fields


def _neighbour(nodes: list[dict[str, Any]], here: int, step: int) -> int | None:
    """Index of the next text before or after a node."""
    i = here + step
    while 0 <= i < len(nodes):
        if nodes[i]["type"] == "text":
            return i
        i += step
    return None


def _totals(pages: list[dict[str, Any]], resources: list[dict[str, Any]]) -> dict[str, Any]:
    kept = [page for page in pages if page["expected"]["outcome"] == "kept"]
    images = [image for page in kept for image in page["images"]]
    refused = [image for page in kept for image in page["rejected_images"]]
    return {
        "pages": len(pages),
        "pages_by_outcome": _count(page["expected"]["outcome"] for page in pages),
        "pages_by_reason": _count(
            page["expected"]["because"] for page in pages if "because" in page["expected"]
        ),
        "pages_by_kind": _count(page["kind"] for page in pages),
        "pages_by_site": _count(page["site"] for page in pages),
        "kept_pages_by_order": _count(page["order"] for page in kept),
        "kept_images": len(images),
        "kept_images_by_format": _count(image["format"] for image in images),
        "kept_images_with_sentence": sum(image["sentence"] is not None for image in images),
        "kept_images_near_sentence": sum(image["near"] for image in images),
        "rejected_images_of_kept_pages": _count(image["expected"]["because"] for image in refused),
        "resources": len(resources),
        "resources_by_kind": _count(resource["kind"] for resource in resources),
    }


def _count(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
