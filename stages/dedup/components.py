"""Clusters as connected components of a graph whose edges come from shared buckets.

A document is named in an edge by its `end`: its rank, then its id, so that the smallest end of a
cluster is the member that stays.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

import numpy as np
from scipy.sparse import coo_array, csgraph

from schemas.dedup import Cluster, Removal, Sameness

RANK_DIGITS = 15
MOST = 10**17  # ranks are below it
_LEVELS = 3
_RULES = {  # kind of an edge -> what it says of its ends, strongest first
    "u": Sameness.EXACT_URL,
    "t": Sameness.EXACT_TEXT,
    "m": Sameness.NEAR_DUPLICATE,
    "i": Sameness.IMAGE_SET,
    "j": Sameness.JOINT,
    "s": Sameness.SEMANTIC,
}
_BITS = {kind: 1 << place for place, kind in enumerate(_RULES)}


class Level(IntEnum):
    """Where a document comes from; the higher level stays, whatever the rank.

    A copy that an earlier corpus removed still connects what it is a copy of, and is nothing that
    could stay.
    """

    NEW = 0
    EARLIER_COPY = 1
    EARLIER = 2


def end(rank: int, doc_id: str, level: Level = Level.NEW) -> str:
    """Names a document so that names sort by descending level, then rank, then by id.

    Args:
      rank: from 0 to 10**17 - 1; the highest stays.
      doc_id: without whitespace, which separates the parts of an edge.

    Raises:
      ValueError: a rank out of range or an id with whitespace.
    """
    if not 0 <= rank < MOST or doc_id.split() != [doc_id]:
        raise ValueError(f"rank {rank} or id {doc_id!r} cannot be sorted")
    return f"{_LEVELS * MOST - 1 - rank - level * MOST:0{RANK_DIGITS}x}{doc_id}"


def id_of(end: str) -> str:
    return end[RANK_DIGITS:]


def level_of(end: str) -> Level:
    return Level((_LEVELS * MOST - 1 - int(end[:RANK_DIGITS], 16)) // MOST)


def star(kind: str, ends: Iterable[str]) -> Iterator[str]:
    """Links the k members of a bucket by k - 1 edges to the smallest, instead of k**2.

    Args:
      kind: "u" for a shared URL, "t" for a shared text, "m" for a shared band; "i" for the same
        images, "j" for near text and images, "s" for near features of images.
      ends: iterated twice and never held, for a bucket may be as large as the corpus.
    """
    hub = min(ends)
    for other in ends:
        if other != hub:
            yield f"{kind} {hub} {other}"


def resolve(edges: Iterable[str]) -> Iterator[Removal | Cluster]:
    """Turns edges into decisions, component by component (`decide`).

    The graph is held in memory: about 250 bytes for each document that has a copy and 60 for each
    edge. Order and repetition of edges make no difference.
    """
    index: dict[str, int] = {}
    left, right = array("q"), array("q")
    shared = bytearray()
    for edge in edges:
        kind, hub, other = edge.split(" ")
        for name, column in ((hub, left), (other, right)):
            node = index.setdefault(name, len(index))
            if node == len(shared):
                shared.append(0)
            shared[node] |= _BITS[kind]
            column.append(node)
    if not index:
        return
    labels = component_labels(
        np.frombuffer(left, np.int64), np.frombuffer(right, np.int64), len(index)
    )
    names = list(index)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    for component in np.split(order, starts):
        nodes = component.tolist()
        yield from decide([names[n] for n in nodes], [shared[n] for n in nodes])


def decide(names: Sequence[str], shared: Sequence[int]) -> Iterator[Removal | Cluster]:
    """The decisions about one component: who stays, and a `Removal` for each other new document.

    A `Cluster` is told of a new document that stays; of one in an earlier corpus nothing is, since
    that corpus is finished.

    Args:
      names: the ends of its members.
      shared: for each, the bits of the edges that it has (`bit_of`).
    """
    levels = [level_of(name) for name in names]
    candidates = [n for n, lv in zip(names, levels, strict=True) if lv is not Level.EARLIER_COPY]
    if not candidates:
        return
    survivor = min(candidates)
    new = [i for i, level in enumerate(levels) if level is Level.NEW]
    if level_of(survivor) is Level.NEW and len(new) > 1:
        yield Cluster(id_of(survivor), min(id_of(names[i]) for i in new), len(new))
    for i in new:
        if names[i] != survivor:
            yield Removal(id_of(names[i]), id_of(survivor), str(_rule(shared[i])))


def component_labels(left: np.ndarray, right: np.ndarray, nodes: int) -> np.ndarray:
    """The component, 0 .. n - 1, of each node; `left` and `right` are the ends of the edges."""
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(nodes, nodes))
    return csgraph.connected_components(graph, directed=False)[1]


def bit_of(kind: str) -> int:
    """What an edge says of its ends: bits of several edges are joined by "or"."""
    return _BITS[kind]


def _rule(bits: int) -> Sameness:
    return next(rule for kind, rule in _RULES.items() if bits & _BITS[kind])
