"""Runs the phases of a config and writes the manifest when all are done."""

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner
from rich.console import Console

from pipeline.build import ASSEMBLE, DEDUP, Plan
from pipeline.card import dataset_card, kind_of_inputs
from pipeline.config import Config, digest_of, load_config, resolved
from pipeline.corpus import EXTRAS, MANIFEST, WORK, corpus_digest, open_corpus, reachable
from pipeline.earlier import earlier_signatures
from pipeline.errors import UserError
from pipeline.funnel import check, funnel
from pipeline.progress import Progress
from pipeline.takedown import log_digest, read_log
from schemas.corpus import ALL_TABLES, SCHEMA_VERSION
from stages import files
from stages.clip import EMBEDDED, EMBEDDED_FOLDER, LOCAL
from stages.dedup.benchmarks import Benchmarks
from stages.honour_takedowns import LOG
from stages.imaging.config import store_folder
from stages.inputs import list_inputs
from stages.read_rows import RESULT

PHASE_MANIFEST = "manifest.json"
STARTED = "started"
BYTES_A_SHARD = 512_000_000
# Of Common Crawl; stands for a remote file whose size was not asked for.
TYPICAL_WARC = 1_000_000_000

# The sections of the config that a phase depends on, beside all that the phases before it do.
SECTIONS = {
    "extract": ("opt_out_lists", "read", "filter_pages", "extract", "filter_text"),
    "dedup": ("deduplicate",),
    "images": ("filter_references", "gather_images", "filter_images", "clip", "heads"),
    "dedup_images": ("deduplicate_by_images", "deduplicate_images", "join_images"),
    "assemble": ("join_images", "filter_documents", "place_images", "filter_placed", "write"),
}


def run(
    config_path: str,
    inputs: Sequence[str],
    output: str,
    sets: Sequence[str] = (),
    beam_args: Sequence[str] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Runs a config over inputs; phases that an earlier run finished are skipped.

    Args:
      config_path: path of a config, or name of a preset.
      inputs: WARC files, globs, folders or lists of paths; with `read.cc_index` index files, with
        `read.corpus` corpora.
      output: folder of the corpus, on any filesystem that Beam knows.
      sets: ``section.key=value`` each.
      beam_args: options of the Beam runner; FnApiRunner by default.

    Returns:
      The manifest.

    Raises:
      UserError: config, inputs or output are wrong, or too much of a stage failed.
    """
    console = console or Console(stderr=True)
    # Beam warns of annotations that it does not read, and logs each dead letter and each error.
    logging.getLogger().setLevel(logging.CRITICAL)
    config = load_config(config_path, sets)
    options = beam_options(beam_args)
    FileSystems.set_options(options)  # inputs are listed before there is a pipeline
    for path in (*inputs, output):
        if path.startswith(tuple(f"{scheme}://" for scheme in EXTRAS)):
            reachable(path, options)
    output = output if "://" in output else os.path.abspath(output)
    try:
        index = config.read.cc_index is not None or config.read.corpus
        if config.read.corpus:
            inputs = [_documents_of(path, output) for path in inputs]
        warcs = list_inputs(inputs, index=index)
    except (ValueError, OSError) as error:
        is_corpus = any("://" not in p and os.path.exists(files.join(p, MANIFEST)) for p in inputs)
        hint = "; a corpus is read with --set read.corpus=true" if is_corpus else ""
        raise UserError(f"{error}{hint}") from None
    _check_output(output)
    size = sum(warc.size or (TYPICAL_WARC if "://" in warc.path else 0) for warc in warcs)
    buckets = config.write.shards or max(1, -(-size // BYTES_A_SHARD))
    earlier: dict[str, str] = {}
    if config.deduplicate:
        earlier = earlier_signatures(config.deduplicate)
        try:
            Benchmarks(config.deduplicate.benchmarks)  # fails here, not in a worker
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from None
    takedowns = files.join(output, LOG)
    log = takedowns if files.exists(takedowns) else ""
    plan = Plan(config, warcs, output, buckets, log, tuple(earlier))
    settings = resolved(config)
    kind = kind_of_inputs({"config": settings})
    console.print(f"{len(warcs)} {kind} files, {size / 1e6:,.1f} MB, {buckets} shards", style="dim")

    fingerprint = digest_of(
        {
            "weft": version("weft"),
            "schema": SCHEMA_VERSION,
            "buckets": buckets,
            "inputs": [[warc.name, warc.path, warc.size, warc.modified] for warc in warcs],
        }
    )
    tallies: list[dict[str, Any]] = []
    shards: list[dict[str, Any]] = []
    known = 0 if config.read.cc_index or not all(warc.size for warc in warcs) else size
    progress = Progress(output, list(plan.phases), known, console)
    ran = False
    for phase in plan.phases:
        sections = [settings[name] for name in SECTIONS[phase]]
        contents = named_files(sections) | (earlier if phase == DEDUP else {})
        fingerprint = digest_of([fingerprint, sections, contents])
        result = _finished(plan, phase, fingerprint)
        if result:
            console.print(f"{phase}: finished earlier, skipped")
            progress.finished(phase, result["tallies"], "skipped")
        else:
            result = _run_phase(plan, phase, fingerprint, options, console, progress)
            progress.finished(phase, result["tallies"])
            ran = True
        tallies += result["tallies"]
        shards += result["corpus"]
    if not ran:  # what the manifest says may be younger than the phases: a takedown
        finished: dict[str, Any] = json.loads(files.read_bytes(files.join(output, MANIFEST)))
        return finished
    manifest = _manifest(plan, settings, shards, tallies)
    if plan.takedowns:
        manifest["takedowns"] = read_log(output)
    _publish(plan, manifest)
    progress.done()
    return manifest


def _check_output(output: str) -> None:
    """What another than weft put in the folder is not to be replaced.

    Raises:
      UserError: it holds such files, or cannot be a folder.
    """
    if "://" in output:
        return
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f"{output}: cannot be a folder: {error.strerror}") from None
    names = os.listdir(output)
    others = sorted({"README.md", *ALL_TABLES} & set(names))
    imported = MANIFEST in names and b'"imported":' in files.read_bytes(f"{output}/{MANIFEST}")
    if others and (imported or not {MANIFEST, WORK} & set(names)):
        raise UserError(
            f"{output}: holds {', '.join(others)}, which a run would replace; give another folder"
        )


def _documents_of(path: str, output: str) -> str:
    """Of a corpus its documents table.

    Raises:
      UserError: the corpus is of another version, or to be replaced by the run.
    """
    if not files.exists(files.join(path, MANIFEST)):
        return path
    corpus = open_corpus(path)
    if corpus.path == output or os.path.abspath(corpus.path) == output:
        raise UserError(f"{path}: is both read and written; give another --output")
    return files.join(path, "documents")


def named_files(settings: Any) -> dict[str, str]:
    """SHA-256 of each local file that a setting names: a model, a head, a list of words.

    A setting that names other contents than last time is another setting. Of a corpus that a
    setting names, what is used is looked at by its manifest (`pipeline.earlier`).
    """
    if isinstance(settings, dict) and settings.get("stores"):
        # Their files are named by what they hold, and large.
        stores = {path: _names(store_folder(path)) for path in settings["stores"]}
        return stores | named_files({k: v for k, v in settings.items() if k != "stores"})
    if isinstance(settings, dict | list):
        # A crawl is too large to hash; each record that is read of it is checked.
        inner = settings if isinstance(settings, list) else _without(settings, "base").values()
        return {path: digest for value in inner for path, digest in named_files(value).items()}
    if not isinstance(settings, str):
        return {}
    path = EMBEDDED_FOLDER if settings == EMBEDDED else Path(settings.removeprefix(LOCAL))
    if path.is_file():
        return {settings: hashlib.sha256(path.read_bytes()).hexdigest()}
    if len(path.parts) > 1 and path.is_dir() and not (path / MANIFEST).exists():
        inside = sorted(file for file in path.rglob("*") if file.is_file())
        return {
            f"{settings}/{file.relative_to(path)}": hashlib.sha256(file.read_bytes()).hexdigest()
            for file in inside
        }
    return {}


def _names(folder: str) -> str:
    return digest_of([path.rpartition("/")[2] for path in files.listed(folder, "*/*.parquet")])


def _without(settings: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != key}


def beam_options(arguments: Sequence[str]) -> PipelineOptions:
    """Options for Beam.

    Beam's DirectRunner first tries to download a binary and picks its engine by what the graph
    holds; its name stands for FnApiRunner here, so that a run is always executed by one engine.

    Raises:
      UserError: an option has a wrong value, or there is no such runner.
    """
    named = [a.replace("--runner=DirectRunner", "--runner=FnApiRunner") for a in arguments]
    if not any(a.startswith("--runner") for a in named):
        named.insert(0, "--runner=FnApiRunner")
    options = PipelineOptions(named)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options.get_all_options()
        create_runner(options.view_as(StandardOptions).runner)
    except SystemExit:  # argparse leaves, after a page of usage
        *_, last = said.getvalue().strip().splitlines()
        raise UserError(f"options after --: {last.partition('error: ')[2] or last}") from None
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"options after --: {error}") from None
    return options


def _finished(plan: Plan, phase: str, fingerprint: str) -> dict[str, Any] | None:
    path = files.join(plan.folder(phase), PHASE_MANIFEST)
    manifest = json.loads(files.read_bytes(path)) if files.exists(path) else {}
    if manifest.get("fingerprint") != fingerprint:
        return None
    if phase == ASSEMBLE and not files.exists(files.join(plan.output, MANIFEST)):
        return None
    if phase == ASSEMBLE and manifest.get("takedowns", "") != log_digest(plan.output):
        return None
    result: dict[str, Any] = json.loads(files.read_bytes(files.join(plan.folder(phase), RESULT)))
    return result


def _run_phase(
    plan: Plan,
    phase: str,
    fingerprint: str,
    options: PipelineOptions,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    folder = plan.folder(phase)
    stale = [folder]
    if phase == ASSEMBLE:
        names = (MANIFEST, "README.md", *ALL_TABLES)
        stale += [files.join(plan.output, name) for name in names]
    else:
        stale.append(files.join(plan.output, MANIFEST))
    takedowns = log_digest(plan.output)  # as the phase finds it
    _remove(stale)
    files.write_atomically(files.join(folder, STARTED), b"")
    with progress.watching(phase, folder):
        pipeline = beam.Pipeline(options=options)
        plan.phases[phase](pipeline, plan)
        pipeline.run().wait_until_finish()
    result: dict[str, Any] = json.loads(files.read_bytes(files.join(folder, RESULT)))
    try:
        check(result["tallies"], plan.config.run.max_failure_ratio, len(plan.inputs))
    except UserError as error:
        raise UserError(f"{error}; {_first_failure(folder)}") from None
    manifest = {"fingerprint": fingerprint, "phase": phase}
    if phase == ASSEMBLE:
        manifest["takedowns"] = takedowns
    files.write_atomically(files.join(folder, PHASE_MANIFEST), json.dumps(manifest).encode())
    written = sum(file["rows"] for file in result["corpus"] or result["files"])
    console.print(f"{phase}: done, {written:,} rows written")
    return result


def _first_failure(folder: str) -> str:
    failed = files.join(folder, "failed")
    rows = (
        row
        for path in files.listed(failed, "*.parquet")
        for row in files.open_parquet(path).read().to_pylist()
    )
    first = min(rows, key=lambda row: (row["warc_file"], row["warc_offset"], row["element_id"]))
    name = first["warc_file"] or first["url"] or first["element_id"]
    return f"the first is {name}: {first['error']}; all are rows of {failed}"


def _remove(paths: list[str]) -> None:
    # The manifest goes first: a corpus half removed must not look finished.
    for path in sorted(paths, key=lambda p: not p.endswith(MANIFEST)):
        if "://" not in path and os.path.isdir(path):
            shutil.rmtree(path)
        else:
            files.delete([path])


def _manifest(
    plan: Plan,
    settings: dict[str, Any],
    shards: list[dict[str, Any]],
    tallies: list[dict[str, Any]],
) -> dict[str, Any]:
    shards = [
        {key: shard[key] for key in ("table", "path", "rows", "n_bytes", "sha256")}
        for shard in sorted(shards, key=lambda shard: shard["path"])
    ]
    return {
        "weft_version": version("weft"),
        "schema_version": SCHEMA_VERSION,
        "config": settings,
        "config_sha256": digest_of(settings),
        "models": _models(plan.config),
        "inputs": [{"name": warc.name, "size": warc.size} for warc in plan.inputs],
        "files": shards,
        "funnel": funnel(plan.output, tallies),
        "digest": corpus_digest(shards),
    }


def _models(config: Config) -> list[dict[str, str]]:
    if not config.clip or not config.gather_images:
        return []
    from stages.clip import load_clip

    clip = load_clip(config.clip)
    name = "/".join(filter(None, (config.clip.model, config.clip.pretrained)))
    return [{"name": name, "weights_sha256": clip.weights_sha256()}]


def _publish(plan: Plan, manifest: dict[str, Any]) -> None:
    card = dataset_card(manifest).encode()
    files.write_atomically(files.join(plan.output, "README.md"), card)
    content = json.dumps(manifest, indent=1, sort_keys=True).encode()
    files.write_atomically(files.join(plan.output, MANIFEST), content)
