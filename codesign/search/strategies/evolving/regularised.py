"""Regularised evolution: the oldest of the population dies, not the worst."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints, nondominated_sort
from codesign.search.strategies.evolving import variation
from codesign.search.strategies.interface import Genes


class RegularisedEvolution:
    """Aging evolution: tournaments among the latest results, one mutated gene or more a child.

    The population is the last ``population`` candidates told. Each child is a mutation of the best
    of ``tournament`` random members, by constraint violation, then front; of equal ones a random
    one. Until ``population`` results are known, candidates are uniform. Source: Real et al.,
    "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, whose one objective
    is replaced by the rank of the front.

    >>> RegularisedEvolution(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int, population: int = 128, tournament: int = 8) -> None:
        self._sizes = genes.sizes
        self._random = np.random.default_rng(seed)
        self._population, self._tournament = population, tournament
        self._mutation = genes.mutation_rate
        self._members: Ints = np.empty((0, len(self._sizes)), dtype=np.int64)
        self._objectives: Floats = np.empty((0, 0))
        self._violation: Floats = np.empty(0)
        self._ranks: Ints = np.empty(0, dtype=np.int64)

    def ask(self, count: int) -> Ints:
        if len(self._members) < self._population:
            shape = (count, len(self._sizes))
            return self._random.integers(0, self._sizes, shape, dtype=np.int64)
        drawn = self._random.integers(0, len(self._members), (count, self._tournament))
        parents = self._members[drawn[np.arange(count), np.argmin(self._ranks[drawn], axis=1)]]
        chosen = variation.some_gene(parents.shape, self._mutation, self._random)
        return variation.mutate(parents, self._sizes, chosen, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        known = self._objectives if len(self._objectives) else objectives[:0]
        youngest = slice(-self._population, None)
        self._members = np.vstack([self._members, candidates])[youngest]
        self._objectives = np.vstack([known, objectives])[youngest]
        self._violation = np.concatenate([self._violation, violation])[youngest]
        self._ranks = nondominated_sort(self._objectives, self._violation)
