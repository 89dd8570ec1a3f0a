import itertools
import random

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.dedup import Cluster, Removal
from stages.dedup.components import end, id_of, resolve, star


def name(node):
    return end(0, f"d{node:05}")


def edges_of(graph, kind="m"):
    return [f"{kind} {name(a)} {name(b)}" for a, b in graph]


def expected(graph):
    """Clusters and removals by a plain search, ranks equal."""
    neighbours = {}
    for a, b in graph:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    seen, found = set(), set()
    for first in sorted(neighbours):
        if first in seen:
            continue
        members, queue = {first}, [first]
        while queue:
            queue.extend(neighbours[queue.pop()] - members)
            members.update(queue)
        seen |= members
        low = f"d{first:05}"
        found.add(Cluster(low, low, len(members)))
        found |= {Removal(f"d{m:05}", low, "near_duplicate") for m in members - {first}}
    return found


def shapes():
    rng = random.Random(0)
    yield "path", [(i, i + 1) for i in range(2000)]
    order = rng.sample(range(2000), 2000)
    yield "shuffled path", list(itertools.pairwise(order))
    yield "star", [(0, i) for i in range(1, 2000)]
    yield "star of the last", [(1999, i) for i in range(1999)]
    yield "tree", [(i, rng.randrange(i)) for i in range(1, 2000)]
    yield "circle", [(i, (i + 1) % 50) for i in range(50)]
    yield "repeated edge", [(0, 1)] * 1024 + [(1, 2)] * 256
    for seed in range(20):
        nodes = rng.randrange(2, 300)
        yield (
            f"random {seed}",
            [rng.sample(range(nodes), 2) for _ in range(rng.randrange(1, nodes))],
        )


@pytest.mark.parametrize("graph", [pytest.param(g, id=n) for n, g in shapes()])
def test_components_are_exact_in_any_order(graph):
    found = list(resolve(edges_of(graph)))
    assert set(found) == expected(graph)
    assert len(found) == len(set(found))
    random.Random(1).shuffle(graph)
    assert set(resolve(edges_of(graph))) == set(found)


def test_components_are_those_of_scipy():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 5000, (2, 3000))
    keep = left != right
    left, right = left[keep], right[keep]
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(5000, 5000))
    _, labels = connected_components(graph, directed=False)
    used = sorted(set(left.tolist()) | set(right.tolist()))
    sizes = sorted(np.bincount(labels)[np.unique(labels[used])].tolist())
    found = resolve(edges_of(zip(left.tolist(), right.tolist(), strict=True)))
    assert sorted(c.cluster_size for c in found if isinstance(c, Cluster)) == sizes


def test_no_edges():
    assert list(resolve([])) == []


def test_the_highest_rank_stays_and_the_smallest_id_names_the_cluster():
    low, high, middle = end(1, "a"), end(9, "b"), end(5, "c")
    assert set(resolve([f"m {high} {low}", f"m {high} {middle}"])) == {
        Cluster("b", "a", 3),
        Removal("a", "b", "near_duplicate"),
        Removal("c", "b", "near_duplicate"),
    }


def test_the_strongest_reason_of_a_document_is_given():
    a, b, c, d = (end(0, i) for i in "abcd")
    found = set(resolve([f"m {a} {b}", f"t {a} {b}", f"u {b} {c}", f"m {a} {d}", f"t {c} {d}"]))
    assert found == {
        Cluster("a", "a", 4),
        Removal("b", "a", "exact_url"),
        Removal("c", "a", "exact_url"),
        Removal("d", "a", "exact_text"),
    }


def test_a_bucket_links_to_its_best_member():
    ends = [end(2, "c"), end(5, "b"), end(5, "a")]
    assert list(star("t", ends)) == [f"t {ends[2]} {ends[0]}", f"t {ends[2]} {ends[1]}"]
    assert list(star("t", ends[:1])) == []


def test_ends_sort_by_rank_and_id():
    ranked = [(10**17 - 1, "z"), (20240101000000000, "a"), (7, "a"), (7, "ab"), (7, "b"), (0, "a")]
    ends = [end(rank, doc_id) for rank, doc_id in ranked]
    assert ends == sorted(ends)
    assert [id_of(e) for e in ends] == [doc_id for _, doc_id in ranked]


@pytest.mark.parametrize(("rank", "doc_id"), [(-1, "a"), (10**17, "a"), (0, ""), (0, "a b")])
def test_what_cannot_be_sorted_is_an_error(rank, doc_id):
    with pytest.raises(ValueError, match="cannot be sorted"):
        end(rank, doc_id)


@pytest.mark.parametrize(
    ("kinds", "rule"),
    [("u", "exact_url"), ("mtu", "exact_url"), ("mt", "exact_text"), ("im", "near_duplicate"),
     ("ij", "image_set"), ("j", "text_and_images"), ("s", "semantic_duplicate")],
)  # fmt: skip
def test_the_strongest_reason_is_told(kinds, rule):
    edges = [edge for kind in kinds for edge in edges_of([(0, 1)], kind)]
    _, removal = sorted(resolve(edges), key=lambda row: isinstance(row, Removal))
    assert removal == Removal("d00001", "d00000", rule)
