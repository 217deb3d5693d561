"""Chooses what to train next: networks that add most hypervolume or accuracy, or may be chosen.

A network counts by what is believed of its accuracy, a normal distribution of log odds, and by the
log of the best rate of its NPUs within the budget: its other NPUs, being as accurate and slower,
add nothing. The volume is that of accuracy and log rate above a reference. Source of the criterion:
Emmerich, Giannakoglou, Naujoks, "Single- and multiobjective evolutionary optimization assisted by
Gaussian random field metamodels", IEEE Trans. Evol. Comp. 10(4), 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.special import expit, ndtr, ndtri

from codesign.search.accuracy.predictor import odds_of
from codesign.search.pareto import Floats, Ints

LEVELS = 128
"""Steps of accuracy, from the reference to 1, that an expectation is summed over."""
Belief = Callable[[Floats, Floats], "tuple[Floats, Floats]"]
"""(features, accuracies) of trained networks, shapes (t, f) and (t,) -> mean and standard deviation
of the log odds of all networks to choose from, each (n,)."""
Gains = Callable[[Floats, Floats, Floats, Floats], Floats]
"""What networks are worth, (n,), as ``expected_gains`` says it: known, rates, mean, deviation."""
QUANTILES = 15
"""Accuracies of equal probability that a chance is the mean of."""


def expected_gains(
    known: Floats, rates: Floats, mean: Floats, deviation: Floats, reference: Floats
) -> Floats:
    """Return the hypervolume that each network is expected to add, shape (n,).

    known: accuracy (0..1) and log rate of trained networks, shape (t, 2); rates: log rates of those
    to choose from, shape (n,); mean, deviation: of their log odds, each (n,); reference: accuracy
    and log rate from which on a volume counts, shape (2,). Exact but for the LEVELS of accuracy.

    >>> known, reference = np.array([[0.9, 4.0]]), np.array([0.5, 0.0])
    >>> sure = odds_of(np.array([0.9])), np.zeros(1)
    >>> expected_gains(known, np.array([5.0]), *sure, reference).round(2)  # 0.4 times 1 more
    array([0.4])
    """
    edges = np.linspace(reference[0], 1.0, LEVELS + 1)
    levels = (edges[1:] + edges[:-1]) / 2
    there = known[:, :1] >= levels
    best = np.where(there, known[:, 1:], reference[1]).max(axis=0, initial=reference[1])
    reached = ndtr((mean[:, None] - odds_of(levels)) / np.maximum(deviation, 1e-9)[:, None])
    gains: Floats = (reached * np.maximum(rates[:, None] - best, 0.0)).sum(axis=1)
    return gains * (edges[1] - edges[0])


def accuracy_gains(known: Floats, rates: Floats, mean: Floats, deviation: Floats) -> Floats:
    """Return by how much each network is expected to raise the best accuracy, in log odds, (n,).

    It is above the best one known, or where none is, above the best one expected. rates: of no
    worth. Others: as for ``expected_gains``. Source: Jones, Schonlau, Welch, "Efficient global
    optimization of expensive black-box functions", J. Global Optimization 13(4), 1998.

    >>> known, sure = np.array([[0.9, 4.0]]), np.zeros(1)
    >>> accuracy_gains(known, np.zeros(1), odds_of(np.array([0.9])) + 0.5, sure).round(2)
    array([0.5])
    """
    best = odds_of(known[:, 0]).max() if len(known) else mean.max()
    spread = np.maximum(deviation, 1e-9)
    steps = (mean - best) / spread
    density = np.exp(-np.square(steps) / 2) / np.sqrt(2 * np.pi)
    gains: Floats = spread * (steps * ndtr(steps) + density)
    return gains


def expected_best(merits: Iterable[float], chances: Iterable[float], otherwise: float) -> float:
    """Return the expected merit of the best of the networks that succeed.

    chances: of success of each, independent; otherwise: the merit if none succeeds.

    >>> expected_best([1.0, 3.0], [1.0, 0.5], otherwise=0.0)
    2.0
    """
    found, failed = 0.0, 1.0
    for merit, chance in sorted(zip(merits, chances, strict=True), reverse=True):
        found += failed * chance * merit
        failed *= 1 - chance
    return float(found + failed * otherwise)


def choice_gains(
    known: Floats, rates: Floats, mean: Floats, deviation: Floats,
    chances: Callable[[Floats], Floats],
) -> Floats:  # fmt: skip
    """Return by how much each network is expected to raise the rate of the best choice, (n,).

    The choice is the network of the highest rate of those that succeed, or the most accurate one
    known. chances: accuracies (m,) -> chances of success (m,). Others: as for ``expected_gains``,
    with at least one network known.
    """
    best = float(known[np.argmax(known[:, 0]), 1])
    theirs = chances(known[:, 0])
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    drawn = expit(mean[:, None] + deviation[:, None] * ndtri(shares))
    mine = chances(drawn.ravel()).reshape(drawn.shape).mean(axis=1)
    now = expected_best(known[:, 1], theirs, best)
    every = [
        expected_best([*known[:, 1], rate], [*theirs, chance], best)
        for rate, chance in zip(rates, mine, strict=True)
    ]
    return np.array(every) - now


def choose(
    known: Floats, features: Floats, candidates: Floats, rates: Floats, belief: Belief,
    worth: Gains, count: int, kinds: Ints | None = None,
) -> list[int]:  # fmt: skip
    """Return up to ``count`` of n networks, as indices, in the order to train them in.

    Each is the one of the largest gain, as ``worth`` has it; it is then believed to be as accurate
    as expected, so that the next one is another. known and features: those of the trained networks,
    shapes (t, 2) and (t, f); candidates and rates: features and log rates of the networks to choose
    from, shapes (n, f) and (n,); known and rates as in ``expected_gains``; kinds: of these
    networks, (n,), of which each has its turn before any has a second one. It ends early where no
    network is expected to add anything.
    """
    chosen: list[int] = []
    while len(chosen) < min(count, len(rates)):
        mean, deviation = belief(features, known[:, 0])
        gains = worth(known, rates, mean, deviation)
        gains[chosen] = 0.0
        if kinds is not None and (others := gains * ~np.isin(kinds, kinds[chosen])).any():
            gains = others
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        chosen.append(best)
        known = np.vstack([known, (expit(mean[best]), rates[best])])
        features = np.vstack([features, candidates[best]])
    return chosen
