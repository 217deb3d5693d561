"""Quantum-inspired evolution: distributions over the genes move towards the best candidates."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.evolving.nsga2 import ranked
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results


class QuantumInspired:
    """Q-NAS: candidates are observations of five distributions over the values of the genes.

    A quantum individual holds a probability for each value of each gene, at first equal ones. It is
    observed REPETITION times a generation; the POPULATION best of old and new candidates stay. Then
    in each individual the probability of a random ``rate`` of genes moves by up to ``step`` towards
    the value that its leader has, at most to MOST; those of the other values fall in proportion.

    Adapted: the population is ordered by front and crowding distance, not by one fitness, and the
    leaders, its first INDIVIDUALS members, by the first objective, so that each distribution keeps
    to its part of the front. Step and rate are larger than the .05 and 10 % that Q-NAS takes every
    fifth generation: searches here have hundreds of results, not thousands. Real-valued parameters
    (intervals there) do not occur. Candidates that are known give way to neighbours in one gene.

    Source: Szwarcman, Civitarese, Vellasco, "Quantum-Inspired Evolutionary Algorithm applied to
    Neural Architecture Search", Applied Soft Computing 120, 2022.

    >>> QuantumInspired(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    INDIVIDUALS, REPETITION = 5, 4
    POPULATION = INDIVIDUALS * REPETITION
    MOST = 0.99

    def __init__(
        self, genes: Genes, seed: int, rate: float = 0.5, step: float = 0.3, crossover: float = 0.0
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._rate, self._step, self._crossover = rate, step, crossover
        values = np.arange(genes.sizes.max()) < genes.sizes[:, None]
        self._chances = np.tile(values / genes.sizes[:, None], (self.INDIVIDUALS, 1, 1))
        """Probabilities, shape (INDIVIDUALS, genes, values); 0 for values that a gene lacks."""
        self._known = Results(genes.sizes)
        self._best = Results(genes.sizes)
        self._told = 0

    def ask(self, count: int) -> Ints:
        observed = self._observe(count)
        members = self._best.candidates
        if len(members) and self._crossover:
            mates = members[self._random.integers(0, len(members), count)]
            crossed = self._random.random(observed.shape) < self._crossover
            observed = np.where(crossed, mates, observed)
        return self._known.unknown(observed, count, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._known.add(candidates, objectives, violation)
        self._told += len(candidates)
        pool = self._best
        pool.add(candidates, objectives, violation)
        ranks, crowding = ranked(pool.objectives, pool.violation)
        keep = np.lexsort((-crowding, ranks))[: self.POPULATION]
        self._best = Results(pool.sizes)
        self._best.add(pool.candidates[keep], pool.objectives[keep], pool.violation[keep])
        while self._told >= self.POPULATION:
            self._told -= self.POPULATION
            self._move()

    def _observe(self, count: int) -> Ints:
        """Return candidates drawn from the individuals in turn, shape (count, genes)."""
        limits = self._chances.cumsum(axis=2)[np.arange(count) % self.INDIVIDUALS]
        drawn = self._random.random((*limits.shape[:2], 1)) * limits[:, :, -1:]
        return np.minimum((limits <= drawn).sum(axis=2), self._known.sizes - 1)

    def _move(self) -> None:
        """Move each individual towards its leader."""
        leaders = np.arange(self.INDIVIDUALS) % len(self._best)
        leaders = leaders[np.argsort(self._best.objectives[leaders, 0], kind="stable")]
        values = self._best.candidates[leaders][:, :, None]
        old = np.take_along_axis(self._chances, values, axis=2)
        step = self._step * self._random.random()
        moved = (self._random.random(values.shape) < self._rate) & (old < self.MOST)
        new = np.where(moved, np.minimum(old + step, self.MOST), old)
        rest = np.where(old < 1, (1 - new) / np.maximum(1 - old, 1e-12), 1.0)
        self._chances *= rest
        np.put_along_axis(self._chances, values, new, axis=2)


class QuantumCrossover(QuantumInspired):
    """Q-NAS whose observations are crossed with members of the population, gene by gene.

    What the later SegQNAS adds to it for networks; of the enhanced Q-NAS that the literature names
    (76.4 % on CIFAR-100) we have figures only, so it is not claimed.

    Source: SegQNAS, github.com/slynrick/segqnas, 2025.

    >>> QuantumCrossover(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int, crossover: float = 0.5) -> None:
        super().__init__(genes, seed, crossover=crossover)
