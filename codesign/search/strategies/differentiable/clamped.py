"""Differentiable search by clamped weights that a dynamic schedule and ADMM drive to one value."""

from __future__ import annotations

import numpy as np

from codesign.search.strategies.differentiable.adam import Adam
from codesign.search.strategies.differentiable.descent import RATE, Descent
from codesign.search.strategies.differentiable.relaxation import Vectors
from codesign.search.strategies.interface import Genes

STEPS = 40
"""Steps of a search, those of the surrogate's weights and of the architecture together."""
STRIDE = 0.15
"""Learning rate of a gene's weights, in first weights."""
AVERAGING, GROWTH = 0.2, 1.1
"""Weight of the newest trace in its moving average, and growth of the threshold a step."""
RATIO = 1
"""Steps of the surrogate's weights for each of the architecture that the threshold aims at."""
PULL, EVERY, KEPT = 0.1, 5, 0.2
"""ADMM: rho, architecture steps between updates of Z and U, and the share of U that stays."""


class ClampedSearch(Descent):
    """DARTS-PRIME: clamped weights of all values, stepped when the model is calm, pulled to one.

    Every value of a gene has a weight a, at first equal ones, clamped to 0..1 instead of a softmax;
    one that reaches 0 stays there. The surrogate sees the mixture: weights divided by their sum in
    the gene, as a design has one value of each. The dynamic schedule steps the architecture when a
    moving average of the squared gradients of the surrogate's weights (the trace of the Fisher
    information of a batch) is below a threshold, which grows with each of the surrogate's steps and
    falls with each of the architecture's, so that there are RATIO to one. ADMM pulls weights to a
    discrete design: PULL/2 |a - Z + U|^2 is added to the loss, where Z is at first the first a and
    U 0; every EVERY architecture steps Z becomes 1 for the largest a + U of each gene and 0 for its
    other values, then U becomes KEPT U + a - Z.

    Adapted: RATIO is 1 instead of 10, as a surrogate is trained in few steps; the rate is
    in proportion to a gene's first weights, which differ with its number of values; mixtures are
    what a surrogate of designs never saw, so more than in a supernet is left to ADMM; the batch
    norms of the source are a supernet's. The rest is as in Descent.

    Source: Maile, Lecarpentier, Luga, Wilson, "DARTS-PRIME: Regularization and Scheduling Improve
    Constrained Optimization in Differentiable NAS", arXiv 2106.11655, whose first version has ADMM.

    >>> ClampedSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int) -> None:
        super().__init__(genes, seed)
        self._trace = 0.0
        """Moving average of the trace of the Fisher information; 0 before the first step."""
        self._threshold = 0.0

    def _moved(self, weights: Vectors) -> Vectors:
        relaxation = self._relaxation
        first = relaxation.shares(np.ones((*weights.shape[:-1], relaxation.values), np.float32))
        scaled = np.ones_like(first)  # weights in units of the first ones
        adam, discrete, dual, steps = Adam(first.shape), first, 0 * first, 0
        for _ in range(STEPS):
            if not self._calm(self._model.step(RATE)):
                continue
            sums = relaxation.sums(first * scaled)
            shares = first * scaled / sums
            slope = self._slope(shares, weights)
            slope = (slope - relaxation.sums(shares * slope)) / sums
            slope += PULL * (first * scaled - discrete + dual)
            after = scaled + adam.step(first * slope, STRIDE)
            scaled = self._clamped(after, scaled, np.reciprocal(first))
            steps += 1
            if steps % EVERY == 0:
                discrete = self._discrete(first * scaled + dual)
                dual = KEPT * dual + first * scaled - discrete
        return relaxation.shares(first * scaled)

    def _calm(self, trace: float) -> bool:
        """Return True if the architecture is to step; ``trace``: of the surrogate's last step."""
        if not self._threshold:
            self._trace = self._threshold = trace
        self._trace += AVERAGING * (trace - self._trace)
        calm = self._trace < self._threshold
        self._threshold *= GROWTH**-RATIO if calm else GROWTH
        return calm

    def _clamped(self, weights: Vectors, before: Vectors, most: Vectors) -> Vectors:
        """Return weights clamped to 0..most, 0 where they were; a gene without any as before."""
        found = np.where(before > 0, np.clip(weights, 0, most), np.float32(0))
        return np.where(self._relaxation.sums(found) > 0, found, before)

    def _discrete(self, weights: Vectors) -> Vectors:
        """Return 1 for the largest value of each gene, else 0; both of shape (..., values)."""
        return self._relaxation.one_hot(self._relaxation.likeliest(weights))
