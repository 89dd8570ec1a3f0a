"""Clusters as connected components of a graph whose edges come from shared buckets.

A document is named in an edge by its `end`: its rank, then its id, so that the smallest end of a
cluster is the member that stays.
"""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from scipy.sparse import coo_array, csgraph

from schemas.dedup import Cluster, Removal, Sameness

RANK_DIGITS = 15
_MOST = 10**17
_RULES = {  # kind of an edge -> what it says of its ends, strongest first
    "u": Sameness.EXACT_URL,
    "t": Sameness.EXACT_TEXT,
    "m": Sameness.NEAR_DUPLICATE,
    "i": Sameness.IMAGE_SET,
    "j": Sameness.JOINT,
    "s": Sameness.SEMANTIC,
}
_BITS = {kind: 1 << place for place, kind in enumerate(_RULES)}


def end(rank: int, doc_id: str) -> str:
    """Names a document so that names sort by descending rank, then by id.

    Args:
      rank: from 0 to 10**17 - 1; the highest stays.
      doc_id: without whitespace, which separates the parts of an edge.

    Raises:
      ValueError: a rank out of range or an id with whitespace.
    """
    if not 0 <= rank < _MOST or doc_id.split() != [doc_id]:
        raise ValueError(f"rank {rank} or id {doc_id!r} cannot be sorted")
    return f"{_MOST - 1 - rank:0{RANK_DIGITS}x}{doc_id}"


def id_of(end: str) -> str:
    return end[RANK_DIGITS:]


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
    """Turns edges into decisions: one `Cluster` for each component, a `Removal` for each other end.

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
    count = int(labels.max()) + 1
    survivor, smallest = [""] * count, [""] * count
    for name, label in zip(names, labels, strict=True):
        if not survivor[label] or name < survivor[label]:
            survivor[label] = name
        if not smallest[label] or id_of(name) < smallest[label]:
            smallest[label] = id_of(name)
    for best, low, size in zip(survivor, smallest, np.bincount(labels), strict=True):
        yield Cluster(id_of(best), low, int(size))
    for name, label, bits in zip(names, labels, shared, strict=True):
        if name != survivor[label]:
            yield Removal(id_of(name), id_of(survivor[label]), str(_rule(bits)))


def component_labels(left: np.ndarray, right: np.ndarray, nodes: int) -> np.ndarray:
    """The component, 0 .. n - 1, of each node; `left` and `right` are the ends of the edges."""
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(nodes, nodes))
    return csgraph.connected_components(graph, directed=False)[1]


def _rule(bits: int) -> Sameness:
    return next(rule for kind, rule in _RULES.items() if bits & _BITS[kind])
