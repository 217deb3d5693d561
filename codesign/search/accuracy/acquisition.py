"""Chooses what to train next: the networks whose NPUs are expected to add most hypervolume.

A network is expected to be as accurate as a predictor believes, a normal distribution of log odds,
and is as good as all its NPUs within the budget together. The volume is that of validation
accuracy, log throughput and log LUTs. Its expectation is exact up to the LEVELS of accuracy, since
only the accuracy is uncertain. Source of the criterion: Emmerich, Giannakoglou, Naujoks,
"Single- and multiobjective evolutionary optimization assisted by Gaussian random field metamodels",
IEEE Trans. Evol. Comp. 10(4), 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from codesign.search.accuracy.predictor import odds_of
from codesign.search.pareto import Floats, hypervolume, pareto_mask

LEVELS = 64
"""Steps of accuracy, from the least of interest to 1, that expectations are summed over."""
Belief = Callable[[Floats, Floats], "tuple[Floats, Floats]"]
"""(features, accuracies) of trained networks, shapes (t, f) and (t,) -> mean and standard deviation
of the log odds of all networks to choose from, each (n,)."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network to train or trained: its features and what its NPUs within the budget reach.

    >>> Network(np.zeros(10), np.array([[-9.0, 8.0], [-7.0, 9.0]])).npus
    array([[-9.,  8.]])
    """

    features: Floats
    """Shape (f,)."""
    speeds: Floats
    """-log images/s and log LUTs of its NPUs, shape (k, 2)."""

    @property
    def npus(self) -> Floats:
        """Those of ``speeds`` that no other NPU of the network dominates."""
        return self.speeds[pareto_mask(self.speeds)]


def expected_gains(
    trained: Sequence[tuple[float, Floats]], networks: Sequence[Floats], mean: Floats,
    deviation: Floats, reference: Floats,
) -> Floats:  # fmt: skip
    """Return the hypervolume that each network is expected to add, shape (n,).

    trained: accuracy and speeds (``Network.npus``) of each trained network; networks: speeds of
    those to choose from; mean, deviation: of their log odds; reference: the least accuracy, and the
    worst -log images/s and log LUTs that count.
    """
    edges = np.linspace(reference[0], 1.0, LEVELS + 1)
    levels = (edges[1:] + edges[:-1]) / 2
    reached = ndtr((mean[:, None] - odds_of(levels)) / np.maximum(deviation, 1e-9)[:, None])
    found = np.zeros(len(networks))
    # Between two accuracies that were reached, the same trained networks count.
    groups = np.array([sum(one >= level for one, _ in trained) for level in levels])
    for group in np.unique(groups):
        here = groups == group
        level = levels[here][0]
        known = np.vstack([np.empty((0, 2)), *(s for a, s in trained if a >= level)])
        before = hypervolume(known, reference[1:])
        for number, speeds in enumerate(networks):
            added = hypervolume(np.vstack([known, speeds]), reference[1:]) - before
            found[number] += added * reached[number, here].sum()
    return found * (edges[1] - edges[0])


def choose(
    trained: Sequence[tuple[float, Network]], networks: Sequence[Network], belief: Belief,
    reference: Floats, count: int,
) -> list[int]:  # fmt: skip
    """Return up to ``count`` indices of ``networks`` in the order in which they are best trained.

    Each is the one of the largest expected gain, then believed to be as accurate as expected, so
    that the next one is another. reference: as in ``expected_gains``. It ends early where no
    network is expected to add anything.
    """
    known, chosen = list(trained), list[int]()
    speeds = [one.npus for one in networks]
    while len(chosen) < min(count, len(networks)):
        shape = (len(known), len(networks[0].features))
        features = np.reshape([one.features for _, one in known], shape)
        mean, deviation = belief(features, np.array([accuracy for accuracy, _ in known]))
        front = [(accuracy, one.npus) for accuracy, one in known]
        gains = expected_gains(front, speeds, mean, deviation, reference)
        gains[chosen] = 0.0
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        chosen.append(best)
        known.append((float(1 / (1 + np.exp(-mean[best]))), networks[best]))
    return chosen
