"""Corpora as one HTML page to look at: funnel, distributions, documents with their pictures, and
what was rejected; of two corpora, side by side, with what differs between them.

The page loads nothing and sends nothing. What it shows of the web it shows as text: the template
escapes every string, the script only ever makes text nodes of them, and the Content-Security-Policy
allows one script and one style, by their hashes.

Documents lie in the page as one block of JSON, of which the script draws ten at a time. Of 10,000
documents of the sample's kind the page shows 300 in 3.4 MB, or, if all are asked for, the 1,060
that fit into 12 MB; it opens in half a second, and in one (scripts/bench/view.py).
"""

import base64
import hashlib
import heapq
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from pipeline.card import kind_of_inputs, share, size, table_totals
from pipeline.corpus import Corpus
from pipeline.diff import diff
from pipeline.pictures import rejected_texts, rejected_thumbnails, thumbnail
from pipeline.plots import histograms, host_of, rankings, values_of
from pipeline.show import image_rows, pieces
from pipeline.stats import samples
from pipeline.terminal import clean
from schemas.corpus import DOCUMENTS
from schemas.outcome import Kind

DOCUMENTS_SHOWN = 300
PAGE_BYTES = 12_000_000  # of documents and their pictures; the rest of a page is far smaller
SAMPLES = 6
FAILURES = 20
HUES = 6  # colours that tell the images of a document apart
PICTURES_AT_ONCE = 200  # documents

# Whose owner said no is not shown either.
_WITHHELD = {"opted_out", "taken_down", "robots_disallowed", "opt_out", "opt_out_lists", "takedown"}


def report(
    corpora: Sequence[Corpus], documents: int = DOCUMENTS_SHOWN, page_bytes: int = PAGE_BYTES
) -> str:
    """The whole page.

    Args:
      corpora: one, or two to compare.
      documents: how many to show; the first by id, and an id is a hash, so that they are a fair
        sample. Of two corpora those that differ come first.
      page_bytes: fewer are shown where they would take more than so many bytes.

    Raises:
      UserError: a file of a corpus is missing or broken.
    """
    found = diff(corpora[0], corpora[1], max(documents, 1)) if len(corpora) > 1 else None
    entries, thumbnails = _gallery(corpora, found, documents, page_bytes)
    data = {
        "entries": entries,
        "thumbnails": thumbnails,
        "hues": HUES,
        "sides": [letter for letter, _ in zip("AB", corpora, strict=False)],
    }
    values = [values_of(corpus) for corpus in corpora]
    return _render(
        corpora=[
            _about(letter, corpus, some)
            for letter, corpus, some in zip("AB", corpora, values, strict=False)
        ],
        found=found,
        of=sum(found["documents"][key] for key in ("both", "came", "went"))
        if found
        else corpora[0].rows("documents"),
        histograms=histograms(values, [corpus.manifest["config"] for corpus in corpora]),
        rankings=rankings(corpora),
        shown=len(entries),
        data=_cleaned(data),
        left_out=_left_out(corpora),
    )


def _render(**values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "number": lambda n: f"{n:,}",
        "words": lambda name: str(name).replace("_", " "),
    }
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    folder = resources.files("pipeline") / "templates"
    files = {name: (folder / f"report.{name}").read_text("utf-8") for name in ("js", "css")}
    template = environment.get_template("report.html.j2")
    return template.render(
        **values,
        **{name: Markup(text) for name, text in files.items()},
        hashes={name: _digest(text) for name, text in files.items()},
    )


def _digest(text: str) -> str:
    """As a Content-Security-Policy names a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _visible(value: Any) -> Any:
    """What a template prints, with hidden and bidi characters of the web made visible."""
    return clean(value, lines=True) if type(value) is str else value


def _cleaned(value: Any) -> Any:
    """The same for every string of what goes into the page as JSON."""
    if isinstance(value, dict):
        return {key: _cleaned(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part) for part in value]
    return _visible(value)


def href(url: str | None) -> str:
    """`url` if a link may lead there, else an empty string."""
    fine = re.fullmatch(r"https?://[^\s\\\"'<>`]+", url or "", re.IGNORECASE)
    return str(url) if fine and clean(url) == url else ""


def _about(letter: str, corpus: Corpus, values: Mapping[str, Any]) -> dict[str, Any]:
    manifest = corpus.manifest
    return {
        "letter": letter,
        "name": corpus.path.rstrip("/").rpartition("/")[2],
        "manifest": manifest,
        "totals": table_totals(manifest),
        "kind": kind_of_inputs(manifest),
        "read": size(sum(file["size"] for file in manifest["inputs"])),
        "matched": len(values["matched_sim"]),
        "placed": int(values["images"].sum()),
        "flows": _flows(manifest["funnel"]),
        "failures": _failures(corpus, FAILURES),
        "config": yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True),
    }


# --- documents --------------------------------------------------------------------------------


def _gallery(
    corpora: Sequence[Corpus], found: dict[str, Any] | None, number: int, room: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The documents to show, and the pictures of their images as base64 by id."""
    ids = [_first_ids(corpus, number) for corpus in corpora]
    fates = _fates(found) if found else {}
    wanted = heapq.nsmallest(
        number,
        {*fates, *(name for some in ids for name in some)},
        key=lambda name: (name not in fates, name),
    )
    rows = [_rows(corpus, set(wanted)) for corpus in corpora]
    entries: list[dict[str, Any]] = []
    found_pictures: dict[str, tuple[str, bool]] = {}
    pictures: dict[str, str] = {}
    for start in range(0, len(wanted), PICTURES_AT_ONCE):
        some = wanted[start : start + PICTURES_AT_ONCE]
        for corpus, of in zip(corpora, rows, strict=True):
            here = [of[name] for name in some if name in of]
            found_pictures |= _pictures(corpus, here, found_pictures)
        for name in some:
            sides = [_side(of.get(name), found_pictures) for of in rows]
            entry: dict[str, Any] = {"id": name, "sides": sides}
            if found:
                entry["fate"] = fates.get(name, {"status": "same", "why": ""})
                if entry["fate"]["status"] == "same":
                    entry["sides"] = sides[:1]
            ids_shown = {image["id"] for side in entry["sides"] if side for image in side["images"]}
            new = {
                key: found_pictures[key][0]
                for key in sorted(ids_shown & found_pictures.keys() - pictures.keys())
            }
            room -= len(json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace"))
            room -= sum(len(data) + 80 for data in new.values())
            if room < 0:
                return entries, pictures
            entries.append(entry)
            pictures |= new
    return entries, pictures


def _first_ids(corpus: Corpus, number: int) -> list[str]:
    first: list[str] = []
    for _, _, table in corpus.batches("documents", ["doc_id"]):
        first = heapq.nsmallest(number, [*first, *table["doc_id"].to_pylist()])
    return first


def _rows(corpus: Corpus, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
    """Rows of the documents table by id."""
    found: dict[str, Any] = {}
    for file, group, table in corpus.batches("documents", ["doc_id"]):
        places = [i for i, name in enumerate(table["doc_id"].to_pylist()) if name in wanted]
        if places:
            parquet = corpus.parquet(file)
            rows = corpus.row_group(file, parquet, group, DOCUMENTS.names).take(places)
            found |= {row["doc_id"]: row for row in rows.to_pylist()}
    return found


def _fates(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What a comparison says of the documents that differ, by id."""
    documents = found["documents"]
    fates = {}
    for word, status, other in (("went", "only in A", "B"), ("came", "only in B", "A")):
        for row in documents[f"{word}_samples"]:
            why = ": ".join(filter(None, (row["stage"], row["rule"], row["reason"])))
            text = f"not in {other}, {why.replace('_', ' ')}"
            fates[row["doc_id"]] = {"status": status, "why": text}
    for row in documents["changed_samples"]:
        why = f"differs in {', '.join(row['parts'])}"
        fates[row["doc_id"]] = {"status": "changed", "why": why}
    return fates


def _pictures(
    corpus: Corpus, rows: Sequence[dict[str, Any]], known: Collection[str]
) -> dict[str, tuple[str, bool]]:
    """Pictures in base64 by image id, and whether a head flags the image."""
    wanted = {info["image_id"] for row in rows for info in row["image_info"]}
    heads = corpus.manifest["config"].get("heads") or {}
    limit = (heads.get("nsfw") or {}).get("max_score", 0.5)
    found: dict[str, Any] = {}
    for row in image_rows(corpus, wanted - {None} - set(known), ["bytes", "flags", "nsfw"]):
        small = thumbnail(row["bytes"]) if row["bytes"] else None
        if small:
            veiled = bool(row["flags"]) or (row["nsfw"] or 0.0) > limit / 2
            found[row["image_id"]] = base64.b64encode(small).decode(), veiled
    return found


def _side(
    row: dict[str, Any] | None, pictures: Mapping[str, tuple[str, bool]]
) -> dict[str, Any] | None:
    """What the page shows of a row of the documents table."""
    if row is None:
        return None
    sentences: dict[int, list[int]] = defaultdict(list)
    for j, node in enumerate(row["text_node_index"]):
        sentences[node].append(j)
    matched: dict[int, list[int]] = defaultdict(list)
    at = {info["node_index"]: i for i, info in enumerate(row["image_info"])}
    for i, info in enumerate(row["image_info"]):
        if info["matched_text_index"] is not None:
            matched[info["matched_text_index"]].append(i)
    nodes: list[list[Any]] = []
    for index, (text, role) in enumerate(zip(row["texts"], row["roles"], strict=True)):
        if text is None:
            nodes.append(["image", at[index]])
            continue
        some = [(row["text_list"][j], matched.get(j, [])) for j in sentences[index]]
        nodes.append([role, [[part, of] if of else part for part, of in pieces(text, some)]])
    title: list[Any] = [row["title"] or "(no title)"]
    if nodes and nodes[0][0] == "heading" and row["texts"][0] == row["title"]:
        title = nodes.pop(0)[1]
    images = [_image(row, i, pictures) for i in range(len(row["image_info"]))]
    facts = [
        f"{row['language']} {row['language_score']:.2f}" if row["language"] else "",
        f"{row['token_count']:,} tokens",
        f"{len(row['text_list']):,} sentence{'' if len(row['text_list']) == 1 else 's'}",
        f"{len(images):,} image{'' if len(images) == 1 else 's'}",
        row["date"],
        row["author"],
        row["site"],
    ]
    cluster = (row["text_dedup"] or {}).get("cluster_size") or 1
    return {
        "url": row["url"],
        "link": href(row["url"]),
        "host": host_of(row["url"]),
        "language": row["language"] or "unknown",
        "title": title,
        "facts": [fact for fact in facts if fact],
        "nodes": nodes,
        "images": images,
        "sentences": len(row["text_list"]),
        "scores": [
            [s["rule"].replace("_", " "), f"{s['score']:.4g}"] for s in row["signals"] or ()
        ],
        "read": f"{row['warc_file']} at {row['warc_offset']}, {row['warc_length']} bytes"
        + (f", {row['crawl_time']}" if row["crawl_time"] else ""),
        "licence": row["licence"] or "",
        "licence_link": href(row["licence"]),
        "cluster": cluster if cluster > 1 else 0,
    }


def _image(row: dict[str, Any], i: int, pictures: Mapping[str, tuple[str, bool]]) -> dict[str, Any]:
    info = row["image_info"][i]
    cosines = row["similarity_matrix"][i] if row["similarity_matrix"] else []
    at = info["matched_text_index"]
    facts = [
        f"{info['width']} × {info['height']}" if info["width"] and info["height"] else "",
        "" if info["nsfw"] is None else f"nsfw {info['nsfw']:.3f}",
    ]
    return {
        "id": info["image_id"] or "",
        "absent": "no bytes" if info["image_id"] else "not fetched",
        "veiled": pictures.get(info["image_id"], ("", False))[1],
        "facts": [fact for fact in facts if fact],
        **{name: info[name] or "" for name in ("url", "alt", "title", "caption")},
        "link": href(info["url"]),
        "sentence": "" if at is None else row["text_list"][at],
        "at": at,
        "similarity": None if at is None else round(info["matched_sim"], 4),
        "cosines": [round(100 * max(0.02, min(1.0, cosine))) for cosine in cosines],
    }


# --- funnel and outcomes ----------------------------------------------------------------------


def _flows(funnel: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages that pages and documents pass, and those that images pass, with bars in per cent
    of what entered the first."""
    flows = []
    for title, kinds in (("Pages to documents", (Kind.PAGE, Kind.DOCUMENT)),
                         ("Images", (Kind.IMAGE,))):  # fmt: skip
        entries = [entry for entry in funnel if entry["kind"] in kinds]
        top = max((entry["entered"] for entry in entries), default=0) or 1
        stages = []
        for entry in entries:
            bars, x = [], 0.0
            for door in ("kept", "rejected", "failed"):
                if width := 100 * entry[door] / top:
                    bars.append((door, round(x, 3), round(max(width, 0.25), 3)))
                x += width
            reasons = [rule for rule in entry["rules"] if rule["kind"] in kinds]
            stages.append(
                {
                    **entry,
                    "share": share(entry),
                    "bars": bars,
                    "reasons": sorted(reasons, key=lambda rule: -rule["count"]),
                }
            )
        if stages:
            flows.append({"title": title, "stages": stages})
    return flows


_KINDS = {
    Kind.PAGE: "Pages",
    Kind.DOCUMENT: "Documents",
    Kind.IMAGE: "Images",
    Kind.NODE: "Parts of documents",
}


def _left_out(corpora: Sequence[Corpus]) -> list[dict[str, Any]]:
    """What was rejected, by kind, then by count, with examples; counts for each corpus."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for i, corpus in enumerate(corpora):
        for entry in corpus.manifest["funnel"]:
            for rule in entry["rules"]:
                key = (rule["kind"], entry["stage"], rule["rule"], rule["reason"])
                reason = found.setdefault(
                    key,
                    dict(zip(("kind", "stage", "rule", "reason"), key, strict=True))
                    | {"counts": [0] * len(corpora), "examples": []},
                )
                reason["counts"][i] += rule["count"]
        _add_examples(found, corpus)
    tables = []
    for kind, title in _KINDS.items():
        reasons = [reason for reason in found.values() if reason["kind"] == kind]
        reasons.sort(key=lambda r: (-max(r["counts"]), r["rule"], r["reason"], r["stage"]))
        for reason in reasons:
            top = max(reasons[0]["counts"]) or 1
            reason["widths"] = [round(100 * count / top, 2) for count in reason["counts"]]
        if reasons:
            totals = [sum(counts) for counts in zip(*(r["counts"] for r in reasons), strict=True)]
            tables.append({"title": title, "totals": totals, "reasons": reasons})
    return tables


def _add_examples(found: Mapping[tuple[str, ...], dict[str, Any]], corpus: Corpus) -> None:
    heads = corpus.manifest["config"].get("heads") or {}
    rows = [
        row
        for row in samples(corpus, SAMPLES)
        if (row["kind"], row["stage"], row["rule"], row["reason"]) in found
    ]
    shown = [row for row in rows if not {row["rule"], row["reason"]} & _WITHHELD]
    urls = {row["url"] for row in shown if row["kind"] in (Kind.IMAGE, Kind.NODE)} - {""}
    pictures = rejected_thumbnails(corpus, urls)
    texts = rejected_texts(
        corpus, [row["element_id"] for row in shown if row["kind"] == Kind.DOCUMENT]
    )
    for row in rows:
        examples = found[row["kind"], row["stage"], row["rule"], row["reason"]]["examples"]
        if len(examples) >= SAMPLES or row["element_id"] in (e["element_id"] for e in examples):
            continue
        small = pictures.get(row["url"]) if row in shown else None
        data = f"data:image/webp;base64,{base64.b64encode(small).decode()}" if small else ""
        examples.append(
            row
            | {
                "picture": data,
                "veiled": row["rule"] in heads,
                "text": texts.get(row["element_id"], ""),
            }
        )


def _failures(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    names = ("element_id", "kind", "url", "stage", "error", "warc_file", "warc_offset")
    for _, _, table in corpus.batches("failed", names):
        found += table.slice(0, number - len(found)).to_pylist()
        if len(found) >= number:
            break
    return found
