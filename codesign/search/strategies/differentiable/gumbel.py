"""Differentiable search by samples of the Gumbel-softmax."""

from __future__ import annotations

import math

import numpy as np

from codesign.search.strategies.differentiable.adam import Adam
from codesign.search.strategies.differentiable.descent import RATE, Descent
from codesign.search.strategies.differentiable.relaxation import Vectors, gumbel
from codesign.search.strategies.differentiable.surrogate import Back

STEPS, SAMPLES = 20, 2
"""Steps of a search, and samples of each distribution that a step is made of."""
HOT, COLD = 2.0, 0.3
"""Temperature of the softmax at the beginning and at the end of a search."""
STRIDE = 0.3
"""Learning rate of the logits."""


class GumbelSearch(Descent):
    """Low-precision differentiable NAS: one distribution a gene, moved by Gumbel-softmax samples.

    A step samples each distribution, the softmax of its logits with Gumbel noise at a temperature
    that falls from HOT to COLD; forward the sample is one value of each gene, as the surrogate
    knows nothing else, backward the softmax's gradient passes (straight-through). Steps of the
    logits alternate with steps of the surrogate's weights, whose learning rate rises over the
    search instead of falling (inverted schedule): while distributions are open, early noise of the
    weights does not decide them. The cost term is one of the objectives: hardware costs as exact as
    they were told, weighed by the preference of each distribution, instead of one weight for all.

    Not applicable here: convolution sharing, by which candidates that differ in bit widths share
    one convolution, and forward-and-backward scaling, which keeps shared weights of likelier
    candidates from being trained faster: both are of a supernet's weights (see Descent). The rest
    is as in Descent.

    Source: Wu, thesis, TU Dresden 2024, chapter 4, for the schedule and the terms, of which we
    know no more than the names; Jang, Gu, Poole, "Categorical Reparameterization with
    Gumbel-Softmax", ICLR 2017.

    >>> from codesign.search.strategies.interface import Genes
    >>> GumbelSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def _moved(self, weights: Vectors) -> Vectors:
        logits = np.zeros((*weights.shape[:-1], self._relaxation.values), dtype=np.float32)
        adam = Adam(logits.shape)
        for step in range(STEPS):
            done = step / (STEPS - 1)
            self._model.step(RATE * (1 - math.cos(math.pi * done)) / 2)
            logits += self._step(logits, weights, HOT * (COLD / HOT) ** done, adam)
        return self._relaxation.softmax(logits)

    def _step(self, logits: Vectors, weights: Vectors, temperature: float, adam: Adam) -> Vectors:
        """Return what to add to the logits, of shape (MEMBERS, n, values)."""
        vectors, back = self._sampled(logits, temperature)
        slope = self._slope(vectors, np.repeat(weights, SAMPLES, axis=1))
        return adam.step(back(slope), STRIDE)

    def _sampled(self, logits: Vectors, temperature: float) -> tuple[Vectors, Back]:
        """Return SAMPLES one-hot vectors of each distribution, and the way back to the logits.

        That takes the gradient by the vectors, (..., MEMBERS, n SAMPLES, values), and returns the
        one by the logits, (..., MEMBERS, n, values), of the softmax, the mean of the samples.
        """
        several = np.repeat(logits, SAMPLES, axis=1)
        soft = self._relaxation.softmax(
            (several + gumbel(several.shape, self._random)) / np.float32(temperature)
        )

        def back(gradient: Vectors) -> Vectors:
            own = soft * (gradient - self._relaxation.sums(soft * gradient))
            shape = (*own.shape[:-2], logits.shape[1], SAMPLES, own.shape[-1])
            found: Vectors = own.reshape(shape).mean(axis=-2) / np.float32(temperature)
            return found

        return self._relaxation.one_hot(self._relaxation.likeliest(soft)), back
