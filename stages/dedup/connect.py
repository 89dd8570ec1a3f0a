"""Connected components as a Beam transform: in one worker, or in rounds where they do not fit one.

In: edges ``kind end end`` (`stages.dedup.components`).  Out: Removal and Cluster.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any, Final, Literal, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput

from schemas.dedup import Cluster, Removal
from stages.dedup.components import bit_of, decide, resolve
from stages.dedup.config import ComponentsConfig

CLUSTERS: Final = "clusters"
CHANGES: Final = "changes"
Pair = tuple[str, str]


class Connected(NamedTuple):
    removed: PCollection[Removal]
    clusters: PCollection[Cluster]


class Connect(beam.PTransform):
    """Exact components of a graph, whatever its size.

    Up to `one_worker_edges` edges meet in one worker. With `rounds` more than 0, a larger graph is
    contracted by alternating large-star and small-star; the last round must have changed nothing,
    which proves that each component is a star around its smallest end.

    Source: R. Kiveris et al., "Connected Components in MapReduce and Beyond" (2014). Rounds are
    few: 4 for clusters of near-duplicates, 7 for random graphs, 21 for a path of a million.
    """

    def __init__(self, config: ComponentsConfig | None = None):
        super().__init__()
        self.config = config or ComponentsConfig()

    def expand(self, edges: PCollection[str]) -> Connected:
        limit, rounds = self.config.one_worker_edges, self.config.rounds
        if not rounds:
            return _told(_in_one_worker(edges, limit))
        count = AsSingleton(edges | "Count edges" >> beam.combiners.Count.Globally())
        few = edges | "Few" >> beam.Filter(lambda _, n: n <= limit, count)
        many = edges | "Many" >> beam.Filter(lambda _, n: n > limit, count)
        one = _told(_in_one_worker(few, limit))
        other = _told(_in_rounds(many, rounds))
        return Connected(
            (one.removed, other.removed) | "All removed" >> beam.Flatten(),
            (one.clusters, other.clusters) | "All clusters" >> beam.Flatten(),
        )


def _told(out: Any) -> Connected:
    return Connected(out.removed, out[CLUSTERS])


def _in_one_worker(edges: PCollection[str], limit: int) -> Any:
    return (
        edges
        | "To one worker" >> beam.Map(_to_one_key)
        | "Gather edges" >> beam.GroupByKey()
        | "Resolve" >> beam.FlatMap(_resolve, limit).with_outputs(CLUSTERS, main="removed")
    )


def _in_rounds(edges: PCollection[str], rounds: int) -> Any:
    pairs = edges | "Ends" >> beam.Map(_ends)
    for number in range(1, rounds + 1):
        large = _star(pairs, f"Large star {number}", _both, _large_star)
        small = _star(large.pairs, f"Small star {number}", _downwards, _small_star)
        pairs = small.pairs
    changes = (
        (large[CHANGES], small[CHANGES])
        | "Last changes" >> beam.Flatten()
        | "Count changes" >> beam.CombineGlobally(sum)
    )
    stars = pairs | "Converged" >> beam.Map(_converged, AsSingleton(changes), rounds)
    bits = edges | "Kinds" >> beam.FlatMap(_kinds) | "All kinds" >> beam.CombinePerKey(_any)
    return (
        {"root": stars | "Roots" >> beam.FlatMap(_roots) | beam.Distinct(), "bits": bits}
        | "Join kinds" >> beam.CoGroupByKey()
        | "By root" >> beam.FlatMap(_by_root)
        | "Components" >> beam.GroupByKey()
        | "Decide in rounds" >> beam.FlatMap(_decide).with_outputs(CLUSTERS, main="removed")
    )


def _star(
    pairs: PCollection[Pair],
    label: str,
    point: Callable[[Pair], Iterable[Pair]],
    link: Callable[[tuple[str, Iterable[str]]], Iterator[Any]],
) -> Any:
    return (
        pairs
        | f"{label}: neighbours" >> beam.FlatMap(point).with_output_types(Pair)
        | f"{label}: group" >> beam.GroupByKey()
        | f"{label}: link" >> beam.FlatMap(link).with_outputs(CHANGES, main="pairs")
    )


def _to_one_key(edge: str) -> Pair:
    return "", edge


def _resolve(
    grouped: tuple[str, Iterable[str]], limit: int
) -> Iterator[Removal | TaggedOutput[Literal["clusters"], Cluster]]:
    return _tagged(resolve(_at_most(grouped[1], limit)))


def _at_most(edges: Iterable[str], limit: int) -> Iterator[str]:
    for count, edge in enumerate(edges):
        if count == limit:
            raise ValueError(
                f"deduplicate: more than components.one_worker_edges = {limit:,} edges between "
                "copies; set components.rounds to 8, or the limit to what a worker's memory holds"
            )
        yield edge


def _tagged(
    decisions: Iterable[Removal | Cluster],
) -> Iterator[Removal | TaggedOutput[Literal["clusters"], Cluster]]:
    for decision in decisions:
        yield TaggedOutput(CLUSTERS, decision) if isinstance(decision, Cluster) else decision


def _ends(edge: str) -> Pair:
    _, a, b = edge.split(" ")
    return a, b


def _both(pair: Pair) -> Iterable[Pair]:
    return pair, pair[::-1]


def _downwards(pair: Pair) -> Iterable[Pair]:
    return ((max(pair), min(pair)),)


def _large_star(
    group: tuple[str, Iterable[str]],
) -> Iterator[Pair | TaggedOutput[Literal["changes"], int]]:
    """Links the larger neighbours of a node to its smallest neighbour, or to itself."""
    node, neighbours = group[0], set(group[1])
    smallest = min(node, *neighbours)
    larger = [other for other in neighbours if other > node]
    for other in larger:
        yield other, smallest
    if smallest != node and larger:
        yield TaggedOutput(CHANGES, len(larger))


def _small_star(
    group: tuple[str, Iterable[str]],
) -> Iterator[Pair | TaggedOutput[Literal["changes"], int]]:
    """Links a node and its smaller neighbours to the smallest of them."""
    node, smaller = group[0], set(group[1])
    smallest = min(smaller)
    yield node, smallest
    for other in smaller - {smallest}:
        yield other, smallest
    if len(smaller) > 1:
        yield TaggedOutput(CHANGES, len(smaller) - 1)


def _converged(pair: Pair, changes: int, rounds: int) -> Pair:
    if changes:
        raise ValueError(
            f"deduplicate: {rounds} rounds do not connect all copies, the last one still changed "
            f"{changes:,} edges; set components.rounds higher"
        )
    return pair


def _kinds(edge: str) -> Iterator[tuple[str, int]]:
    kind, *ends = edge.split(" ")
    for end in ends:
        yield end, bit_of(kind)


def _any(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


def _roots(pair: Pair) -> Iterator[Pair]:
    member, root = pair
    yield member, root
    yield root, root


def _by_root(joined: tuple[str, dict[str, list[Any]]]) -> Iterator[tuple[str, tuple[str, int]]]:
    member, sides = joined
    for root in sides["root"]:  # none where a document is linked to itself only
        yield root, (member, sides["bits"][0])


def _decide(
    component: tuple[str, Iterable[tuple[str, int]]],
) -> Iterator[Removal | TaggedOutput[Literal["clusters"], Cluster]]:
    names, bits = zip(*component[1], strict=True)
    return _tagged(decide(names, bits))
