"""Results that a strategy was told: which candidates are known, which are best, which to model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Floats, Ints, nondominated_sort, pareto_mask

DRAWS = 256
"""Least neighbours, and uniform candidates, that are drawn in search of unknown ones."""


class Results:
    """Different candidates with their objectives and violation, in the order they were told.

    What is told again of a candidate replaces what was known. Made with the number of values of
    each gene, shape (genes,).

    >>> results = Results(np.array([3, 3]))
    >>> results.add(np.array([[0, 1], [2, 2]]), np.array([[1.0, 2.0], [3.0, 3.0]]), np.zeros(2))
    >>> results.known(np.array([[2, 2], [1, 1]])).tolist(), results.best().tolist()
    ([True, False], [0])
    """

    def __init__(self, sizes: Ints) -> None:
        self.sizes = sizes
        self.candidates: Ints = np.empty((0, len(sizes)), dtype=np.int64)
        self.objectives: Floats = np.empty((0, 0))
        self.violation: Floats = np.empty(0)
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.candidates)

    def add(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Remember results, of the shapes of ``Strategy.tell``."""
        fresh: list[int] = []
        for row, key in enumerate(map(bytes, np.ascontiguousarray(candidates))):
            place = self._rows.setdefault(key, len(self) + len(fresh))
            if place == len(self) + len(fresh):
                fresh.append(row)
            elif place < len(self):
                self.objectives[place], self.violation[place] = objectives[row], violation[row]
        old = self.objectives if len(self) else objectives[:0]
        self.candidates = np.vstack([self.candidates, candidates[fresh]])
        self.objectives = np.vstack([old, objectives[fresh]])
        self.violation = np.append(self.violation, violation[fresh])

    def known(self, candidates: Ints) -> NDArray[np.bool_]:
        """Return True for candidates that were told, shape (n,)."""
        keys = map(bytes, np.ascontiguousarray(candidates))
        return np.fromiter((key in self._rows for key in keys), np.bool_, len(candidates))

    def row(self, candidate: Ints) -> int:
        """Return the row of a candidate, shape (genes,). Raises KeyError for an unknown one."""
        return self._rows[bytes(np.ascontiguousarray(candidate))]

    def best(self) -> Ints:
        """Return the rows of the front of feasible candidates, else of the least violation."""
        rows = np.flatnonzero(self.violation <= 0)
        if not len(rows):
            return np.flatnonzero(self.violation == self.violation.min(initial=np.inf))
        return rows[pareto_mask(self.objectives[rows])]

    def chosen(self, most: int) -> Ints:
        """Return up to ``most`` rows to fit a model to: those of the best fronts, then the latest.

        Half of them are of the fronts (by Deb's rules) where not all fit; in ascending order.
        """
        if len(self) <= most:
            return np.arange(len(self))
        # Of the infeasible ones only the least bad are ranked: there may be thousands of fronts.
        least = np.flatnonzero(self.violation <= np.partition(self.violation, most // 2)[most // 2])
        ranks = nondominated_sort(self.objectives[least], self.violation[least])
        front = least[np.argsort(ranks, kind="stable")[: most // 2]]
        others = np.setdiff1d(np.arange(len(self)), front)
        return np.sort(np.append(front, others[len(front) - most :]))

    def unknown(self, proposed: Ints, count: int, random: np.random.Generator) -> Ints:
        """Return ``count`` candidates: unknown ones of the proposed, shape (n, genes), in order.

        Where they do not suffice, neighbours of them in one gene follow, then uniform candidates;
        of these some may be known, where hardly any are unknown.
        """
        many = max(DRAWS, 2 * count)
        uniform = random.integers(0, self.sizes, (many, len(self.sizes)), dtype=np.int64)
        near = uniform[:0]
        if len(proposed):
            near = proposed[np.arange(many) % len(proposed)]
            gene = random.integers(0, len(self.sizes), many)
            near[np.arange(many), gene] = random.integers(0, self.sizes[gene])
        pool = np.vstack([proposed, near, uniform])
        _, first = np.unique(pool, axis=0, return_index=True)
        pool = pool[np.sort(first)]
        found = pool[~self.known(pool)][:count]
        return np.vstack([found, uniform[: count - len(found)]])
