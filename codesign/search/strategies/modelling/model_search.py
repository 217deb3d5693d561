"""Search by models of the results: what promises most hypervolume is asked for next."""

from __future__ import annotations

import abc
import math
from typing import Any, ClassVar, Protocol

import numpy as np

from codesign.search.pareto import Floats, Ints, hypervolume, pareto_mask
from codesign.search.strategies.evolving.evolution import Evolution
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results

FIRST = 20
"""Results that the first model is fitted to; candidates before are uniform."""
OPTIMISM = 1.0
"""Standard deviations by which predictions are lowered: what is unknown may be good."""
MARGIN = 0.5
"""How far the reference point lies behind the worst values of the front, in spans of the front."""
POOL = 500
"""Candidates of each source that the model chooses from."""
GROWTH = 1.25
"""Growth of the results after which parameters of the models are found anew; between they stay."""


class Regression(Protocol):
    """Model of one objective, fitted to candidates as ``ModelSearch._encoded`` gives them."""

    def weigh(self, encoded: Any, values: Floats) -> None:
        """Find the parameters for values of shape (n,)."""
        ...

    def fit(self, encoded: Any, values: Floats) -> None:
        """Fit to values of shape (n,), with the parameters as found."""
        ...

    def predict(self, encoded: Any) -> tuple[Floats, Floats]:
        """Return means and standard deviations, each (m,)."""
        ...


class ModelSearch(abc.ABC):
    """Strategy that fits a Regression to each objective and one to feasibility.

    From a pool of children of ``Evolution``, neighbours of the front in one gene and uniform
    candidates it takes one after the other the one whose optimistic prediction adds most to the
    hypervolume of the front and those taken before (SMS-EGO, see GuidedEvolution). Without a
    feasible result the least predicted violation leads. Made by ``strategies.make``, as one of its
    subclasses.
    """

    SMALL: ClassVar[int]
    """Most candidates of a space of which the models see all, instead of pools."""
    MOST: ClassVar[int]
    """Results that the models are fitted to, at most: the best fronts and the latest."""

    def __init__(self, genes: Genes, seed: int) -> None:
        self._genes, self._sizes = genes, genes.sizes
        self._evolution = Evolution(genes, seed)
        self._random = np.random.default_rng([seed, 2])
        self._known = Results(genes.sizes)
        self._taken: set[bytes] = set()
        self._models: list[Regression] = []
        self._weighed = 0

    @abc.abstractmethod
    def _model(self) -> Regression:
        """Return a new model of one objective."""

    def _encoded(self, candidates: Ints) -> Any:
        """Return candidates of shape (n, genes) in the form that the models take."""
        return candidates

    def _learn(self, rows: Ints) -> None:
        """Prepare the encoding from these rows of the results, before parameters are found."""
        return

    def ask(self, count: int) -> Ints:
        if len(self._known) < FIRST:
            return self._uniform(count)
        pool = self._pool()
        chosen = pool[self._choose(pool, count)]
        self._taken.update(row.tobytes() for row in chosen)
        return np.concatenate([chosen, self._uniform(count - len(chosen))])

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._evolution.tell(candidates, objectives, violation)
        self._known.add(candidates, objectives, violation)
        self._taken.update(row.tobytes() for row in candidates)

    def _uniform(self, count: int) -> Ints:
        shape = (count, len(self._sizes))
        return self._random.integers(0, self._sizes, shape, dtype=np.int64)

    def _pool(self) -> Ints:
        """Return different candidates, shape (n, genes), none told or asked for before."""
        if math.prod(self._sizes.tolist()) <= self.SMALL:
            pool = np.indices(tuple(self._sizes)).reshape(len(self._sizes), -1).T
        else:
            pool = np.unique(self._drawn(), axis=0)
        return pool[[row.tobytes() not in self._taken for row in pool]]

    def _drawn(self) -> Ints:
        """Return POOL candidates of each source, shape (n, genes)."""
        parents = self._known.candidates[self._known.best()]
        near = parents[self._random.integers(0, len(parents), POOL)]
        gene = self._random.integers(0, len(self._sizes), POOL)
        near[np.arange(POOL), gene] = self._random.integers(0, self._sizes[gene])
        return np.concatenate([self._evolution.ask(POOL), near, self._uniform(POOL)])

    def _choose(self, pool: Ints, count: int) -> list[int]:
        """Return up to ``count`` rows of the pool, best first."""
        if not len(pool):
            return []
        hopes = self._hopes(pool)
        best = self._known.best()
        broken = self._known.violation > 0
        if broken.all():
            return np.argsort(hopes[:, -1], kind="stable")[:count].tolist()
        front = self._known.objectives[best]
        span = np.ptp(front, axis=0)
        reference = front.max(axis=0) + np.where(span > 0, MARGIN * span, 1.0)
        chance = 1 - np.clip(hopes[:, -1], 0, 1) if broken.any() else np.ones(len(pool))
        return greedy(hopes[:, : front.shape[1]], chance, front, reference, count)

    def _hopes(self, pool: Ints) -> Floats:
        """Return optimistic objectives and, last, the violation, shape (n, objectives + 1).

        Where some results are feasible, the violation is the share of infeasible ones instead.
        """
        known = self._known
        rows = known.chosen(self.MOST)
        broken = known.violation if (known.violation > 0).all() else known.violation > 0
        columns = np.column_stack([known.objectives, broken])[rows]
        if not self._models:
            self._models = [self._model() for _ in columns.T]
        weigh = len(known) >= GROWTH * self._weighed
        if weigh:
            self._weighed = len(known)
            self._learn(rows)
        before, here = self._encoded(known.candidates[rows]), self._encoded(pool)
        found = np.zeros((len(pool), columns.shape[1]))
        for place, (model, values) in enumerate(zip(self._models, columns.T, strict=True)):
            if np.ptp(values) > 0:
                if weigh:
                    model.weigh(before, values)
                model.fit(before, values)
                mean, deviation = model.predict(here)
                last = place == columns.shape[1] - 1
                found[:, place] = mean if last else mean - OPTIMISM * deviation
            else:
                found[:, place] = values[0]
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
