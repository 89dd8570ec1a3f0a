"""The command line: ``weft run`` makes a corpus, the other commands read one.

Beam and the models are imported by ``run`` only, when it starts: the rest must answer at once.
"""

import contextlib
import dataclasses
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from pipeline.errors import UserError
from pipeline.terminal import clean, error_console, output_console, print_json

INTERRUPTED = "interrupted; the same command continues where it stopped"
GRACE = 10.0  # seconds that a run has to end by itself after Ctrl-C

# What the clients of object stores raise: no keys, no right, no answer.
_STORES = ("apache_beam.io.", "botocore.", "google.")


class _Commands(TyperGroup):
    """Says what the user can mend in a line or two and leaves with 2."""

    def invoke(self, ctx: Any) -> Any:
        _hush()
        try:
            return super().invoke(ctx)
        except UserError as error:
            _say_error(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except RuntimeError as error:
            if str(error) != "Query interrupted":  # as DuckDB has it
                raise
            raise typer.Exit(130) from None
        except BrokenPipeError:  # who reads has seen enough
            raise
        except OSError as error:  # a folder that is a file, a full disk
            where = f"{error.filename}: " if error.filename else ""
            in_place = isinstance(error, FileExistsError | NotADirectoryError)
            reason = "is no folder; give another" if in_place else error.strerror or error
            _say_error(f"{where}{reason}")
            raise typer.Exit(2) from None
        except Exception as error:
            if not type(error).__module__.startswith(_STORES):
                raise
            _say_error(f"{type(error).__name__}: {_shortened(str(error))}")
            raise typer.Exit(2) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"weft {version('weft')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""
    Makes interleaved image-text corpora from Common Crawl WARC files.

    **weft run** reads WARC files and writes a corpus: documents with their text and images in
    reading order, cleaned, deduplicated, and with each image matched to a sentence.
    The other commands prepare a run, or look at what it wrote, judge it and change it.

    Exit codes: 0 done; 1 a run failed, a check found a breach, or two corpora differ; 2 what was
    asked cannot be done, and the line on standard error says why; 130 interrupted.
    """,
)


@app.callback()
def weft(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


# The groups of the tour that --help gives.
PREPARE, MAKE, LOOK, JUDGE = "Prepare", "Make", "Look", "Judge"
CHANGE, EXCHANGE = "Change", "Exchange"

OutArgument = Annotated[
    str, typer.Argument(metavar="OUT", help="Folder of a finished corpus.", show_default=False)
]
SetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="Change a key of the config, e.g. write.shards=8; may be given again.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command(rich_help_panel=MAKE)
def run(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG",
            help="A config file, or a preset: sample, obelics, mmc4, mmc4-core, extract.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="PATH",
            help="A WARC file, glob, folder, or list of paths; may be given again. "
            "With read.cc_index: files of a columnar index; with read.corpus: corpora.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Folder of the corpus; a run that was cut off continues there.",
            show_default=False,
        ),
    ],
    sets: SetsOption = None,
    beam_args: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- BEAM OPTIONS", help="Options of the Beam runner.", show_default=False
        ),
    ] = None,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the whole traceback if the run fails.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest instead of tables.")
    ] = False,
) -> None:
    """Make a corpus from WARC files.

    Runs four phases: extract, dedup, images, assemble. What a finished phase wrote is kept in
    OUT/_work, so the same command continues a run that was cut off, and a run with a changed
    config repeats only the phases that the change concerns.

    **Examples**

        weft run sample --input crawl/ --output corpus/

        weft run mmc4 -i 'crawl/*.warc.gz' -o corpus/ --set write.shards=8

        weft run obelics -i paths.txt -o corpus/ -- --direct_num_workers=4
    """
    beam_args = beam_args or []
    if beam_args and not beam_args[0].startswith("-"):
        raise UserError(f"{beam_args[0]}: unexpected; WARC files are given with --input PATH")
    console = error_console()
    try:
        from pipeline.run import run as run_pipeline

        with _ending_on_interrupt():
            manifest = run_pipeline(config, inputs, output, sets or [], beam_args, console)
    except UserError:
        if show_traceback:
            traceback.print_exc()
        raise
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001  the last door
        # Beam wraps what comes in the midst of a step.
        if isinstance(root_cause(error), KeyboardInterrupt):
            _say_error(INTERRUPTED)
            raise typer.Exit(130) from None
        if show_traceback:
            traceback.print_exc()
        else:
            _say_failure(error)
        raise typer.Exit(1) from None
    if as_json:
        print_json(manifest)
    else:
        _say_done(manifest, output)


@contextlib.contextmanager
def _ending_on_interrupt() -> Iterator[None]:
    """Ctrl-C ends the process within seconds, whatever a thread of the runner may wait for. What is
    on disk then is what a kill would leave, and stands."""

    def end() -> None:
        _say_error(INTERRUPTED)
        os._exit(130)

    def interrupted(*_: object) -> None:
        last = threading.Timer(GRACE, end)
        last.daemon = True
        last.start()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hush() -> None:
    """Beam warns at import of extras that are not installed."""
    logging.getLogger().setLevel(logging.ERROR)


def _say_done(manifest: dict[str, Any], output: str) -> None:
    from pipeline.card import contents, size, table_totals
    from pipeline.stats import print_funnel

    console = output_console()
    console.print()
    print_funnel(console, manifest["funnel"])
    written = sum(total["n_bytes"] for total in table_totals(manifest).values())
    console.print(f"{contents(manifest)} ({size(written)}) in {clean(output)}")
    nexts = {
        "view": "the corpus as a page for a browser",
        "show": "read a document",
        "stats": "what was rejected, and why",
        "inspect": "tables and columns",
        "validate": "check every file and row",
    }
    commands = [f"weft {name} {_quoted(output)}" for name in nexts]
    width = max(map(len, commands))
    for command, about in zip(commands, nexts.values(), strict=True):
        console.print(Text(f"  {command:{width}}").append(f"   {about}", style="dim"))


def _quoted(path: str) -> str:
    import shlex

    return clean(shlex.quote(path))


def _say_error(message: str) -> None:
    line = Text("error: ", style="bold red")
    error_console().print(line.append(clean(message, lines=True), style="not bold default"))


def _say_failure(error: BaseException) -> None:
    """The root of a failed Beam job in a few lines."""
    console = error_console()
    step = re.search(r"\[while running ['\"](.+?)['\"]\]", str(error))
    root = root_cause(error)
    _say_error(f"{type(root).__name__}: {_shortened(str(root))}")
    where = _innermost(root)
    if step:
        console.print(Text(f"  in step   {clean(step[1])}", style="dim"))
    if where:
        console.print(Text(f"  at        {clean(where)}", style="dim"))
    console.print(
        Text(
            "  The same command continues where it stopped; with --traceback it prints all of "
            "the error.",
            style="dim",
        )
    )


def root_cause(error: BaseException) -> BaseException:
    """The error that a chain of errors began with.

    Beam raises a copy of a worker's error with the step in its message, and the worker's error as
    its context.
    """
    seen = {id(error)}
    while True:
        cause = error.__cause__
        if cause is None and not error.__suppress_context__:
            cause = error.__context__
        if cause is None or id(cause) in seen:
            return error
        seen.add(id(cause))
        error = cause


def _shortened(message: str) -> str:
    """Of a message that holds a whole traceback, the last line; without Beam's step."""
    message = re.sub(r"\s*\[while running .*?\]", "", message)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        lines = lines[-1:]
    text = " ".join(lines[:3])
    return text if len(text) <= 400 else text[:399] + "…"


def _innermost(error: BaseException) -> str:
    """The innermost frame of our own code, else of any."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if re.search(r"/(pipeline|stages|filters|schemas)/", f.filename)]
    own = [f for f in own if "site-packages/apache_beam" not in f.filename]
    if not (own or frames):
        return ""
    frame = (own or list(frames))[-1]
    name = "/".join(frame.filename.split("/")[-2:])
    return f"{name}:{frame.lineno} {frame.name}"


@app.command(rich_help_panel=LOOK)
def stats(
    out: OutArgument,
    samples: Annotated[
        int, typer.Option(min=0, help="Show N rejected examples of each reason.", metavar="N")
    ] = 0,
    check: Annotated[
        bool,
        typer.Option("--check", help="Count the rows of the outcome tables too; exit 1 if unlike."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the funnel: what each stage kept, rejected and failed on, and why.

    **Examples**

        weft stats corpus/

        weft stats corpus/ --samples 3

        weft stats corpus/ --check --json
    """
    from pipeline import stats as of
    from pipeline.corpus import open_corpus

    corpus = open_corpus(out)
    funnel = corpus.manifest["funnel"]
    rows = of.samples(corpus, samples) if samples else []
    unlike = (
        list(of.mismatches(funnel, of.rejected_counts(corpus), of.failed_counts(corpus)))
        if check
        else []
    )
    if as_json:
        data: dict[str, Any] = {"funnel": funnel}
        if samples:
            data["samples"] = rows
        if check:
            data["mismatches"] = unlike
        print_json(data)
    else:
        console = output_console()
        of.print_funnel(console, funnel)
        of.print_reasons(console, funnel)
        of.print_samples(console, rows)
        for line in unlike:
            console.print(Text(clean(line), style="red"))
        if check and not unlike:
            console.print("The rows of rejected and failed agree with the funnel.", style="green")
    if unlike:
        raise typer.Exit(1)


@app.command(rich_help_panel=LOOK)
def inspect(
    out: OutArgument,
    distributions: Annotated[
        bool,
        typer.Option("--stats", help="Read columns too: how documents and images are spread."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a corpus holds: tables, files, columns; with --stats, distributions.

    **Examples**

        weft inspect corpus/

        weft inspect corpus/ --stats

        weft inspect corpus/ --json | jq .tables
    """
    from pipeline import inspection as of
    from pipeline.corpus import open_corpus

    corpus = open_corpus(out)
    summary = of.summary(corpus)
    spread = of.distributions(corpus) if distributions else None
    if as_json:
        print_json(summary if spread is None else {**summary, "stats": spread})
        return
    console = output_console()
    of.print_summary(console, summary)
    if spread is not None:
        of.print_distributions(console, spread)


@app.command(rich_help_panel=LOOK)
def show(
    out: OutArgument,
    doc: Annotated[
        str,
        typer.Argument(
            metavar="[DOC]",
            help="Id of a document, the beginning of one, or a page's URL; without it, the first "
            "document with the most images.",
            show_default=False,
        ),
    ] = "",
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", "-t", help="Draw small pictures; on a terminal only.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read one document: text and images in order, with matches, scores and provenance.

    **Examples**

        weft show corpus/

        weft show corpus/ 21701357 --thumbnails

        weft show corpus/ https://example.org/page --json
    """
    from pipeline import show as of
    from pipeline.corpus import open_corpus

    corpus = open_corpus(out)
    document = of.find_document(corpus, doc)
    if as_json:
        print_json(document)
        return
    console = output_console()
    thumbnails = thumbnails and console.is_terminal
    columns = ("format", "bytes") if thumbnails else ("format",)
    of.print_document(console, document, of.images_of(corpus, document, columns), thumbnails)


@app.command(rich_help_panel=LOOK)
def view(
    out: OutArgument,
    other: Annotated[
        str,
        typer.Argument(
            metavar="[OUT2]", help="Another corpus, to see side by side.", show_default=False
        ),
    ] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PAGE", help="The HTML page to write.")
    ] = "report.html",
    documents: Annotated[
        int, typer.Option("--documents", min=0, metavar="N", help="Show N documents.")
    ] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Say in JSON what was written.")] = False,
) -> None:
    """Write one HTML page to look at: funnel, distributions, documents with their pictures.

    The page holds all that it shows and loads nothing. Its documents are a sample by hash, of two
    corpora those that differ first, and no more than fit into a page of some 12 MB.

    **Examples**

        weft view corpus/ -o report.html

        weft view corpus/ --documents 1000

        weft view before/ after/ -o compared.html
    """
    from pipeline.card import size
    from pipeline.corpus import open_corpus, write_file
    from pipeline.view import report

    page = report([open_corpus(path) for path in (out, other) if path], documents).encode()
    write_file(output, page)
    if as_json:
        print_json({"path": output, "n_bytes": len(page)})
    else:
        output_console().print(f"{clean(output)} ({size(len(page))})")


@app.command(rich_help_panel=JUDGE)
def validate(out: OutArgument, as_json: JsonOption = False) -> None:
    """Check every file and row of a corpus; each breach is one line, and the exit code is 1.

    Looks at the manifest, checksums, row counts and schemas; ids, the two views of each document,
    its matches and similarities; image bytes against their ids; references between the tables; and
    the funnel against the rows.

    **Examples**

        weft validate corpus/

        weft validate corpus/ --json
    """
    from pipeline.validate import validate as check

    found = []
    console = output_console()
    breaches = check(out)
    with error_console().status("checking ...") as status:
        for breach in breaches:
            status.stop()
            found.append(dataclasses.asdict(breach))
            if not as_json:
                console.print(Text(clean(breach)), soft_wrap=True)
    if as_json:
        print_json({"valid": not found, "breaches": found})
    elif found:
        counted = "1 breach" if len(found) == 1 else f"{len(found):,} breaches"
        console.print(counted, style="bold red")
    else:
        _say_valid(out)
    if found:
        raise typer.Exit(1)


@app.command(rich_help_panel=CHANGE)
def takedown(
    out: OutArgument,
    url: Annotated[
        list[str] | None, typer.Option("--url", metavar="URL", help="A page's or an image's URL.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST", help="A host and all below it.")
    ] = None,
    sha256: Annotated[
        list[str] | None, typer.Option("--sha256", metavar="HEX", help="An image's SHA-256.")
    ] = None,
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", metavar="FILE", help="Text, one entry a line, or Parquet."),
    ] = None,
    date: Annotated[
        str, typer.Option(metavar="DATE", help="When it was asked for; noted as it is.")
    ] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="By whom, or why; noted.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go and change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove pages and images from a finished corpus, and keep later runs from bringing them back.

    Rewrites the shards concerned, empties the bytes in OUT/_work, leaves rows in the rejected table
    and notes the takedown in OUT/takedowns.jsonl and in the manifest. Copies of a removed image
    under other URLs go too. A command that was cut off is given again.

    **Examples**

        weft takedown corpus/ --host example.org --date 2026-01-31

        weft takedown corpus/ --url https://example.org/picture.jpg --dry-run

        weft takedown corpus/ --list asked.txt --note 'mail of 31 January'
    """
    from pipeline.takedown import request_of, take_down

    request = request_of(host or [], url or [], sha256 or [], lists or [], date, note)
    removed = take_down(out, request, dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "removed": removed})
        return
    verb = "would go" if dry_run else "removed"
    output_console().print(
        f"{removed['documents']:,} documents, {removed['images']:,} images and "
        f"{removed['nodes']:,} places of images in other documents {verb}"
    )


def _say_valid(out: str) -> None:
    from pipeline.card import table_totals
    from pipeline.corpus import open_corpus

    totals = table_totals(open_corpus(out).manifest).items()
    counts = ", ".join(f"{total['rows']:,} {name}" for name, total in totals)
    output_console().print(Text("valid", style="bold green").append(f": {counts}", style="default"))


@app.command(rich_help_panel=LOOK)
def query(
    out: OutArgument,
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="A query that returns rows.", show_default=False)
    ],
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Show N rows; on a terminal only.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Ask a question in SQL; the tables are documents, images, rejected and failed.

    Rows are tab-separated where the output is no terminal. The SQL is DuckDB's.

    **Examples**

        weft query corpus/ 'SELECT language, count(*) FROM documents GROUP BY ALL'

        weft query corpus/ "SELECT url, score FROM rejected WHERE rule = 'nsfw' ORDER BY score"
    """
    from pipeline import query as of
    from pipeline.corpus import open_corpus

    result = of.run_query(open_corpus(out), sql)
    if as_json:
        print_json([dict(zip(result.columns, of.plain(row), strict=True)) for row in result.rows])
    else:
        of.print_rows(output_console(), result, limit)


@app.command(rich_help_panel=LOOK)
def sample(
    out: OutArgument,
    number: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many.")] = 10,
    where: Annotated[
        str,
        typer.Option(metavar="SQL", help="Only documents of which this is true.",
                     show_default=False),
    ] = "",
    seed: Annotated[int, typer.Option(help="Another number draws others.")] = 0,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Draw documents by a hash of their ids: the same ones each time, whatever the shards.

    **Examples**

        weft sample corpus/

        weft sample corpus/ -n 3 --where "len(image_info) > 5 AND language = 'en'"
    """
    from pipeline import sample as of
    from pipeline.corpus import open_corpus

    rows = of.sample(open_corpus(out), number, where, seed)
    if as_json:
        print_json(rows)
    else:
        of.print_sample(output_console(), rows)


@app.command(rich_help_panel=JUDGE)
def diff(
    a: OutArgument,
    b: Annotated[
        str, typer.Argument(metavar="OUT2", help="Another corpus.", show_default=False)
    ],
    samples: Annotated[
        int, typer.Option(min=0, help="Show N examples of each difference.", metavar="N")
    ] = 0,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Compare two corpora: what came, went and changed, and by which rule.

    The exit code is that of diff(1): 0 if they hold the same documents, 1 if not.

    **Examples**

        weft diff before/ after/

        weft diff before/ after/ --samples 5
    """
    from pipeline import diff as of
    from pipeline.corpus import open_corpus

    found = of.diff(open_corpus(a), open_corpus(b), samples)
    if as_json:
        print_json(found)
    else:
        of.print_diff(output_console(), found)
    if of.differs(found):
        raise typer.Exit(1)


@app.command(rich_help_panel=EXCHANGE)
def export(
    out: OutArgument,
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="mmc4, obelics, omnicorpus, webdataset, mint, comm, nemo, pin, pairs, text, chat "
            "or packed.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="DIR", help="A folder of its own.", show_default=False
        ),
    ],
    shards: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many; as many as the corpus has if 0.")
    ] = 0,
    sets: SetsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a corpus in a layout that others read.

    A format's options are given with --set; an unknown one is answered with the list. What a format
    has no place for is left out and counted. DIR/export.json is written last.

    **Examples**

        weft export corpus/ mmc4 -o mmc4/ --shards 64

        weft export corpus/ pairs -o pairs/ --set 'captions=[alt, sentence]'
    """
    from pipeline.corpus import open_corpus
    from pipeline.export import export as of

    chosen = of.format_of(format, sets or [])
    manifest = of.export(open_corpus(out), chosen, output, shards)
    if as_json:
        print_json(manifest)
    else:
        of.print_export(output_console(), manifest, output)


@app.command("import", rich_help_panel=EXCHANGE)
def import_(
    format: Annotated[
        str, typer.Argument(metavar="FORMAT", help="mmc4 or obelics.", show_default=False)
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATHS", help="Files of the format, or folders of them.", show_default=False
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Folder of the corpus.", show_default=False
        ),
    ],
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="A tar or zip of the images, or a folder of them; may be given again.",
            show_default=False,
        ),
    ] = None,
    shards: Annotated[int, typer.Option(min=1, metavar="N", help="Shards of each table.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Read mmc4's JSON lines or OBELICS's Parquet into a corpus that all commands read.

    Nothing is judged. `weft run --set read.corpus=true` takes the corpus as its input, to filter,
    deduplicate and place it anew.

    **Examples**

        weft import mmc4 shards/ --images images/ -o corpus/

        weft import obelics train-*.parquet -o corpus/ --shards 16
    """
    from pipeline import imported as of

    manifest = of.import_corpus(format, paths, output, images or [], shards)
    if as_json:
        print_json(manifest["funnel"])
    else:
        of.print_import(output_console(), manifest, output)


@app.command(rich_help_panel=PREPARE)
def crawl(
    snapshot: Annotated[
        str,
        typer.Argument(metavar="[SNAPSHOT]", help="E.g. CC-MAIN-2024-10.", show_default=False),
    ] = "",
    number: Annotated[
        int, typer.Option("--pick", "-n", min=0, metavar="N", help="Take N files, by hash.")
    ] = 0,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="LIST", help="Write their URLs to a file.", show_default=False
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Another number takes others.")] = 0,
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="warc, or cc-index-table: the columnar index.")
    ] = "warc",
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Ask for the size of each file that was taken.")
    ] = False,
    rate: Annotated[
        float,
        typer.Option(help="Pages a CPU second; scripts/bench/reading.py measures it.", min=0.001),
    ] = 50.0,
    price: Annotated[float, typer.Option(help="Price of a CPU hour.", min=0.0)] = 0.0,
    base: Annotated[
        str,
        typer.Option(metavar="URL", help="Where the files lie, if not there.", show_default=False),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List Common Crawl's snapshots, pick files of one and estimate what they take.

    **Examples**

        weft crawl

        weft crawl CC-MAIN-2024-10 --pick 8 -o crawl.paths

        weft run mmc4 -i crawl.paths -o corpus/
    """
    from pipeline import crawl as of
    from pipeline.corpus import write_file

    console = output_console()
    if not snapshot:
        listed = of.snapshots()
        if as_json:
            print_json(listed)
        else:
            of.print_snapshots(console, listed)
        return
    if kind not in of.KINDS:
        raise UserError(f"--kind {kind}: must be one of {', '.join(of.KINDS)}")
    urls = of.paths(snapshot, kind, base or of.COMMON_CRAWL)
    taken = of.pick(urls, number, seed) if number else urls
    n_bytes = sum(of.sizes(taken)) if sizes else None
    found = of.estimate(len(taken), n_bytes, rate, price) if kind == "warc" else {}
    if output:
        write_file(output, "".join(f"{url}\n" for url in taken).encode("ascii"))
    if as_json:
        print_json({"snapshot": snapshot, "of": len(urls), **found, "urls": taken})
        return
    if not output:
        for url in taken if number else ():
            console.print(clean(url), soft_wrap=True)
    if found:
        of.print_estimate(error_console() if number and not output else console, snapshot, found)
    else:
        console.print(f"{clean(snapshot)}: {len(taken):,} files")


@app.command("train-head", rich_help_panel=PREPARE)
def train_head(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="Whose CLIP model is used.", show_default=False),
    ],
    unwanted: Annotated[
        str, typer.Option(metavar="FILE", help="Descriptions, one a line.", show_default=False)
    ],
    wanted: Annotated[
        str, typer.Option(metavar="FILE", help="Other descriptions.", show_default=False)
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="HEAD", help="The file to write.")
    ] = "head.safetensors",
    images: Annotated[
        str,
        typer.Option(
            metavar="OUT",
            help="A corpus, whose images set the threshold right.",
            show_default=False,
        ),
    ] = "",
    sets: SetsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a head for unwanted images from texts alone.

    What tells the descriptions apart tells the images apart: no unwanted picture is needed.

    **Examples**

        weft train-head mmc4 --unwanted weapons.txt --wanted other.txt -o weapons.safetensors

        weft run mmc4 -i crawl/ -o corpus/ -s 'heads.weapons={file: weapons.safetensors}'
    """
    from pipeline import train_head as of
    from pipeline.corpus import open_corpus

    corpus = open_corpus(images) if images else None
    head = of.train_head(config, unwanted, wanted, output, corpus, sets or [])
    if as_json:
        print_json(of.as_json(head, output))
    else:
        of.print_head(output_console(), head, output)


@app.command("what-if", rich_help_panel=JUDGE)
def what_if(out: OutArgument, sets: SetsOption = None, as_json: JsonOption = False) -> None:
    """Say what other thresholds would keep, from the scores in the tables, without a run.

    **Examples**

        weft what-if corpus/ --set filter_documents.image_count.max_images=5

        weft what-if corpus/ --set place_images.min_similarity=0.2

        weft what-if corpus/ -s heads.nsfw.max_score=0.05 --json
    """
    from pipeline import what_if as of
    from pipeline.corpus import open_corpus

    found = of.what_if(open_corpus(out), sets or [])
    if as_json:
        print_json(found)
    else:
        of.print_what_if(output_console(), found)


@app.command(rich_help_panel=PREPARE)
def config(
    name: Annotated[
        str,
        typer.Argument(metavar="[CONFIG]", help="A config file or a preset.", show_default=False),
    ] = "",
    sets: SetsOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say only whether the config is sound.")
    ] = False,
    docs: Annotated[
        bool, typer.Option("--docs", help="Print the reference of every key, in Markdown.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a config with every default written out, check it, or print the reference of keys.

    What is printed is a config itself: `weft run` takes it and does the same.

    **Examples**

        weft config mmc4

        weft config my.yaml --set write.shards=8 --check

        weft config --docs > keys.md
    """
    if docs == bool(name):
        raise UserError("config: give a config to print, or --docs for the reference of keys")
    from pipeline import reference
    from pipeline.config import load_config, resolved

    if docs:
        print(reference.markdown(), end="")
        return
    plain = resolved(load_config(name, sets or []))
    if as_json:
        print_json(plain)
    elif check:
        output_console().print(Text("sound", style="bold green").append(f": {clean(name)}"))
    else:
        print(reference.as_yaml(plain), end="")


@app.command(rich_help_panel=PREPARE)
def explain(
    name: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A config or a preset.", show_default=False)
    ],
    page: Annotated[
        str,
        typer.Argument(
            metavar="[PAGE]",
            help="An HTML file, a WARC file (with --offset) or a corpus (with --url).",
            show_default=False,
        ),
    ] = "",
    url: Annotated[
        str, typer.Option(help="Address of the page; in a corpus also its id.", show_default=False)
    ] = "",
    offset: Annotated[
        int,
        typer.Option(
            help="Byte offset of the page's record in the WARC file; --url tells several apart.",
            min=-1,
        ),
    ] = -1,
    sets: SetsOption = None,
    dedup: Annotated[
        bool, typer.Option("--dedup", help="What deduplication compares, and what it finds.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a config makes of one page, rule by rule, or what it does at all.

    All rules are asked, also those that a run would not have come to. What needs the whole crawl,
    deduplication and images, is told of pages of a corpus.

    **Examples**

        weft explain obelics page.html --url https://example.org/page

        weft explain obelics crawl.warc.gz --offset 1234 --json

        weft explain obelics corpus/ --url https://example.org/page

        weft explain sample --dedup

        weft explain sample --dedup --set deduplicate.minhash.bands=25 --json
    """
    if dedup == bool(page):
        raise UserError("explain: say what is to be explained: a page, or --dedup")
    if page:
        _explain_page(name, page, url, offset, sets or [], as_json)
        return
    from pipeline import explain as of
    from pipeline.config import load_config

    found = of.explain_dedup(load_config(name, sets or []).deduplicate)
    if as_json:
        print_json(found)
    else:
        of.print_dedup(found, output_console())


def _explain_page(
    name: str, page: str, url: str, offset: int, sets: list[str], as_json: bool
) -> None:
    from pipeline import explain_page as of
    from pipeline.config import load_config
    from pipeline.corpus import open_corpus

    config = load_config(name, sets)
    if offset >= 0:
        found, show = of.explain_page(of.page_of_record(page, offset, url), config), of.print_page
    elif "://" in page or os.path.isdir(page):
        if not url:
            raise UserError("explain: say which page of the corpus: --url URL")
        found, show = of.explain_document(open_corpus(page), url, config), of.print_document
    else:
        found, show = of.explain_page(of.page_of_file(page, url), config), of.print_page
    if as_json:
        print_json(found)
    else:
        show(found, output_console())


def main() -> None:
    if sys.stdout is None:  # closed by who started this
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding gets question marks, not an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
