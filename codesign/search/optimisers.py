"""Multi-objective optimisers with an ask / tell interface: NSGA-II and random search.

A candidate (chromosome) is an integer vector whose gene g has values 0..sizes[g]-1. Genes without
effect are left to the search space, which canonicalises candidates. All objectives are minimised.
The constraint violation of a candidate is 0 if it is feasible, else it grows with the distance from
feasibility; infeasible candidates guide the search, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from codesign.results import UserError
from codesign.search.pareto import Floats, Ints, crowding_distance, nondominated_sort


class Optimiser(Protocol):
    """Interface of optimisers; tests/codesign/search/test_optimisers.py checks the contract."""

    def ask(self, count: int) -> Ints:
        """Return candidates to evaluate, int64, shape (count, genes)."""
        ...

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Report results of candidates, whether asked for or not; objectives are minimised.

        Shapes: candidates (n, genes), objectives (n, m), violation (n,), 0 if feasible, else above.
        """
        ...


class RandomSearch:
    """Random search: candidates are uniform in every gene.

    >>> RandomSearch(sizes=np.array([4, 2, 7]), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, sizes: Ints, seed: int) -> None:
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._random = np.random.default_rng(seed)

    def ask(self, count: int) -> Ints:
        return self._random.integers(0, self._sizes, (count, len(self._sizes)), dtype=np.int64)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Ignore the results."""


class Evolution:
    """NSGA-II on integer vectors with Deb's constraint rules, vectorised over the population.

    Binary tournaments by front and crowding distance, uniform crossover, and mutation of one gene
    or more by a step of +-1 (none beyond the ends) or to a uniform value with equal probability.
    Until results of two different candidates are known, candidates are uniform. population:
    survivors of each generation; crossover: probability that a child has two parents. Source: Deb
    et al., IEEE Trans. Evol. Comp. 6(2), 2002.

    >>> optimiser = Evolution(sizes=np.array([10, 10]), seed=0)
    >>> for _ in range(5):  # two objectives, both best at genes (3, 7)
    ...     genes = optimiser.ask(20)
    ...     optimiser.tell(genes, np.abs(genes - [3, 7]).astype(float), np.zeros(20))
    >>> [3, 7] in optimiser.ask(100).tolist()
    True
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
        """Return the winners of ``count`` tournaments between two random parents, (count, genes).

        The lower front wins, then the larger crowding distance, else the first of the two.
        """
        left, right = self._random.integers(0, len(self._parents), (2, count))
        worse = (self._ranks[right] < self._ranks[left]) | (
            (self._ranks[right] == self._ranks[left])
            & (self._crowding[right] > self._crowding[left])
        )
        return self._parents[np.where(worse, right, left)]

    def _mutate(self, children: Ints) -> Ints:
        chosen = self._random.random(children.shape) < self._mutation
        # A child equal to its parent would waste an evaluation: at least one gene is mutated.
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
"""Name -> factory(sizes, seed). The conformance tests run every optimiser listed here."""


def make(name: str, sizes: Ints, seed: int) -> Optimiser:
    """Return a new optimiser by its name in OPTIMISERS. Raises UserError for an unknown name.

    sizes: number of choices of each gene, shape (genes,).
    """
    if name not in OPTIMISERS:
        raise UserError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {name!r}")
    return OPTIMISERS[name](sizes, seed)
