"""Runs of search strategies on tasks of the benchmark, with the hypervolume after every batch."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from codesign.search import strategies
from codesign.search.bench.tasks import Task
from codesign.search.engine import MOST_REPEATS
from codesign.search.pareto import Floats, Ints, pareto_mask

BATCH = 10
"""Candidates that a strategy is asked for at a time."""
LEVELS = (0.95, 0.99)
"""Shares of the true front's hypervolume that a run is to reach."""


@dataclass(frozen=True, eq=False)
class Run:
    """Course of a strategy on a task. Made by ``run``; arrays of shape (batches,)."""

    task: str
    strategy: str
    seed: int
    evaluations: Ints
    """Different designs evaluated until then; none counts twice."""
    cpu_s: Floats
    """Processor seconds that the strategy itself has taken until then."""
    shares: Floats
    """Hypervolume of the feasible designs found until then, as a share of the true front's."""
    front: Floats
    """Objectives of the Pareto front that was found, shape (n, m)."""

    def evaluations_to(self, level: float) -> int | None:
        """Return how many evaluations reached this share of the hypervolume, None if none did."""
        reached = np.flatnonzero(self.shares >= level)
        return int(self.evaluations[reached[0]]) if len(reached) else None

    def share_at(self, evaluations: Ints) -> Floats:
        """Return the share after so many evaluations, of the same shape; 0 before the first."""
        places = np.searchsorted(self.evaluations, evaluations, side="right")
        found: Floats = np.append(0.0, self.shares)[places]
        return found

    def mean_share(self, evaluations: int) -> float:
        """Return the mean share over the first so many evaluations: the area under the curve."""
        return float(self.share_at(np.arange(1, evaluations + 1)).mean())

    def row(self) -> dict[str, str | int | float | None]:
        """Return the JSON object of the run."""
        return {
            "task": self.task,
            "strategy": self.strategy,
            "seed": self.seed,
            "evaluations": int(self.evaluations[-1]),
            **{f"evaluations_to_{100 * level:.0f}": self.evaluations_to(level) for level in LEVELS},
            "hypervolume_share": float(self.shares[-1]),
            "cpu_s": round(float(self.cpu_s[-1]), 3),
        }


def run(task: Task, strategy: str, seed: int, evaluations: int, batch: int = BATCH) -> Run:
    """Run a strategy until so many different designs are evaluated.

    As in the inner loop of a search, a design that is asked for again costs nothing and is not told
    again. The run ends early when the whole front is found, and when the strategy finds no new
    design in MOST_REPEATS batches. Raises UserError for an unknown strategy.
    """
    start = time.process_time()
    asked = strategies.make(strategy, task.genes, seed)
    spent, futile = time.process_time() - start, 0
    seen = np.zeros(len(task.objectives), dtype=np.bool_)
    front = np.empty((0, task.objectives.shape[1]))
    course: list[tuple[int, float, float]] = []
    while (count := int(seen.sum())) < evaluations and futile < MOST_REPEATS:
        start = time.process_time()
        candidates = asked.ask(min(batch, evaluations - count))
        spent += time.process_time() - start
        designs, first = np.unique(task.designs_of(candidates), return_index=True)
        fresh = np.sort(first[~seen[designs]])
        seen[designs] = True
        futile = 0 if len(fresh) else futile + 1
        rows = task.designs_of(candidates[fresh])
        start = time.process_time()
        if len(fresh):
            asked.tell(candidates[fresh], task.objectives[rows], task.violation[rows])
        spent += time.process_time() - start
        found = np.vstack([front, task.objectives[rows[task.violation[rows] <= 0]]])
        front = found[pareto_mask(found)]
        course.append((int(seen.sum()), spent, task.share(front)))
        if course[-1][2] > 1 - 1e-9:
            break
    counts, seconds, shares = map(np.array, zip(*course, strict=True))
    return Run(task.name, strategy, seed, counts, seconds, shares, front)
