"""Accuracy of several networks that exist, with other bits: each by its own measurements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.search.accuracy.quantising import Quantiser
from codesign.search.accuracy.sensitivity import SensitivityBelief, SensitivityPredictor
from codesign.search.accuracy.short_training import candidate_of
from codesign.search.pareto import Floats, Ints
from codesign.search.parts import in_parts
from codesign.search.space.zoo import ZooLayers, ZooSpace
from codesign.search.trials import Proposal


@dataclass(frozen=True, eq=False)
class ZooBelief:
    """Belief of a search on several networks. Made by ``Zoo.belief``.

    What is learned from trials of one network says nothing of another: each loses from an accuracy
    of its own, which is measured.
    """

    beliefs: tuple[SensitivityBelief, ...]
    """By number of the network."""

    def features(self, layers: LayerTable) -> Floats:
        """Return what networks are compared by: their number, then what each loses, (n, f)."""
        assert isinstance(layers, ZooLayers)
        most = max(belief.losses.features for belief in self.beliefs)
        found = np.zeros((len(layers), 1 + most))
        found[:, 0] = layers.numbers
        for number, rows in _rows(layers.numbers):
            own = self.beliefs[number].features(layers.take(rows))
            found[rows, 1 : 1 + own.shape[1]] = own
        return found

    def after(self, features: Floats, accuracies: Floats) -> ZooPredictor:
        """Return what is believed once networks of these features (t, f) have accuracies (t,)."""
        predictors = []
        for number, belief in enumerate(self.beliefs):
            rows = features[:, 0] == number
            own = _own(features[rows], belief)
            predictors.append(belief.after(own, accuracies[rows]))
        return ZooPredictor(self, tuple(predictors))


@dataclass(frozen=True, eq=False)
class ZooPredictor:
    """Prediction of log odds, each network's by its own predictor. Made by ``ZooBelief.after``."""

    belief: ZooBelief
    predictors: tuple[SensitivityPredictor, ...]
    """By number of the network."""

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean log odds of a correct answer and their standard deviations, each (n,)."""
        mean, deviation = np.zeros(len(features)), np.zeros(len(features))
        for number, rows in _rows(features[:, 0].astype(np.int64)):
            own = _own(features[rows], self.belief.beliefs[number])
            mean[rows], deviation[rows] = self.predictors[number].odds(own)
        return mean, deviation

    def network_odds(self, layers: LayerTable, threads: int | None = None) -> Floats:
        """Return the mean log odds of n networks, shape (n,); threads: as in ``in_parts``."""

        def part(rows: slice) -> Floats:
            mine = layers.take(rows)
            assert isinstance(mine, ZooLayers)
            found = np.zeros(len(mine))
            for number, own in _rows(mine.numbers):
                found[own] = self.predictors[number].network_odds(mine.take(own), 1)
            return found

        return in_parts(part, len(layers), threads)


def _rows(numbers: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each number that is among ``numbers``, shape (n,), and its rows."""
    for number in np.unique(numbers):
        yield int(number), np.flatnonzero(numbers == number)


def _own(features: Floats, belief: SensitivityBelief) -> Floats:
    """Return the features of one network's designs as its own belief has them."""
    return features[:, 1 : 1 + belief.losses.features]


@dataclass(frozen=True, eq=False)
class ZooQuantiser:
    """Evaluation of proposals (codesign.search.crew) by the trial of the network they are of.

    Made by ``explore``.
    """

    space: ZooSpace
    quantisers: tuple[Quantiser, ...]
    """By number of the network."""

    def __call__(self, proposal: Proposal) -> dict[str, Any]:
        """Quantise the proposal's network, as ``Quantiser`` does, which it raises as."""
        candidate = candidate_of(proposal, self.space, self.quantisers[0].how)
        number = self.space.start(candidate)
        own = self.space.own(candidate, number)
        return self.quantisers[number].tried(own, proposal.key)
