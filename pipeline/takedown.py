"""Removes pages and images from a finished corpus, for good.

What is asked for is noted in OUT/takedowns.jsonl first: from then on no run brings it back. Then
the bytes leave the stores of images in OUT/_work, the shards concerned are written anew under other
names, and the manifest is replaced by one that lists them. Whoever reads by the manifest sees the
corpus as it was or as it is to be; after a kill the same command goes on. Shards that no manifest
names are deleted last.

An image that is found under a listed URL or host leaves with its bytes: copies of it under other
URLs leave too, and the log names it by its SHA-256. So do images that only removed pages show.
Documents that lose an image keep the matches of the others as they are.

OUT/_work keeps the text of removed pages, as the WARC files do that it was read from.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.opt_out_lists import Listed, OptOutList, read_entries
from pipeline.card import dataset_card
from pipeline.corpus import MANIFEST, WORK, Corpus, corpus_digest, join, listed, open_corpus
from pipeline.errors import UserError
from schemas.corpus import ALL_TABLES
from schemas.outcome import Kind, Rejection
from stages import files
from stages.honour_takedowns import LOG, RULE, Reason
from stages.imaging.refusal import Reason as Refusal
from stages.write_rows import bucket_of
from stages.write_shards import (
    ImageRows,
    ShardTable,
    documents_table,
    images_table,
    rejected_table,
    signatures_table,
    write_table,
)

STAGE, IMAGE_STAGE = "takedown", "takedown_images"
_REMOVED = Reason.NO_DOCUMENT_LEFT


@dataclass(frozen=True)
class Request:
    """What is to go, and what is said about it.

    Attributes:
      hosts: with all hosts below them.
      urls: of pages and images.
      sha256: of images.
      date, note: as given; no clock is asked.
    """

    hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    date: str = ""
    note: str = ""

    @property
    def entries(self) -> tuple[str, ...]:
        return (*self.hosts, *self.urls, *self.sha256)


@dataclass
class Plan:
    """What a takedown changes.

    Attributes:
      documents: removed documents, by id.
      nodes: removed image nodes of other documents, by id of the document.
      images: removed images, by id.
      urls: the URLs that images which stay keep, where they lose one.
      rejections: a row for each of them.
    """

    documents: dict[str, Rejection] = field(default_factory=dict)
    nodes: dict[str, list[Rejection]] = field(default_factory=dict)
    images: dict[str, list[Rejection]] = field(default_factory=dict)
    urls: dict[str, list[str]] = field(default_factory=dict)

    @property
    def rejections(self) -> Iterator[Rejection]:
        yield from self.documents.values()
        for rejections in (*self.nodes.values(), *self.images.values()):
            yield from rejections

    @property
    def removed(self) -> dict[str, int]:
        return {
            "documents": len(self.documents),
            "nodes": sum(map(len, self.nodes.values())),
            "images": len(self.images),
        }


def request_of(
    hosts: Sequence[str], urls: Sequence[str], sha256: Sequence[str], lists: Sequence[str],
    date: str = "", note: str = "",
) -> Request:  # fmt: skip
    """A request from arguments and lists (`filters.opt_out_lists`).

    Raises:
      UserError: there is nothing in it, or an entry or a list is wrong.
    """
    kinds: dict[str, list[str]] = {"hosts": [], "urls": [], "sha256": []}
    try:
        for path in lists:
            for _, entry in read_entries(path):
                kinds[_kind(entry)].append(entry)
        for kind, entries in (("hosts", hosts), ("urls", urls), ("sha256", sha256)):
            for entry in entries:
                if _kind(entry) != kind:
                    raise ValueError(f"{entry!r} is given as {kind} and looks like {_kind(entry)}")
                kinds[kind].append(entry)
        distinct = [tuple(dict.fromkeys(entries)) for entries in kinds.values()]
        request = Request(distinct[0], distinct[1], distinct[2], date, note)
        _to_list([asdict(request)])
    except (ValueError, OSError) as error:
        raise UserError(f"takedown: {error}") from None
    if not request.entries:
        raise UserError("takedown: name what is to go: --url, --host, --sha256 or --list")
    return request


def _kind(entry: str) -> str:
    found = OptOutList()
    found.add(entry, "the request")
    return "urls" if found.urls else "hosts" if found.hosts else "sha256"


def take_down(path: str, request: Request, dry_run: bool = False) -> dict[str, int]:
    """Removes what a request and those before it ask for.

    Returns:
      How many documents, image nodes of other documents, and images went.

    Raises:
      UserError: there is no finished corpus, or a file of it is broken.
    """
    corpus = open_corpus(path)
    log = read_log(path)
    asked = [*log, asdict(request)]
    plan = _plan(corpus, _to_list(asked))
    if dry_run:
        return plan.removed
    log = _noted(path, log, request, plan)
    _blank_stores(join(path, WORK), set(_to_list(log).images))
    if any(plan.removed.values()) or corpus.manifest.get("takedowns") != log:
        _publish(corpus, plan, log)
    _settle(path)
    return plan.removed


def read_log(path: str) -> list[dict[str, Any]]:
    """The takedowns of a corpus so far."""
    place = files.join(path, LOG)
    if not files.exists(place):
        return []
    return [json.loads(line) for line in files.read_bytes(place).decode().splitlines()]


def _to_list(requests: Iterable[dict[str, Any]]) -> OptOutList:
    found = OptOutList()
    for request in requests:
        where = " ".join(filter(None, ("takedown", request["date"], request["note"])))
        for kind in ("hosts", "urls", "sha256"):
            for entry in request[kind]:
                found.add(entry, where)
    return found


def _noted(
    path: str, log: list[dict[str, Any]], request: Request, plan: Plan
) -> list[dict[str, Any]]:
    """The log with the request; one that asks for nothing new and finds nothing adds nothing."""
    known = _to_list(log)
    images = [i for i in sorted(plan.images) if i not in known.images and i not in request.sha256]
    wanted = _to_list([asdict(request)])
    new = any(
        theirs.keys() - ours.keys()
        for theirs, ours in (
            (wanted.hosts, known.hosts),
            (wanted.urls, known.urls),
            (wanted.images, known.images),
        )
    )
    if not new and not images:
        return log
    entry = asdict(request) | {"sha256": [*request.sha256, *images], "removed": plan.removed}
    # As JSON reads it back, so that it compares equal.
    log = [*log, json.loads(json.dumps(entry))]
    lines = "".join(json.dumps(one, sort_keys=True) + "\n" for one in log)
    files.write_atomically(files.join(path, LOG), lines.encode())
    return log


# --- what goes ------------------------------------------------------------------------------------


def _plan(corpus: Corpus, wanted: OptOutList) -> Plan:
    plan = Plan()
    urls_of: dict[str, list[str]] = {}
    for _, _, table in corpus.batches("images", ("image_id", "urls")):
        for row in table.to_pylist():
            image_id, urls = row["image_id"], row["urls"]
            found = [wanted.find_image(image_id), *map(wanted.find_url, urls)]
            if objection := next(filter(None, found), None):
                plan.images[image_id] = _image_rows(urls, objection.reason, objection)
            urls_of[image_id] = urls
    touched: set[str] = set()
    for row in _documents(corpus):
        if not _leaves(corpus, row, plan, wanted):
            continue
        touched.update(info["image_id"] for info in row["image_info"] if info["image_id"])
    shown: dict[str, set[str]] = {image_id: set() for image_id in touched - plan.images.keys()}
    if shown:
        for row in _documents(corpus):
            gone = {rejection.url for rejection in plan.nodes.get(row["doc_id"], ())}
            for info in row["image_info"] if row["doc_id"] not in plan.documents else ():
                if info["image_id"] in shown and info["url"] not in gone:
                    shown[info["image_id"]].add(info["url"])
    for image_id, urls in shown.items():
        if not urls:
            plan.images[image_id] = _image_rows(urls_of[image_id], _REMOVED)
        elif len(urls) < len(urls_of[image_id]):
            plan.urls[image_id] = sorted(urls)
    return plan


def _documents(corpus: Corpus) -> Iterator[dict[str, Any]]:
    for _, _, table in corpus.batches("documents", ("doc_id", "url", "image_info")):
        yield from table.to_pylist()


def _leaves(corpus: Corpus, row: dict[str, Any], plan: Plan, wanted: OptOutList) -> bool:
    """Notes what a document loses; whether it loses anything."""
    doc_id = row["doc_id"]
    if found := wanted.find_url(row["url"]):
        plan.documents[doc_id] = _rejection(doc_id, Kind.DOCUMENT, doc_id, row["url"], found.reason,
                                            _said(found))  # fmt: skip
        return True
    gone = []
    for info in row["image_info"]:
        found = wanted.find_url(info["url"])
        image = plan.images.get(info["image_id"])
        if found or image:
            reason, said = (found.reason, _said(found)) if found else ("", "")
            if image:
                reason, said = image[0].reason, image[0].detail
            node_id = f"{doc_id}#{info['node_index']}"
            gone.append(_rejection(node_id, Kind.NODE, doc_id, info["url"], reason, said))
    if not gone:
        return False
    needs_image = (corpus.manifest["config"].get("join_images") or {}).get("require_image", True)
    if needs_image and len(gone) == len(row["image_info"]):
        plan.documents[doc_id] = _rejection(
            doc_id, Kind.DOCUMENT, doc_id, row["url"], Reason.NO_IMAGE_LEFT, gone[0].detail
        )
    else:
        plan.nodes[doc_id] = gone
    return True


def _image_rows(urls: Sequence[str], reason: str, found: Listed | None = None) -> list[Rejection]:
    said = _said(found) if found else ""
    return [_rejection(url, Kind.IMAGE, "", url, reason, said) for url in urls]


def _rejection(
    element_id: str, kind: Kind, doc_id: str, url: str, reason: str, detail: str
) -> Rejection:
    stage = IMAGE_STAGE if kind is Kind.IMAGE else STAGE
    return Rejection(element_id, kind, doc_id, url, stage, RULE, str(reason), None, detail)


def _said(found: Listed) -> str:
    return f"{found.entry} in {found.where}"


# --- the stores -----------------------------------------------------------------------------------


def _blank_stores(work: str, images: set[str]) -> None:
    """Empties the rows of images in every store below a folder; places in files stay as they are,
    because what was written before points at them."""
    for path in files.listed(work, "**/*.parquet"):
        with files.open_parquet(path) as file:
            names = file.schema_arrow.names
            key = next((name for name in ("image_id", "sha256") if name in names), "")
            if not key or "data" not in names:
                continue
            ids = file.read(columns=[key]).column(key)
            wanted = pa.compute.is_in(ids, pa.array(sorted(images), pa.string()))
            if pa.compute.any(wanted).as_py():
                _blank(path, file, key, images)


def _blank(path: str, file: pq.ParquetFile, key: str, images: set[str]) -> None:
    schema = file.schema_arrow
    uncompressed = {name: "none" if name in ("data", "clip") else "zstd" for name in schema.names}
    with (
        files.atomic_output(path) as output,
        pq.ParquetWriter(output, schema, compression=uncompressed, use_dictionary=False) as writer,
    ):
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group).to_pylist()
            for row in rows:
                if row[key] in images:
                    row["data"] = b""
                    row.update({"clip": b""} if "clip" in row else {})
                    row.update({"reason": str(Refusal.TAKEN_DOWN)} if "reason" in row else {})
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=len(rows))


# --- the corpus -----------------------------------------------------------------------------------


def _publish(corpus: Corpus, plan: Plan, log: list[dict[str, Any]]) -> None:
    replaced: dict[str, dict[str, Any]] = {}
    new_rows: dict[int, list[Rejection]] = defaultdict(list)
    rejected = corpus.files("rejected")
    for rejection in plan.rejections:
        new_rows[bucket_of(rejection.element_id, len(rejected))].append(rejection)

    def rewrite(table: ShardTable, file: dict[str, Any], change: Change) -> None:
        replaced[file["path"]] = _rewritten(corpus, table, file, len(log), change)

    for file in corpus.files("documents"):
        if _holds(corpus, file, "doc_id", {*plan.documents, *plan.nodes}):
            rewrite(documents_table(), file, lambda row: _document(row, plan))
    for file in corpus.files("images"):
        if _holds(corpus, file, "image_id", {*plan.images, *plan.urls}):
            rewrite(images_table(ImageRows("")), file, lambda row: _image(row, plan))
    for file in corpus.files("signatures"):
        if _holds(corpus, file, "doc_id", set(plan.documents)):
            rewrite(signatures_table(""), file, lambda row: _signature(row, plan))
    for number, rejections in new_rows.items():
        file = rejected[number]
        more = [asdict(rejection) for rejection in rejections]
        replaced[file["path"]] = _rewritten(corpus, rejected_table(), file, len(log), None, more)

    manifest = dict(corpus.manifest)
    manifest["files"] = sorted(
        (replaced.get(file["path"], file) for file in manifest["files"]),
        key=lambda file: str(file["path"]),
    )
    manifest["funnel"] = _funnel(corpus, plan)
    manifest["digest"] = corpus_digest(manifest["files"])
    manifest["takedowns"] = log
    files.write_atomically(files.join(corpus.path, "README.md"), dataset_card(manifest).encode())
    content = json.dumps(manifest, indent=1, sort_keys=True).encode()
    files.write_atomically(files.join(corpus.path, MANIFEST), content)


Change = Callable[[dict[str, Any]], dict[str, Any] | None]


def _holds(corpus: Corpus, file: dict[str, Any], column: str, ids: set[str]) -> bool:
    if not ids:
        return False
    parquet = corpus.parquet(file)
    found = pa.array(sorted(ids), pa.string())
    return any(
        pa.compute.any(pa.compute.is_in(rows.column(column), found)).as_py()
        for rows in (
            corpus.row_group(file, parquet, group, [column])
            for group in range(parquet.num_row_groups)
        )
    )


def _rewritten(
    corpus: Corpus,
    table: ShardTable,
    file: dict[str, Any],
    number: int,
    change: Change | None,
    more: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Writes a shard anew and returns its entry for the manifest."""
    stem = re.sub(r"(-t\d+)?\.parquet$", "", file["path"])
    taken = {entry["path"] for entry in corpus.manifest["files"]}
    while (path := f"{stem}-t{number}.parquet") in taken:
        number += 1
    with files.atomic_output(files.join(corpus.path, path)) as output:
        count = write_table(output, table, _rows(corpus, file, change, more))
    return {
        "table": file["table"],
        "path": path,
        "rows": count,
        "n_bytes": output.n_bytes,
        "sha256": output.sha256,
    }


def _rows(
    corpus: Corpus, file: dict[str, Any], change: Change | None, more: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    parquet, names = corpus.parquet(file), ALL_TABLES[file["table"]].names
    groups = (
        corpus.row_group(file, parquet, group, names) for group in range(parquet.num_row_groups)
    )
    if change is None:
        schema = ALL_TABLES[file["table"]]
        whole = pa.concat_tables([*groups, pa.Table.from_pylist(list(more), schema)])
        yield from whole.sort_by([(name, "ascending") for name in names]).to_pylist()
        return
    for rows in groups:
        for batch in rows.to_batches(max_chunksize=64):
            for row in batch.to_pylist():
                if (changed := change(row)) is not None:
                    yield changed


def _signature(row: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
    return None if row["doc_id"] in plan.documents else row


def _document(row: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
    if row["doc_id"] in plan.documents:
        return None
    gone = {int(r.element_id.rpartition("#")[2]) for r in plan.nodes.get(row["doc_id"], ())}
    return without_nodes(row, gone) if gone else row


def without_nodes(row: dict[str, Any], gone: set[int]) -> dict[str, Any]:
    """A row of the documents table without some of its image nodes."""
    kept = [i for i in range(len(row["texts"])) if i not in gone]
    moved = {old: new for new, old in enumerate(kept)}
    shown = [i for i, info in enumerate(row["image_info"]) if info["node_index"] not in gone]
    similarity = row["similarity_matrix"]
    return row | {
        **{name: [row[name][i] for i in kept] for name in ("texts", "images", "roles")},
        "text_node_index": [moved[i] for i in row["text_node_index"]],
        "image_info": [
            row["image_info"][i] | {"node_index": moved[row["image_info"][i]["node_index"]]}
            for i in shown
        ],
        "similarity_matrix": [similarity[i] for i in shown] if similarity else similarity,
    }


def _image(row: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
    if row["image_id"] in plan.images:
        return None
    urls = plan.urls.get(row["image_id"])
    return row | {"urls": urls, "url": urls[0]} if urls else row


def _funnel(corpus: Corpus, plan: Plan) -> list[dict[str, Any]]:
    """The funnel with what left by takedowns at its end."""
    funnel = [dict(entry) for entry in corpus.manifest["funnel"]]
    nodes = (rejection for rows in plan.nodes.values() for rejection in rows)
    removed = [*plan.documents.values(), *nodes]
    _leave(funnel, STAGE, Kind.DOCUMENT, corpus.rows("documents"), removed)
    images = [entry for entry in funnel if entry["kind"] == Kind.IMAGE]
    if images:
        rows = [rejection for rows in plan.images.values() for rejection in rows]
        _leave(funnel, IMAGE_STAGE, Kind.IMAGE, images[-1]["kept"], rows)
    return funnel


def _leave(
    funnel: list[dict[str, Any]], stage: str, kind: Kind, entered: int, rows: list[Rejection]
) -> None:
    entry = next((entry for entry in funnel if entry["stage"] == stage), None)
    if entry is None:
        entry = {"stage": stage, "kind": str(kind), "entered": entered, "kept": entered,
                 "rejected": 0, "failed": 0, "rules": []}  # fmt: skip
        funnel.append(entry)
    left = sum(row.kind is kind for row in rows)
    counts = Counter({(r["kind"], r["rule"], r["reason"]): r["count"] for r in entry["rules"]})
    counts.update((str(row.kind), row.rule, row.reason) for row in rows)
    entry["kept"] -= left
    entry["rejected"] += left
    entry["rules"] = [
        {"kind": kind, "rule": rule, "reason": reason, "count": count}
        for (kind, rule, reason), count in sorted(counts.items())
    ]


def _settle(path: str) -> None:
    """Deletes shards that the manifest does not name, and tells the phases what was honoured."""
    corpus = open_corpus(path)
    for table in ALL_TABLES:
        known = {file["path"] for file in corpus.files(table)}
        names = [f"{table}/{name}" for name in listed(join(path, table))]
        files.delete([files.join(path, name) for name in names if name not in known])
    phase = files.join(path, WORK, "assemble", MANIFEST)
    if files.exists(phase):
        content = json.loads(files.read_bytes(phase)) | {"takedowns": log_digest(path)}
        files.write_atomically(phase, json.dumps(content).encode())


def log_digest(path: str) -> str:
    """Names what the log of takedowns says; empty where there is none."""
    return files.sha256_of(files.join(path, LOG))
