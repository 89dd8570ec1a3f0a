"""One document of a corpus as its reader saw it, with what the pipeline knows of it."""

import io
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.color import Color
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from pipeline.corpus import Corpus
from pipeline.errors import UserError
from pipeline.terminal import clean
from schemas.corpus import DOCUMENTS

TEXT_WIDTH = 100
THUMBNAIL_WIDTH = 32
MATCHED = "bold cyan"


def find_document(corpus: Corpus, wanted: str = "") -> dict[str, Any]:
    """One row of the documents table.

    Args:
      wanted: id, a prefix of only one id, or URL of the page; empty takes the first document with
        the most images.

    Raises:
      UserError: there is none, or several.
    """
    if not corpus.rows("documents"):
        raise UserError(f"{corpus.path}: has no documents; `weft stats` says why")
    file, group, row = _locate(corpus, wanted) if wanted else _most_images(corpus)
    table = corpus.row_group(file, corpus.parquet(file), group, DOCUMENTS.names)
    [document] = table.slice(row, 1).to_pylist()
    return dict(document)


def _most_images(corpus: Corpus) -> tuple[dict[str, Any], int, int]:
    most, place = -1, None
    for file, group, table in corpus.batches("documents", ["image_info.list.element.node_index"]):
        counts = pc.fill_null(pc.list_value_length(table["image_info"]), 0)
        top = pc.max(counts).as_py()
        if top is not None and top > most:
            most, place = top, (file, group, pc.index(counts, top).as_py())
    assert place is not None
    return place


def _locate(corpus: Corpus, wanted: str) -> tuple[dict[str, Any], int, int]:
    by = "url" if "://" in wanted else "doc_id"
    key = wanted if by == "url" else wanted.lower()
    found: list[tuple[dict[str, Any], int, int, str]] = []
    for file, group, table in corpus.batches("documents", ["doc_id", by] if by == "url" else [by]):
        column = table[by]
        mask = pc.equal(column, key) if by == "url" else pc.starts_with(column, key)
        for row in pc.indices_nonzero(mask).to_pylist():
            found.append((file, group, row, table["doc_id"][row].as_py()))
    exact = [place for place in found if place[3] == key]
    if len(exact) == 1 or len(found) == 1:
        file, group, row, _ = (exact or found)[0]
        return file, group, row
    if found:
        ids = ", ".join(sorted(place[3] for place in found)[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UserError(f"{wanted}: {len(found)} documents are so called: {ids}{more}")
    near = _near(corpus, by, key)
    raise UserError(
        f"{wanted}: no document of {corpus.path} has this {'URL' if by == 'url' else 'id'}"
        + (f"; near it: {', '.join(near)}" if near else "")
    )


def _near(corpus: Corpus, by: str, key: str, number: int = 3) -> list[str]:
    """Ids or URLs that begin alike; those that agree longest first."""
    best: list[tuple[int, float, str]] = []
    for _, _, table in corpus.batches("documents", [by]):
        scored = [(_common_prefix(key, value), 0.0, value) for value in table[by].to_pylist()]
        best = sorted(best + scored, key=lambda near: (-near[0], near[2]))[: 20 * number]
    best = [(n, SequenceMatcher(None, key, value).ratio(), value) for n, _, value in best]
    return [value for _, _, value in sorted(best, key=lambda n: (-n[0], -n[1], n[2]))[:number]]


def _common_prefix(a: str, b: str) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


def images_of(
    corpus: Corpus, document: dict[str, Any], columns: Sequence[str] = ("format",)
) -> dict[str, dict[str, Any]]:
    """Rows of the images table that a document shows, by id."""
    wanted = {info["image_id"] for info in document["image_info"]} - {None}
    return {row["image_id"]: row for row in image_rows(corpus, wanted, columns)}


def image_rows(
    corpus: Corpus, wanted: set[str], columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Rows of the images table by id, read one row group at a time."""
    left = len(wanted)
    ids = pa.array(sorted(wanted), pa.string())
    for file in corpus.files("images"):
        if not left:
            return
        parquet = corpus.parquet(file)
        for group in range(parquet.num_row_groups):
            column = corpus.row_group(file, parquet, group, ["image_id"])["image_id"]
            mask = pc.is_in(column, ids)
            if pc.any(mask).as_py():
                names = ["image_id", *columns]
                rows = corpus.row_group(file, parquet, group, names).filter(mask)
                left -= len(rows)
                for batch in rows.to_batches(max_chunksize=64):
                    yield from batch.to_pylist()


def print_document(
    console: Console,
    document: dict[str, Any],
    images: dict[str, dict[str, Any]],
    thumbnails: bool = False,
) -> None:
    """Prints a row of the documents table.

    Args:
      images: rows of the images table by id; with ``bytes`` if thumbnails are wanted.
    """
    terminal = console.is_terminal
    width = min(console.width, TEXT_WIDTH) if terminal else None
    _print_head(console, document)
    infos = {info["node_index"]: i for i, info in enumerate(document["image_info"])}
    sentences: dict[int, list[int]] = {}
    for j, node in enumerate(document["text_node_index"]):
        sentences.setdefault(node, []).append(j)
    matched: dict[int, list[int]] = {}
    for i, info in enumerate(document["image_info"]):
        if info["matched_text_index"] is not None:
            matched.setdefault(info["matched_text_index"], []).append(i + 1)
    for index, (text, role) in enumerate(zip(document["texts"], document["roles"], strict=True)):
        if text is None:
            number = infos[index]
            info = document["image_info"][number]
            record = images.get(info["image_id"] or "", {})
            _print_image(console, document, number, record, thumbnails)
            continue
        some = [(document["text_list"][j], matched.get(j, [])) for j in sentences.get(index, [])]
        body = marked(text, some)
        if role == "heading":
            body.stylize("bold")
        lead = {"list_item": "• ", "quote": "> "}.get(role, "")
        if role in ("table_row", "code"):
            body.stylize("dim")
        if terminal:
            console.print(Padding(Text(lead).append_text(body), (0, 0, 1, 0)), width=width)
        else:
            console.print(Text(lead).append_text(body), soft_wrap=True)
            console.print()
    _print_foot(console, document)


def marked(text: str, sentences: Sequence[tuple[str, list[int]]]) -> Text:
    """A text node with its matched sentences highlighted and followed by their images' numbers.

    Args:
      sentences: of the node, in order, each with the numbers of the images matched to it.
    """
    out = Text()
    for piece, numbers in pieces(text, sentences):
        out.append(clean(piece, lines=True), style=MATCHED if numbers else "")
        for number in numbers:
            out.append(f" [image {number}]", style="cyan")
    return out


def pieces(
    text: str, sentences: Sequence[tuple[str, list[int]]]
) -> Iterator[tuple[str, list[int]]]:
    """Cuts a text node at its matched sentences.

    Args:
      sentences: of the node, in order, each with the numbers of the images matched to it.

    Yields:
      the pieces of `text`, in order, each with the numbers of the images matched to it.
    """
    done = told = 0
    for sentence, numbers in sentences:
        # Splitting may have collapsed the blanks of the node.
        pattern = r"\s+".join(re.escape(word) for word in sentence.split())
        found = re.compile(pattern).search(text, done) if pattern else None
        if not found:
            continue
        done = found.end()
        if numbers:
            if found.start() > told:
                yield text[told : found.start()], []
            yield found[0], numbers
            told = done
    if told < len(text):
        yield text[told:], []


def _print_head(console: Console, document: dict[str, Any]) -> None:
    console.print(Text(clean(document["title"] or "(no title)"), style="bold reverse"))
    console.print(Text(clean(document["url"]), style="underline dim"), soft_wrap=True)
    facts = [
        document["doc_id"],
        f"{document['language']} {document['language_score']:.2f}" if document["language"] else "",
        f"{document['token_count']:,} tokens",
        f"{len(document['text_list']):,} sentences",
        f"{len(document['image_info']):,} images",
        document["date"],
        document["author"],
        document["site"],
        document["licence"],
    ]
    console.print(Text(" · ".join(clean(fact) for fact in facts if fact), style="dim"))
    console.print()


def _print_image(
    console: Console,
    document: dict[str, Any],
    number: int,
    record: dict[str, Any],
    thumbnails: bool,
) -> None:
    info = document["image_info"][number]
    facts = [
        f"{info['width']}×{info['height']}" if info["width"] and info["height"] else "",
        record.get("format") or "",
        "" if info["nsfw"] is None else f"nsfw {info['nsfw']:.3f}",
        (info["image_id"] or "not fetched")[:12],
    ]
    head = _bar("┌").append(f"image {number + 1}", style=MATCHED)
    head.append("  " + "  ".join(clean(fact) for fact in facts if fact))
    console.print(head)
    if thumbnails and record.get("bytes"):
        for line in thumbnail(record["bytes"], min(THUMBNAIL_WIDTH, console.width - 4)):
            console.print(_bar("│").append_text(line))
    lines = [(name, info[name]) for name in ("url", "alt", "title", "caption", "link")]
    if info["matched_text_index"] is not None:
        sentence = document["text_list"][info["matched_text_index"]]
        lines.append(("matched", f"{info['matched_sim']:.3f} “{sentence}”"))
    elif document["similarity_matrix"]:
        lines.append(("matched", "no sentence: left unplaced"))
    for name, value in lines:
        if value:
            _print_fact(console, name, clean(value), MATCHED if name == "matched" else "")
    console.print(_bar("└"))
    console.print()


def _bar(mark: str) -> Text:
    """The frame at the left of an image."""
    return Text().append(mark if mark == "└" else f"{mark} ", style="cyan")


def _print_fact(console: Console, name: str, value: str, style: str) -> None:
    """A labelled line inside the frame, folded so that the frame stays whole."""
    label = _bar("│").append(f"{name:<9}", style="dim")
    if not console.is_terminal:
        console.print(label.append(value), soft_wrap=True)
        return
    room = max(20, min(console.width, TEXT_WIDTH) - label.cell_len)
    value_style = style or ("dim" if name in ("url", "link") else "")
    for i, line in enumerate(Text(value).wrap(console, room)):
        start = label.copy() if i == 0 else _bar("│").append(" " * 9)
        line.rstrip()
        line.stylize(value_style)
        console.print(start.append_text(line))


def _print_foot(console: Console, document: dict[str, Any]) -> None:
    signals = [f"{clean(s['rule'])} {s['score']:.4g}" for s in document["signals"] or ()]
    cluster = document["text_dedup"]
    size = cluster["cluster_size"] if cluster else None
    record = f"{document['warc_file']} at {document['warc_offset']}+{document['warc_length']}"
    lines = [
        ("scores", " · ".join(signals)),
        ("cluster", f"of {size} near-duplicates" if size and size > 1 else ""),
        ("read", " · ".join(filter(None, [record, document["crawl_time"]]))),
    ]
    for name, value in lines:
        if value:
            console.print(Text(f"{name:<9}").append(clean(value)), style="dim")


def thumbnail(data: bytes, width: int) -> list[Text]:
    """An image as lines of half blocks, two pixels above each other in a character.

    A file that does not decode is said to be so in a line: this is a look, not a check.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (width * 2, width * 2))
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return [Text("(cannot be decoded)", style="dim")]
    width = max(1, min(width, round(width * image.width / image.height)))
    height = max(2, round(image.height * width / image.width / 2) * 2)
    pixels = np.asarray(image.resize((width, height))).tolist()
    lines = []
    for above, below in zip(pixels[::2], pixels[1::2], strict=True):
        line = Text()
        for upper, lower in zip(above, below, strict=True):
            style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
            line.append("▀", style=style)
        lines.append(line)
    return lines
