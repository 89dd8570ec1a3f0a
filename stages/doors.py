"""The three doors of every stage: kept, rejected, failed. The one place where an exception becomes
data, and the one place where a stage is counted.
"""

import re
import traceback
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.candidate import Candidate
from schemas.document import Document, PlacedDocument
from schemas.image import ImageRecord, ImageReference
from schemas.outcome import Failure, Kind, Rejection
from schemas.page import Page

REJECTED: Final = "rejected"
_ROOT = Path(__file__).parent.parent
_PACKAGES = {"filters", "pipeline", "schemas", "stages"}
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


class Doors(NamedTuple):
    """What leaves a stage; a stage with further outputs has a NamedTuple that starts like this."""

    kept: PCollection
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]


class Identity(NamedTuple):
    """What a Rejection or a Failure needs to know of its element."""

    element_id: str
    kind: Kind
    url: str
    doc_id: str = ""
    warc_file: str = ""
    warc_offset: int = 0


def identify(element: Any) -> Identity:
    """Names an element of any stage.

    Raises:
      TypeError: nothing of that type flows between stages.
    """
    match element:
        case Page():
            return Identity(
                element.page_id,
                Kind.PAGE,
                element.url,
                element.page_id,
                element.warc_file,
                element.warc_offset,
            )
        case Document():
            return Identity(
                element.doc_id,
                Kind.DOCUMENT,
                element.url,
                element.doc_id,
                element.warc_file,
                element.warc_offset,
            )
        case PlacedDocument() | Candidate():
            return identify(element.document)
        case ImageReference() | ImageRecord():
            return Identity(element.url, Kind.IMAGE, element.url)
        case (first, *_):  # an element with what it is joined to
            return identify(first)
        case _ if hasattr(element, "identity"):
            return element.identity
    raise TypeError(f"no identity for {type(element).__name__}")


def rejected(element: Any, stage: str, objection: Any) -> TaggedOutput:
    """The rejected door for an element that a rule objected to (`filters.base.Objection`)."""
    return TaggedOutput(REJECTED, to_rejection(element, stage, objection))


def to_rejection(element: Any, stage: str, objection: Any) -> Rejection:
    who = identify(element)
    return Rejection(
        who.element_id,
        who.kind,
        who.doc_id,
        who.url,
        stage,
        objection.rule,
        str(objection.reason),
        objection.score,
        objection.detail,
    )


def to_failure(element: Any, error: BaseException, stage: str) -> Failure:
    """The failed door for code that catches an error itself."""
    who = identify(element)
    trace = traceback.format_exception(error)
    return _failure(who, stage, repr(error), trace)


def through_doors(
    elements: PCollection,
    fn: beam.DoFn,
    stage: str,
    *extra: str,
    who: Callable[[Any], Identity] = identify,
) -> Any:
    """Runs a DoFn whose main output is kept and that tags its rejections with `REJECTED`.

    An exception costs the element that raised it, which leaves by the failed door; what the element
    had yielded before is not emitted. The share of failures a run tolerates is checked when its
    phase is committed. Do not use it for a DoFn that yields much for one element: the outputs of
    an element are held until it is done.

    Returns:
      An object with `kept`, `rejected`, `failed` and one attribute for each tag of `extra`.
    """
    out, failed = guard(elements, fn, stage, *extra, who=who)
    return count_doors(out, failed, stage, *extra)


def guard(
    elements: PCollection,
    fn: beam.DoFn,
    stage: str,
    *extra: str,
    who: Callable[[Any], Identity] = identify,
) -> tuple[Any, PCollection[Failure]]:
    """Like `through_doors` for a step inside a stage: nothing is counted.

    Returns:
      The outputs, `kept` and one for each tag, and the failures.
    """
    out = elements | "Judge" >> (
        beam.ParDo(fn)
        .with_outputs(REJECTED, *extra, main="kept")
        .with_exception_handling(dead_letter_tag="bad")
    )
    return out, out.bad | "Explain failures" >> beam.Map(_explain, stage, who)


def at_bundle_end(outputs: Iterable[Any]) -> Iterator[Any]:
    """What a DoFn yields in finish_bundle, where Beam wants to be told the window.

    Args:
      outputs: elements, or elements in a `TaggedOutput`.
    """
    window = GlobalWindow()
    for output in outputs:
        tagged = isinstance(output, TaggedOutput)
        element = output.value if tagged else output
        value = WindowedValue(element, window.max_timestamp(), (window,))
        yield TaggedOutput(output.tag, value) if tagged else value


def count_doors(out: Any, failed: PCollection[Failure], stage: str, *extra: str) -> Any:
    """Counts what leaves by each door (architecture: the stage counts, rules never do)."""
    result = {
        "kept": out.kept | "Count kept" >> beam.Map(_count_kept, stage),
        "rejected": out.rejected | "Count rejected" >> beam.Map(_count_rejected, stage),
        "failed": failed | "Count failed" >> beam.Map(_count_failed, stage),
    }
    result["kept"].element_type = out.kept.element_type
    result.update({tag: out[tag] for tag in extra})
    return namedtuple("Outputs", result)(**result)


def _explain(bad: Any, stage: str, who: Callable[[Any], Identity]) -> Failure:
    element, (_, error, trace) = bad
    return _failure(who(element), stage, error, trace)


def _failure(who: Identity, stage: str, error: str, trace: list[str]) -> Failure:
    # Only our own frames: a runner's frames differ from runner to runner, a corpus must not.
    frames = [
        f"{ours}:{line} {name}"
        for entry in trace
        for path, line, name in _FRAME.findall(entry)
        if (ours := _our_path(path))
    ]
    return Failure(
        who.element_id,
        who.kind,
        who.url,
        stage,
        error[:2_000],
        " > ".join(frames[-4:]),
        who.warc_file,
        who.warc_offset,
    )


def _our_path(path: str) -> str:
    """The path from the root of our packages; empty for code of others.

    Installed, our packages lie among those of others.
    """
    if not Path(path).is_relative_to(_ROOT):
        return ""
    inside = Path(path).relative_to(_ROOT)
    return inside.as_posix() if inside.parts[0] in _PACKAGES else ""


def _count_kept(element: Any, stage: str) -> Any:
    Metrics.counter(stage, "kept").inc()
    return element


def _count_rejected(rejection: Rejection, stage: str) -> Rejection:
    Metrics.counter(stage, f"rejected.{rejection.rule}.{rejection.reason}").inc()
    return rejection


def _count_failed(failure: Failure, stage: str) -> Failure:
    Metrics.counter(stage, "failed").inc()
    return failure
