"""Documents of mmc4 and OBELICS as a corpus of ours.

What comes out has the same tables and manifest as what `weft run` writes, so that every command
reads it, and a run can take it as its input (`read.corpus`) to filter, deduplicate and place it
anew. Nothing is judged here: a document is taken as it is, or it is no document and a row in
`failed` says why.

What the formats do not hold is left empty. In mmc4 a sentence is a paragraph, and an image stands
before its sentence; in OBELICS a paragraph is what stands between blank lines, and no image is
matched. Where a matrix is given, similarities are taken from it: in mmc4's first release
`matched_sim` disagrees with it (allenai/mmc4, issue 11).
"""

import gzip
import hashlib
import json
import pickle
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.card import dataset_card
from pipeline.config import Config, digest_of, resolved
from pipeline.corpus import (
    MANIFEST,
    corpus_digest,
    first_line,
    join,
    listed,
    open_file,
    open_parquet,
)  # fmt: skip
from pipeline.errors import UserError
from pipeline.terminal import clean
from schemas.arrow import to_row
from schemas.corpus import DOCUMENTS, FAILED, IMAGES, REJECTED, SCHEMA_VERSION, document_row
from schemas.corpus import image_row as to_image_row
from schemas.document import Document, Image, Node, PlacedDocument, Placement, Sentence, Text
from schemas.image import ImageRecord
from schemas.outcome import Failure, Kind, Rejection
from stages.files import atomic_output, write_atomically
from stages.imaging.decode import DecodeLimits, decode
from stages.imaging.refusal import Refused
from stages.language import identify_language
from stages.place_images import PlaceConfig
from stages.placement import Method
from stages.sentences import split_sentences
from stages.write_shards import TOKEN, ShardTable, write_table

STAGE, IMAGE_STAGE = "import_documents", "import_images"
RULE = "decode"
_HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class Told:
    """A line or row of an old corpus.

    Attributes:
      file, number: where it stands.
      data: what it holds, not looked at yet.
    """

    file: str
    number: int
    data: Any


@dataclass(frozen=True)
class Shown:
    """An image that a document shows.

    Attributes:
      name: of its file in an archive, or empty.
    """

    image: Image
    name: str


@dataclass(frozen=True)
class About:
    """What OBELICS says of a document, and what an export of ours adds."""

    doc_id: str = ""
    title: str = ""
    warc_filename: str = ""
    warc_record_offset: int = 0
    warc_record_length: int = 0


@dataclass(frozen=True)
class Draft:
    """A document before its images are known.

    Attributes:
      nodes: texts, and images with the names of their files.
      sentences: None if they are still to be found.
      matches: of each image its sentence and similarity.
      similarity: a row for each image.
    """

    url: str
    nodes: tuple[Text | Shown, ...]
    sentences: tuple[Sentence, ...] | None = None
    matches: tuple[tuple[int | None, float | None], ...] = ()
    similarity: tuple[tuple[float, ...], ...] = ()
    about: About = About()

    @property
    def shown(self) -> list[Shown]:
        return [node for node in self.nodes if isinstance(node, Shown)]


def of_mmc4(data: Any) -> Draft:
    """A line of mmc4.

    Raises:
      KeyError, TypeError, ValueError: it is none.
    """
    texts = [_text(text) for text in data["text_list"]]
    infos = data["image_info"]
    matrix = [tuple(float(x) for x in row) for row in data.get("similarity_matrix") or []]
    if matrix and [len(row) for row in matrix] != [len(texts)] * len(infos):
        raise ValueError("similarity_matrix has not a row an image and a column a sentence")
    at = [int(info["matched_text_index"]) for info in infos]
    if any(not 0 <= index < len(texts) for index in at):
        raise ValueError("a matched_text_index is no sentence")
    nodes: list[Text | Shown] = []
    sentences, order = [], []
    for index, text in enumerate(texts):
        for i, info in enumerate(infos):
            if at[i] == index:
                order.append(i)
                nodes.append(Shown(Image(_text(info.get("raw_url") or info["image_name"])),
                                   _text(info.get("image_name") or "")))  # fmt: skip
        sentences.append(Sentence(text, len(nodes)))
        nodes.append(Text(text))
    sims = [matrix[i][at[i]] if matrix else float(infos[i]["matched_sim"]) for i in range(len(at))]
    return Draft(
        _text(data["url"]),
        tuple(nodes),
        tuple(sentences),
        tuple((at[i], sims[i]) for i in order),
        tuple(matrix[i] for i in order) if matrix else (),
    )


def of_obelics(data: Any) -> Draft:
    """A row of OBELICS.

    Raises:
      KeyError, TypeError, ValueError: it is none.
    """
    texts, urls = data["texts"], data["images"]
    metadata = json.loads(data["metadata"]) if data.get("metadata") else [None] * len(texts)
    general = json.loads(data["general_metadata"]) if data.get("general_metadata") else {}
    nodes: list[Text | Shown] = []
    for text, url, about in zip(texts, urls, metadata, strict=True):
        if (text is None) == (url is None):
            raise ValueError("an item of texts and images is both, or neither")
        if text is not None:
            nodes += [Text(part) for part in _text(text).split("\n\n") if part.strip()]
            continue
        about = about or {}
        image = Image(
            _text(url),
            alt=_text(about.get("alt_text") or ""),
            caption=_text(about.get("caption") or ""),
            width=_side(about.get("original_width")),
            height=_side(about.get("original_height")),
        )
        nodes.append(Shown(image, _text(about.get("formatted_filename") or "")))
    found = [node for node in nodes if isinstance(node, Shown)]
    about = About(
        doc_id=_text(general.get("doc_id") or ""),
        title=_text(general.get("title") or ""),
        warc_filename=_text(general.get("warc_filename") or ""),
        warc_record_offset=int(general.get("warc_record_offset") or 0),
        warc_record_length=int(general.get("warc_record_length") or 0),
    )
    return Draft(
        _text(general["url"]), tuple(nodes), matches=((None, None),) * len(found), about=about
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in the place of a text")
    # JSON can hold half of a surrogate pair, which UTF-8 cannot.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _side(value: Any) -> int | None:
    return int(value) if value is not None and 0 < int(value) < 2**31 else None


def _lines(path: str) -> Iterator[Any]:
    """Lines of JSON, of a file that may be gzipped, or zipped as mmc4 was published."""
    with open_file(path) as file:
        if path.endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    with archive.open(name) as lines:
                        yield from lines
        elif path.endswith(".gz"):
            with gzip.open(file) as lines:
                yield from lines
        else:
            yield from file


def _parquet_rows(path: str) -> Iterator[Any]:
    parquet = open_parquet(path)
    names = [n for n in ("texts", "images", "metadata", "general_metadata")
             if n in parquet.schema_arrow.names]  # fmt: skip
    for batch in parquet.iter_batches(batch_size=256, columns=names):
        yield from batch.to_pylist()


@dataclass(frozen=True)
class _Source:
    """Attributes:
    endings: of its files.
    rows: what a file holds.
    parse: of what a row holds, a draft.
    """

    endings: tuple[str, ...]
    rows: Callable[[str], Iterator[Any]]
    parse: Callable[[Any], Draft]


def _parse_line(line: bytes) -> Draft:
    return of_mmc4(json.loads(line))


SOURCES = {
    "mmc4": _Source((".jsonl", ".jsonl.gz", ".jsonl.zip"), _lines, _parse_line),
    "obelics": _Source((".parquet",), _parquet_rows, of_obelics),
}


def import_corpus(
    format: str, paths: Sequence[str], output: str, images: Sequence[str] = (), shards: int = 1
) -> dict[str, Any]:
    """Writes a corpus of what another system wrote.

    What is held in memory: an entry for each image that has a file, and one shard.

    Args:
      paths: files of the format, or folders of them.
      images: tars and zips, or folders of them; members are found by the names that documents give.
      output: a new or empty folder.

    Returns:
      The manifest.

    Raises:
      UserError: a path or the format is wrong, or a file is none of the format.
    """
    if format not in SOURCES:
        raise UserError(f"{format}: no such format; known: {', '.join(SOURCES)}")
    source = SOURCES[format]
    found = _files(paths, source.endings)
    archives = _files(images, (".tar", ".zip")) if images else []
    if listed(output):
        raise UserError(f"{output}: is not empty; give another folder")
    with tempfile.TemporaryDirectory(prefix="weft-import-") as spilled:
        work = _Import(source, output, shards, Path(spilled))
        if archives:
            work.read_archives(found, archives)
        work.read_documents(found)
        told = work.funnel()[-1]
        if told["failed"] and not told["kept"]:
            raise UserError(
                f"{', '.join(paths)}: none of {told['failed']:,} rows is a document of {format}; "
                "check the format and the paths"
            )
        files = work.write()
    settings = resolved(Config(place_images=PlaceConfig(method=Method.DOM)))
    settings["write"]["image_bytes"] = bool(archives)
    manifest = {
        "weft_version": version("weft"),
        "schema_version": SCHEMA_VERSION,
        "config": settings,
        "config_sha256": digest_of(settings),
        "models": [],
        "imported": format,
        "inputs": [{"name": Path(path).name, "size": _size(path)} for path in found],
        "files": files,
        "funnel": work.funnel(),
        "digest": corpus_digest(files),
    }
    write_atomically(join(output, "README.md"), dataset_card(manifest).encode())
    content = json.dumps(manifest, indent=1, sort_keys=True).encode()
    write_atomically(join(output, MANIFEST), content)
    return manifest


def _files(paths: Sequence[str], endings: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for path in paths:
        inside = [join(path, name) for name in listed(path) if name.endswith(endings)]
        if not inside and not ("://" in path or Path(path).is_file()):
            raise UserError(f"{path}: no such file, and no folder with {' or '.join(endings)}")
        found += inside or [path]
    names = Counter(Path(path).name for path in found)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"{twice[0]}: two files have this name; import them one by one")
    return sorted(found, key=lambda path: Path(path).name)


def _size(path: str) -> int:
    return 0 if "://" in path else Path(path).stat().st_size


class _Import:
    """The passes of an import. Rows and bytes wait in a local file for each shard."""

    def __init__(self, source: _Source, output: str, shards: int, spilled: Path):
        self._source, self._output, self._shards = source, output, shards
        self._spilled = spilled
        self._records: dict[str, ImageRecord] = {}  # by the names of their files
        self._urls: dict[str, set[str]] = defaultdict(set)  # by image id
        self._rejected: list[Rejection] = []
        self._failed: list[Failure] = []
        self._kept = 0
        self._ids: set[bytes] = set()

    def _told(self, files: Sequence[str]) -> Iterator[Told]:
        for path in files:
            try:
                for number, data in enumerate(self._source.rows(path)):
                    yield Told(Path(path).name, number, data)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise UserError(f"{path}: cannot be read: {first_line(error)}") from None

    def _drafts(self, files: Sequence[str]) -> Iterator[tuple[Told, Draft | Exception]]:
        for told in self._told(files):
            try:
                yield told, self._source.parse(told.data)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                yield told, error

    def read_archives(self, files: Sequence[str], archives: Sequence[str]) -> None:
        """Decodes the images that documents name."""
        wanted: dict[str, str] = {}  # name -> a URL
        for _, draft in self._drafts(files):
            if isinstance(draft, Draft):
                for shown in draft.shown:
                    if shown.name:
                        url = wanted.setdefault(shown.name, shown.image.url)
                        wanted[shown.name] = min(url, shown.image.url)
        limits = DecodeLimits()
        for path in archives:
            for name, data in _members(path):
                if name not in wanted or name in self._records:
                    continue
                url = wanted[name]
                try:
                    decoded = decode(data, limits)
                except Refused as refusal:
                    self._rejected.append(
                        Rejection(url, Kind.IMAGE, "", url, IMAGE_STAGE, RULE,
                                  str(refusal.reason), None, refusal.detail)
                    )  # fmt: skip
                    del wanted[name]
                    continue
                image_id = hashlib.sha256(data).hexdigest()
                self._records[name] = ImageRecord(
                    image_id,
                    url,
                    decoded.format,
                    decoded.width,
                    decoded.height,
                    len(data),
                    decoded.phash,
                    dhash=decoded.dhash,
                    mean_colour=decoded.mean_colour,
                    frames=decoded.frames,
                    source="archive",
                )
                self._spill("images", image_id, (self._records[name], data))

    def read_documents(self, files: Sequence[str]) -> None:
        for told, draft in self._drafts(files):
            if isinstance(draft, Exception):
                element = self._id(told, "")
                error = f"{type(draft).__name__}: {draft} (row {told.number})"[:2000]
                self._failed.append(
                    Failure(element, Kind.DOCUMENT, "", STAGE, error, "", told.file, 0)
                )
                continue
            placed = self._placed(told, draft)
            row = document_row(placed, len(TOKEN.findall(placed.document.text)))
            self._spill("documents", placed.document.doc_id, row)
            self._kept += 1

    def _id(self, told: Told, own: str) -> str:
        """The document's own id where it has one, else a hash of where it stands."""
        taken = len(own) != 32 or not _HEX.issuperset(own) or bytes.fromhex(own) in self._ids
        if taken:
            own = hashlib.sha256(f"{told.file} {told.number}".encode()).hexdigest()[:32]
        self._ids.add(bytes.fromhex(own))
        return own

    def _placed(self, told: Told, draft: Draft) -> PlacedDocument:
        nodes = tuple(self._node(node) for node in draft.nodes)
        about = draft.about
        document = Document(
            self._id(told, about.doc_id),
            draft.url,
            nodes,
            warc_file=about.warc_filename,
            warc_offset=about.warc_record_offset,
            warc_length=about.warc_record_length,
            title=about.title,
        )
        language, score = identify_language(document.text)
        document = replace(document, language=language, language_score=score)
        sentences = draft.sentences
        if sentences is None:
            sentences = split_sentences(document)
        places = [i for i, node in enumerate(nodes) if isinstance(node, Image)]
        placements = tuple(
            Placement(place, index, sim)
            for place, (index, sim) in zip(places, draft.matches, strict=True)
        )
        return PlacedDocument(document, sentences, placements, draft.similarity)

    def _node(self, node: Text | Shown) -> Node:
        if isinstance(node, Text):
            return node
        record = self._records.get(node.name)
        if record is not None:
            self._urls[record.image_id].add(node.image.url)
        return replace(node.image, record=record)

    def _spill(self, table: str, key: str, item: Any) -> None:
        shard = int(key[:8], 16) % self._shards
        with (self._spilled / f"{table}-{shard}").open("ab") as file:
            pickle.dump((key, item), file, pickle.HIGHEST_PROTOCOL)

    def _spilt(self, table: str, shard: int) -> list[tuple[str, Any]]:
        path = self._spilled / f"{table}-{shard}"
        items = []
        if path.exists():
            with path.open("rb") as file:
                while file.peek(1):
                    items.append(pickle.load(file))  # our own, of a moment ago
        return sorted(items, key=lambda item: item[0])

    def write(self) -> list[dict[str, Any]]:
        """Writes the shards; returns the manifest's entries of them."""
        written = []
        for shard in range(self._shards):
            first = shard == 0
            for table, schema, rows in (
                ("documents", DOCUMENTS, (row for _, row in self._spilt("documents", shard))),
                ("images", IMAGES, self._image_rows(shard)),
                ("rejected", REJECTED, (to_row(r) for r in self._rejected if first)),
                ("failed", FAILED, (to_row(f) for f in self._failed if first)),
            ):
                path = f"{table}/part-{shard:05d}-of-{self._shards:05d}.parquet"
                uncompressed = ("bytes",) if table == "images" else ()
                kind = ShardTable(table, schema, _no_rows, uncompressed=uncompressed)
                with atomic_output(join(self._output, path)) as output:
                    count = write_table(output, kind, rows)
                written.append(
                    {"table": table, "path": path, "rows": count, "n_bytes": output.n_bytes,
                     "sha256": output.sha256}
                )  # fmt: skip
        return sorted(written, key=lambda file: str(file["path"]))

    def _image_rows(self, shard: int) -> Iterator[dict[str, Any]]:
        last = ""
        for image_id, (record, data) in self._spilt("images", shard):
            urls = sorted(self._urls.get(image_id, ()))
            if urls and image_id != last:  # one picture may lie there under two names
                yield to_image_row(replace(record, url=urls[0]), urls, data, [])
            last = image_id

    def funnel(self) -> list[dict[str, Any]]:
        reasons = Counter(str(rejection.reason) for rejection in self._rejected)
        images = {
            "stage": IMAGE_STAGE, "kind": str(Kind.IMAGE),
            "entered": len(self._records) + len(self._rejected), "kept": len(self._records),
            "rejected": len(self._rejected), "failed": 0,
            "rules": [
                {"kind": str(Kind.IMAGE), "rule": RULE, "reason": reason, "count": count}
                for reason, count in sorted(reasons.items())
            ],
        }  # fmt: skip
        documents = {
            "stage": STAGE, "kind": str(Kind.DOCUMENT),
            "entered": self._kept + len(self._failed), "kept": self._kept, "rejected": 0,
            "failed": len(self._failed), "rules": [],
        }  # fmt: skip
        return [images, documents]


def _no_rows(_: Any) -> Iterator[dict[str, Any]]:
    return iter(())


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """Files of an archive, without their folders."""
    try:
        with open_file(path) as file:
            if path.endswith(".zip"):
                with zipfile.ZipFile(file) as archive:
                    for name in archive.namelist():
                        if not name.endswith("/"):
                            yield name.rpartition("/")[2], archive.read(name)
                return
            with tarfile.open(fileobj=file, mode="r|") as tar:
                for member in tar:
                    if member.isfile() and (content := tar.extractfile(member)):
                        yield member.name.rpartition("/")[2], content.read()
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read: {first_line(error)}") from None


def print_import(console: Console, manifest: dict[str, Any], output: str) -> None:
    images, documents = manifest["funnel"]
    console.print(
        f"{documents['kept']:,} documents and {images['kept']:,} images in {clean(output)}"
    )
    if documents["failed"]:
        console.print(f"{documents['failed']:,} rows are no documents; `failed` says why")
    if images["rejected"]:
        console.print(f"{images['rejected']:,} images cannot be decoded; `rejected` says why")
