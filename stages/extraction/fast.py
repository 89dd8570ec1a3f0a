"""The fast engine: the page read as it is written, without a tree.

cut.py cuts out what is never shown as text, stream.py reads the tags of the rest into lists as
walk.py makes of a tree, prose.py chooses the main content, and the images are judged, captioned and
placed as by the accurate engine.
"""

from schemas.document import Image, Node, Role, Text
from stages.extraction.charset import decode, is_told_by_bytes
from stages.extraction.config import ExtractionConfig
from stages.extraction.cut import Cut, Tag, cut
from stages.extraction.extract import Extraction, assemble, clean, tidy
from stages.extraction.metadata import linked_data, read_metadata
from stages.extraction.prose import main_runs
from stages.extraction.sources import squeeze
from stages.extraction.stream import HEADINGS, Stream, read_stream
from stages.extraction.urls import absolute
from stages.extraction.walk import TooComplex

_LABEL = 100


def extract_fast(
    body: bytes | str, url: str, content_type: str, config: ExtractionConfig
) -> Extraction:
    """Extracts one page; see `extract.extract`.

    Raises:
      TooComplex: the page is deeper or larger than the limits.
    """
    page = _read(body, content_type)
    found = read_stream(page.html, page.folded, config.max_elements, config.max_depth)
    about = page.root.sources
    base = next((u for b in about if b.tag == "base" and (u := absolute(url, b.get("href")))), url)
    for start, end in found.headlines:
        about.append(Tag("h1", "", " ".join(found.runs[start:end])))
    about += found.about
    data = linked_data(tag for tag in about if tag.tag == "script")
    metadata = read_metadata(page.root, data, base)
    kept = main_runs(found)
    nodes, dropped = assemble(
        found, kept, found.copies, metadata.images, base, config, lambda k, i: _build(found, k, i)
    )
    nodes = _trim(nodes)
    if len(nodes) > config.max_nodes:
        raise TooComplex("too_many_nodes", len(nodes))
    return Extraction(tuple(nodes), dropped, metadata)


def _read(body: bytes | str, content_type: str) -> Cut:
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    if not is_told_by_bytes(raw):
        try:
            return cut(raw)
        except UnicodeError:
            pass
    return cut(decode(raw, content_type).encode("utf-8", "replace"), "replace")


def _build(found: Stream, kept: set[int], images: dict[int, Image]) -> list[Node]:
    """The kept runs and the content images in order; runs that only images part which are left out
    become one text."""
    rows = _data_rows(found, kept)
    nodes: list[Node] = []
    parts: list[str] = []
    open_run = -1
    numbers = iter(sorted(images))
    number = next(numbers, -1)

    def flush() -> None:
        if not parts:
            return
        frame = found.run_frames[open_run]
        role = found.roles[frame] or Role.PARAGRAPH
        text = "".join(parts)
        parts.clear()
        text = clean(text).strip("\n").rstrip() if role is Role.CODE else tidy(text)
        if found.run_tags[open_run] in HEADINGS:
            role = Role.HEADING
        if text:
            nodes.append(Text(text, role))

    for run in sorted(kept):
        while number >= 0 and found.images[number].position <= run:
            flush()
            nodes.append(images[number])
            number = next(numbers, -1)
        row = found.rows[found.run_frames[run]]
        if row in rows:
            flush()
            if text := rows[row]:
                nodes.append(Text(text, Role.TABLE_ROW))
                rows[row] = ""
            continue
        if parts and found.run_blocks[run] != found.run_blocks[open_run]:
            flush()
        parts.append(found.runs[run])
        open_run = run
    flush()
    while number >= 0:
        nodes.append(images[number])
        number = next(numbers, -1)
    return nodes


def _data_rows(found: Stream, kept: set[int]) -> dict[int, str]:
    """The text of rows that are data: two or more cells with text, and one block in each."""
    rows: dict[int, dict[int, list[int]]] = {}
    for run in sorted(kept):
        frame = found.run_frames[run]
        if (row := found.rows[frame]) < 0:
            continue
        cells = rows.setdefault(row, {})
        if found.run_tags[run] in HEADINGS or found.roles[frame] is not Role.PARAGRAPH:
            cells[-1] = []
        while found.tags[frame] not in ("td", "th") and frame > row:
            frame = found.parents[frame]
        cells.setdefault(frame, []).append(run)
    return {
        row: " | ".join(
            squeeze("".join([found.runs[run] for run in runs])) for runs in cells.values()
        )
        for row, cells in rows.items()
        if len(cells) >= 2
        and -1 not in cells
        and all(len({found.run_blocks[run] for run in runs}) == 1 for runs in cells.values())
    }


def _trim(nodes: list[Node]) -> list[Node]:
    """Drops the labels before the headline."""
    first = next(
        (n for n, node in enumerate(nodes) if isinstance(node, Text) and node.role is Role.HEADING),
        0,
    )
    if all(isinstance(node, Image) or len(node.text) < _LABEL for node in nodes[:first]):
        return [node for node in nodes[:first] if isinstance(node, Image)] + nodes[first:]
    return nodes
