"""What becomes of one page, and why: ``weft explain CONFIG PAGE``.

Of a file or a record of a WARC all that can be told from the page alone: deduplication and images
need the crawl. Of a page of a corpus all that its tables hold.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text as Line

from filters.base import On, Passage, Rule, Score
from filters.pages.opt_out_list import OptOutList as ListedPages
from filters.references.opt_out_list import OptOutList as ListedReferences
from pipeline.build import Plan
from pipeline.config import RULES_IN, Config, resolved
from pipeline.corpus import Corpus
from pipeline.errors import UserError
from pipeline.show import find_document, images_of
from pipeline.terminal import Column, clean, print_table
from schemas.document import Image, Text
from schemas.image import ImageLocation, ImageReference
from schemas.outcome import Rejection
from schemas.page import Page
from stages.extract_documents import reason_against, to_document
from stages.extraction.limits import Guard, PageLimitError
from stages.filter_text import EXCERPT, filter_text
from stages.inputs import WarcFile
from stages.read_pages import ReadConfig, page_id, read_part, to_capture
from stages.warc.payload import PayloadError
from stages.warc.reader import read_record_at
from stages.warc.window import Damaged

_LONG = 60  # characters of a setting


def page_of_file(path: str, url: str) -> Page:
    """A page of an HTML file, as if it had been crawled under a URL.

    Raises:
      UserError: the file cannot be read, or there is no URL.
    """
    if "://" not in url:
        raise UserError(
            "explain: an HTML file needs the address that it was read from: --url URL; of a WARC "
            "file say where the page's record begins: --offset BYTE"
        )
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    headers = (("content-type", "text/html"),)
    return Page(
        page_id(path, 0, 0, url), url, path, 0, 0, "", 200, "text/html", headers, body
    )  # fmt: skip


def page_of_record(path: str, offset: int, url: str = "") -> Page:
    """The page of a record of a WARC file.

    Args:
      url: of the page, where more than one record lies at the offset: in one gzip member.

    Raises:
      UserError: there is no record, or none of a page.
    """
    file = WarcFile(Path(path).name, path)
    try:
        if url:
            return _page_there(file, offset, url)
        found = to_capture(read_record_at(path, offset), file)
    except (Damaged, PayloadError, OSError, ValueError) as error:
        raise UserError(f"{path}: no page can be read at {offset}: {error}") from None
    if isinstance(found, Page):
        return found
    what = {Rejection: "a record that is no page", ImageLocation: "an image"}
    said = f" ({found.reason})" if isinstance(found, Rejection) else ""
    raise UserError(f"{path}: at {offset} lies {what.get(type(found), 'no capture')}{said}")


def _page_there(file: WarcFile, offset: int, url: str) -> Page:
    """Raises:
    ValueError: none of the records has the URL.
    """
    for found in read_part(file, ReadConfig(), offset):
        if isinstance(found, Page) and found.warc_offset != offset:
            break
        if isinstance(found, Page) and found.url == url:
            return found
    raise ValueError(f"none of {url}")


def ask(rules: Sequence[Rule], element: Any) -> list[dict[str, Any]]:
    """What every rule says, those too that a run would not have come to."""
    said = []
    reached = True
    for rule in rules:
        score = rule.score(element)
        entry = _said(rule, score, reached)
        reached = reached and not entry["reason"]
        said.append(entry)
    return said


def _said(rule: Rule, score: Score, reached: bool) -> dict[str, Any]:
    reason = rule.judge(score)
    return {
        "rule": rule.name,
        "score": score.value,
        "detail": score.detail,
        "settings": resolved(rule)[rule.name],
        "reason": str(reason) if reason else None,
        "reached": reached,
    }


def explain_page(page: Page, config: Config) -> dict[str, Any]:
    """What the stages of the phase `extract`, and the rules on image URLs, make of a page.

    Returns:
      `outcome`: stage, rule and reason of the first objection, or None; `filter_pages`,
      `filter_text` and for each image `filter_references`: what each rule says, `reached` where a
      run would ask it; `nodes` with their fate; `left_out`: images that became no node.
    """
    plan = Plan(config, (), "", 1)
    told: dict[str, Any] = {
        "page": {
            "id": page.page_id,
            "url": page.url,
            "status": page.status,
            "mime": page.mime,
            "n_bytes": len(page.body),
        },
        "filter_pages": ask(plan.rules(ListedPages, config.filter_pages), page),
    }
    objections = list(_objections("filter_pages", told["filter_pages"]))
    guard = Guard(config.extract)
    try:
        found = guard.extract(page.body, page.url, page.header("content-type"))
    except PageLimitError as error:
        raise UserError(f"{page.url}: extraction was ended: {error}") from None
    finally:
        guard.close()
    if reason := reason_against(found, config.extract):
        objections.append(_objection("extract_documents", "extraction", str(reason)))
    told["metadata"] = dataclasses.asdict(found.metadata)
    told["left_out"] = [
        {"url": dropped.image.url, "reason": str(dropped.reason), "detail": dropped.detail}
        for dropped in found.dropped
    ]

    rules = config.filter_text
    document = to_document(page, found)
    whole, _, _ = filter_text(document, replace(rules, documents=(), paragraphs=()))
    pruned, _, _ = filter_text(document, replace(rules, documents=()))
    told["language"] = {"code": whole.language, "score": whole.language_score}
    on_document = [rule for rule in rules.documents if rule.on is On.DOCUMENT]
    on_text = [rule for rule in rules.documents if rule.on is On.TEXT]
    said = ask(on_document, whole)
    objections += _objections("filter_text", said)
    more = ask(on_text, Passage(pruned.text, whole.language))
    told["filter_text"] = said + more
    if not pruned.text.strip():
        objections.append(_objection("filter_text", "filter_text", "no_text"))
    objections += _objections("filter_text", more)
    referred = plan.rules(ListedReferences, config.filter_references)
    told["nodes"] = [
        _image(index, node, referred)
        if isinstance(node, Image)
        else _text(index, node, whole.language, config)
        for index, node in enumerate(whole.nodes)
    ]
    told["outcome"] = objections[0] if objections else None
    return told


def _objection(stage: str, rule: str, reason: str) -> dict[str, Any]:
    return {"stage": stage, "rule": rule, "reason": reason}


def _objections(stage: str, said: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in said:
        if entry["reason"]:
            yield _objection(stage, entry["rule"], entry["reason"])


def _text(index: int, node: Text, language: str, config: Config) -> dict[str, Any]:
    rules = config.filter_text
    spared = node.role in rules.spared
    said = [] if spared else ask(rules.paragraphs, Passage(node.text, language))
    return {
        "node": index,
        "kind": str(node.role),
        "what": " ".join(node.text.split())[:EXCERPT],
        **_fate(said, "spared" if spared else "kept"),
        "rules": said,
    }


def _image(index: int, node: Image, rules: Sequence[Rule]) -> dict[str, Any]:
    said = ask(rules, ImageReference(node.url))
    return {
        "node": index,
        "kind": "image",
        "what": node.url,
        "alt": node.alt,
        "caption": node.caption,
        **_fate(said, "wanted"),
        "rules": said,
    }


def _fate(said: Sequence[Mapping[str, Any]], kept: str) -> dict[str, Any]:
    against = next((entry for entry in said if entry["reason"]), None)
    if not against:
        return {"fate": kept, "rule": None, "reason": None}
    return {"fate": "left out", "rule": against["rule"], "reason": against["reason"]}


def explain_document(corpus: Corpus, wanted: str, config: Config) -> dict[str, Any]:
    """What the tables of a corpus hold of a page: its row, or the rows that say why it has none.

    Args:
      wanted: URL of the page, or its id.

    Raises:
      UserError: no table has it.
    """
    try:
        row = find_document(corpus, wanted)
    except UserError:
        if not (rows := _rejected(corpus, "url" if "://" in wanted else "doc_id", {wanted})):
            raise
        return {"document": None, "rejected": rows}
    images = images_of(corpus, row, ("format", "nsfw", "scores", "flags", "documents"))
    return {
        "document": {
            key: row[key]
            for key in ("doc_id", "url", "title", "language", "language_score", "date", "author",
                        "site", "licence", "warc_file", "warc_offset")
        },
        "signals": _judged(row["signals"] or [], config),
        "cluster": row["text_dedup"],
        "images": [_shown(i, info, images, row) for i, info in enumerate(row["image_info"])],
        "sentences": row["text_list"],
        "similarity_matrix": row["similarity_matrix"],
        "rejected": _rejected(corpus, "doc_id", {row["doc_id"]})
        + _rejected(corpus, "url", {info["url"] for info in row["image_info"]}),
    }  # fmt: skip


def _shown(
    i: int, info: dict[str, Any], images: Mapping[str, dict[str, Any]], row: dict[str, Any]
) -> dict[str, Any]:
    record = images.get(info["image_id"] or "", {})
    sims = row["similarity_matrix"][i] if row["similarity_matrix"] else []
    best = max(range(len(sims)), key=sims.__getitem__, default=None)
    return {
        **{key: info[key] for key in ("image_id", "url", "width", "height", "node_index",
                                      "natural_text_index", "matched_text_index", "matched_sim")},
        "best_text_index": best,
        "best_sim": None if best is None else sims[best],
        **{key: record.get(key) for key in ("format", "nsfw", "scores", "flags", "documents")},
    }  # fmt: skip


def _judged(signals: Sequence[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    """Scores against the thresholds of a config; those that no rule of it gave as they are."""
    lists = [resolved_rules for key in RULES_IN if (resolved_rules := _rules(config, key))]
    rules = {rule.name: rule for some in lists for rule in some}
    said = []
    for signal in signals:
        rule = rules.get(signal["rule"])
        if rule is None:
            entry = {"rule": signal["rule"], "score": signal["score"], "detail": "",
                     "settings": {}, "reason": None, "reached": True}  # fmt: skip
        else:
            entry = _said(rule, Score(signal["score"]), True)
        said.append(entry)
    return said


def _rules(config: Config, key: str) -> tuple[Rule, ...]:
    if not key.startswith("filter_text.documents") and key not in (
        "filter_documents", "filter_placed"
    ):  # fmt: skip
        return ()  # only rules on documents leave signals
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return tuple(value)


def _rejected(corpus: Corpus, by: str, wanted: set[str]) -> list[dict[str, Any]]:
    import pyarrow as pa

    columns = ["element_id", "kind", "doc_id", "url", "stage", "rule", "reason", "score", "detail"]
    found: list[dict[str, Any]] = []
    values = pa.array(sorted(wanted), pa.string())
    for _, _, table in corpus.batches("rejected", columns):
        found += table.filter(pc.is_in(table[by], values)).to_pylist()
    return found


def print_page(told: dict[str, Any], console: Console) -> None:
    """Prints what `explain_page` found."""
    page, outcome = told["page"], told["outcome"]
    console.print(Line(clean(page["url"]), style="bold"))
    language = told["language"]
    facts = [
        f"{page['n_bytes']:,} bytes",
        page["mime"],
        f"{language['code']} {language['score']:.2f}",
        *(f"{key}: {value}" for key, value in told["metadata"].items() if value),
    ]
    for fact in facts:
        console.print(Line(f"  {clean(fact)[:200]}", style="dim"))
    if outcome:
        said = f"rejected by {outcome['stage']}: {outcome['rule']}, {outcome['reason']}"
        console.print(Line(clean(said), style="bold red"))
    else:
        console.print(Line("kept, as far as the page alone tells", style="bold green"))
    console.print()
    _print_rules(console, "filter_pages", told["filter_pages"])
    _print_rules(console, "filter_text, on the document", told["filter_text"])
    rows = [
        (n["node"], n["kind"], n["fate"], " ".join(filter(None, (n["rule"], n["reason"]))),
         n["what"])
        for n in told["nodes"]
    ]  # fmt: skip
    columns = [Column("node", right=True), Column("what"), Column("fate"), Column("rule"),
               Column("text or URL", fold=True)]  # fmt: skip
    print_table(console, columns, rows, "nodes")
    if told["left_out"]:
        left = [(d["reason"], d["detail"], d["url"]) for d in told["left_out"]]
        names = [Column("reason"), Column("detail", fold=True), Column("URL", fold=True)]
        print_table(console, names, left, "images left out by extraction")


def _print_rules(console: Console, title: str, said: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            entry["rule"],
            f"{entry['score']:.4g}",
            entry["reason"] or "",
            "" if entry["reached"] else "not reached",
            entry["detail"][:_LONG],
            _settings(entry["settings"]),
        )
        for entry in said
    ]
    columns = [Column("rule"), Column("score", right=True), Column("objection"), Column(""),
               Column("detail", fold=True), Column("settings", fold=True)]  # fmt: skip
    print_table(console, columns, rows, title)


def _settings(settings: Mapping[str, Any]) -> str:
    shown = (f"{key}={value}" for key, value in settings.items())
    return " ".join(text if len(text) <= _LONG else f"{text[:_LONG]}..." for text in shown)


def print_document(told: dict[str, Any], console: Console) -> None:
    """Prints what `explain_document` found."""
    document = told["document"]
    if document is None:
        console.print(Line("not in the corpus", style="bold red"))
    else:
        console.print(Line(clean(document["url"]), style="bold"))
        for key, value in document.items():
            if value and key != "url":
                console.print(Line(f"  {key}: {clean(value)}", style="dim"))
        cluster = told["cluster"]
        console.print(
            f"cluster {cluster['cluster_id']} of {cluster['cluster_size']} near-duplicates"
        )
        console.print()
        _print_rules(console, "signals", told["signals"])
        _print_placement(console, told)
    rows = [
        (r["kind"], r["stage"], r["rule"], r["reason"], _number(r["score"]), r["detail"], r["url"])
        for r in told["rejected"]
    ]
    names = ("kind", "stage", "rule", "reason")
    columns = [*map(Column, names), Column("score", right=True), Column("detail", fold=True),
               Column("URL", fold=True)]  # fmt: skip
    print_table(console, columns, rows, "left out")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _print_placement(console: Console, told: dict[str, Any]) -> None:
    rows = [
        (i + 1, info["matched_text_index"], _number(info["matched_sim"]), info["best_text_index"],
         _number(info["best_sim"]), info["natural_text_index"], _number(info["nsfw"]), info["url"])
        for i, info in enumerate(told["images"])
    ]  # fmt: skip
    names = ("image", "sentence", "similarity", "best", "its similarity", "in the page", "nsfw")
    columns = [*(Column(name, right=True) for name in names), Column("URL", fold=True)]
    print_table(console, columns, rows, "images and their sentences")
    matrix = told["similarity_matrix"] or []
    sentences = told["sentences"]
    lines = [
        (j, *(f"{row[j]:.3f}" for row in matrix), sentence[:EXCERPT])
        for j, sentence in enumerate(sentences if matrix else [])
    ]
    if lines:
        heads = [Column(str(i + 1), right=True) for i in range(len(matrix))]
        columns = [Column("sentence", right=True), *heads, Column("text", fold=True)]
        print_table(console, columns, lines, "similarity of each sentence with each image")
