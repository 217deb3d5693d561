"""The rule of choice: which networks are trained in full, and which design is built.

No function here sees a test split: accuracies are of validation images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from codesign.goals import ALWAYS, preferred
from codesign.results import Figures
from codesign.search import engine
from codesign.search.accuracy.acquisition import expected_best
from codesign.search.engine import Evaluated, Problem
from codesign.search.pareto import Floats, Ints, pareto_mask
from models.training.history import Epoch, alike, errors_below

REACH = 3.5
"""Standard errors of the difference by which a network may be below the best short training and
still be trained in full: short trainings say little of what full ones end with."""
EVEN, WIDTH = 2.0, 0.5
"""Standard errors of the difference below the best short training from which half of the networks
are as accurate as the best one after full trainings, and the scale of that (logistic) chance;
measured on digits (docs/measurements/search.md)."""

TIES = (*ALWAYS, "brams")
"""Goals that decide, in this order, between designs that are equal in what is preferred."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network. Made by ``Search.run``, after its short training."""

    candidate: Ints
    """Candidate vector (n_genes,): the network and one NPU that can run it."""
    accuracy: float
    """Validation accuracy, 0..1: of the full training if there was one, else of the short one."""
    seconds: float
    """Wall time of the short training, in seconds."""
    one_bits: int
    """One-bits of the magnitudes of all weights (models.integer.bits), trained as ``accuracy``."""
    history: tuple[Epoch, ...] = ()
    """Learning curve of the short training; empty in journals of release 0.2 and older."""
    trained_fully: bool = False
    settled: float | None = None
    """``settled_accuracy`` of the full training, of all folds their mean, which tells networks
    apart; None: unknown."""
    folds: tuple[float, ...] = ()
    """Settled accuracies on the folds, the data set's own split first; empty if there is but
    one."""


@dataclass(frozen=True, eq=False)
class Option:
    """A design within the budget: a trained network on one NPU. Made by ``best_option``."""

    evaluated: Evaluated
    """Estimates of the network on all NPUs of the space."""
    row: int
    """Row of this NPU in ``evaluated``, from 0."""
    trained: Trained

    @property
    def candidate(self) -> Ints:
        """Candidate vector (n_genes,) of network and NPU."""
        candidate: Ints = self.evaluated.candidates[self.row]
        return candidate

    def costs(self, goals: Sequence[str]) -> tuple[float, ...]:
        """Return the estimated costs of goals (results.GOALS), logarithms, all to be small."""
        return tuple(float(self.evaluated.estimate.cost(goal)[self.row]) for goal in goals)

    @property
    def figures(self) -> Figures:
        """Estimated resources, cycles and throughput."""
        return self.evaluated.estimate.figures(self.row)


@dataclass(frozen=True)
class Rule:
    """Rule of choice: criteria that make a design better than others within the budget.

    >>> Rule(images=216).equal(np.array([1.0, 0.9954, 0.9907])).tolist()
    [True, True, False]
    """

    images: int
    """Number of validation images that the accuracies are over."""
    prefer: str = "throughput"
    """One of codesign.goals.PREFERENCES."""
    min_accuracy: float | None = None
    """Accuracy (0..1) that is enough, in place of one near the best."""
    boo_within: float | None = None
    """Accuracy (0..1) to trade for fewer one-bits; None: they do not count."""

    @property
    def takes_equals(self) -> bool:
        """True if accuracies that are near enough count as equal, and a goal decides."""
        return self.prefer not in ("accuracy", "knee") and self.boo_within is None

    def counted(self, trained: Trained) -> float:
        """Return the accuracy, 0..1, by which a network is compared with others.

        It is the settled one where networks that the images cannot tell apart are equal, and that
        of the network that would be delivered where a number or the best is asked for.
        """
        told = self.min_accuracy is not None or not self.takes_equals
        if told or trained.settled is None:
            return trained.accuracy
        return trained.settled

    def equal(self, accuracies: Floats) -> NDArray[np.bool_]:
        """Return True for accuracies, of shape (n,), that count as equal to the best; n >= 1.

        That is, those that the images cannot tell from the best (``alike``), if nothing else is
        asked for. For the preference ``knee``, which weighs accuracies itself, all that are enough.
        """
        best = accuracies.max()
        least = self.min_accuracy
        if (least is not None and best < least) or self.prefer == "accuracy":
            return np.asarray(accuracies == best)
        enough = np.asarray(accuracies >= (least or 0.0))
        if self.boo_within is not None:
            return enough & (accuracies >= best - self.boo_within)
        if least is not None or self.prefer == "knee":
            return enough
        return np.array([alike(best, one, self.images) for one in accuracies])

    def reachable(self, accuracies: Floats) -> NDArray[np.bool_]:
        """Return True for accuracies of short trainings, shape (n,), of networks to train in full.

        They are within REACH standard errors of the best, or of what is asked for; n >= 1.
        """
        best = float(accuracies.max())
        near = np.asarray(self._below(accuracies, best) <= REACH)
        return near if self.boo_within is None else near | (accuracies >= best - self.boo_within)

    def chances(self, accuracies: Floats, best: float | None = None) -> Floats:
        """Return how likely networks are to count as equal to the best once trained in full, (n,).

        By their accuracies after short trainings; of those that are traded for one-bits, 1. best:
        the best short training's accuracy, 0..1, if it is not among them.
        """
        best = float(accuracies.max()) if best is None else best
        found: Floats = expit((EVEN - self._below(accuracies, best)) / WIDTH)
        if self.boo_within is not None:
            found[accuracies >= best - self.boo_within] = 1.0
        return found

    def _below(self, accuracies: Floats, best: float) -> Floats:
        """Return by how many standard errors each is below the best, or what is enough, (n,)."""
        best = min(best, self.min_accuracy or 1.0)
        return np.array([errors_below(best, one, self.images) for one in accuracies])

    def order(self, option: Option) -> tuple[float, ...]:
        """Return the sort key of equally accurate designs, best first.

        The goal that is preferred, then higher throughput, fewer LUTs, fewer block RAMs.
        """
        return option.costs((preferred(self.prefer), *TIES))


def best_option(
    problem: Problem,
    trained: Sequence[Trained],
    rule: Rule,
    refused: frozenset[bytes] = frozenset(),
) -> Option | None:
    """Return the best design within the budget by ``rule``, or None if none fits.

    Of the networks that count as equally accurate, with few one-bits as an objective those with the
    fewest, it is the first NPU by ``rule.order``, or the knee. refused: candidates (as bytes) that
    the compiler or synthesis has rejected.
    """
    found = [option for one in trained for option in _options(problem, one, refused)]
    if not found:
        return None
    equal = rule.equal(np.array([rule.counted(option.trained) for option in found]))
    near = [option for option, same in zip(found, equal, strict=True) if same]
    if rule.boo_within is not None:
        fewest = min(option.trained.one_bits for option in near)
        near = [option for option in near if option.trained.one_bits == fewest]
    return _knee(near, problem.goals) if rule.prefer == "knee" else min(near, key=rule.order)


def finalists(
    problem: Problem,
    trained: Sequence[Trained],
    rule: Rule,
    count: int,
    refused: frozenset[bytes] = frozenset(),
) -> list[Trained]:
    """Return up to ``count`` networks that are worth a full training, the best short one first.

    Those within reach of the best (``Rule.reachable``) are taken by the merit that the chosen
    design is expected to have: the log of images/s (or LUTs, or one-bits, as ``rule`` prefers) of
    the best network of those that turn out as accurate as the best (``Rule.chances``).
    """
    best = [best_option(problem, [one], rule, refused) for one in trained]
    found = [option for option in best if option is not None]
    if not found:
        return []
    accuracies = np.array([option.trained.accuracy for option in found])
    merits = np.array([_merit(option, rule) for option in found])
    rest = [int(row) for row in np.flatnonzero(rule.reachable(accuracies))]
    rest.sort(key=lambda row: (-accuracies[row], -merits[row]))
    if rule.prefer == "accuracy" and rule.boo_within is None:
        return [found[row].trained for row in rest[:count]]
    chosen, chances = [rest.pop(0)], rule.chances(accuracies)
    while rest and len(chosen) < count:
        sure = merits[chosen[0]]
        tried = [[*chosen, row] for row in rest]
        gains = [expected_best(merits[rows], chances[rows], sure) for rows in tried]
        chosen.append(rest.pop(int(np.argmax(gains))))
    return [found[row].trained for row in chosen]


def _merit(option: Option, rule: Rule) -> float:
    """Return the log of what ``rule`` prefers of equally accurate designs, to be large."""
    if rule.boo_within is not None:
        return -math.log(max(option.trained.one_bits, 1))
    return -rule.order(option)[0]


def _options(problem: Problem, one: Trained, refused: frozenset[bytes]) -> Iterator[Option]:
    """Yield the network on its NPUs within the budget that no other one beats in all goals."""
    found = engine.with_all_npus(problem, one.candidate)
    rows = [
        int(row)
        for row in np.flatnonzero(found.feasible)
        if found.candidates[row].tobytes() not in refused
    ]
    options = [Option(found, row, one) for row in rows]
    if options:
        goals = tuple(dict.fromkeys((*TIES, *problem.goals)))
        best = pareto_mask(np.column_stack([found.estimate.cost(goal)[rows] for goal in goals]))
        yield from (option for option, kept in zip(options, best, strict=True) if kept)


def _knee(options: Sequence[Option], goals: Sequence[str]) -> Option:
    """Return the design on the front of accuracy and goals that is nearest to the ideal.

    Each objective, all but accuracy as logarithms, is scaled to 0..1 over the front; the ideal has
    the best of each.
    """
    accuracies = np.array([option.trained.accuracy for option in options])
    points = np.column_stack([-accuracies, [option.costs(goals) for option in options]])
    rows = np.flatnonzero(pareto_mask(points))
    shown = points[rows] - points[rows].min(axis=0)
    shown /= np.maximum(shown.max(axis=0), 1e-12)
    return options[int(rows[np.argmin((shown**2).sum(axis=1))])]
