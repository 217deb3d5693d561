"""Evolution whose children are chosen by a model, as long as evaluations are few and dear."""

from __future__ import annotations

import math

import numpy as np

from codesign.search.pareto import Floats, Ints, hypervolume, pareto_mask
from codesign.search.strategies.evolving.evolution import Evolution
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.modelling.gaussian_process import GaussianProcess

DEAR = 20
"""Most candidates asked for at a time that a model chooses: who asks for more finds them cheap."""
FIRST = 20
"""Results that the first model is fitted to; candidates before are uniform."""
MOST = 600
"""Results from which on evolution goes on without a model, whose cost grows with their cube."""
OPTIMISM = 1.0
"""Standard deviations by which predictions are lowered: what is unknown may be good."""
MARGIN = 0.5
"""How far the reference point lies behind the worst values of the front, in spans of the front."""
POOL = 500
"""Candidates of each source that the model chooses from."""
SMALL = 20_000
"""Most candidates of a space of which the model sees all, instead of pools."""
STEPS, GROWTH = 25, 1.25
"""Steps of a search for the model's weights, which goes on from the last one, and the growth of the
results after which there is a new one; between them the weights stay."""


class GuidedEvolution:
    """Evolution, of whose many children a model takes those that promise most hypervolume.

    Asked for few candidates at a time (DEAR), it fits a Gaussian process to each objective and one
    to feasibility, and takes from a pool of children of ``Evolution``, neighbours of the front in
    one gene and uniform candidates one after the other the one whose optimistic prediction adds
    most to the hypervolume of the front and those taken before. Asked for more, or after MOST
    results, it is ``Evolution``. Without a feasible result the least predicted violation leads.

    Source: of the gain of optimistic predictions Ponweiser et al., "Multiobjective Optimization on
    a Limited Budget of Evaluations Using Model-Assisted S-Metric Selection" (SMS-EGO), PPSN 2008.

    >>> strategy = GuidedEvolution(Genes(np.array([10, 10])), seed=0)
    >>> asked = []
    >>> for _ in range(5):  # two objectives, both best at genes (3, 7); 50 of 100 candidates
    ...     asked.extend(genes := strategy.ask(10))
    ...     strategy.tell(genes, np.abs(genes - [3, 7]).astype(float), np.zeros(10))
    >>> [3, 7] in np.array(asked).tolist()
    True
    """

    def __init__(self, genes: Genes, seed: int) -> None:
        self._sizes = genes.sizes
        self._evolution = Evolution(genes, seed)
        self._random = np.random.default_rng([seed, 2])
        self._known: Ints = np.empty((0, len(genes.sizes)), dtype=np.int64)
        self._objectives: Floats = np.empty((0, 0))
        self._violation: Floats = np.empty(0)
        self._taken: set[bytes] = set()
        self._processes: list[GaussianProcess] = []
        self._weighed = 0

    def ask(self, count: int) -> Ints:
        if count > DEAR or len(self._known) > MOST:
            return self._evolution.ask(count)
        if len(self._known) < FIRST:
            return self._uniform(count)
        pool = self._pool()
        chosen = pool[self._choose(pool, count)]
        self._taken.update(row.tobytes() for row in chosen)
        return np.concatenate([chosen, self._uniform(count - len(chosen))])

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._evolution.tell(candidates, objectives, violation)
        if len(self._known) > MOST:
            return
        old = self._objectives if len(self._objectives) else objectives[:0]
        self._known = np.vstack([self._known, candidates])
        self._objectives = np.vstack([old, objectives])
        self._violation = np.append(self._violation, violation)
        self._taken.update(row.tobytes() for row in candidates)

    def _uniform(self, count: int) -> Ints:
        shape = (count, len(self._sizes))
        return self._random.integers(0, self._sizes, shape, dtype=np.int64)

    def _pool(self) -> Ints:
        """Return different candidates, shape (n, genes), none told or asked for before."""
        if math.prod(self._sizes.tolist()) <= SMALL:
            pool = np.indices(tuple(self._sizes)).reshape(len(self._sizes), -1).T
        else:
            pool = np.unique(self._drawn(), axis=0)
        return pool[[row.tobytes() not in self._taken for row in pool]]

    def _drawn(self) -> Ints:
        """Return POOL candidates of each source, shape (n, genes)."""
        parents = self._known[self._best()]
        near = parents[self._random.integers(0, len(parents), POOL)]
        gene = self._random.integers(0, len(self._sizes), POOL)
        near[np.arange(POOL), gene] = self._random.integers(0, self._sizes[gene])
        return np.concatenate([self._evolution.ask(POOL), near, self._uniform(POOL)])

    def _best(self) -> Ints:
        """Return the rows of the front that is known, else of the least violation."""
        rows = np.flatnonzero(self._violation <= 0)
        if not len(rows):
            return np.flatnonzero(self._violation == self._violation.min())
        return rows[pareto_mask(self._objectives[rows])]

    def _choose(self, pool: Ints, count: int) -> list[int]:
        """Return up to ``count`` rows of the pool, best first."""
        if not len(pool):
            return []
        hopes = self._hopes(pool)
        best = self._best()
        broken = self._violation > 0
        if broken.all():
            return np.argsort(hopes[:, -1], kind="stable")[:count].tolist()
        front = self._objectives[best]
        span = np.ptp(front, axis=0)
        reference = front.max(axis=0) + np.where(span > 0, MARGIN * span, 1.0)
        chance = 1 - np.clip(hopes[:, -1], 0, 1) if broken.any() else np.ones(len(pool))
        return greedy(hopes[:, : front.shape[1]], chance, front, reference, count)

    def _hopes(self, pool: Ints) -> Floats:
        """Return optimistic objectives and, last, the violation, shape (n, objectives + 1).

        Where some results are feasible, the violation is the share of infeasible ones instead.
        """
        broken = self._violation if (self._violation > 0).all() else self._violation > 0
        columns = np.column_stack([self._objectives, broken])
        if not self._processes:
            self._processes = [GaussianProcess(self._sizes) for _ in columns.T]
        found = np.zeros((len(pool), columns.shape[1]))
        weigh = len(self._known) >= GROWTH * self._weighed
        for place, (process, values) in enumerate(zip(self._processes, columns.T, strict=True)):
            if np.ptp(values) > 0:
                if weigh:
                    process.weigh(self._known, values, STEPS)
                process.fit(self._known, values)
                mean, deviation = process.predict(pool)
                last = place == columns.shape[1] - 1
                found[:, place] = mean if last else mean - OPTIMISM * deviation
            else:
                found[:, place] = values[0]
        if weigh:
            self._weighed = len(self._known)
        return found


def greedy(
    points: Floats, chance: Floats, front: Floats, reference: Floats, count: int
) -> list[int]:
    """Return up to ``count`` rows of points, one after the other the one of the largest gain.

    The gain is the hypervolume that a point, shape (n, m), adds to the front and to the points
    before, times its chance, shape (n,). Gains only fall, so they are computed anew only where they
    may decide.
    """
    volume = hypervolume(front, reference)
    behind = np.any(np.all(front[None] <= points[:, None], axis=2), axis=1)
    open_ = (points < reference).all(axis=1) & ~behind
    gains = np.where(open_, np.inf, -1.0) * np.maximum(chance, 1e-3)
    current = np.zeros(len(points), dtype=np.int64) - 1
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        row = int(np.argmax(gains))
        if gains[row] > 0 and current[row] < len(chosen):
            added = hypervolume(np.vstack([front, points[row]]), reference) - volume
            gains[row], current[row] = max(added, 0.0) * max(chance[row], 1e-3), len(chosen)
            continue
        gains[row] = -np.inf
        chosen.append(row)
        front = np.vstack([front, points[row]])
        front = front[pareto_mask(front)]
        volume = hypervolume(front, reference)
    return chosen
