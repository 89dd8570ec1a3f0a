"""Small pictures for a page to look at: of a corpus's images, and of those that were rejected; and
how rejected documents begin.

What was rejected is in no table. The bytes of an image may still lie in the store of the run that
judged it, in that of what was fetched, or in the crawl's own record; there they are looked for, and
where they are nowhere there is no picture. The text of a document lies in the run's own files if it
came as far as deduplication.

Nothing is shown of a corpus from which something was taken down: what has to be gone may lie there
under any name.
"""

import io
import os
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.corpus import WORK, Corpus, join, listed, open_parquet

SIDE = 320
QUALITY = 70
EXCERPT = 240  # characters
MAX_BYTES = 16 * 1024 * 1024


def thumbnail(data: bytes) -> bytes | None:
    """A WebP of at most `SIDE` pixels a side, on white; None if it does not decode."""
    box = (SIDE, SIDE)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", box)
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    image.thumbnail(box)
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    buffer = io.BytesIO()
    paper.save(buffer, "webp", quality=QUALITY, method=2)
    return buffer.getvalue()


def rejected_thumbnails(corpus: Corpus, urls: Iterable[str]) -> dict[str, bytes]:
    """Pictures of images that were rejected, by URL."""
    wanted = set(urls)
    found: dict[str, bytes] = {}
    if not wanted or _has_takedowns(corpus):
        return found
    for find in (_stored, _fetched, _in_crawl):
        for url, data in find(join(corpus.path, WORK), wanted - found.keys()):
            small = thumbnail(data)
            if small:
                found[url] = small
    return found


def rejected_texts(corpus: Corpus, doc_ids: Iterable[str]) -> dict[str, str]:
    """How documents that were rejected begin, by id."""
    if _has_takedowns(corpus):
        return {}
    folder = join(corpus.path, f"{WORK}/extract/documents")
    found = {}
    for row in _rows(folder, "doc_id", set(doc_ids), ["doc_id", "nodes.list.element.text"]):
        text = " ".join(node["text"] for node in row["nodes"] if node["text"])
        found[row["doc_id"]] = textwrap.shorten(text, EXCERPT, placeholder=" …")
    return found


def _has_takedowns(corpus: Corpus) -> bool:
    return "takedowns.jsonl" in listed(corpus.path)


def _stored(work: str, urls: set[str]) -> Iterator[tuple[str, bytes]]:
    """Images that were rejected after they were stored."""
    for row in _rows(join(work, "images/store"), "url", urls, ["url", "data"]):
        yield row["url"], row["data"]


def _fetched(work: str, urls: set[str]) -> Iterator[tuple[str, bytes]]:
    if not _is_there(join(work, "fetched")):
        return
    from stages.imaging.fetched import FOLDER, Store, bucket_of_site, known_in

    folder = join(work, FOLDER)
    store = Store((folder,))
    places = [
        known.location
        for known in known_in(folder, sorted({bucket_of_site(url) for url in urls})).values()
        if known.fetched.url in urls and not known.fetched.reason
    ]
    yield from _read(store, sorted(places, key=lambda place: (place.path, place.offset)))


def _in_crawl(work: str, urls: set[str]) -> Iterator[tuple[str, bytes]]:
    rows = list(_rows(join(work, "extract/locations"), "url", urls, None))
    if not rows:
        return
    from schemas.arrow import from_row
    from schemas.image import ImageLocation
    from stages.imaging.sources import Crawl

    latest: dict[str, Any] = {}
    for place in (from_row(ImageLocation, row) for row in rows):
        old = latest.get(place.url)
        if old is None or (place.crawl_time, place.path) > (old.crawl_time, old.path):
            latest[place.url] = place
    yield from _read(Crawl(), [latest[url] for url in sorted(latest)])


def _is_there(folder: str) -> bool:
    return "://" in folder or os.path.isdir(folder)


def _read(source: Any, places: Iterable[Any]) -> Iterator[tuple[str, bytes]]:
    from stages.imaging.refusal import Refused

    for place in places:
        try:
            yield place.url, source.read(place, MAX_BYTES, lambda headers: None).data
        except (Refused, OSError):
            continue  # the crawl's file may be elsewhere by now


def _rows(
    folder: str, key: str, wanted: set[str], columns: list[str] | None
) -> Iterator[dict[str, Any]]:
    """Rows of the Parquet files of a folder whose `key` is wanted."""
    values = pa.array(sorted(wanted), pa.string())
    for name in listed(folder) if wanted else ():
        if not name.endswith(".parquet"):
            continue
        file = open_parquet(join(folder, name))
        for group in range(file.num_row_groups):
            mask = pc.is_in(file.read_row_group(group, columns=[key])[key], values)
            if pc.any(mask).as_py():
                yield from file.read_row_group(group, columns=columns).filter(mask).to_pylist()
