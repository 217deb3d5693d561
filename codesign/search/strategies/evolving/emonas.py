"""EMONAS: NSGA-II's selection with one-point crossover and polynomial mutation."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.evolving import variation
from codesign.search.strategies.evolving.nsga2 import Nsga2
from codesign.search.strategies.interface import Genes


class Emonas(Nsga2):
    """Binary tournaments by front and crowding distance, one-point crossover, polynomial mutation.

    One point suits chains: genes are in the order of the layers, so a child has the front of one
    network and the back of another. The mutation's index is INDEX; its steps are rounded away from
    0, as most are below 1 where a gene has few values. The one-bits of the weights, EMONAS's
    second objective, belong to the search, not to a strategy: ``codesign explore --boo-within``.

    Source: Feng, EMONAS-BOO, thesis, KTH 2023; mutation: Deb and Agrawal,
    "Simulated Binary Crossover for Continuous Search Space", Complex Systems 9(2), 1995.

    >>> Emonas(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    INDEX = 5.0
    """Distribution index of the mutation: the larger, the smaller its steps."""

    def __init__(
        self, genes: Genes, seed: int, population: int = 64, crossover: float = 0.9
    ) -> None:
        super().__init__(genes, seed, population, crossover)

    def _children(self, mothers: Ints, fathers: Ints) -> Ints:
        count, genes = mothers.shape
        point = self._random.integers(1, max(genes, 2), (count, 1))
        crossed = self._random.random((count, 1)) < self._crossover
        children = np.where(crossed & (np.arange(genes) >= point), fathers, mothers)
        chosen = variation.some_gene(children.shape, self._mutation, self._random)
        step = self._steps(children.shape) * (self._sizes - 1)
        away = (np.sign(step) * np.ceil(np.abs(step))).astype(np.int64)
        moved = np.clip(children + away, 0, self._sizes - 1)
        # A step beyond an end is one back, so that a chosen gene does change.
        moved = np.where(moved == children, np.clip(children - away, 0, self._sizes - 1), moved)
        return np.where(chosen, moved, children)

    def _steps(self, shape: tuple[int, ...]) -> Floats:
        """Return steps -1..1 of the polynomial distribution, in ranges of a gene."""
        drawn = self._random.random(shape)
        power = 1 / (self.INDEX + 1)
        low = (2 * drawn) ** power - 1
        high = 1 - (2 * (1 - drawn)) ** power
        steps: Floats = np.where(drawn < 0.5, low, high)
        return steps
