"""Optimisers behind one ask / tell interface.

An optimiser proposes integer vectors; gene g takes values 0..sizes[g]-1. Which genes matter where
others switch them off is the space's affair: it canonicalises what it is given. All objectives
are minimised; ``violation`` is 0 for a feasible candidate, else grows with the distance from
feasibility (infeasible points are learned from, not thrown away).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from codesign.results import UserError
from codesign.search.pareto import Floats, Ints, crowding_distance, nondominated_sort


class Optimiser(Protocol):
    """What the search loop needs; tests/codesign/search/test_optimisers.py holds the contract."""

    def ask(self, count: int) -> Ints:
        """[count, genes] int64 candidates within the sizes."""
        ...

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """[n, genes], [n, m], [n]: results of any candidates, asked for or not."""
        ...


class RandomSearch:
    """Uniform in every gene; learns nothing."""

    def __init__(self, sizes: Ints, seed: int) -> None:
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._random = np.random.default_rng(seed)

    def ask(self, count: int) -> Ints:
        return self._random.integers(0, self._sizes, (count, len(self._sizes)), dtype=np.int64)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Nothing to learn."""


class Evolution:
    """NSGA-II on integer vectors with Deb's constraint rules, vectorised over the population.

    Binary tournaments by (front, crowding), uniform crossover, and per-gene mutation that is a
    step of +-1 or a fresh value with equal odds. Until ``population`` results are known it asks
    uniformly. Source: Deb et al., IEEE Trans. Evol. Comp. 6(2), 2002.
    """

    def __init__(
        self, sizes: Ints, seed: int, population: int = 128, crossover: float = 0.9
    ) -> None:
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._random = np.random.default_rng(seed)
        self._population = population
        self._crossover = crossover
        self._mutation = 1.0 / max(int((self._sizes > 1).sum()), 1)
        self._parents: Ints = np.empty((0, len(self._sizes)), dtype=np.int64)
        self._objectives: Floats = np.empty((0, 0))
        self._violation: Floats = np.empty(0)
        self._ranks: Ints = np.empty(0, dtype=np.int64)
        self._crowding: Floats = np.empty(0)

    def ask(self, count: int) -> Ints:
        if len(self._parents) < 2:
            shape = (count, len(self._sizes))
            return self._random.integers(0, self._sizes, shape, dtype=np.int64)
        mothers, fathers = self._tournament(count), self._tournament(count)
        cross = self._random.random((count, 1)) < self._crossover
        swap = cross & (self._random.random(mothers.shape) < 0.5)
        return self._mutate(np.where(swap, fathers, mothers))

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        known = self._objectives if len(self._objectives) else objectives[:0]
        pool = np.vstack([self._parents, candidates])
        pool, first = np.unique(pool, axis=0, return_index=True)
        values = np.vstack([known, objectives])[first]
        broken = np.concatenate([self._violation, violation])[first]
        ranks = nondominated_sort(values, broken)
        crowding = np.zeros(len(pool))
        for rank in np.unique(ranks):
            members = ranks == rank
            crowding[members] = crowding_distance(values[members])
        keep = np.lexsort((-crowding, ranks))[: self._population]
        self._parents, self._objectives, self._violation = pool[keep], values[keep], broken[keep]
        self._ranks, self._crowding = ranks[keep], crowding[keep]

    def _tournament(self, count: int) -> Ints:
        """Winners of ``count`` duels between random parents."""
        left, right = self._random.integers(0, len(self._parents), (2, count))
        worse = (self._ranks[right] < self._ranks[left]) | (
            (self._ranks[right] == self._ranks[left])
            & (self._crowding[right] > self._crowding[left])
        )
        return self._parents[np.where(worse, right, left)]

    def _mutate(self, children: Ints) -> Ints:
        chosen = self._random.random(children.shape) < self._mutation
        # A child equal to its parent is a wasted evaluation: one gene always changes.
        forced = self._random.integers(0, children.shape[1], len(children))
        chosen[np.arange(len(children)), forced] = True
        fresh = self._random.integers(0, self._sizes, children.shape, dtype=np.int64)
        step = self._random.integers(0, 2, children.shape, dtype=np.int64) * 2 - 1
        stepped = np.clip(children + step, 0, self._sizes - 1)
        local = self._random.random(children.shape) < 0.5
        return np.where(chosen, np.where(local, stepped, fresh), children)


OPTIMISERS: Mapping[str, Callable[[Ints, int], Optimiser]] = {
    "random": RandomSearch,
    "evolution": Evolution,
}
"""Name -> factory(sizes, seed). An optimiser listed here is run by the conformance tests."""


def make(name: str, sizes: Ints, seed: int) -> Optimiser:
    """The named optimiser. Raises UserError for an unknown name."""
    if name not in OPTIMISERS:
        raise UserError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {name!r}")
    return OPTIMISERS[name](sizes, seed)
