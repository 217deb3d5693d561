"""Evolution of an archive whose members count by the hypervolume that only they cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Floats, Ints, fronts, hypervolume_contributions
from codesign.search.strategies.evolving import variation
from codesign.search.strategies.interface import Genes

REFERENCE_MARGIN = 0.1
"""How far the reference point lies behind the worst values of the front, in spans of the front; it
lies 1 behind in an objective in which all are equal."""
MUTATIONS = 0.7
"""Genes of a child that are mutated, on average; some of them have no effect in it."""


class Evolution:
    """Archive of the best candidates; the hypervolume that each adds selects, neighbours mate.

    Up to ``archive`` candidates are kept: non-dominated feasible ones by their contribution to the
    hypervolume, then dominated ones by front, then infeasible ones by violation. Beyond these, for
    each value of an NPU's gene that none of them has, the best candidate that has it stays: an
    array of another shape needs several changes at once, and with its last value gone a search that
    began in the wrong shape would stay there (docs/measurements/search.md).

    A mother wins a binary tournament; with probability ``near`` the father is one of the NEIGHBOURS
    nearest to her in objectives, else he wins another tournament. A child has two parents with
    probability ``crossover``: neighbours mix their genes, others give network, bits and NPU each
    whole, where these are known, as genes of a part that is far from both fit neither. Then come
    four mutations, in this order:

    - With probability ``resized``, an element of those that repeat, a stage, is copied beside
      itself, or one is taken out: what genes say of a stage that a candidate does not have is
      chance, so that the number alone seldom changes for the better.
    - MUTATIONS genes on average get new values, which may be none: children that are pure
      recombinations were better than a forced mutation.
    - With probability ``together``, all genes of one kind are lowered, or raised, to one level: the
      array is as wide as the widest layer asks for, and one gene alone does not make it narrower.
    - With probability ``reshaped``, one or two genes of the NPU change together with one kind of
      genes in all layers (``variation.reshape``): channels that fit one array seldom fit another.

    Until two different candidates are known, candidates are uniform.

    Source: Beume, Naujoks, Emmerich, "SMS-EMOA", EJOR 181(3), 2007, for selection by hypervolume,
    here with a batch instead of one child; Zhang and Li, "MOEA/D", IEEE Trans. Evol. Comp. 11(6),
    2007, for neighbours that mate.

    >>> strategy = Evolution(Genes(np.array([10, 10])), seed=0)
    >>> for _ in range(5):  # two objectives, both best at genes (3, 7)
    ...     genes = strategy.ask(20)
    ...     strategy.tell(genes, np.abs(genes - [3, 7]).astype(float), np.zeros(20))
    >>> [3, 7] in strategy.ask(100).tolist()
    True
    """

    NEIGHBOURS = 10

    def __init__(
        self,
        genes: Genes,
        seed: int,
        archive: int = 100,
        crossover: float = 0.9,
        near: float = 0.7,
        together: float = 0.1,
        resized: float = 0.1,
        reshaped: float = 0.1,
    ) -> None:
        self._genes, self._sizes = genes, genes.sizes
        self._random = np.random.default_rng(seed)
        self._archive, self._crossover = archive, crossover
        self._near, self._together = near, together
        self._resized, self._reshaped = resized, reshaped
        self._mutation = MUTATIONS * genes.mutation_rate
        self._preserved = genes.parts[-1] if genes.parts else np.arange(0)
        self._members: Ints = np.empty((0, len(self._sizes)), dtype=np.int64)
        self._objectives: Floats = np.empty((0, 0))
        self._violation: Floats = np.empty(0)
        self._fitness: Floats = np.empty(0)

    def ask(self, count: int) -> Ints:
        if len(self._members) < 2:
            shape = (count, len(self._sizes))
            return self._random.integers(0, self._sizes, shape, dtype=np.int64)
        mothers = self._tournament(count)
        near = self._random.random(count) < self._near
        fathers = np.where(near, self._neighbours(mothers), self._tournament(count))
        children = self._crossed(self._members[mothers], self._members[fathers], near)
        resized = self._random.random(count) < self._resized
        children = variation.resize(children, self._genes, resized, self._random)
        chosen = self._random.random(children.shape) < self._mutation
        children = variation.mutate(children, self._sizes, chosen, self._random)
        together = self._random.random(count) < self._together
        children = variation.level(children, self._genes, together, self._random)
        reshaped = self._random.random(count) < self._reshaped
        return variation.reshape(children, self._genes, reshaped, self._random)

    def _crossed(self, mothers: Ints, fathers: Ints, near: NDArray[np.bool_]) -> Ints:
        """Return children of n pairs, shape (n, genes); near: True for neighbours, shape (n,)."""
        mixed = variation.cross(mothers, fathers, self._crossover, self._random)
        if not self._genes.parts:
            return mixed
        parts, share = self._genes.parts, self._crossover
        whole = variation.cross_parts(mothers, fathers, parts, share, self._random)
        return np.where(near[:, None], mixed, whole)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        known = self._objectives if len(self._objectives) else objectives[:0]
        pool = np.vstack([self._members, candidates])
        first = _different(pool)
        pool, values = pool[first], np.vstack([known, objectives])[first]
        broken = np.concatenate([self._violation, violation])[first]
        fitness = _fitness(values, broken)
        # Stable, so that of equal ones the first stays, whatever the sort's implementation.
        order = np.argsort(-fitness, kind="stable")
        keep = order[self._kept(pool[order])]
        self._members, self._objectives = pool[keep], values[keep]
        self._violation, self._fitness = broken[keep], fitness[keep]

    def _kept(self, ranked: Ints) -> NDArray[np.bool_]:
        """Return True for the candidates to keep, shape (n,), of those ranked, (n, genes)."""
        kept = np.arange(len(ranked)) < self._archive
        for gene in self._preserved:
            missing = np.zeros(self._sizes[gene], dtype=np.bool_)
            missing[ranked[:, gene]] = True
            missing[ranked[kept, gene]] = False
            for value in np.flatnonzero(missing):
                kept[np.argmax(ranked[:, gene] == value)] = True
        return kept

    def _tournament(self, count: int) -> Ints:
        """Return the winners of ``count`` binary tournaments, as indices of members."""
        left, right = self._random.integers(0, len(self._members), (2, count))
        return np.where(self._fitness[right] > self._fitness[left], right, left)

    def _neighbours(self, members: Ints) -> Ints:
        """Return for each member, shape (n,), a random one of the NEIGHBOURS nearest to it.

        Near in objectives, in units of their standard deviation over the archive; all are indices.
        """
        spread = self._objectives.std(axis=0)
        points = self._objectives / np.where(spread > 0, spread, 1.0)
        gaps = np.zeros((len(members), len(points)))
        for column in points.T:  # an array of three axes takes several times as long
            gaps += (column[members, None] - column) ** 2
        gaps[np.arange(len(members)), members] = np.inf
        count = min(self.NEIGHBOURS, len(points) - 1)
        nearest = np.argpartition(gaps, count - 1, axis=1)[:, :count]
        found: Ints = nearest[
            np.arange(len(members)), self._random.integers(0, count, len(members))
        ]
        return found


def _different(rows: Ints) -> Ints:
    """Return the first index of each different row, shape (n, genes), in the order of the rows.

    As np.unique with axis 0 does, in a fraction of the time for a few hundred rows.
    """
    order = np.lexsort(rows.T[::-1])
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    found: Ints = order[new]
    return found


def _fitness(objectives: Floats, violation: Floats) -> Floats:
    """Return a number per candidate to sort by, shape (n,), larger is better.

    Non-dominated feasible candidates have their hypervolume contribution, 0 or more; other feasible
    ones minus the number of their front; infeasible ones less than those, the more they violate the
    less.
    """
    feasible = violation <= 0
    fitness = np.empty(len(violation))
    if feasible.any():
        points = objectives[feasible]
        ranks = fronts(points)
        values = -ranks.astype(np.float64)
        best = points[ranks == 0]
        worst, span = best.max(axis=0), np.ptp(best, axis=0)
        reference = worst + np.where(span > 0, REFERENCE_MARGIN * span, 1.0)
        values[ranks == 0] = hypervolume_contributions(best, reference)
        fitness[feasible] = values
    fitness[~feasible] = -float(len(violation)) - violation[~feasible]
    return fitness
