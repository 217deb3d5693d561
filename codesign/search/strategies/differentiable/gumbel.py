"""Differentiable search by samples of the Gumbel-softmax."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codesign.search.strategies.differentiable.descent import RATE, Descent
from codesign.search.strategies.differentiable.relaxation import gumbel

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

    Sources: Wu, thesis, TU Dresden 2024, chapter 4, for the schedule and the terms, of which we
    know no more than the names; Jang, Gu, Poole, "Categorical Reparameterization with
    Gumbel-Softmax", ICLR 2017.

    >>> import numpy as np
    >>> from codesign.search.strategies.interface import Genes
    >>> GumbelSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def _moved(self, weights: Tensor) -> Tensor:
        members, each, _ = weights.shape
        logits = torch.zeros((members, each, self._relaxation.values), requires_grad=True)
        optimiser = self._optimiser(logits)
        for step in range(STEPS):
            done = step / (STEPS - 1)
            self._model.step(RATE * (1 - math.cos(math.pi * done)) / 2)
            logits.grad = self._gradient(logits, weights, HOT * (COLD / HOT) ** done)
            optimiser.step()
        return self._relaxation.softmax(logits.detach())

    def _optimiser(self, logits: Tensor) -> torch.optim.Optimizer:
        """Return what steps the logits."""
        return torch.optim.Adam([logits], lr=STRIDE, fused=True)

    def _gradient(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        """Return the gradient of the loss by the logits, both of shape (MEMBERS, n, values)."""
        vectors = self._sampled(logits, temperature)
        loss = self._loss(vectors, weights.repeat_interleave(SAMPLES, dim=1))
        return torch.autograd.grad(loss.sum() / SAMPLES, logits)[0]

    def _sampled(self, logits: Tensor, temperature: float) -> Tensor:
        """Return SAMPLES one-hot vectors of each distribution, with the gradient of the softmax."""
        several = logits.repeat_interleave(SAMPLES, dim=1)
        noise = gumbel(several.shape, self._noise)
        soft = self._relaxation.softmax((several + noise) / temperature)
        hard = self._relaxation.one_hot(self._relaxation.likeliest(soft.detach()))
        return hard + soft - soft.detach()
