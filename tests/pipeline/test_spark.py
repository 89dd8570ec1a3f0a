"""The PySparkRunner on real Spark in local mode, compared with the FnApiRunner."""

import dataclasses
import itertools
import json
import os
import typing
import uuid
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsDict, AsIter, AsList, AsMultiMap, AsSingleton, TaggedOutput
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import FixedWindows, GlobalWindow, Sessions, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from filters.base import Objection
from schemas.document import Document, Text
from schemas.outcome import Failure, Rejection
from stages.commit_phase import Ledger
from stages.doors import rejected, through_doors
from stages.read_rows import RESULT, Bucketed, ReadRows
from stages.write_rows import WriteRows

pyspark = pytest.importorskip("pyspark", reason="the extra `spark` is not installed")

SPARK = [
    "--runner=pipeline.spark.PySparkRunner",
    "--spark_master=local[2,3]",  # two cores, and a task may fail twice
    "--spark_parallelism=2",
    "--spark_conf=spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1",  # starts faster
]
LOCAL = ["--runner=FnApiRunner"]


def pipeline(arguments: list[str]) -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(arguments))


class Note(beam.DoFn):
    """Writes the elements of a bundle to a file of its own."""

    def __init__(self, directory: Path):
        self._directory = str(directory)

    def start_bundle(self):
        self._lines: list[str] = []

    def process(self, element):
        self._lines.append(repr(element))

    def finish_bundle(self):
        os.makedirs(self._directory, exist_ok=True)
        with open(os.path.join(self._directory, uuid.uuid4().hex), "w") as file:
            json.dump(self._lines, file)


def noted(directory: Path) -> list[str]:
    """What `Note` wrote, sorted."""
    files = directory.iterdir() if directory.exists() else []
    return sorted(line for file in files for line in json.loads(file.read_text()))


# Each case makes collections of one kind of transform; what varies from run to run (the bundles,
# the order of a group) is taken out.

CASES: dict[str, typing.Any] = {}


def case(make):
    CASES[make.__name__] = make
    return make


@dataclasses.dataclass(frozen=True, order=True)
class Word:
    text: str
    length: int


def in_order(element):
    key, values = element
    return key, sorted(values)


WORDS = ["cat", "crocodile", "elephant", "cat", "ape", "cow", "elk", "crab", "cat"]


@case
def create_and_map(p):
    numbers = p | beam.Create(range(100))
    yield numbers | "Square" >> beam.Map(lambda x: x * x)
    yield numbers | beam.FlatMap(lambda x: range(x))
    yield numbers | beam.Filter(lambda x: x % 2)
    yield p | "One" >> beam.Create(["only"])
    yield p | "Dataclasses" >> beam.Create([Word(w, len(w)) for w in WORDS])


@case
def create_empty(p):
    yield p | beam.Create([])


class Sort(beam.DoFn):
    def process(self, number: int):
        if number % 3 == 0:
            yield TaggedOutput("fizz", number)
        if number % 5 == 0:
            yield TaggedOutput("buzz", f"{number}")
        if number % 3 and number % 5:
            yield number


@case
def tagged_outputs(p):
    out = p | beam.Create(range(30)) | beam.ParDo(Sort()).with_outputs("fizz", "buzz", main="other")
    yield from out
    yield out.fizz | beam.Map(lambda x: -x)
    yield from p | "Again" >> beam.Create(range(9)) | beam.Partition(lambda x, n: x % n, 3)


def reciprocal(number: int) -> float:
    return 1 / number


@case
def exception_handling(p):
    good, bad = p | beam.Create([0, 1, 2, 0]) | beam.Map(reciprocal).with_exception_handling()
    yield good
    yield bad | beam.MapTuple(lambda element, error: (element, error[0].__name__, error[1]))


class SumOfBundle(beam.DoFn):
    def setup(self):
        self._start = 0

    def start_bundle(self):
        self._sum = self._start

    def process(self, number: int) -> typing.Iterable[int]:
        self._sum += number
        return ()

    def finish_bundle(self):
        window = GlobalWindow()
        yield WindowedValue(self._sum, window.max_timestamp(), (window,))


@case
def finish_bundle(p):
    numbers = p | beam.Create(range(100))
    yield numbers | beam.ParDo(SumOfBundle()) | beam.CombineGlobally(sum)


@case
def group_by_key(p):
    words = p | beam.Create(WORDS)
    yield words | beam.Map(lambda w: (w[0], w)) | beam.GroupByKey() | beam.Map(in_order)
    keyed = words | "By length" >> beam.Map(lambda w: ((len(w), None), Word(w, len(w))))
    yield keyed | "Group" >> beam.GroupByKey() | "In order" >> beam.Map(in_order)


@case
def co_group_by_key(p):
    words = p | beam.Create(WORDS)
    lengths = words | beam.Map(lambda w: (w, len(w)))
    numbers = p | "Numbers" >> beam.Create([("cat", 1.5), ("dog", 2.5)])
    yield (
        {"lengths": lengths, "numbers": numbers}
        | beam.CoGroupByKey()
        | beam.MapTuple(lambda k, v: (k, sorted(v["lengths"]), sorted(v["numbers"])))
    )


@case
def combine_per_key(p):
    words = p | beam.Create(WORDS) | beam.Map(lambda w: (w[0], len(w)))
    yield words | beam.CombinePerKey(sum)
    yield words | beam.combiners.Mean.PerKey()
    yield words | beam.combiners.Count.PerElement()
    yield words | beam.Distinct()
    yield words | beam.combiners.Top.Largest(2)


@case
def combine_globally(p):
    numbers, none = p | beam.Create(range(50)), p | "None" >> beam.Create([])
    for name, collection in {"numbers": numbers, "none": none}.items():
        yield collection | f"Sum {name}" >> beam.CombineGlobally(sum)
        yield collection | f"Count {name}" >> beam.combiners.Count.Globally()
        sums = beam.CombineGlobally(sum).without_defaults()
        yield collection | f"Without {name}" >> sums


@case
def flatten(p):
    a, b = p | "A" >> beam.Create([1, 2, 3]), p | "B" >> beam.Create(["x", None])
    none = p | "None" >> beam.Create([])
    yield (a, b, none) | "All" >> beam.Flatten()
    yield (a, a, b) | "Twice" >> beam.Flatten()
    yield (none,) | "One" >> beam.Flatten()
    yield () | "Nothing" >> beam.Flatten(pipeline=p)
    out = p | "C" >> beam.Create(range(30)) | beam.ParDo(Sort()).with_outputs("fizz", "buzz")
    together = (out.fizz, out.buzz, a) | "Of one stage" >> beam.Flatten()
    yield together
    yield (together, a) | "Of a Flatten" >> beam.Flatten() | beam.combiners.Count.PerElement()


@case
def reshuffle(p):
    stamped = p | beam.Create(WORDS) | beam.Map(lambda w: TimestampedValue(w, len(w)))
    late = stamped | beam.Reshuffle()
    yield late | beam.Map(lambda w, at=beam.DoFn.TimestampParam: (w, float(at)))
    yield p | "Many" >> beam.Create(range(1000)) | "Few" >> beam.Reshuffle(num_buckets=3)


@case
def batch_elements(p):
    batches = p | beam.Create(range(100)) | beam.BatchElements(min_batch_size=7, max_batch_size=7)
    yield batches | beam.FlatMap(lambda batch: [(n, len(batch) <= 7) for n in batch])


@case
def side_inputs(p):
    main = p | "Main" >> beam.Create(["a", "b", "z"])
    numbers = p | "Numbers" >> beam.Create([1, 2, 3])
    pairs = p | "Pairs" >> beam.Create([("a", 1), ("b", 2)])
    several = p | "Several" >> beam.Create([("a", 1), ("b", 2), ("a", 3)])
    none = p | "None" >> beam.Create([])
    total = numbers | beam.CombineGlobally(sum)
    yield main | "Single" >> beam.Map(lambda x, n: (x, n), AsSingleton(total))
    yield main | "Default" >> beam.Map(lambda x, n: (x, n), AsSingleton(none, "empty"))
    yield main | "Iter" >> beam.Map(lambda x, ns: (x, sorted(ns)), AsIter(numbers))
    yield main | "List" >> beam.Map(lambda x, ns: (x, sorted(ns)), ns=AsList(none))
    yield main | "Dict" >> beam.Map(lambda x, d: (x, d.get(x)), AsDict(pairs))
    yield main | "Multimap" >> beam.Map(lambda x, d: (x, sorted(d[x])), AsMultiMap(several))
    both = beam.Map(lambda x, d, n: (x, d.get(x), n), AsDict(pairs), AsSingleton(total))
    yield main | "Both" >> both
    # A collection that is the main input and the side input of one stage.
    yield numbers | "Self" >> beam.Map(lambda x, ns: (x, sorted(ns)), AsIter(numbers))


@case
def windows(p):
    stamped = p | beam.Create(range(40)) | beam.Map(lambda n: TimestampedValue((n % 3, n), n * n))

    def grouped(name, window_fn):
        groups = stamped | name >> beam.WindowInto(window_fn) | f"Group {name}" >> beam.GroupByKey()
        return groups | f"Order {name}" >> beam.Map(
            lambda element, window=beam.DoFn.WindowParam: (in_order(element), repr(window))
        )

    yield grouped("Fixed", FixedWindows(100))
    yield grouped("Sessions", Sessions(60))
    fixed = stamped | "Sums" >> beam.WindowInto(FixedWindows(200)) | beam.CombinePerKey(sum)
    yield fixed | beam.Reshuffle()


class Steps(beam.RestrictionProvider):
    def initial_restriction(self, element):
        return OffsetRange(0, element)

    def create_tracker(self, restriction):
        return OffsetRestrictionTracker(restriction)

    def split(self, element, restriction):
        yield from restriction.split(3)

    def restriction_size(self, element, restriction):
        return restriction.size()


class CountUp(beam.DoFn):
    def process(self, element, tracker=beam.DoFn.RestrictionParam(Steps())):  # noqa: B008
        step = tracker.current_restriction().start
        while tracker.try_claim(step):
            yield element, step
            step += 1


@case
def splittable(p):
    yield p | beam.Create([4, 10]) | beam.ParDo(CountUp())
    yield p | beam.io.ReadFromText(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What all cases yield on either runner: {case: [(FnApiRunner's, Spark's) of a collection]}."""
    found: dict[str, list[list[list[str]]]] = {}
    for arguments in (LOCAL, SPARK):
        directory = tmp_path_factory.mktemp("results")
        counts = {}
        with pipeline(arguments) as p:
            for name, make in CASES.items():
                outputs = p | name >> Expand(make)
                counts[name] = len(outputs)
                for number, output in enumerate(outputs):
                    _ = output | f"Note {name} {number}" >> beam.ParDo(
                        Note(directory / f"{name}-{number}")
                    )
        for name, count in counts.items():
            found.setdefault(name, []).append(
                [noted(directory / f"{name}-{number}") for number in range(count)]
            )
    return {name: list(zip(*both, strict=True)) for name, both in found.items()}


class Expand(beam.PTransform):
    def __init__(self, make):
        super().__init__()
        self._make = make

    def expand(self, begin):
        return tuple(self._make(begin.pipeline))


@pytest.mark.parametrize("name", CASES)
def test_equals_the_local_runner(results, name):
    for expected, got in results[name]:
        assert got == expected


def test_cases_are_not_vacuous(results):
    empty = {
        (name, number)
        for name, outputs in results.items()
        for number, (expected, _) in enumerate(outputs)
        if not expected
    }
    # Create([]); a sum without default over nothing; Flatten of nothing, twice.
    assert empty == {("create_empty", 0), ("combine_globally", 5), ("flatten", 2), ("flatten", 3)}


class Touch(beam.DoFn):
    """Leaves a file for each time that it sees an element."""

    def __init__(self, directory: Path):
        self._directory = str(directory)

    def process(self, element):
        Path(self._directory, f"{element}-{uuid.uuid4().hex}").touch()
        yield element
        yield TaggedOutput("odd" if element % 2 else "even", element)


def test_a_stage_with_several_readers_runs_once(tmp_path):
    touched = tmp_path / "touched"
    touched.mkdir()
    with pipeline(SPARK) as p:
        out = p | beam.Create(range(20)) | beam.ParDo(Touch(touched)).with_outputs("odd", "even")
        grouped = out.odd | beam.Map(lambda x: (x % 3, x)) | beam.GroupByKey() | beam.Map(in_order)
        total = out.even | beam.CombineGlobally(sum)
        beside = out[None] | beam.Map(lambda x, n: (x, n), AsSingleton(total))
        again = out[None] | "Self" >> beam.Map(lambda x, ns: (x, len(ns)), AsList(out[None]))
        everything = (grouped, beside, again, out.odd) | beam.Flatten()
        _ = everything | beam.ParDo(Note(tmp_path / "out"))
    seen = Counter(int(path.name.split("-")[0]) for path in touched.iterdir())
    assert seen == dict.fromkeys(range(20), 1)
    assert len(noted(tmp_path / "out")) == 3 + 20 + 20 + 10


def test_jobs_of_a_process_share_a_context_and_leave_nothing_behind(tmp_path):
    contexts = []
    for number in range(2):
        with pipeline(SPARK) as p:
            out = p | beam.Create([number]) | beam.Map(lambda x: (x, x)) | beam.GroupByKey()
            _ = out | beam.Map(in_order) | beam.ParDo(Note(tmp_path / f"{number}"))
        contexts.append(pyspark.SparkContext._active_spark_context)
    assert contexts[0] is contexts[1]
    assert contexts[0].master == "local[2,3]"
    assert [noted(tmp_path / f"{n}") for n in range(2)] == [["(0, [0])"], ["(1, [1])"]]
    assert contexts[0]._jsc.getPersistentRDDs().size() == 0


class FailOnce(beam.DoFn):
    def __init__(self, directory: Path):
        self._marker = str(directory / "failed")

    def process(self, element):
        if element == 7:
            try:
                Path(self._marker).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                raise OSError("the disk is away")
        yield element % 3, element


def test_a_failed_task_is_repeated(tmp_path):
    with pipeline(SPARK) as p:
        out = p | beam.Create(range(20)) | beam.ParDo(FailOnce(tmp_path)) | beam.GroupByKey()
        _ = out | beam.Map(in_order) | beam.ParDo(Note(tmp_path / "out"))
    assert (tmp_path / "failed").exists()
    assert noted(tmp_path / "out") == [f"({k}, {list(range(k, 20, 3))})" for k in range(3)]


def test_a_failure_for_good_is_raised(tmp_path):
    p = pipeline(SPARK)
    _ = p | beam.Create([1, 0]) | "Divide" >> beam.Map(reciprocal)
    with pytest.raises(RuntimeError, match=r"(?s)Divide.*ZeroDivisionError: .*while running"):
        p.run()


class Last(beam.DoFn):
    LAST = ReadModifyWriteStateSpec("last", VarIntCoder())

    def process(self, element, last=beam.DoFn.StateParam(LAST)):  # noqa: B008
        yield last.read() or 0
        last.write(element[1])


class ForEver(beam.PTransform):
    def expand(self, pairs):
        return pairs.pipeline | PeriodicImpulse(fire_interval=1)


@pytest.mark.parametrize(
    ("label", "transform", "what"),
    [
        ("Remember", beam.ParDo(Last()), "Remember needs state"),
        ("In batches", beam.GroupIntoBatches(3), "In batches.* needs state, timers"),
        ("For ever", ForEver(), "For ever.* needs an unbounded output"),
    ],
)
def test_what_is_not_supported_is_refused_before_anything_runs(tmp_path, label, transform, what):
    p = pipeline(SPARK)
    pairs = p | beam.Create([("a", 1)])
    _ = pairs | beam.ParDo(Note(tmp_path / "out"))
    _ = pairs | label >> transform
    with pytest.raises(NotImplementedError, match=what):
        p.run()
    assert noted(tmp_path / "out") == []


def test_bad_options_are_refused():
    p = pipeline([*SPARK, "--spark_conf=spark.cores.max"])
    _ = p | beam.Create([1])
    with pytest.raises(ValueError, match=r"spark_conf: 'spark.cores.max' is not KEY=VALUE"):
        p.run()


DOCUMENTS = [Document(f"{i:032x}", f"http://a/{i}", (Text("word " * i),)) for i in range(300)]
STAGE = "judge"


class Judge(beam.DoFn):
    def process(
        self, document: Document
    ) -> typing.Iterable[Document | TaggedOutput[typing.Literal["rejected"], Rejection]]:
        number = int(document.doc_id, 16)
        if number % 7 == 0:
            yield rejected(document, STAGE, Objection("sevenfold", "why", 1.5, "detail"))
        elif number % 11 == 0:
            raise ValueError(f"bad {number}")
        else:
            yield document


def run_phases(directory: Path, arguments: list[str]) -> dict[str, typing.Any]:
    """Writes the documents and commits; then reads and writes them again in a second job."""
    first, second = str(directory / "first"), str(directory / "second")
    with pipeline(arguments) as p:
        ledger = Ledger(p, first, buckets=4)
        documents = ledger.entered(STAGE, p | beam.Create(DOCUMENTS))
        doors = ledger.left(STAGE, through_doors(documents, Judge(), STAGE))
        writer = WriteRows("documents", first, Document, doc_id, 4, max_bytes=1)
        ledger.wrote(doors.kept | writer)
        ledger.commit()
    with pipeline(arguments) as p:
        documents = p | beam.Create(range(4)) | ReadRows("documents", first, Document, "doc_id")
        ledger = Ledger(p, second, buckets=2)
        ledger.wrote(documents | WriteRows("documents", second, Document, doc_id, 2))
        ledger.entered("again", documents)
        ledger.commit()
    tables = {"documents": Document, "rejected": Rejection, "failed": Failure}
    return {
        "tallies": [json.loads(Path(d, RESULT).read_text())["tallies"] for d in (first, second)],
        "first": {
            name: [list(rows_of(first, name, row_type, bucket)) for bucket in range(4)]
            for name, row_type in tables.items()
        },
        "second": [list(rows_of(second, "documents", Document, bucket)) for bucket in range(2)],
    }


def doc_id(document: Document) -> str:
    return document.doc_id


def rows_of(directory: str, table: str, row_type: type, bucket: int):
    key = "doc_id" if row_type is Document else "element_id"
    return Bucketed(directory, table, row_type).rows(bucket, sort_by=key)


def test_phases_on_disk_equal_those_of_the_local_runner(tmp_path):
    local, spark = (run_phases(tmp_path / arguments[0], arguments) for arguments in (LOCAL, SPARK))
    assert spark == local
    kept = [d for d in DOCUMENTS if int(d.doc_id, 16) % 7 and int(d.doc_id, 16) % 11]
    assert sorted(itertools.chain(*spark["second"]), key=doc_id) == kept
    counts = {name: sum(map(len, buckets)) for name, buckets in spark["first"].items()}
    assert counts == {"documents": len(kept), "rejected": 43, "failed": 24}
