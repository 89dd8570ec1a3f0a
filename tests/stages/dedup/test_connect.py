import random
from collections import defaultdict
from itertools import pairwise

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.dedup import Cluster, Removal
from stages.dedup import connect
from stages.dedup.components import end, resolve
from stages.dedup.config import ComponentsConfig
from stages.dedup.connect import Connect


def name(node):
    return end(0, f"d{node:05}")


def edges_of(graph, kind="m"):
    return [f"{kind} {name(a)} {name(b)}" for a, b in graph]


def by_scipy(graph):
    """Clusters and removals, ranks equal."""
    left, right = np.array(graph).T
    size = int(max(left.max(), right.max())) + 1
    matrix = coo_array((np.ones(len(left)), (left, right)), shape=(size, size))
    labels = connected_components(matrix, directed=False)[1]
    members = defaultdict(list)
    for node in sorted({*left.tolist(), *right.tolist()}):
        members[labels[node]].append(f"d{node:05}")
    for low, *others in members.values():
        yield Cluster(low, low, 1 + len(others))
        yield from (Removal(other, low, "near_duplicate") for other in others)


def random_graph(seed):
    rng = random.Random(seed)
    nodes = rng.randrange(2, 60)
    return [rng.sample(range(nodes), 2) for _ in range(rng.randrange(1, 2 * nodes))]


def tree(nodes, seed=0):
    rng = random.Random(seed)
    names = rng.sample(range(nodes), nodes)
    return [(names[i], names[rng.randrange(i)]) for i in range(1, nodes)]


def path(nodes, shuffled):
    order = random.Random(0).sample(range(nodes), nodes) if shuffled else range(nodes)
    return list(pairwise(order))


LARGE = {
    "path": path(20_000, False),
    "shuffled path": path(20_000, True),
    "tree": tree(20_000),
}


def step(pairs, point, link):
    """One half of a round, without a runner: the pairs after it and the number of changes."""
    groups = defaultdict(list)
    for pair in pairs:
        for node, other in point(pair):
            groups[node].append(other)
    out, changes = [], 0
    for group in groups.items():
        for made in link(group):
            if isinstance(made, TaggedOutput):
                changes += made.value
            else:
                out.append(made)
    return out, changes


def rounds_of(graph):
    """Rounds until one changes nothing, and the pairs then."""
    pairs = [(name(a), name(b)) for a, b in graph]
    for number in range(1, 40):
        pairs, large = step(pairs, connect._both, connect._large_star)
        pairs, small = step(pairs, connect._downwards, connect._small_star)
        assert len(pairs) <= len(graph)
        if large + small == 0:
            return number, set(pairs)
    raise AssertionError("no end")


def stars_by_scipy(graph):
    found = [row for row in by_scipy(graph) if isinstance(row, Removal)]
    return {(end(0, row.doc_id), end(0, row.survivor_id)) for row in found}


def test_one_worker_finds_the_components_of_scipy_in_500_graphs():
    for seed in range(500):
        graph = random_graph(seed)
        assert set(resolve(edges_of(graph))) == set(by_scipy(graph))


@pytest.mark.parametrize("shape", LARGE)
def test_one_worker_on_large_graphs(shape):
    assert set(resolve(edges_of(LARGE[shape]))) == set(by_scipy(LARGE[shape]))


def test_a_round_without_change_proves_the_components_of_500_graphs():
    for seed in range(500):
        graph = random_graph(seed)
        number, pairs = rounds_of(graph)
        assert number <= 6
        assert pairs == stars_by_scipy(graph)


@pytest.mark.parametrize(("shape", "most"), [("path", 16), ("shuffled path", 13), ("tree", 10)])
def test_rounds_on_large_graphs(shape, most):
    number, pairs = rounds_of(LARGE[shape])
    assert number <= most
    assert pairs == stars_by_scipy(LARGE[shape])


def run(graph, config, kind="m"):
    expected = list(by_scipy(graph))
    with TestPipeline(runner="FnApiRunner") as p:
        out = p | beam.Create(edges_of(graph, kind)) | Connect(config)
        rows = (out.removed, out.clusters) | beam.Flatten()
        assert_that(rows, equal_to(expected))


UNION = [(a + 100 * seed, b + 100 * seed) for seed in range(100) for a, b in random_graph(seed)]


def test_beyond_the_edges_of_one_worker_rounds_find_the_same():
    run([*UNION, (90_000, 90_001), (90_001, 90_000)], ComponentsConfig(10, rounds=7))


def test_up_to_the_edges_of_one_worker_no_round_is_needed():
    graph = path(200, False)
    run(graph, ComponentsConfig(len(graph), rounds=1))


def test_one_edge_more_than_one_worker_takes_says_what_to_set():
    graph = path(50, False)
    with pytest.raises(Exception, match=r"components\.one_worker_edges = 48 .*set components\.rou"):
        run(graph, ComponentsConfig(48))
    run(graph, ComponentsConfig(49))


def test_too_few_rounds_are_no_result():
    with pytest.raises(Exception, match=r"2 rounds do not connect .* set components\.rounds high"):
        run(path(200, False), ComponentsConfig(10, rounds=2))


def test_rounds_tell_the_strongest_reason_too():
    a, b, c, d = (end(0, doc_id) for doc_id in "abcd")
    edges = [f"m {a} {b}", f"u {b} {c}", f"t {a} {d}"]
    with TestPipeline(runner="FnApiRunner") as p:
        out = p | beam.Create(edges) | Connect(ComponentsConfig(0, rounds=4))
        assert_that(
            out.removed,
            equal_to(
                [
                    Removal("b", "a", "exact_url"),
                    Removal("c", "a", "exact_url"),
                    Removal("d", "a", "exact_text"),
                ]
            ),
        )
