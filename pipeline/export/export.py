"""A finished corpus in the layout of another system.

Documents keep their order and are cut into shards of equal numbers. Everything is streamed: a
shard's documents a few hundred at a time, the images once through local files. ``export.json`` is
written last and says what was written from which corpus.
"""

import dataclasses
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.config import build_dataclass, resolved
from pipeline.corpus import Corpus, join, listed, read_bytes
from pipeline.errors import UserError
from pipeline.export.formats import FORMATS
from pipeline.export.pictures import Pictures, spill
from pipeline.export.shard import Format, Needs, Shard
from pipeline.terminal import clean
from stages.files import write_atomically

MANIFEST = "export.json"


def format_of(name: str, sets: list[str]) -> Format:
    """A format with its options.

    Raises:
      UserError: there is none of that name, or an option is wrong.
    """
    if name not in FORMATS:
        raise UserError(f"{name}: no such format; known: {', '.join(FORMATS)}")
    built = build_dataclass(FORMATS[name], f"export {name}", sets)
    assert isinstance(built, Format)
    return built


def export(corpus: Corpus, format: Format, folder: str, shards: int = 0) -> dict[str, Any]:
    """Writes a corpus in another layout.

    Args:
      folder: new, empty, or of the same export, which is written again.
      shards: how many; as many as the corpus has if 0.

    Returns:
      What `MANIFEST` holds: format, options, corpus, files with checksums, counts.

    Raises:
      UserError: the folder holds something else, or the corpus lacks what the format needs.
    """
    total = corpus.rows("documents")
    shards = shards or max(1, sum(file["rows"] > 0 for file in corpus.files("documents")))
    _check_bytes(corpus, format)
    what = {
        "format": format.name,
        "options": resolved(format),
        "shards": shards,
        "corpus": corpus.manifest["digest"],
    }
    _claim(folder, what)
    bounds = [shard * total // shards for shard in range(shards + 1)]
    counts: Counter[str] = Counter()
    written: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="weft-export-") as spilled:
        paths: list[Path | None] = [None] * shards
        if format.needs is not Needs.NOTHING:
            paths = [*spill(corpus, bounds, Path(spilled), format.needs is Needs.BYTES)]
        for number, path in enumerate(paths):
            pictures = Pictures(path)
            start, stop = bounds[number : number + 2]
            shard = Shard(corpus, folder, number, shards, start, stop, pictures)
            format.write(shard)
            pictures.close()
            counts += shard.counts
            written += shard.written
    manifest = what | {"finished": True, "counts": dict(sorted(counts.items())), "files": written}
    manifest["shares"] = format.shares(counts)
    _write(folder, manifest)
    return manifest


def _check_bytes(corpus: Corpus, format: Format) -> None:
    if format.needs is not Needs.BYTES:
        return
    n_images = 0
    for _, _, table in corpus.batches("images", ["bytes"]):
        n_images += table.num_rows
        if table["bytes"].null_count < table.num_rows:
            return
    if n_images:
        optional = any(field.name == "images" for field in dataclasses.fields(format))
        raise UserError(
            f"{corpus.path}: has no bytes of images (write.image_bytes was false), which "
            f"{format.name} needs{'; --set images=none leaves them out' if optional else ''}"
        )


def _claim(folder: str, what: dict[str, Any]) -> None:
    """Marks the folder, so that a command that was cut off can be given again."""
    names = listed(folder)
    if MANIFEST in names:
        earlier = json.loads(read_bytes(join(folder, MANIFEST)))
        if {key: earlier.get(key) for key in what} != what:
            raise UserError(f"{folder}: holds another export; give another folder, or remove it")
    elif names:
        raise UserError(f"{folder}: is not empty; give another folder")
    _write(folder, what | {"finished": False})


def _write(folder: str, manifest: dict[str, Any]) -> None:
    content = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    write_atomically(join(folder, MANIFEST), content)


def print_export(console: Console, manifest: dict[str, Any], folder: str) -> None:
    n_bytes = sum(file["n_bytes"] for file in manifest["files"])
    console.print(
        f"{manifest['format']}: {len(manifest['files']):,} files, {n_bytes / 1e6:,.1f} MB in "
        f"{clean(folder)}"
    )
    for name, count in manifest["counts"].items():
        console.print(f"  {name}: {count:,}", style="dim")
    for name, share in manifest["shares"].items():
        console.print(f"  {name}: {share:.2%}", style="dim")
