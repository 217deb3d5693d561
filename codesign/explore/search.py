"""The search part of ``explore``: candidates are pruned by estimates and ranked by training.

Multi-objective search with a surrogate: a strategy explores the space against cost models and an
accuracy predictor; the networks that are expected to add most to the front are trained briefly, and
the predictor learns from them. What it knows before that comes from earlier trainings of others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit

from codesign.cost.cycles.layers import LayerTable
from codesign.explore.choice import Trained
from codesign.explore.folder import short_weights
from codesign.explore.reasons import nothing_fits
from codesign.explore.settings import ExploreSettings
from codesign.search import engine
from codesign.search.accuracy.acquisition import choose, expected_gains
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.accuracy.one_bits import OneBitsPredictor
from codesign.search.accuracy.short_training import Outcome, ShortTraining, TrainingTask, train_all
from codesign.search.accuracy.transfer import Source, TransferPredictor
from codesign.search.engine import Evaluated, InnerSearch, Problem
from codesign.search.pareto import Floats, Ints
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network, network_key
from codesign.search.store import TrialRecord, TrialStore
from models.data.datasets import Dataset
from models.training.history import from_list, to_list

Progress = Callable[[str, float, float, str], None]
"""Progress callback with (stage, steps done, steps in all, note)."""

ROUND = 4
"""Most networks trained between two looks at what to train next."""
EVALUATIONS = (3584, 8192)
"""Candidates estimated (before the first trainings, besides the first random ones; before each
later round)."""
LEAST_SHARE = 0.75
"""Share of the best accuracy, believed or reached, from which on a network is of interest."""
SHORTLIST = 3
"""Networks whose NPUs are all looked at, for each one that is trained."""
TIME_SHARE = 0.35
"""Fraction of the time limit after which no further network is trained briefly."""


class Search:
    """One search for networks worth a full training. Made by ``explore``.

    Each trained network is added to a store as soon as its training ends, so that a search that
    was killed continues from there.
    """

    def __init__(
        self,
        settings: ExploreSettings,
        problem: Problem,
        dataset: Dataset,
        open_store: Callable[[], TrialStore],
        how: ShortTraining,
        progress: Progress,
        earlier: Sequence[Source] = (),
    ) -> None:
        """Prepare a search, whose time limit starts here; ``how``: settings of short trainings.

        open_store: called once, when a design that meets the budget is found. earlier: trained
        networks of other searches and studies.
        """
        self.settings, self.problem, self.dataset = settings, problem, dataset
        self._open_store, self.how, self.progress = open_store, how, progress
        limit_s = settings.time_limit_s
        self.deadline = None if limit_s is None else time.monotonic() + TIME_SHARE * limit_s
        self.trained: dict[str, Trained] = {}
        self._earlier = earlier
        self._merits: dict[str, float] = {}

    @functools.cached_property
    def inner(self) -> InnerSearch:
        """The search on estimates; it draws its first samples at the first use."""
        return InnerSearch(self.problem, self.settings.strategy, self.settings.seed)

    @functools.cached_property
    def store(self) -> TrialStore:
        """The trials of this search and of those that it continues; opened at the first use."""
        return self._open_store()

    def run(self) -> list[Trained]:
        """Run the search; return the trained networks, best validation accuracy first.

        They are fewer than ``settings.networks`` if the time is up, or the front has no further
        ones. Raises InfeasibleError when the search finds no design within the budget.
        """
        networks = self.settings.networks
        self.progress("search", 0, networks + 1, "sampling the space")
        while len(self.trained) < networks and not (self.trained and self._late()):
            predictor = self._predictor()
            score = self._goals(predictor.network_odds)
            pool = self.inner.run(score, EVALUATIONS[bool(self.trained)])
            if not pool.feasible.any():
                raise nothing_fits(self.inner)
            picks = self._pick(pool, predictor, min(ROUND, networks - len(self.trained)))
            if not picks:
                break
            self._train(pool, picks)
        return sorted(self.trained.values(), key=lambda one: -one.accuracy)

    def _late(self) -> bool:
        """Return True if the time is up and at least one network was trained, in any run."""
        passed = self.deadline is not None and time.monotonic() > self.deadline
        return passed and bool(self.store.records())

    @functools.cached_property
    def _centre(self) -> float:
        """Mean capacity of the networks that were drawn uniformly."""
        drawn = self.inner.archive().layers.take(slice(self.inner.sampled))
        return float(capacity(network_features(drawn)).mean())

    def _predictor(self, trained: tuple[Floats, Floats] | None = None) -> TransferPredictor:
        """Return what is believed of accuracies after trainings: features (t, f), accuracies (t,).

        Without them, after those of this search.
        """
        features, accuracies = trained or self._evidence()
        own = Source(self.settings.dataset, features, accuracies, self.how.validation_images)
        return TransferPredictor(own, self._earlier, self._centre)

    def _pick(self, pool: Evaluated, predictor: TransferPredictor, count: int) -> list[int]:
        """Return up to ``count`` rows of ``pool`` to train: untrained networks, each on one NPU.

        They are those of the largest expected gain in hypervolume (``acquisition.choose``), of the
        networks on the front of what accuracy may be: its mean, and one standard deviation more.
        Of all NPUs within the budget a network counts with that of the most merit; of SHORTLIST
        times as many networks they are all looked at, of others those in the pool. Empty if there
        is no network to gain by.
        """
        odds, deviation = predictor.odds(network_features(pool.layers))
        merits = self._merit(pool)
        costs = pool.estimate.images_per_second, pool.estimate.area.luts
        further = self._goals(lambda layers: odds)(pool.layers).reshape(len(odds), -1)[:, 1:]
        shown = np.zeros(len(odds), dtype=np.bool_)
        for hoped in (odds, odds + deviation):
            shown |= engine.front(np.column_stack([hoped, further]), *costs)
        rows: dict[str, int] = {}
        for row in sorted(np.flatnonzero(shown), key=lambda row: -merits[row]):
            rows.setdefault(network_key(self.problem.space, pool.candidates[row]), int(row))
        fresh = np.array([row for key, row in rows.items() if key not in self.trained], dtype=int)
        features, accuracies = self._evidence()
        ranked = [self._best_merit(one.candidate) for one in self.trained.values()]
        known = np.column_stack([accuracies, ranked])
        best = max(accuracies, default=float(expit(odds.max())))
        reference = np.array([LEAST_SHARE * best, merits.min()])
        gains = expected_gains(known, merits[fresh], odds[fresh], deviation[fresh], reference)
        fresh = fresh[np.argsort(-gains, kind="stable")[: SHORTLIST * count]]
        exact = [self._best_merit(pool.candidates[row]) for row in fresh]
        mine = network_features(pool.layers.take(fresh))
        chosen = choose(
            known, features, mine, np.array(exact),
            lambda *trained: self._predictor(trained).odds(mine), reference, count,
        )  # fmt: skip
        return [int(fresh[k]) for k in chosen]

    def _merit(self, found: Evaluated) -> Floats:
        """Return what counts beside accuracy, to be large: log images/s, or -log LUTs, (n,)."""
        if self.settings.prefer == "area":
            return -np.log(found.estimate.area.luts)
        return np.log(found.estimate.images_per_second)

    def _best_merit(self, candidate: Ints) -> float:
        """Return the most merit of a network's NPUs within the budget."""
        key = network_key(self.problem.space, candidate)
        if key not in self._merits:
            every = engine.with_all_npus(self.problem, candidate)
            self._merits[key] = float(self._merit(every)[every.feasible].max())
        return self._merits[key]

    def _goals(self, accuracy: engine.Score) -> engine.Score:
        """Return the score to maximise: ``accuracy``, and few one-bits if they are an objective.

        It maps layers of n networks to (n,), with one-bits to (n, 2): accuracy, -log(one-bits).
        """
        if not self.settings.one_bits:
            return accuracy
        bits = OneBitsPredictor()
        if self.trained:
            ones = [float(one.one_bits) for one in self.trained.values()]
            bits.fit(self._trained_layers(), np.array(ones))
        return lambda layers: np.column_stack([accuracy(layers), -np.log(bits.predict(layers))])

    def _trained_layers(self) -> LayerTable:
        """Return the layers of all trained networks, in the order they were proposed."""
        candidates = [one.candidate for one in self.trained.values()]
        shape = (len(candidates), len(self.problem.space.sizes))
        return layer_table(self.problem.space, np.reshape(candidates, shape).astype(np.int64))

    def _evidence(self) -> tuple[Floats, Floats]:
        """Return features (n, f) and accuracies (n,) of all trained networks, as proposed.

        Accuracies are 0..1.
        """
        accuracies = np.array([one.accuracy for one in self.trained.values()])
        return network_features(self._trained_layers()), accuracies

    def _train(self, pool: Evaluated, rows: Sequence[int]) -> None:
        """Train those networks of ``rows`` that are not in the store, until the time is up.

        They enter ``self.trained`` in the order of ``rows``, whichever training ends first.
        """
        space = self.problem.space
        keys = {network_key(space, pool.candidates[row]): row for row in rows}
        tasks = []
        for key, row in keys.items():
            if self.store.find(key) is None and not self._late():
                graph, quantisation = network(space, pool.candidates[row])
                scale_bits = int(pool.estimate.npu.scale_bits[row])
                keep = short_weights(self.settings.out, key)
                keep.parent.mkdir(parents=True, exist_ok=True)
                tasks.append(TrainingTask(key, graph, quantisation, scale_bits, keep))
        self._report()
        trainings = train_all(tasks, self.dataset, self.how, self.settings.jobs)
        with contextlib.closing(trainings) as outcomes:
            for outcome in outcomes:
                self.store.add(self._record(pool, keys[outcome.key], outcome), space.choices)
                self._report(f"{100 * outcome.accuracy:.1f} % after {self.how.epochs} epochs")
                if self._late():
                    break
        for key, row in keys.items():
            record = self.store.find(key)
            if record is not None:
                self.trained[key] = Trained(
                    pool.candidates[row],
                    record.values[0],
                    float(record.attributes["seconds"]),
                    int(record.attributes["one_bits"]),
                    from_list(record.attributes.get("history", ())),
                )
        self._report()

    def _report(self, note: str = "") -> None:
        done = len({*self.trained, *(record.key for record in self.store.records())})
        self.progress("search", 1 + done, 1 + max(self.settings.networks, done), note)

    def _record(self, pool: Evaluated, row: int, outcome: Outcome) -> TrialRecord:
        excess = self.problem.excess(pool.candidates, pool.layers, pool.estimate)
        figures = pool.estimate.figures(row)
        assert figures.images_per_second is not None
        assert figures.luts is not None
        return TrialRecord(
            key=outcome.key,
            params=self.problem.space.params(pool.candidates[row]),
            values=(
                outcome.accuracy,
                figures.images_per_second,
                figures.luts,
                *((outcome.one_bits,) if self.settings.one_bits else ()),
            ),
            constraints={name: float(values[row]) for name, values in excess.items()},
            attributes={
                "candidate": pool.candidates[row].tolist(),
                "seconds": round(outcome.seconds, 2),
                "one_bits": outcome.one_bits,
                "features": network_features(pool.layers.take(np.array([row])))[0].tolist(),
                "history": to_list(outcome.history),
                "estimate": figures.to_dict(),
                "broken": [name for name, values in excess.items() if values[row] > 0],
                "training": dataclasses.asdict(self.how),
            },
        )
