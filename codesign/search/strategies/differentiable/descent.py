"""Results go to a surrogate, candidates come from distributions: shared by the strategies here."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.differentiable.relaxation import Relaxation, Vectors
from codesign.search.strategies.differentiable.surrogate import MEMBERS, Surrogate
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results

FIRST = 20
"""Results that the surrogate is first fitted to; candidates before are uniform."""
LEARNED = 400
"""Most results that the surrogate is fitted to: the best fronts and the latest."""
WARMING, RATE = 200, 0.01
"""Steps of the surrogate before its first use, and the learning rate of its weights."""
LEAST, MOST = 2, 5
"""Distributions that are moved for each member of the surrogate at a time, at most and least."""
DRAWS = 16
"""Candidates drawn from each distribution, of which the surrogate chooses."""
PENALTY = 3.0
"""Weight of the excess over the constraints in the loss, while something feasible is known."""
SUM = 0.05
"""Weight of the sum beside the largest of the objectives in the loss."""


class Descent(abc.ABC):
    """Strategy that moves distributions over the genes down the gradient of a surrogate's loss.

    In published methods, gradients come from a supernet whose shared weights are trained with the
    architecture. A strategy is told results alone, of networks, bit widths and NPUs, and its space
    need not have a supernet; so the surrogate takes its place: its weights are what is trained,
    the results told are the training data, and predicted objectives and excess over the
    constraints the loss. Where the accuracy comes from a supernet, it comes with the results.

    After each tell there is a whole search: up to MOST x MEMBERS distributions start as equal ones,
    each with a preference of its own, weights of the objectives that are drawn anew. The loss is
    the augmented Chebyshev distance, by those weights, from the best of each objective, in
    logarithms of spans of the front, and PENALTY times the excess; the excess alone while nothing
    feasible is known. Each distribution sees one member of the ensemble, so that they differ where
    little is known. Of DRAWS candidates from each, those not asked for before are taken by
    predicted loss, one of each distribution in turn. Asked again before it is told, it draws from
    the same distributions. Made by ``strategies.make``, as one of its subclasses.
    """

    MORE: ClassVar[int] = 0
    """Terms that are weighed beside the objectives."""

    def __init__(self, genes: Genes, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._known = Results(genes.sizes)
        self._relaxation = Relaxation(genes.sizes)
        self._surrogate: Surrogate | None = None
        self._blind = True
        """True while nothing feasible is known."""
        self._asked: set[bytes] = set()
        self._chances: Vectors | None = None
        """Distributions of the last search, (MEMBERS, n, values); None before the first."""
        self._weights: Vectors = np.zeros(0, dtype=np.float32)
        """Their preferences, (MEMBERS, n, terms)."""

    def ask(self, count: int) -> Ints:
        if len(self._known) < FIRST:
            return self._known.unknown(self._known.candidates[:0], count, self._random)
        if self._chances is None:
            self._search(min(max(-(-count // MEMBERS), LEAST), MOST))
        found = self._known.unknown(self._proposed(), count, self._random)
        self._asked.update(row.tobytes() for row in found)
        return found

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._known.add(candidates, objectives, violation)
        self._chances = None

    def _search(self, each: int) -> None:
        """Move ``each`` distributions a member by new preferences, after hearing the results."""
        self._listen()
        terms = self._known.objectives.shape[1] + self.MORE
        drawn = self._random.dirichlet(np.ones(terms), (MEMBERS, each))
        self._weights = drawn.astype(np.float32)
        self._chances = self._moved(self._weights)

    @abc.abstractmethod
    def _moved(self, weights: Vectors) -> Vectors:
        """Return distributions (MEMBERS, n, values) for preferences (MEMBERS, n, terms)."""

    @property
    def _model(self) -> Surrogate:
        """The surrogate, which is there from the first search on."""
        assert self._surrogate is not None
        return self._surrogate

    def _terms(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Return what preferences weigh, (MEMBERS, n, terms), and the excess, (MEMBERS, n)."""
        found, _ = self._model(vectors)
        return found[..., :-1], found[..., -1]

    def _losses(self, vectors: Vectors, weights: Vectors) -> Vectors:
        """Return the loss, (MEMBERS, n), of (MEMBERS, n, values) by (MEMBERS, n, terms)."""
        terms, excess = self._terms(vectors)
        if self._blind:
            return excess
        gaps = weights * terms
        found: Vectors = gaps.max(axis=-1) + SUM * gaps.sum(axis=-1)
        found += PENALTY * np.maximum(excess, 0)
        return found

    def _slope(self, vectors: Vectors, weights: Vectors) -> Vectors:
        """Return the gradient of ``_losses`` of the objectives by the vectors, in their shape."""
        found, back = self._model(vectors)
        slope = np.zeros_like(found)
        slope[..., -1] = 1.0 if self._blind else PENALTY * (found[..., -1] > 0)
        if not self._blind:
            worst = (weights * found[..., :-1]).argmax(axis=-1)[..., None]
            slope[..., :-1] = SUM * weights
            largest = np.take_along_axis((1 + SUM) * weights, worst, axis=-1)
            np.put_along_axis(slope, worst, largest, axis=-1)
        return back(slope)

    def _listen(self) -> None:
        """Give the surrogate the results; the first time, make it and fit it."""
        known = self._known
        rows = known.chosen(LEARNED)
        broken = known.violation > 0
        self._blind = bool(broken.all())
        seen = known.objectives[rows if self._blind else known.best()]
        spread = known.objectives[rows].std(axis=0)
        span = np.ptp(seen, axis=0)
        span = np.where(span > 0, span, np.where(spread > 0, spread, 1.0))
        gaps = (known.objectives[rows] - seen.min(axis=0)) / span
        scale = np.median(known.violation[broken]) if broken.any() else 1.0
        excess = np.log1p(known.violation[rows] / scale)
        warming = 0
        if self._surrogate is None:
            objectives = known.objectives.shape[1]
            self._surrogate = Surrogate(self._relaxation, objectives, self._random)
            warming = WARMING
        self._surrogate.hear(
            self._relaxation.one_hot(known.candidates[rows]),
            (np.sign(gaps) * np.log1p(np.abs(gaps))).astype(np.float32),
            excess.astype(np.float32),
        )
        for _ in range(warming):
            self._surrogate.step(RATE)

    def _proposed(self) -> Ints:
        """Return candidates from the distributions, best first, shape (n, genes)."""
        assert self._chances is not None
        members, each, _ = self._chances.shape
        chances = np.repeat(self._chances, DRAWS, axis=1)
        drawn = self._relaxation.drawn(chances, self._random)
        drawn[:, ::DRAWS] = self._relaxation.likeliest(self._chances)
        weights = np.repeat(self._weights, DRAWS, axis=1)
        losses = self._losses(self._relaxation.one_hot(drawn), weights)
        flat = np.ascontiguousarray(drawn.reshape(members * each * DRAWS, -1))
        asked = np.array([row.tobytes() in self._asked for row in flat])
        known = self._known.known(flat)
        ranked = np.where(asked | known, np.inf, losses.reshape(-1)).reshape(-1, DRAWS)
        order = np.argsort(ranked, axis=1, kind="stable") + DRAWS * np.arange(len(ranked))[:, None]
        rows = order.T.reshape(-1)
        return flat[rows[~asked[rows] | known[rows]]]
