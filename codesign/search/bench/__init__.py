"""Benchmark of search strategies on tasks whose true Pareto front is known.

tasks (tables of all designs), enumerated and nasbench201 (two of them), running (a strategy on a
task), judging (what the runs say), results (their CSV file), synthesis (the front's NPUs by Yosys).
``TASKS`` makes the tasks by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codesign.search.bench import enumerated, nasbench201
from codesign.search.bench.tasks import Task

__all__ = ["TASKS", "judging", "results", "running", "synthesis", "tasks"]

TASKS: Mapping[str, Callable[[], Task]] = {
    enumerated.NAME: enumerated.task,
    nasbench201.NAME: nasbench201.task,
}
"""Name -> function that makes the task; that of nasbench201 raises UserError without its table."""
