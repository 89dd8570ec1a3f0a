"""Holds a corpus to what its schema and its manifest promise; every breach is one line.

Tables are read row group by row group and compared as columns; of the whole corpus only ids, URLs
and counts are held in memory.
"""

import hashlib
import json
import os
import posixpath
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.corpus import (
    MANIFEST,
    Corpus,
    corpus_digest,
    first_line,
    join,
    listed,
    manifest_faults,
    open_file,
    open_parquet,
    read_manifest,
)
from pipeline.errors import UserError
from pipeline.stats import failed_counts, mismatches, rejected_counts
from schemas.corpus import ALL_TABLES, TABLES
from schemas.document import Role
from schemas.image import NSFW
from schemas.outcome import Kind
from stages.imaging.refusal import Reason as NoPicture

CHUNK = 1 << 20
IMAGES_A_BATCH = 32
ROLES = [*(str(role) for role in Role), "image"]
# Named here, since the stages import Beam.
GATHERING = ("fetch_images", "gather_images")
# A cosine of float32 or float16 features exceeds 1 by rounding.
COSINE_SLACK = 1e-3


# The breaches of a row group; returns its last id.
Checked = Generator["Breach", None, str]


@dataclass(frozen=True)
class Breach:
    """Attributes:
    table, file: where; empty if it is about the corpus as a whole.
    row: row in the file, from 0; None if it is about the file as a whole.
    check: short name of what was broken.
    message: what was found.
    """

    check: str
    message: str
    table: str = ""
    file: str = ""
    row: int | None = None

    def __str__(self) -> str:
        place = self.file or self.table or MANIFEST
        row = "" if self.row is None else f" row {self.row}"
        return f"{place}{row}: {self.check}: {self.message}"


@dataclass
class _Part:
    """A row group under check.

    Attributes:
      first: row of the file that its first row is.
    """

    table: str
    file: str
    rows: pa.Table
    first: int

    def breaches(self, check: str, mask: Any, message: Any) -> Iterator[Breach]:
        """One breach for each row where `mask` holds; `message` is given the row's position."""
        for row in np.flatnonzero(mask).tolist():
            text = message if isinstance(message, str) else message(row)
            yield Breach(check, text, self.table, self.file, self.first + row)

    def column(self, name: str) -> pa.Array:
        return self.rows[name].combine_chunks()


@dataclass
class _Seen:
    """What must be compared across files."""

    doc_ids: list[tuple[str, pa.Array]] = field(default_factory=list)
    image_ids: list[tuple[str, pa.Array]] = field(default_factory=list)
    # image id and URL of each use in a document, and of each entry of an image row
    used: list[tuple[str, np.ndarray, pa.Array, pa.Array]] = field(default_factory=list)
    stored: list[tuple[str, np.ndarray, pa.Array, pa.Array]] = field(default_factory=list)


def validate(path: str) -> Iterator[Breach]:
    """Yields every breach of the corpus in a folder.

    Raises:
      UserError: there is no such folder.
    """
    if "://" not in path and not os.path.isdir(path):
        read_manifest(path)  # says what it is
    try:
        manifest = read_manifest(path)
    except UserError as error:
        yield Breach("manifest", str(error), "", MANIFEST)
        return
    faults = manifest_faults(manifest)
    for fault in faults:
        yield Breach("manifest", fault, "", MANIFEST)
    if not faults:
        yield from _validate(Corpus(path, manifest))


def _validate(corpus: Corpus) -> Iterator[Breach]:
    yield from _manifest(corpus)
    readable: dict[str, list[tuple[str, pq.ParquetFile]]] = {name: [] for name in ALL_TABLES}
    for table in ALL_TABLES:
        yield from _stray(corpus, table)
        for file in corpus.files(table):
            opened, breaches = _file(corpus, table, file)
            yield from breaches
            if opened is not None:
                readable[table].append((file["path"], opened))
    seen = _Seen()
    for path, parquet in readable["documents"]:
        yield from _each_part("documents", path, parquet, _documents, corpus, seen)
    for path, parquet in readable["images"]:
        yield from _each_part("images", path, parquet, _images, corpus, seen)
        yield from _image_bytes(corpus, path, parquet)
    yield from _unique("documents", "doc_id", seen.doc_ids)
    yield from _unique("images", "image_id", seen.image_ids)
    whole = all(len(readable[table]) == len(corpus.files(table)) for table in ALL_TABLES)
    if whole:
        yield from _references(seen)
        yield from _signatures(readable["signatures"], seen)
        try:
            rejected, failed = rejected_counts(corpus), failed_counts(corpus)
        except UserError as error:
            yield Breach("unreadable", str(error), "", MANIFEST)
            return
        for line in mismatches(corpus.manifest["funnel"], rejected, failed):
            yield Breach("funnel", line, "", MANIFEST)
        for stage, _, rule, reason in sorted(rejected):
            if stage in GATHERING and reason not in set(NoPicture):
                message = f"{stage}: {rule} knows no reason {reason!r}"
                yield Breach("reason", message, "", MANIFEST)


# --- the manifest and the files -------------------------------------------------------------------


def _manifest(corpus: Corpus) -> Iterator[Breach]:
    manifest = corpus.manifest

    def breach(check: str, message: str) -> Breach:
        return Breach(check, message, "", MANIFEST)

    digest = corpus_digest(manifest["files"])
    if digest != manifest["digest"]:
        yield breach("digest", f"is {manifest['digest']}, the files give {digest}")
    config = json.dumps(manifest["config"], sort_keys=True).encode()
    if (sha256 := hashlib.sha256(config).hexdigest()) != manifest["config_sha256"]:
        yield breach("config_sha256", f"is {manifest['config_sha256']}, the config gives {sha256}")
    paths = Counter(file["path"] for file in manifest["files"])
    for path, count in sorted(paths.items()):
        if count > 1:
            yield breach("files", f"{path} is listed {count} times")
    for file in manifest["files"]:
        path, table = file["path"], file["table"]
        if (
            table not in ALL_TABLES
            or posixpath.normpath(path) != path
            or (posixpath.dirname(path) != table)
        ):
            yield breach("files", f"{path} is no file of a table {table}")
    for table in TABLES:
        if not corpus.files(table):
            yield breach("files", f"the table {table} has no file")
    yield from _conservation(corpus)


def _conservation(corpus: Corpus) -> Iterator[Breach]:
    """Of each stage, and from a stage to the next that takes the same elements."""
    last: dict[str, dict[str, Any]] = {}
    for entry in corpus.manifest["funnel"]:
        stage = entry["stage"]
        left = entry["kept"] + entry["rejected"] + entry["failed"]
        if entry["entered"] != left:
            message = f"{stage}: {entry['entered']:,} entered, {left:,} left"
            yield Breach("funnel", message, "", MANIFEST)
        flow = "image" if entry["kind"] == Kind.IMAGE else "document"
        if (before := last.get(flow)) and before["kept"] != entry["entered"]:
            message = (
                f"{before['stage']} kept {before['kept']:,}, {entry['entered']:,} entered {stage}"
            )
            yield Breach("funnel", message, "", MANIFEST)
        last[flow] = entry
    if (end := last.get("document")) and end["kept"] != corpus.rows("documents"):
        message = f"{end['stage']} kept {end['kept']:,}, documents has {corpus.rows('documents'):,}"
        yield Breach("funnel", message, "", MANIFEST)


def _stray(corpus: Corpus, table: str) -> Iterator[Breach]:
    known = {posixpath.basename(file["path"]) for file in corpus.files(table)}
    for name in listed(join(corpus.path, table)):
        if name not in known:
            path = f"{table}/{name}"
            yield Breach("stray file", "is not in the manifest", table, path)


def _file(
    corpus: Corpus, table: str, file: dict[str, Any]
) -> tuple[pq.ParquetFile | None, list[Breach]]:
    """Opens a file if its rows can be read, and says what is wrong with it as a file."""
    found: list[Breach] = []

    def add(check: str, message: str) -> None:
        found.append(Breach(check, message, table, file["path"]))

    path = join(corpus.path, file["path"])
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with open_file(path) as opened:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
                n_bytes += len(chunk)
    except FileNotFoundError:
        add("missing", "the file is not there")
        return None, found
    except OSError as error:
        add("unreadable", first_line(error))
        return None, found
    if n_bytes != file["n_bytes"]:
        add("size", f"{n_bytes:,} bytes, {file['n_bytes']:,} in the manifest")
    if digest.hexdigest() != file["sha256"]:
        add("checksum", f"SHA-256 is {digest.hexdigest()}, {file['sha256']} in the manifest")
    try:
        parquet = open_parquet(path)
    except (OSError, pa.ArrowException) as error:
        add("unreadable", first_line(error))
        return None, found
    if parquet.metadata.num_rows != file["rows"]:
        add("rows", f"{parquet.metadata.num_rows:,} rows, {file['rows']:,} in the manifest")
    if schema := _schema_difference(parquet.schema_arrow, ALL_TABLES[table]):
        add("schema", schema)
        return None, found
    return parquet, found


def _schema_difference(found: pa.Schema, wanted: pa.Schema) -> str:
    if found.equals(wanted):
        return ""
    missing = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    if missing or extra:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has also {', '.join(extra)}"] if extra else []
        return " and ".join(parts)
    unlike = [
        f"{f.name} is {found.field(f.name).type}, not {f.type}"
        for f in wanted
        if not found.field(f.name).equals(f)
    ]
    return "; ".join(unlike) or "the columns stand in another order"


def _each_part(
    table: str, path: str, parquet: pq.ParquetFile, check: Any, corpus: Corpus, seen: _Seen
) -> Iterator[Breach]:
    columns = [name for name in TABLES[table].names if name not in ("bytes", "clip_feature")]
    first, last_id = 0, ""
    for group in range(parquet.num_row_groups):
        try:
            rows = parquet.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException) as error:
            yield Breach("unreadable", f"row group {group}: {first_line(error)}", table, path)
            return
        part = _Part(table, path, rows, first)
        last_id = yield from check(part, corpus, seen, last_id)
        first += rows.num_rows


# --- columns --------------------------------------------------------------------------------------


def _lengths(array: pa.Array) -> np.ndarray:
    lengths: np.ndarray = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    return lengths.astype(np.int64)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _owners(lengths: np.ndarray) -> np.ndarray:
    """The row that each item of flattened lists belongs to."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _any(mask: np.ndarray, owners: np.ndarray, rows: int) -> np.ndarray:
    """Rows that own an item for which `mask` holds."""
    hit = np.zeros(rows, bool)
    hit[owners[mask]] = True
    return hit


def _numpy(array: pa.Array, missing: Any) -> np.ndarray:
    out: np.ndarray = pc.fill_null(array, missing).to_numpy(zero_copy_only=False)
    return out


def _valid(array: pa.Array) -> np.ndarray:
    out: np.ndarray = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return out


def _matches(array: pa.Array, pattern: str) -> np.ndarray:
    """Whether each string is there and matches."""
    return _numpy(pc.match_substring_regex(array, pattern), False)


def _ids(part: _Part, name: str, digits: int, last: str) -> Iterator[Breach]:
    """Ids are well-formed and ascend within a file."""
    ids = part.column(name)
    wrong = ~_matches(ids, f"^[0-9a-f]{{{digits}}}$")
    yield from part.breaches(
        name, wrong, lambda row: f"{ids[row].as_py()!r} is not {digits} hex digits"
    )
    values = pa.concat_arrays([pa.array([last], pa.string()), pc.fill_null(ids, "")])
    down = _numpy(pc.less(values[1:], values[:-1]), False)
    yield from part.breaches(
        "order", down, lambda row: f"{name} {ids[row].as_py()} follows {values[row].as_py()}"
    )


def _documents(part: _Part, corpus: Corpus, seen: _Seen, last: str) -> Checked:
    count = part.rows.num_rows
    yield from _ids(part, "doc_id", 32, last)
    ids = part.column("doc_id")
    seen.doc_ids.append((part.file, ids))
    for name in ("url", "warc_file", "warc_offset", "warc_length", "token_count"):
        yield from part.breaches("null", ~_valid(part.column(name)), f"{name} is null")

    texts, images, roles = (part.column(name) for name in ("texts", "images", "roles"))
    nodes = _lengths(texts)
    parallel = (nodes == _lengths(images)) & (nodes == _lengths(roles))
    yield from part.breaches(
        "parallel",
        ~parallel,
        lambda row: (
            "texts, images and roles have "
            f"{nodes[row]}, {_lengths(images)[row]} and {_lengths(roles)[row]} items"
        ),
    )
    sentences = part.column("text_list")
    n_sentences, n_points = _lengths(sentences), _lengths(part.column("text_node_index"))
    indexed = n_sentences == n_points
    yield from part.breaches("parallel", ~indexed, "text_list and text_node_index differ in length")

    # Flattened nodes of the parallel rows; the others are empty here and judged no further.
    kept = pa.array(parallel)
    empty = pa.scalar([], texts.type)
    texts, images, roles = (
        pc.if_else(kept, pc.fill_null(array, empty), empty) for array in (texts, images, roles)
    )
    lengths = np.where(parallel, nodes, 0)
    owners, starts = _owners(lengths), _starts(lengths)
    flat_texts, flat_images, flat_roles = (a.flatten() for a in (texts, images, roles))
    is_text, is_image = _valid(flat_texts), _valid(flat_images)
    both = _any(is_text == is_image, owners, count)
    yield from part.breaches("exclusive", both, "a node is both text and image, or neither")
    role_is_image = _numpy(pc.equal(flat_roles, "image"), False)
    known = _numpy(pc.is_in(flat_roles, pa.array(ROLES)), False)
    wrong_role = _any(~known | (role_is_image != is_image), owners, count)
    yield from part.breaches("roles", wrong_role, "a role does not say what the node is")

    # Sentences point at text nodes.
    lengths_s = np.where(indexed, n_sentences, 0)
    owner_s = _owners(lengths_s)
    point = _numpy(part.column("text_node_index").flatten(), -1)[indexed[_owners(n_points)]]
    inside = (point >= 0) & (point < lengths[owner_s]) | ~parallel[owner_s]
    at_text = inside.copy()
    checked = inside & parallel[owner_s]
    at_text[checked] = is_text[(starts[owner_s] + point)[checked]]
    yield from part.breaches(
        "text_node_index", _any(~at_text, owner_s, count), "a sentence points at no text node"
    )
    down = np.zeros(len(point), bool)
    down[1:] = (owner_s[1:] == owner_s[:-1]) & (point[1:] < point[:-1])
    yield from part.breaches(
        "text_node_index", _any(down, owner_s, count), "text_node_index does not ascend"
    )
    null_sentence = _any(~_valid(sentences.flatten()), _owners(n_sentences), count)
    yield from part.breaches("null", null_sentence, "a sentence of text_list is null")

    anchored = ~_any(~at_text, owner_s, count)
    yield from _image_infos(part, corpus, seen, parallel, anchored, lengths, is_image, flat_images)
    return str(ids[-1].as_py() or "") if count else last


def _natural_order(
    part: _Part,
    owners: np.ndarray,
    node: np.ndarray,
    good: np.ndarray,
    placed: np.ndarray,
    matched: np.ndarray,
) -> Iterator[Breach]:
    """Compares what the infos say of the page's own order with the places of the sentences.

    Args:
      owners, node, good, placed, matched: of each image its row, its node, whether that and the
        sentences' nodes are what they should, whether it has a sentence, and which.
    """
    count = part.rows.num_rows
    points = part.column("text_node_index")
    n_points, at = _lengths(points), _numpy(points.flatten(), -1).astype(np.int64)
    starts = _starts(n_points)
    # The sentences of all rows as one ascending list; where it is none, that is told elsewhere.
    keys = _owners(n_points) * 2**32 + at
    ascends = ~_any(np.diff(keys, prepend=0) < 0, _owners(n_points), count)
    known = good & (ascends & (n_points == _lengths(part.column("text_list"))))[owners]

    flat = part.column("image_info").flatten()
    natural, before = flat.field("natural_text_index"), flat.field("before_text")
    nearest = np.searchsorted(np.maximum.accumulate(keys), owners * 2**32 + node)
    wanted = np.where(n_points[owners] > 0, np.maximum(nearest - starts[owners] - 1, 0), -1)
    yield from part.breaches(
        "natural_text_index",
        _any(known & (_numpy(natural, -1) != wanted), owners, count),
        "is not the last sentence before the image",
    )
    inside = placed & known & (matched >= 0) & (matched < n_points[owners])
    earlier = np.zeros(len(owners), bool)
    earlier[inside] = node[inside] < at[(starts[owners] + matched)[inside]]
    wrong = (_valid(before) != placed) | (_numpy(before, False) != earlier)
    yield from part.breaches(
        "before_text",
        _any(wrong & known & (inside | ~placed), owners, count),
        "is not what the places of image and sentence say",
    )


def _image_infos(
    part: _Part,
    corpus: Corpus,
    seen: _Seen,
    parallel: np.ndarray,
    anchored: np.ndarray,
    lengths: np.ndarray,
    is_image: np.ndarray,
    flat_images: pa.Array,
) -> Iterator[Breach]:
    count = part.rows.num_rows
    infos, n_sentences = part.column("image_info"), _lengths(part.column("text_list"))
    n_images = _lengths(infos)
    owners, starts = _owners(n_images), _starts(lengths)
    flat = infos.flatten()
    urls, ids = flat.field("url"), flat.field("image_id")

    shown = np.bincount(_owners(lengths)[is_image], minlength=count)
    unlike = parallel & (shown != n_images)
    yield from part.breaches(
        "image_info", unlike, lambda row: f"{n_images[row]} infos for {shown[row]} image nodes"
    )
    node = _numpy(flat.field("node_index"), -1)
    unsure = ~parallel[owners]
    inside = (node >= 0) & (node < lengths[owners])
    good = unsure.copy()
    checked = inside & ~unsure
    at = (starts[owners] + node)[checked]
    same_url = pc.equal(flat_images.take(pa.array(at)), urls.filter(pa.array(checked)))
    good[checked] = _numpy(same_url, False)
    yield from part.breaches(
        "image_info", _any(~good, owners, count), "node_index points at no node with the same URL"
    )
    down = np.zeros(len(node), bool)
    down[1:] = (owners[1:] == owners[:-1]) & (node[1:] <= node[:-1])
    yield from part.breaches(
        "image_info", _any(down, owners, count), "the images are not in reading order"
    )

    matrix = part.column("similarity_matrix")
    n_rows = _lengths(matrix)
    inner = matrix.flatten()
    n_columns = _lengths(inner)
    ragged = _any(n_columns != n_sentences[_owners(n_rows)], _owners(n_rows), count)
    shaped = ((n_rows == n_images) & ~ragged) | (n_rows == 0)
    yield from part.breaches(
        "similarity_matrix",
        ~shaped,
        lambda row: (
            f"is not of shape {n_images[row]} x {n_sentences[row]} "
            f"({n_rows[row]} rows{', some of another length' if ragged[row] else ''})"
        ),
    )
    cells = _numpy(inner.flatten(), np.nan)
    per_row = np.zeros(count, np.int64)
    np.add.at(per_row, _owners(n_rows), n_columns)
    bad_cell = ~(np.abs(cells) <= 1 + COSINE_SLACK)
    yield from part.breaches(
        "similarity_matrix",
        _any(bad_cell, _owners(per_row), count),
        "holds what is no cosine",
    )

    index_valid, sim_valid = (
        _valid(flat.field(name)) for name in ("matched_text_index", "matched_sim")
    )
    yield from part.breaches(
        "matched_sim",
        _any(index_valid != sim_valid, owners, count),
        "only one of matched_text_index and matched_sim is null",
    )
    matched = _numpy(flat.field("matched_text_index"), -1).astype(np.int64)
    outside = index_valid & ((matched < 0) | (matched >= n_sentences[owners]))
    yield from part.breaches(
        "matched_text_index", _any(outside, owners, count), "points at no sentence"
    )
    yield from _natural_order(part, owners, node, good & anchored[owners], index_valid, matched)
    usable = index_valid & sim_valid & ~outside & shaped[owners]
    without = usable & (n_rows[owners] == 0)
    yield from part.breaches(
        "matched_sim", _any(without, owners, count), "an image is matched without a matrix"
    )
    usable &= n_rows[owners] > 0
    position = np.arange(len(owners)) - _starts(n_images)[owners]
    cell = _starts(per_row)[owners] + position * n_sentences[owners] + matched
    sims = _numpy(flat.field("matched_sim"), np.nan)
    differs = np.zeros(len(owners), bool)
    differs[usable] = cells[cell[usable]] != sims[usable]
    yield from part.breaches(
        "matched_sim",
        _any(differs, owners, count),
        "is not similarity_matrix[i][matched_text_index]",
    )

    has_id = _valid(ids)
    config = corpus.manifest["config"]
    if config.get("gather_images") is not None:
        yield from part.breaches(
            "image_id", _any(~has_id, owners, count), "an image has no image_id"
        )
    if NSFW in (config.get("heads") or {}):
        unscored = has_id & ~_valid(flat.field("nsfw"))
        yield from part.breaches(
            "nsfw", _any(unscored, owners, count), "an image has no nsfw score"
        )
    keep = pa.array(has_id)
    rows = part.first + owners[has_id]
    seen.used.append((part.file, rows, ids.filter(keep), urls.filter(keep)))


def _images(part: _Part, corpus: Corpus, seen: _Seen, last: str) -> Checked:
    count = part.rows.num_rows
    yield from _ids(part, "image_id", 64, last)
    ids, urls = part.column("image_id"), part.column("urls")
    seen.image_ids.append((part.file, ids))
    owners = _owners(_lengths(urls))
    seen.stored.append((part.file, part.first + owners, ids.take(pa.array(owners)), urls.flatten()))
    flat = urls.flatten()
    same = _numpy(pc.equal(flat, part.column("url").take(pa.array(owners))), False)
    yield from part.breaches("url", ~_any(same, owners, count), "url is not among urls")
    for name in ("width", "height", "frames", "documents"):
        small = _numpy(part.column(name), 0) < 1
        yield from part.breaches(name, small, f"{name} is null or below 1")
    yield from part.breaches(
        "phash", ~_matches(part.column("phash"), "^[0-9a-f]{16}$"), "phash is not 16 hex digits"
    )
    nsfw, scores = part.column("nsfw"), part.column("scores")
    scored = _owners(_lengths(scores))
    for head in sorted(corpus.manifest["config"].get("heads") or {}):
        if head == NSFW:
            missing = ~_valid(nsfw)
        else:
            named = _numpy(pc.equal(pc.struct_field(scores.flatten(), "rule"), head), False)
            missing = ~_any(named, scored, count)
        yield from part.breaches(head, missing, f"the image has no {head} score")
    score = _numpy(nsfw, 0.0)
    yield from part.breaches("nsfw", ~((score >= 0) & (score <= 1)), "nsfw is no probability")
    return str(ids[-1].as_py() or "") if count else last


def _image_bytes(corpus: Corpus, path: str, parquet: pq.ParquetFile) -> Iterator[Breach]:
    wanted = (corpus.manifest["config"].get("write") or {}).get("image_bytes", True)
    row = 0
    try:
        for batch in parquet.iter_batches(IMAGES_A_BATCH, columns=["image_id", "bytes"]):
            for image_id, data in zip(*batch.columns, strict=True):
                content = data.as_buffer() if data.is_valid else None
                if (content is None) == bool(wanted):
                    state = "are missing" if content is None else "are there"
                    promise = "with" if wanted else "without"
                    message = f"{state}, the corpus is written {promise} them"
                    yield Breach("bytes", message, "images", path, row)
                if content is not None:
                    found = hashlib.sha256(content).hexdigest()
                    if found != image_id.as_py():
                        message = f"SHA-256 of the bytes is {found}, not the image_id"
                        yield Breach("bytes", message, "images", path, row)
                row += 1
    except (OSError, pa.ArrowException) as error:
        yield Breach("unreadable", first_line(error), "images", path)


# --- across files ---------------------------------------------------------------------------------


def _unique(table: str, name: str, seen: Sequence[tuple[str, pa.Array]]) -> Iterator[Breach]:
    if not seen:
        return
    values = pa.concat_arrays([ids for _, ids in seen])
    counts = pc.value_counts(values)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(twice):
        return
    first_rows: Counter[str] = Counter()
    met: set[str] = set()
    for file, ids in seen:
        for row in pc.indices_nonzero(pc.is_in(ids, twice)).to_pylist():
            value = ids[row].as_py()
            if value in met:
                yield Breach("unique", f"{name} {value} occurs again", table, file,
                             first_rows[file] + row)  # fmt: skip
            met.add(value)
        first_rows[file] += len(ids)


def _references(seen: _Seen) -> Iterator[Breach]:
    """Documents and the images table name the same images under the same URLs."""
    known = pa.chunked_array([ids for _, ids in seen.image_ids], pa.string())
    used = pa.chunked_array([ids for _, _, ids, _ in seen.used], pa.string())
    stored_pairs = pa.chunked_array([_pairs(i, u) for _, _, i, u in seen.stored], pa.binary())
    used_pairs = pa.chunked_array([_pairs(i, u) for _, _, i, u in seen.used], pa.binary())
    for file, rows, ids, urls in seen.used:
        there = _numpy(pc.is_in(ids, known), False)
        for i in np.flatnonzero(~there).tolist():
            message = f"image {ids[i].as_py()} is not in the images table"
            yield Breach("image_id", message, "documents", file, int(rows[i]))
        listed_there = _numpy(pc.is_in(_pairs(ids, urls), stored_pairs), False)
        for i in np.flatnonzero(there & ~listed_there).tolist():
            message = f"{urls[i].as_py()} is not among the urls of image {ids[i].as_py()}"
            yield Breach("urls", message, "documents", file, int(rows[i]))
    first_rows: Counter[str] = Counter()
    for file, ids in seen.image_ids:
        shown = _numpy(pc.is_in(ids, used), False)
        for i in np.flatnonzero(~shown).tolist():
            message = f"image {ids[i].as_py()} is shown by no document"
            yield Breach("image_id", message, "images", file, first_rows[file] + i)
        first_rows[file] += len(ids)
    for file, rows, ids, urls in seen.stored:
        shown = _numpy(pc.is_in(ids, used), False)
        asked = _numpy(pc.is_in(_pairs(ids, urls), used_pairs), False)
        for i in np.flatnonzero(shown & ~asked).tolist():
            message = f"{urls[i].as_py()} is the URL of this image in no document"
            yield Breach("urls", message, "images", file, int(rows[i]))


def _signatures(readable: Sequence[tuple[str, pq.ParquetFile]], seen: _Seen) -> Iterator[Breach]:
    """Where signatures are kept, each document has one, and no other but a removed copy."""
    if not readable:
        return
    documents = {i for _, ids in seen.doc_ids for i in ids.to_pylist()}
    for path, parquet in readable:
        table = parquet.read(["doc_id", "survivor_id"])
        for row, (doc_id, survivor) in enumerate(zip(*table.to_pydict().values(), strict=True)):
            if (doc_id in documents) == bool(survivor):
                what = "is a copy and in the corpus" if survivor else "is not in the corpus"
                yield Breach("doc_id", f"{doc_id} {what}", "signatures", path, row)
            documents.discard(doc_id)
    if documents:
        message = f"{len(documents)} documents have no signature, {min(documents)} is the first"
        yield Breach("doc_id", message, "signatures")


def _pairs(ids: pa.Array, urls: pa.Array) -> pa.Array:
    joined = pc.binary_join_element_wise(pc.fill_null(ids, ""), pc.fill_null(urls, ""), " ")
    return joined.cast(pa.binary())
