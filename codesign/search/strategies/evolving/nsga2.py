"""NSGA-II: ranks by front and crowding distance."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints, crowding_distance, nondominated_sort
from codesign.search.strategies.evolving import variation
from codesign.search.strategies.interface import Genes


class Nsga2:
    """NSGA-II on integer vectors with Deb's constraint rules, vectorised over the population.

    Binary tournaments by front and crowding distance, uniform crossover, and mutation of one gene
    or more. Until results of two different candidates are known, candidates are uniform.
    population: survivors of each generation; crossover: probability that a child has two parents.
    Source: Deb et al., IEEE Trans. Evol. Comp. 6(2), 2002.

    >>> strategy = Nsga2(Genes(np.array([10, 10])), seed=0)
    >>> for _ in range(5):  # two objectives, both best at genes (3, 7)
    ...     genes = strategy.ask(20)
    ...     strategy.tell(genes, np.abs(genes - [3, 7]).astype(float), np.zeros(20))
    >>> [3, 7] in strategy.ask(100).tolist()
    True
    """

    def __init__(
        self, genes: Genes, seed: int, population: int = 128, crossover: float = 0.9
    ) -> None:
        self._sizes = genes.sizes
        self._random = np.random.default_rng(seed)
        self._population = population
        self._crossover = crossover
        self._mutation = genes.mutation_rate
        self._parents: Ints = np.empty((0, len(self._sizes)), dtype=np.int64)
        self._objectives: Floats = np.empty((0, 0))
        self._violation: Floats = np.empty(0)
        self._ranks: Ints = np.empty(0, dtype=np.int64)
        self._crowding: Floats = np.empty(0)

    def ask(self, count: int) -> Ints:
        if len(self._parents) < 2:
            shape = (count, len(self._sizes))
            return self._random.integers(0, self._sizes, shape, dtype=np.int64)
        return self._children(self._tournament(count), self._tournament(count))

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        known = self._objectives if len(self._objectives) else objectives[:0]
        pool = np.vstack([self._parents, candidates])
        pool, first = np.unique(pool, axis=0, return_index=True)
        values = np.vstack([known, objectives])[first]
        broken = np.concatenate([self._violation, violation])[first]
        ranks, crowding = ranked(values, broken)
        keep = np.lexsort((-crowding, ranks))[: self._population]
        self._parents, self._objectives, self._violation = pool[keep], values[keep], broken[keep]
        self._ranks, self._crowding = ranks[keep], crowding[keep]

    def _children(self, mothers: Ints, fathers: Ints) -> Ints:
        """Return a child of each pair, shape (n, genes), by crossover and mutation."""
        children = variation.cross(mothers, fathers, self._crossover, self._random)
        # A child equal to its parent would waste an evaluation: at least one gene is mutated.
        chosen = variation.some_gene(children.shape, self._mutation, self._random)
        return variation.mutate(children, self._sizes, chosen, self._random)

    def _tournament(self, count: int) -> Ints:
        """Return the winners of ``count`` binary tournaments of random parents, (count, genes)."""
        left, right = self._random.integers(0, len(self._parents), (2, count))
        worse = (self._ranks[right] < self._ranks[left]) | (
            (self._ranks[right] == self._ranks[left])
            & (self._crowding[right] > self._crowding[left])
        )
        return self._parents[np.where(worse, right, left)]


def ranked(objectives: Floats, violation: Floats) -> tuple[Ints, Floats]:
    """Return front by Deb's rules and crowding distance of each candidate, both of shape (n,)."""
    ranks = nondominated_sort(objectives, violation)
    crowding = np.zeros(len(ranks))
    for rank in np.unique(ranks):
        members = ranks == rank
        crowding[members] = crowding_distance(objectives[members])
    return ranks, crowding
