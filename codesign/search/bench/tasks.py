"""Search tasks whose every design is known: tables of objectives, with their true Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.search.pareto import Floats, Ints, hypervolume, pareto_mask
from codesign.search.strategies import Genes

MARGIN = 0.1
"""How far the reference point lies behind the worst values of the true front, in its spans."""


@dataclass(frozen=True, eq=False)
class Task:
    """Table of all designs of a search space: objectives, constraint violation and true front.

    Made by the functions of ``codesign.search.bench.TASKS``.

    >>> genes = Genes(np.array([2, 2]))
    >>> objectives = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> task = Task("toy", genes, ("a", "b"), np.array([0, 1, 2, 2]), objectives, np.zeros(3))
    >>> task.designs_of(np.array([[0, 1], [1, 1]])).tolist(), task.reference.tolist()
    ([1, 2], [1.1, 1.1])
    """

    name: str
    genes: Genes
    names: tuple[str, ...]
    """Names of the objectives, all minimised, with their units."""
    designs: Ints
    """Design of each vector of genes, the last gene changing fastest, shape (product of sizes,):
    vectors that differ in genes without effect are one design."""
    objectives: Floats
    """Shape (designs, len(names))."""
    violation: Floats
    """Constraint violation, shape (designs,); 0 if feasible."""

    def designs_of(self, candidates: Ints) -> Ints:
        """Return the designs of candidates of shape (n, genes), as rows of the table, shape (n,).

        Raises ValueError for a gene out of range.
        """
        found: Ints = self.designs[np.ravel_multi_index(candidates.T, tuple(self.genes.sizes))]
        return found

    @property
    def feasible_share(self) -> float:
        """Share of the designs that are feasible, 0..1."""
        return float((self.violation <= 0).mean())

    @cached_property
    def front(self) -> Ints:
        """Rows of the designs on the true Pareto front; of equal ones the first."""
        rows = np.flatnonzero(self.violation <= 0)
        return rows[pareto_mask(self.objectives[rows])]

    @cached_property
    def reference(self) -> Floats:
        """Reference point of all hypervolumes: MARGIN behind the worst of the true front."""
        best = self.objectives[self.front]
        return np.asarray(best.max(axis=0) + MARGIN * np.ptp(best, axis=0))

    @cached_property
    def volume(self) -> float:
        """Hypervolume of the true front up to ``reference``."""
        return hypervolume(self.objectives[self.front], self.reference)

    def share(self, objectives: Floats) -> float:
        """Return the hypervolume of points of shape (n, m) as a share of ``volume``, 0..1."""
        return hypervolume(objectives, self.reference) / self.volume
