"""The search part of ``explore``: candidates are pruned by estimates and ranked by training.

Multi-objective search with a surrogate: a strategy explores the space against cost models and an
accuracy predictor; networks of its front are trained briefly, and the predictor learns from them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.explore.choice import Trained
from codesign.explore.folder import short_weights
from codesign.explore.reasons import nothing_fits
from codesign.explore.settings import ExploreSettings
from codesign.search import engine
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.accuracy.one_bits import OneBitsPredictor
from codesign.search.accuracy.predictor import AccuracyPredictor, farthest
from codesign.search.accuracy.short_training import Outcome, ShortTraining, TrainingTask, train_all
from codesign.search.engine import Evaluated, InnerSearch, Problem
from codesign.search.pareto import Floats, hypervolume
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network, network_key
from codesign.search.store import TrialRecord, TrialStore
from models.data.datasets import Dataset
from models.training.history import from_list, to_list

Progress = Callable[[str, float, float, str], None]
"""Progress callback with (stage, steps done, steps in all, note)."""

FIRST_NETWORKS = 5
"""Most networks trained in the first round, chosen far from each other."""
EVALUATIONS = (3584, 8192)
"""Candidates estimated (before the first trainings, besides the first random ones; before each
later round)."""
LEAST_SHARE = 0.92
"""Share of the best accuracy below which a network's throughput is of no interest."""
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
    ) -> None:
        """Prepare a search, whose time limit starts here; ``how``: settings of short trainings.

        open_store: called once, when a design that meets the budget is found.
        """
        self.settings, self.problem, self.dataset = settings, problem, dataset
        self._open_store, self.how, self.progress = open_store, how, progress
        limit_s = settings.time_limit_s
        self.deadline = None if limit_s is None else time.monotonic() + TIME_SHARE * limit_s
        self.trained: dict[str, Trained] = {}

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
        score = self._goals(_capacity)
        evaluations, wanted = EVALUATIONS[0], min(FIRST_NETWORKS, networks)
        while len(self.trained) < networks and not (self.trained and self._late()):
            pool = self.inner.run(score, evaluations)
            if not pool.feasible.any():
                raise nothing_fits(self.inner)
            picks = self._pick(pool, score, wanted)
            if not picks:
                break
            self._train(pool, picks)
            predictor = AccuracyPredictor(*self._evidence(), self.how.validation_images)
            score = self._goals(predictor.predict_networks)
            evaluations, wanted = EVALUATIONS[1], min(3, networks - len(self.trained))
        return sorted(self.trained.values(), key=lambda one: -one.accuracy)

    def _late(self) -> bool:
        """Return True if the time is up and at least one network was trained, in any run."""
        passed = self.deadline is not None and time.monotonic() > self.deadline
        return passed and bool(self.store.records())

    def _pick(self, pool: Evaluated, score: engine.Score, count: int) -> list[int]:
        """Return up to ``count`` rows of ``pool`` to train: untrained networks of its front.

        Each network occurs once, with its fastest NPU on the front. The first round takes networks
        far from each other; later ones the most promising network, then those that would add most
        to the front of accuracy and throughput. Only the better part of the front by predicted
        accuracy is looked at. Empty if it has no untrained network.
        """
        goals = score(pool.layers).reshape(len(pool.candidates), -1)
        rates = pool.estimate.images_per_second
        shown = engine.front(goals, rates, pool.estimate.area.luts)
        accuracy = goals[:, 0]
        rows: dict[str, int] = {}
        for row in sorted(np.flatnonzero(shown), key=lambda row: (-accuracy[row], -rates[row])):
            rows.setdefault(network_key(self.problem.space, pool.candidates[row]), int(row))
        fresh = [row for key, row in rows.items() if key not in self.trained]
        if not self.trained:
            # The front reaches down to networks too small to be of use: look at its better part.
            promising = fresh[: max(len(fresh) // 3, 4 * count)]
            features = network_features(pool.layers.take(np.array(promising, dtype=np.int64)))
            return [promising[k] for k in farthest(features, features[:0], count)]
        points = np.column_stack([-accuracy[fresh], -np.log(rates[fresh])])
        return [fresh[k] for k in additions(self._known_points(), points, count)]

    def _known_points(self) -> Floats:
        """Return accuracies and log throughputs of all trained networks, negated: shape (n, 2).

        The throughput is that of the network's fastest NPU within the budget.
        """
        found = []
        for one in self.trained.values():
            every = engine.with_all_npus(self.problem, one.candidate)
            rate = every.estimate.images_per_second[every.feasible].max()
            found.append((-one.accuracy, -np.log(rate)))
        return np.array(found)

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
        candidates = np.stack([one.candidate for one in self.trained.values()])
        return layer_table(self.problem.space, candidates)

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
                "history": to_list(outcome.history),
                "estimate": figures.to_dict(),
                "broken": [name for name, values in excess.items() if values[row] > 0],
                "training": dataclasses.asdict(self.how),
            },
        )


def additions(known: Floats, points: Floats, count: int) -> list[int]:
    """Return up to ``count`` of ``points`` that add most to the front of ``known`` and themselves.

    Points are (n, 2): accuracy and log throughput, both negated. The first one taken is the most
    accurate; each other one adds the largest hypervolume, from LEAST_SHARE of the best accuracy and
    the slowest throughput known on, until none adds any.
    """
    reference = np.array([LEAST_SHARE * known[:, 0].min(), known[:, 1].max()])
    chosen = [int(np.argmin(points[:, 0]))][: min(count, len(points))] if len(points) else []
    while len(chosen) < min(count, len(points)):
        front = np.vstack([known, points[chosen]])
        volumes = [hypervolume(np.vstack([front, point]), reference) for point in points]
        best = int(np.argmax(volumes))
        if volumes[best] <= hypervolume(front, reference):
            break
        chosen.append(best)
    return chosen


def _capacity(layers: LayerTable) -> Floats:
    return capacity(network_features(layers))
