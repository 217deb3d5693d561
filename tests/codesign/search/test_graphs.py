"""Graphs of candidates: layers follow each other, what computes the same is the same graph."""

from __future__ import annotations

import numpy as np

from codesign.search.bench import nasbench201
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.strategies.graphs import Graphs
from codesign.search.strategies.modelling.graph_kernels import refined

SPACE = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)


def drawn(count: int) -> tuple[np.ndarray, Graphs]:
    random = np.random.default_rng(0)
    shape = (count, len(SPACE.sizes))
    found = SPACE.canonical(random.integers(0, SPACE.sizes, shape, dtype=np.int64))
    return found, SPACE.genes.graphs(found)


def test_a_space_draws_what_a_candidate_has_as_one_connected_graph() -> None:
    candidates, graphs = drawn(50)
    assert ((graphs.labels >= 0) == SPACE.active(candidates)).all()
    assert graphs.labels.max() < graphs.kinds
    for labels, edges in zip(graphs.labels, graphs.edges, strict=True):
        here = labels >= 0
        assert not edges[~here].any()
        assert not edges[:, ~here].any()
        assert edges.sum() == here.sum() - 1  # a tree from the first node
        reached = np.zeros(len(labels), dtype=bool)
        reached[np.flatnonzero(here)[0]] = True
        for _ in labels:
            reached |= edges[reached].any(axis=0)
        assert (reached == here).all()


def test_stages_follow_each_other_and_equal_bits_have_equal_labels() -> None:
    candidates, graphs = drawn(200)
    row = int(np.argmax(SPACE.integers(candidates, "stages") >= 2))
    first, second = SPACE.index["weight_bits1.1"], SPACE.index["weight_bits2.1"]
    assert graphs.edges[row, SPACE.index["convs1"], SPACE.index["channels1"]]
    same = candidates[:, first] == candidates[:, second]
    both = (graphs.labels[:, [first, second]] >= 0).all(axis=1)
    assert ((graphs.labels[:, first] == graphs.labels[:, second]) == same)[both].all()


def test_cells_that_compute_the_same_are_the_same_graph() -> None:
    # A 3x3 from input to output; operations that lead nowhere or come from nowhere change nothing.
    cells = np.array(
        [[0, 0, 0, 3, 0, 0], [3, 0, 0, 3, 0, 0], [0, 0, 2, 3, 0, 4], [3, 0, 0, 3, 1, 0]]
    )
    graphs = nasbench201.graphs(cells)
    assert (graphs.labels[:3] == graphs.labels[0]).all()
    assert (graphs.edges[:3] == graphs.edges[0]).all()
    assert (graphs.labels[3] != graphs.labels[0]).any()
    assert graphs.edges[3, 1, 5]  # 0 -> 1 is followed by 1 -> 3


def test_refined_labels_do_not_depend_on_the_order_of_nodes_but_on_directions() -> None:
    _, graphs = drawn(20)
    order = np.random.default_rng(1).permutation(graphs.labels.shape[1])
    mixed = Graphs(graphs.labels[:, order], graphs.edges[:, order][:, :, order], graphs.kinds)
    turned = Graphs(graphs.labels, graphs.edges.transpose(0, 2, 1), graphs.kinds)
    depths = zip(refined(graphs), refined(mixed), refined(turned), strict=True)
    for depth, (words, others, back) in enumerate(depths):
        assert (words[:, order] == others).all()
        assert (words == back).all() == (depth == 0)
