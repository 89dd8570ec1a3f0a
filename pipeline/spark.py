"""Runs Beam pipelines on Spark through PySpark alone: no job server, no Docker, no Maven.

For places where `pip install pyspark` is all there is: one machine, a notebook, CI. On a cluster
Beam's own portable job server (scripts/spark) stays the way to run; this runner is tried in Spark's
local mode only.

Beam's own optimizer cuts a pipeline into fused stages, exactly those of the FnApiRunner. A stage
is a `mapPartitions` in which Beam's own SDK worker code processes the partition as one bundle, so
DoFns, windows, coders and side inputs mean what they mean elsewhere. GroupByKey is a Spark shuffle
on the encoded key, Reshuffle one on a hash of the encoded element (a random key would lose
elements when Spark computes a lost partition again), Flatten a union.

What a stage writes for several readers is persisted to memory and disk and dropped after the last
reader, so no stage runs twice except after a failure, when Spark repeats the task. DoFns must bear
that, as everywhere in Beam.

Limits; what cannot run is refused with NotImplementedError, the first two before anything runs:
  State and timers (so GroupIntoBatches), bundle finalization, time-sorted or stable input.
  Unbounded collections, and transforms of other languages.
  Splittable DoFns are split at the start only; one that defers work fails when it does.
  Metrics: queries give empty results.
  Resource hints are ignored.
  Side inputs go through the driver's memory and are copied to every worker process.
  All values of a key, and all that one element of input yields, are held in memory by a worker.
  Each core has a Python worker of its own, which loads its own models.
"""

import atexit
import functools
import gc
import itertools
import os
import sys
import tempfile
import uuid
import zlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apache_beam import coders
from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions
from apache_beam.options.value_provider import RuntimeValueProvider
from apache_beam.pipeline import Pipeline
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_fn_api_pb2, beam_runner_api_pb2
from apache_beam.runners import pipeline_context, runner
from apache_beam.runners.pipeline_utils import group_by_key_input_visitor, validate_pipeline_graph
from apache_beam.runners.portability.fn_api_runner import fn_runner, translations
from apache_beam.runners.portability.fn_api_runner.execution import (
    ENCODED_IMPULSE_VALUE,
    WindowGroupingBuffer,
)
from apache_beam.runners.portability.fn_api_runner.worker_handlers import FNAPI_RUNNER_CAPABILITIES
from apache_beam.runners.worker import bundle_processor, data_plane, sdk_worker
from apache_beam.transforms import environments, trigger
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils import proto_utils, windowed_value
from py4j.protocol import Py4JJavaError
from pyspark import RDD, Broadcast, SparkConf, SparkContext, StorageLevel

CHUNK_BYTES = 1 << 20
IDLE_PROCESSORS = 2
_RESHUFFLE = common_urns.composites.RESHUFFLE.urn


class SparkOptions(PipelineOptions):
    """Options of the `PySparkRunner`."""

    @classmethod
    def _add_argparse_args(cls, parser):
        parser.add_argument(
            "--spark_master",
            help="Master URL, e.g. local[4]; local[4,3] lets a task fail twice. "
            "Default: what spark-submit was given, else local[2].",
        )
        parser.add_argument(
            "--spark_parallelism",
            type=int,
            help="Partitions after a shuffle, each of which is one bundle. Default: 2 a core.",
        )
        parser.add_argument(
            "--spark_conf",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="A Spark property, e.g. spark.driver.memory=8g; may be given several times.",
        )


class PySparkRunner(runner.PipelineRunner):
    """Runs a bounded pipeline to its end; select it by `--runner=pipeline.spark.PySparkRunner`.

    Raises:
      NotImplementedError: the pipeline has a transform that is listed as a limit above.
      RuntimeError: a task failed for good; the message ends with the worker's Python traceback.
    """

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> fn_runner.RunnerResult:
        any_key = options.view_as(TypeOptions).allow_non_deterministic_key_coders
        pipeline.visit(group_by_key_input_visitor(not any_key))
        environment = environments.EmbeddedPythonEnvironment.default()
        proto = pipeline.to_runner_api(default_environment=environment)
        plan = _plan(proto)
        context = _spark_context(options.view_as(SparkOptions))
        partitions = options.view_as(SparkOptions).spark_parallelism
        _Job(plan, context, partitions or 2 * context.defaultParallelism, options).run()
        return fn_runner.RunnerResult(runner.PipelineState.DONE, {})


# The Spark context: one a process, since starting a JVM takes seconds.

_settings: tuple[str | None, ...] | None = None

# Without a configuration Spark greets on stderr before its log level can be set.
LOGGING = """
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
"""


def _spark_context(options: SparkOptions) -> SparkContext:
    """The context of this process; one that was made elsewhere is used as it is."""
    global _settings
    settings = (options.spark_master, *options.spark_conf)
    active = SparkContext._active_spark_context
    if active is not None:
        if _settings is None or settings == _settings:
            return active
        active.stop()
    conf = SparkConf()
    for pair in options.spark_conf:
        key, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"spark_conf: {pair!r} is not KEY=VALUE")
        conf.set(key, value)
    if options.spark_master:
        conf.setMaster(options.spark_master)
    conf.setIfMissing("spark.master", "local[2]").setIfMissing("spark.app.name", "weft")
    conf.setIfMissing("spark.ui.enabled", "false")
    conf.setIfMissing("spark.ui.showConsoleProgress", "false")
    if conf.get("spark.master", "").startswith("local"):
        conf.setIfMissing("spark.driver.host", "127.0.0.1")
        conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1")
    conf.setIfMissing("spark.python.daemon.module", "pipeline.spark_daemon")
    conf.setExecutorEnv("PYTHONPATH", os.pathsep.join(path or os.getcwd() for path in sys.path))
    with tempfile.TemporaryDirectory() as directory:
        logging = os.path.join(directory, "log4j2.properties")
        with open(logging, "w") as file:
            file.write(LOGGING)
        java = conf.get("spark.driver.extraJavaOptions", "")
        if "log4j2.configurationFile" not in java:
            java = f"{java} -Dlog4j2.configurationFile=file:{logging}".strip()
            conf.set("spark.driver.extraJavaOptions", java)
        context = SparkContext(conf=conf)
    if _settings is None:
        atexit.register(_stop)
    _settings = settings
    context.pythonExec = os.environ.get("PYSPARK_PYTHON", sys.executable)
    return context


def _stop() -> None:
    if SparkContext._active_spark_context is not None:
        SparkContext._active_spark_context.stop()


# From the pipeline to stages.


@dataclass
class _Group:
    """What the two sides of a GroupByKey must know; travels to workers."""

    components: bytes
    read_coder: str
    write_coder: str
    windowing: str


@dataclass
class _Plan:
    stages: list[translations.Stage]
    context: translations.TransformContext

    def coder_of(self, pcollection: str) -> str:
        return self.context.data_channel_coders[pcollection]

    @functools.cached_property
    def worker_components(self) -> bytes:
        """All that coders and windowings refer to, without the transforms."""
        components = beam_runner_api_pb2.Components()
        components.CopyFrom(self.context.components)
        components.transforms.clear()
        components.pcollections.clear()
        return components.SerializeToString()


def _plan(proto: beam_runner_api_pb2.Pipeline) -> _Plan:
    """Cuts a pipeline into fused stages as the FnApiRunner does, in order of execution.

    Raises:
      NotImplementedError: see the limits above.
    """
    validate_pipeline_graph(proto)
    _refuse(proto)
    # Resource hints make environments of their own, between which nothing is fused.
    names = sorted(proto.components.environments)
    for transform in proto.components.transforms.values():
        if transform.environment_id:
            transform.environment_id = names[0]
    for name in names[1:]:
        del proto.components.environments[name]
    context, stages = translations.create_and_optimize_stages(
        proto,
        phases=[
            translations.annotate_downstream_side_inputs,
            translations.fix_side_input_pcoll_coders,
            translations.pack_combiners,
            translations.lift_combiners,
            translations.expand_sdf,
            translations.expand_gbk,
            _expand_reshuffle,
            translations.sink_flattens,
            translations.greedily_fuse,
            translations.read_to_impulse,
            translations.impulse_to_input,
            translations.sort_stages,
            translations.add_impulse_to_dangling_transforms,
            translations.populate_data_channel_coders,
        ],
        known_runner_urns=frozenset(
            [
                common_urns.primitives.FLATTEN.urn,
                common_urns.primitives.GROUP_BY_KEY.urn,
                _RESHUFFLE,
            ]
        ),
    )
    for stage in stages:
        for transform in stage.transforms:
            if transform.spec.urn not in bundle_processor.BeamTransformFactory._known_urns:
                raise NotImplementedError(f"{transform.unique_name}: {transform.spec.urn}")
        if len(_reads(stage)) != 1:
            raise NotImplementedError(f"{stage.name}: a stage with {len(_reads(stage))} inputs")
    return _Plan(stages, context)


def _refuse(proto: beam_runner_api_pb2.Pipeline) -> None:
    components = proto.components
    for transform in components.transforms.values():
        reasons = []
        if transform.environment_id:
            environment = components.environments[transform.environment_id].urn
            if environment != python_urns.EMBEDDED_PYTHON:
                reasons.append(f"the environment {environment}")
        if transform.spec.urn == common_urns.primitives.TEST_STREAM.urn:
            reasons.append("a test stream")
        for output in transform.outputs.values():
            if (
                components.pcollections[output].is_bounded
                == beam_runner_api_pb2.IsBounded.UNBOUNDED
            ):
                reasons.append("an unbounded output")
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = _par_do(transform)
            wishes = {
                "state": payload.state_specs,
                "timers": payload.timer_family_specs,
                "bundle finalization": payload.requests_finalization,
                "stable input": payload.requires_stable_input,
                "time-sorted input": payload.requires_time_sorted_input,
            }
            reasons += [wish for wish, wanted in wishes.items() if wanted]
        if reasons:
            raise NotImplementedError(
                f"{transform.unique_name} needs {', '.join(reasons)}, which the PySparkRunner lacks"
            )


def _par_do(transform: beam_runner_api_pb2.PTransform) -> beam_runner_api_pb2.ParDoPayload:
    return proto_utils.parse_Bytes(transform.spec.payload, beam_runner_api_pb2.ParDoPayload)


def _expand_reshuffle(
    stages: Iterable[translations.Stage], context: translations.TransformContext
) -> Iterator[translations.Stage]:
    """A phase of the optimizer: turns each Reshuffle into a write followed by a read."""
    pcollections = context.components.pcollections
    for stage in stages:
        transform = translations.only_transform(stage.transforms)
        if transform.spec.urn != _RESHUFFLE:
            yield stage
            continue
        if len(transform.inputs) != 1:  # a splittable DoFn with side inputs
            raise NotImplementedError(f"{transform.unique_name}: side inputs of a Reshuffle")
        (source,), (target,) = transform.inputs.values(), transform.outputs.values()
        context.length_prefix_pcoll_coders(source)
        pcollections[target].coder_id = pcollections[source].coder_id
        buffer = translations.create_buffer_id(transform.unique_name, "reshuffle")

        write = translations.Stage(
            f"{transform.unique_name}/Write",
            [_port(f"{transform.unique_name}/Write", buffer, inputs={"in": source})],
            downstream_side_inputs=frozenset(),
            must_follow=stage.must_follow,
        )
        yield write
        yield translations.Stage(
            f"{transform.unique_name}/Read",
            [_port(f"{transform.unique_name}/Read", buffer, outputs={"out": target})],
            downstream_side_inputs=stage.downstream_side_inputs,
            must_follow=translations.union(frozenset([write]), stage.must_follow),
        )


def _port(name: str, buffer: bytes, **ends: dict[str, str]) -> beam_runner_api_pb2.PTransform:
    """The end of a stage that writes to a buffer (it has inputs) or reads it."""
    urn = bundle_processor.DATA_OUTPUT_URN if "inputs" in ends else bundle_processor.DATA_INPUT_URN
    spec = beam_runner_api_pb2.FunctionSpec(urn=urn, payload=buffer)
    return beam_runner_api_pb2.PTransform(unique_name=name, spec=spec, **ends)  # type: ignore[arg-type]


def _reads(stage: translations.Stage) -> list[beam_runner_api_pb2.PTransform]:
    return [t for t in stage.transforms if t.spec.urn == bundle_processor.DATA_INPUT_URN]


def _writes(stage: translations.Stage) -> list[beam_runner_api_pb2.PTransform]:
    return [t for t in stage.transforms if t.spec.urn == bundle_processor.DATA_OUTPUT_URN]


class _SideInput(NamedTuple):
    transform: str
    tag: str
    collection: str
    pattern: beam_runner_api_pb2.FunctionSpec

    @property
    def buffer(self) -> bytes:
        return translations.create_buffer_id(self.collection)


def _side_inputs(stage: translations.Stage) -> Iterator[_SideInput]:
    for transform in stage.transforms:
        if transform.spec.urn in translations.PAR_DO_URNS:
            for tag, side_input in _par_do(transform).side_inputs.items():
                yield _SideInput(
                    transform.unique_name, tag, transform.inputs[tag], side_input.access_pattern
                )


# From stages to RDDs. A buffer, as in the FnApiRunner, is what lies between stages: stages write
# to it and one or more read it. Its RDDs hold chunks of encoded windowed values.


@dataclass
class _Persisted:
    rdd: RDD
    readers: int


@dataclass
class _Written:
    rdd: RDD
    held: list[_Persisted] = field(default_factory=list)


class _Job:
    def __init__(
        self, plan: _Plan, context: SparkContext, partitions: int, options: PipelineOptions
    ):
        self._plan = plan
        self._context = context
        self._partitions = partitions
        self._options = options.get_all_options(drop_default=True)
        self._id = uuid.uuid4().hex
        self._written: dict[bytes, list[_Written]] = defaultdict(list)
        self._persisted: list[_Persisted] = []
        self._side_buffers = {side.buffer for stage in plan.stages for side in _side_inputs(stage)}
        self._writers = Counter(
            buffer
            for stage in plan.stages
            for buffer in {write.spec.payload for write in _writes(stage)}
        )
        self._numbers = {buffer: number for number, buffer in enumerate(self._writers)}
        self._readers = Counter(
            buffer
            for stage in plan.stages
            for buffer in (
                *(read.spec.payload for read in _reads(stage)),
                *{side.buffer for side in _side_inputs(stage)},
            )
        )

    def run(self) -> None:
        broadcasts: list[Broadcast] = []
        try:
            for number, stage in enumerate(self._plan.stages):
                try:
                    self._run_stage(number, stage, broadcasts)
                except Py4JJavaError as error:
                    message = error.java_exception.getMessage()
                    raise RuntimeError(f"{stage.name}: {message}") from error
        finally:
            for persisted in self._persisted:
                persisted.rdd.unpersist()
            for broadcast in broadcasts:
                broadcast.destroy()

    def _run_stage(
        self, number: int, stage: translations.Stage, broadcasts: list[Broadcast]
    ) -> None:
        side_inputs = self._collect_side_inputs(stage)
        if side_inputs is not None:
            broadcasts.append(side_inputs)
        (read,) = _reads(stage)
        source = self._read(read)
        buffers = {write.spec.payload for write in _writes(stage)}
        work = _Work(
            self._descriptor(f"{self._id}-{number}", stage),
            read.unique_name,
            {write.unique_name: self._numbers[write.spec.payload] for write in _writes(stage)},
            side_inputs,
            self._options,
        )
        rdd = source.rdd.mapPartitions(work)
        if len(buffers) == 1:
            (buffer,) = buffers
            ends = self._writers[buffer], self._readers[buffer]
            if ends == (1, 1) and buffer not in self._side_buffers:
                # Its one reader pulls it along, in the same task where no shuffle lies between.
                self._written[buffer].append(_Written(rdd, source.held))
                return
        readers = sum(self._readers[buffer] for buffer in buffers)
        if readers:
            persisted = _Persisted(rdd.persist(StorageLevel.MEMORY_AND_DISK), readers)
            self._persisted.append(persisted)
            for buffer in buffers:
                self._written[buffer].append(_Written(rdd, [persisted]))
        rdd._jrdd.count()  # RDD.count would send all that was written to Python once more
        self._release(source.held)

    def _release(self, held: list[_Persisted]) -> None:
        for persisted in held:
            persisted.readers -= 1
            if persisted.readers == 0:
                persisted.rdd.unpersist()

    def _read(self, read: beam_runner_api_pb2.PTransform) -> _Written:
        """The chunks that a stage reads."""
        buffer = read.spec.payload
        if buffer == translations.IMPULSE_BUFFER:
            return _Written(self._context.parallelize([ENCODED_IMPULSE_VALUE], 1))
        parts = self._written[buffer]
        rdd = self._chunks(buffer)
        held = [persisted for part in parts for persisted in part.held]
        kind, name = translations.split_buffer_id(buffer)
        (collection,) = read.outputs.values()
        if kind == "group":
            group = self._group(name, collection)
            rdd = rdd.mapPartitions(functools.partial(_to_pairs, group))
            rdd = rdd.groupByKey(self._partitions, zlib.crc32)
            rdd = rdd.mapPartitions(functools.partial(_from_groups, group))
        elif kind == "reshuffle":
            coder = self._plan.context.safe_coders[self._plan.coder_of(collection)]
            spread = functools.partial(_to_hashed, self._plan.worker_components, coder)
            rdd = rdd.mapPartitions(spread).partitionBy(self._partitions, _same)
            rdd = rdd.mapPartitions(_from_hashed)
        return _Written(rdd, held)

    def _chunks(self, buffer: bytes) -> RDD:
        """What was written to a buffer. The union is of what Spark holds, not of what Python
        selects of it: a task then has one Python worker, not one for each part besides, and the
        models that workers keep stay few."""
        rdds = [part.rdd for part in self._written[buffer]]
        if not rdds:
            return self._context.parallelize([], 1)
        rdd = rdds[0] if len(rdds) == 1 else self._context.union(rdds)
        # Each part of a Flatten brings its own partitions, many of them empty.
        most = 2 * self._partitions
        rdd = rdd.coalesce(most) if rdd.getNumPartitions() > most else rdd
        return rdd.mapPartitions(functools.partial(_select, self._numbers[buffer]))

    def _group(self, name: str, collection: str) -> _Group:
        components = self._plan.context.components
        (source,) = components.transforms[name].inputs.values()
        windowing = components.pcollections[source].windowing_strategy_id
        read, write = self._plan.coder_of(source), self._plan.coder_of(collection)
        if _context_of(self._plan.worker_components).windowing_strategies[windowing].is_default():
            # Leaves keys and values of the user's own types encoded.
            safe = self._plan.context.safe_coders
            read, write = safe[read], safe[write]
        return _Group(self._plan.worker_components, read, write, windowing)

    def _descriptor(self, name: str, stage: translations.Stage) -> bytes:
        components = self._plan.context.components
        collections = {
            collection
            for transform in stage.transforms
            for collection in (*transform.inputs.values(), *transform.outputs.values())
        }
        descriptor = beam_fn_api_pb2.ProcessBundleDescriptor(
            id=name,
            pcollections={name: components.pcollections[name] for name in collections},
            coders=dict(components.coders),
            windowing_strategies=dict(components.windowing_strategies),
            environments=dict(components.environments),
        )
        for transform in stage.transforms:
            copy = descriptor.transforms[transform.unique_name]
            copy.CopyFrom(transform)
            if transform in _reads(stage) or transform in _writes(stage):
                collection = [*transform.inputs.values(), *transform.outputs.values()][0]
                port = beam_fn_api_pb2.RemoteGrpcPort(coder_id=self._plan.coder_of(collection))
                copy.spec.payload = port.SerializeToString()
        return descriptor.SerializeToString()

    def _collect_side_inputs(self, stage: translations.Stage) -> Broadcast | None:
        """Brings the side inputs of a stage to the driver and on to the workers."""
        state: dict[bytes, bytes] = defaultdict(bytes)
        collected: dict[bytes, list[bytes]] = {}
        wanted = list(_side_inputs(stage))
        for side in wanted:
            if side.buffer not in collected:
                collected[side.buffer] = self._chunks(side.buffer).collect()
                for part in self._written[side.buffer]:
                    self._release(part.held)
            safe = self._plan.context.safe_coders[self._plan.coder_of(side.collection)]
            coder = _context_of(self._plan.worker_components).coders[safe]
            grouping = WindowGroupingBuffer(side.pattern, coder)
            for chunk in collected[side.buffer]:
                grouping.append(chunk)
            for state_key, value in _side_input_state(side, grouping):
                state[state_key.SerializeToString()] += value
        return self._context.broadcast(dict(state)) if wanted else None


def _side_input_state(
    side: _SideInput, grouping: WindowGroupingBuffer
) -> Iterator[tuple[beam_fn_api_pb2.StateKey, bytes]]:
    """State keys that a worker may ask for, with encoded values to append there."""
    state_key = beam_fn_api_pb2.StateKey
    for key, window, values, count in grouping.encoded_items():
        where: dict[str, Any] = {
            "transform_id": side.transform,
            "side_input_id": side.tag,
            "window": window,
        }
        if side.pattern.urn == common_urns.side_inputs.ITERABLE.urn:
            iterable = state_key.IterableSideInput(**where)
            yield state_key(iterable_side_input=iterable), values
            continue
        one_key = state_key.MultimapSideInput(key=key, **where)
        yield state_key(multimap_side_input=one_key), values
        keys = state_key.MultimapKeysSideInput(**where)
        yield state_key(multimap_keys_side_input=keys), key
        # Encoded as KV<key, iterable of values>, whose length is a big-endian int.
        items = state_key.MultimapKeysValuesSideInput(**where)
        yield (
            state_key(multimap_keys_values_side_input=items),
            key + count.to_bytes(4, "big") + values,
        )


# What runs in Spark's Python workers.


@functools.lru_cache(4)
def _context_of(components: bytes) -> pipeline_context.PipelineContext:
    return pipeline_context.PipelineContext(beam_runner_api_pb2.Components.FromString(components))


def _same(value: Any) -> Any:
    return value


def _select(number: int, numbered: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    return (chunk for buffer, chunk in numbered if buffer == number)


def _decode_all(chunks: Iterable[bytes], coder: coders.Coder) -> Iterator[Any]:
    decode = coder.get_impl().decode_from_stream
    for chunk in chunks:
        stream = create_InputStream(chunk)
        while stream.size() > 0:
            yield decode(stream, True)


def _joined(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Joins encoded elements to chunks."""
    chunk, size = [], 0
    for element in encoded:
        chunk.append(element)
        size += len(element)
        if size >= CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def _to_hashed(components: bytes, coder_id: str, chunks: Iterable[bytes]) -> Iterator[Any]:
    coder = _context_of(components).coders[coder_id]
    encode = coder.get_impl().encode_nested
    for element in _decode_all(chunks, coder):
        encoded = encode(element)
        yield zlib.crc32(encoded), encoded


def _from_hashed(hashed: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    return _joined(encoded for _, encoded in hashed)


def _to_pairs(group: _Group, chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Encoded key and encoded value, with its windows unless there is but one."""
    context = _context_of(group.components)
    coder = context.coders[group.read_coder]
    encode_key = coder.key_coder().get_impl().encode
    one_window = context.windowing_strategies[group.windowing].is_default()
    encode_value = _value_coder(coder, one_window).get_impl().encode
    for element in _decode_all(chunks, coder):
        key, value = element.value
        yield encode_key(key), encode_value(value if one_window else element.with_value(value))


def _from_groups(group: _Group, groups: Iterable[tuple[bytes, Iterable[bytes]]]) -> Iterator[bytes]:
    context = _context_of(group.components)
    windowing = context.windowing_strategies[group.windowing]
    one_window = windowing.is_default()
    coder = context.coders[group.read_coder]
    decode_key = coder.key_coder().get_impl().decode
    decode_value = _value_coder(coder, one_window).get_impl().decode
    encode = context.coders[group.write_coder].get_impl().encode_nested

    def windowed(key: Any, values: list[Any]) -> Iterable[Any]:
        if one_window:
            return [_ON_TIME.with_value((key, values))]
        return trigger.create_trigger_driver(windowing, True).process_entire_key(key, values)

    return _joined(
        encode(element)
        for key, values in groups
        for element in windowed(decode_key(key), [decode_value(value) for value in values])
    )


# The pane of a group in the one window of a batch.
_ON_TIME = GlobalWindows.windowed_value(
    None,
    timestamp=GlobalWindow().max_timestamp(),
    pane_info=windowed_value.PaneInfo(
        is_first=True,
        is_last=True,
        timing=windowed_value.PaneInfoTiming.ON_TIME,
        index=0,
        nonspeculative_index=0,
    ),
)


def _value_coder(coder: coders.WindowedValueCoder, one_window: bool) -> coders.Coder:
    value_coder = coder.value_coder()
    return value_coder if one_window else coders.WindowedValueCoder(value_coder, coder.window_coder)


class _SideInputs(sdk_worker.CachingStateHandler):
    """Answers what a bundle asks of its side inputs; it has no other state."""

    def __init__(self, state: dict[bytes, bytes]):
        self._state = state

    def process_instruction_id(self, bundle_id, cache_tokens):
        raise NotImplementedError

    def blocking_get(self, state_key, coder):
        encoded = self._state.get(state_key.SerializeToString(), b"")
        stream = create_InputStream(encoded)
        while stream.size() > 0:
            yield coder.decode_from_stream(stream, True)

    def extend(self, state_key, coder, elements):
        raise NotImplementedError

    def clear(self, state_key):
        raise NotImplementedError

    def done(self):
        pass


# Processors between two bundles, latest used last. DoFn.setup may load a model, so a worker keeps
# what it set up for the next partition of the stage.
_idle: OrderedDict[bytes, bundle_processor.BundleProcessor] = OrderedDict()


@dataclass
class _Work:
    """Processes a partition as a bundle: chunks of input -> (number of the buffer, chunk)."""

    descriptor: bytes
    read: str
    buffers: dict[str, int]
    side_inputs: Broadcast | None
    options: dict[str, Any]

    def __call__(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        chunks = iter(chunks)
        first = next(chunks, None)
        if first is None:
            return
        known = _idle.pop(self.descriptor, None)
        processor = known or self._set_up()
        try:
            yield from self._bundle(processor, first, chunks)
            processor.reset()
        except BaseException:  # a task that is killed closes this generator
            processor.shutdown()
            raise
        _idle[self.descriptor] = processor
        while len(_idle) > IDLE_PROCESSORS:
            gc.unfreeze()
            _idle.popitem(last=False)[1].shutdown()
        if not known:
            # Spark collects garbage after each task; to look at torch each time takes longer than
            # many a task.
            gc.freeze()

    def _set_up(self) -> bundle_processor.BundleProcessor:
        FileSystems.set_options(PipelineOptions.from_dictionary(self.options))
        RuntimeValueProvider.set_runtime_options(self.options)
        return bundle_processor.BundleProcessor(
            FNAPI_RUNNER_CAPABILITIES,
            beam_fn_api_pb2.ProcessBundleDescriptor.FromString(self.descriptor),
            _SideInputs(self.side_inputs.value if self.side_inputs else {}),
            data_plane.InMemoryDataChannelFactory(data_plane.InMemoryDataChannel()),
        )

    def _bundle(
        self,
        processor: bundle_processor.BundleProcessor,
        first: bytes,
        rest: Iterator[bytes],
    ) -> Iterator[tuple[int, bytes]]:
        """Does what `BundleProcessor.process_bundle` does, but hands out what was written as it
        goes: that method keeps all that a bundle yields."""
        ready: list[tuple[int, bytes]] = []

        def flush(number: int, chunk: bytes) -> None:
            if chunk:
                ready.append((number, chunk))

        ops: dict[str, Any] = dict(processor.ops)
        for name, number in self.buffers.items():
            take = functools.partial(flush, number)
            stream = data_plane.SizeBasedBufferingClosableOutputStream(take, take, CHUNK_BYTES)
            ops[name].set_output_stream(stream)
        execution = bundle_processor.ExecutionContext(instruction_id=uuid.uuid4().hex)
        processor.current_instruction_id = execution.instruction_id
        reader = ops[self.read]
        try:
            # The state sampler is not started: it serves metrics alone.
            for op in reversed(ops.values()):
                op.execution_context = execution
                op.start()
            for element in _decode_all(itertools.chain([first], rest), reader.windowed_coder):
                reader.process(element)
                if ready:
                    yield from ready
                    ready.clear()
            for op in ops.values():
                op.finish()
            if execution.delayed_applications:
                op, _ = execution.delayed_applications[0]
                raise NotImplementedError(f"{op.name_context}: a splittable DoFn deferred work")
            yield from ready
        finally:
            processor.current_instruction_id = None
