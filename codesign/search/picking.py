"""Picks what a search trains next, from what it has found on estimates and what it has trained.

The networks that are expected to add most to the front of accuracy and throughput (or LUTs) are
trained, or those that are expected to make the chosen design better. What is known before the first
training comes from earlier trainings of others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from scipy.special import expit

from codesign.cost.cycles.layers import LayerTable
from codesign.goals import preferred
from codesign.search import engine
from codesign.search.accuracy.acquisition import (
    Gains,
    accuracy_gains,
    choice_gains,
    choose,
    expected_gains,
)
from codesign.search.accuracy.one_bits import OneBitsPredictor
from codesign.search.engine import Evaluated, InnerSearch
from codesign.search.pareto import Floats, Ints
from codesign.search.space.genome import network_key

LEAST_SHARE = 0.75
"""Share of the best accuracy, believed or reached, from which on a network is of interest."""
ROOM = 0.5
"""How far below the slowest network to choose from the reference point lies where there is a floor,
in spans of their log rates: at it, where the most accurate ones are, accuracy has no volume."""
SHORTLIST = 3
"""Networks whose NPUs are all looked at, for each one that is trained."""
Chances = Callable[[Floats], Floats]
"""Accuracies (n,) of trainings -> chances (n,) that a network of it counts as accurate enough."""


class Predictor(Protocol):
    """Prediction of accuracies, as log odds of a correct answer."""

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation, each (n,), for features of shape (n, f)."""

    def network_odds(self, layers: LayerTable) -> Floats:
        """Return the means of n networks, shape (n,)."""


class Belief(Protocol):
    """Belief of a search on the accuracy of networks, whatever it knows of them."""

    def features(self, layers: LayerTable) -> Floats:
        """Return what networks are compared by, shape (n, f)."""

    def after(self, features: Floats, accuracies: Floats) -> Predictor:
        """Return the prediction once networks of features (t, f) have accuracies (t,), 0..1."""


class Picker:
    """Beliefs on the accuracy of networks, and the choice of those to train. Made by ``Search``."""

    def __init__(
        self,
        inner: InnerSearch,
        belief: Belief,
        *,
        prefer: str,
        one_bits: bool,
        least_share: float = LEAST_SHARE,
    ) -> None:
        """Start without trained networks of the search's own, before its first ``inner.run``.

        inner: the search on estimates. belief: what is known of networks before. prefer: as in
        SearchSettings. one_bits: True if few one-bits are an objective. least_share: in place of
        LEAST_SHARE.
        """
        self._problem, self._few_ones = inner.problem, one_bits
        self._least_share, self._preferred = least_share, preferred(prefer)
        floor = inner.problem.budget.min_throughput
        self._fast_enough = floor is not None and prefer in ("accuracy", "throughput")
        self._belief = belief
        self._merits: dict[str, float] = {}
        self.learn([], np.empty(0), np.empty(0))

    def learn(self, candidates: Sequence[Ints], accuracies: Floats, one_bits: Floats) -> None:
        """Take over the t networks that the search has trained, in the order they were proposed.

        candidates: t vectors (n_genes,), of network and NPU; accuracies: 0..1, shape (t,);
        one_bits: of all weights, shape (t,).
        """
        space = self._problem.space
        genes = np.reshape(candidates, (len(candidates), len(space.sizes))).astype(np.int64)
        layers = space.layers(genes)
        self._trained = {network_key(space, one) for one in genes}
        self._features, self._accuracies = self._belief.features(layers), accuracies
        self._ranked = [self._best_merit(one) for one in genes]
        self._predictor = self._belief.after(self._features, accuracies)
        self._bits = OneBitsPredictor()
        if self._few_ones and len(genes):
            self._bits.fit(layers, one_bits)

    def score(self, layers: LayerTable) -> Floats:
        """Return what a search maximises: log odds (n,), with one-bits (n, 2): -log(one-bits), too.

        layers: of n networks.
        """
        return self._goals(layers, self._predictor.network_odds(layers))

    def _goals(self, layers: LayerTable, odds: Floats) -> Floats:
        if not self._few_ones:
            return odds
        return np.column_stack([odds, -np.log(self._bits.predict(layers))])

    def pick(self, pool: Evaluated, count: int, chances: Chances | None = None) -> list[int]:
        """Return up to ``count`` rows of ``pool`` to train: untrained networks, each on one NPU.

        They are those of the largest expected gain (``acquisition.choose``) in accuracy alone where
        a floor of the rate is given, beyond which rates count less, else in hypervolume, or with
        ``chances`` in the merit of the design that will be chosen, of the networks on the front of
        what accuracy may be, each kind's (Genome.kinds) by itself: its mean, and one standard
        deviation more. Before any is trained, each kind has its turn. Of all NPUs within the
        budget a network counts with that of the most merit; of SHORTLIST times as many networks
        they are all looked at, of others those in the pool. Empty if there is no network to gain
        by. chances: only once networks were trained.
        """
        odds, deviation = self._predictor.odds(self._belief.features(pool.layers))
        merits = self._merit(pool)
        kinds = self._problem.space.kinds(pool.candidates)
        fresh = self._fresh(pool, odds, deviation, merits, kinds)
        if not len(fresh):
            return []
        known = np.column_stack([self._accuracies, self._ranked])
        best = max(self._accuracies, default=float(expit(odds.max())))
        least = float(merits.min())
        if self._preferred == "throughput" and self._problem.budget.min_throughput is not None:
            least = min(least, merits[fresh].min() - ROOM * np.ptp(merits[fresh]))
        reference = np.array([self._least_share * best, least])
        worth: Gains = functools.partial(expected_gains, reference=reference)
        if self._fast_enough:
            worth = accuracy_gains
        elif chances is not None:
            worth = functools.partial(choice_gains, chances=chances)
        gains = worth(known, merits[fresh], odds[fresh], deviation[fresh])
        order = np.argsort(-gains, kind="stable")
        listed = set(order[: SHORTLIST * count].tolist())
        for kind in np.unique(kinds[fresh]):
            listed.update(order[kinds[fresh][order] == kind][:SHORTLIST].tolist())
        fresh = fresh[[row for row in order if row in listed]]
        exact = [self._best_merit(pool.candidates[row]) for row in fresh]
        mine = self._belief.features(pool.layers.take(fresh))
        chosen = choose(
            known, self._features, mine, np.array(exact),
            lambda *trained: self._belief.after(*trained).odds(mine), worth, count,
            None if len(self._accuracies) else kinds[fresh],
        )  # fmt: skip
        return [int(fresh[k]) for k in chosen]

    def _fresh(
        self, pool: Evaluated, odds: Floats, deviation: Floats, merits: Floats, kinds: Ints
    ) -> Ints:
        """Return rows of untrained networks on the front of their kind, each once, by its merit."""
        costs = self._problem.costs(pool.estimate)
        shown = np.zeros(len(odds), dtype=np.bool_)
        for hoped in (odds, odds + deviation):
            goals = self._goals(pool.layers, hoped)
            for kind in np.unique(kinds):
                mine = np.flatnonzero(kinds == kind)
                shown[mine[engine.front(goals[mine], costs[mine])]] = True
        rows: dict[str, int] = {}
        for row in sorted(np.flatnonzero(shown), key=lambda row: -merits[row]):
            rows.setdefault(network_key(self._problem.space, pool.candidates[row]), int(row))
        return np.array([row for key, row in rows.items() if key not in self._trained], np.int64)

    def _merit(self, found: Evaluated) -> Floats:
        """Return what counts beside accuracy, to be large: the cost of a goal negated, (n,)."""
        return -found.estimate.cost(self._preferred)

    def _best_merit(self, candidate: Ints) -> float:
        """Return the most merit of a network's NPUs within the budget."""
        key = network_key(self._problem.space, candidate)
        if key not in self._merits:
            every = engine.with_all_npus(self._problem, candidate)
            self._merits[key] = float(self._merit(every)[every.feasible].max())
        return self._merits[key]
