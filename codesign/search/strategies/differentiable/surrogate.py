"""Differentiable model of the results told: an ensemble of small networks on relaxed genes."""

from __future__ import annotations

import torch
from torch import Tensor

from codesign.search.strategies.differentiable.relaxation import Relaxation

MEMBERS, HIDDEN, BATCH = 4, 32, 32
"""Networks of the ensemble, units of each of their two hidden layers, results of a step."""
MARGIN = 0.2
"""Excess by which the constraints of a feasible candidate are to be met at least."""


class Surrogate:
    """Ensemble of perceptrons from distributions over the genes to objectives and excess.

    Inputs are the chances of every value and the mean place of each gene, as values mostly ascend.
    Each member has its own initial weights and its own batches of results, so that members differ
    where little is known. The last output is the excess over the constraints: it is fitted to what
    was told of infeasible candidates and only has to be below 0 for feasible ones, of which no one
    says by how much they meet the constraints (a censored regression, as Tobin's, Econometrica
    26(1), 1958).

    >>> import numpy as np
    >>> relaxation = Relaxation(np.array([2, 3]))
    >>> model = Surrogate(relaxation, objectives=2, seed=0)
    >>> vectors = relaxation.one_hot(np.array([[1, 2], [0, 1]]))
    >>> model.hear(vectors, torch.ones((2, 2)), torch.zeros(2))
    >>> _ = [model.step(0.01) for _ in range(200)]
    >>> model(vectors.expand(MEMBERS, 2, 5)).shape
    torch.Size([4, 2, 3])
    """

    def __init__(self, relaxation: Relaxation, objectives: int, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)
        genes = len(relaxation.sizes)
        sizes = torch.from_numpy(relaxation.sizes)[relaxation.gene]
        starts = torch.from_numpy(relaxation.sizes.cumsum() - relaxation.sizes)[relaxation.gene]
        place = (torch.arange(relaxation.values) - starts) / (sizes - 1).clamp(min=1)
        self._places = torch.zeros((relaxation.values, genes))
        self._places[torch.arange(relaxation.values), relaxation.gene] = 2 * place - 1
        widths = (relaxation.values + genes, HIDDEN, HIDDEN, objectives + 1)
        active = (2 * genes, HIDDEN, HIDDEN)  # of one-hot inputs a gene has one that is not 0
        self._weights = [
            torch.randn((MEMBERS, a, b), generator=self._random) / n**0.5
            for a, b, n in zip(widths[:-1], widths[1:], active, strict=True)
        ]
        self._biases = [torch.zeros((MEMBERS, 1, width)) for width in widths[1:]]
        parameters = [*self._weights, *self._biases]
        for parameter in parameters:
            parameter.requires_grad_()
        self._optimiser = torch.optim.Adam(parameters, fused=True)

    def hear(self, vectors: Tensor, objectives: Tensor, excess: Tensor) -> None:
        """Take the results to fit: shapes (n, values), (n, objectives), (n,); excess 0: feasible.

        They replace those of before; the weights stay as they are.
        """
        self._vectors, self._objectives, self._excess = vectors, objectives, excess

    def step(self, rate: float) -> float:
        """Make a step of Adam on a batch for each member.

        Returns the sum of squares of the weights' gradients, of a member in the mean.
        """
        shape = (MEMBERS, min(BATCH, len(self._vectors)))
        rows = torch.randint(len(self._vectors), shape, generator=self._random)
        found, excess = self(self._vectors[rows]), self._excess[rows]
        misses = (found[..., :-1] - self._objectives[rows]) ** 2
        over = found[..., -1] + MARGIN
        over = torch.where(excess > 0, over - 2 * MARGIN - excess, over.clamp(min=0))
        loss = (misses.sum(dim=-1) + over**2).mean(dim=1).sum()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.param_groups[0]["lr"] = rate
        self._optimiser.step()
        parameters = (*self._weights, *self._biases)
        squares = [p.grad.square().sum() for p in parameters if p.grad is not None]
        return float(torch.stack(squares).sum()) / MEMBERS

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return outputs, (MEMBERS, n, objectives + 1), of distributions (MEMBERS, n, values)."""
        layer = torch.cat([vectors, vectors @ self._places], dim=-1)
        for weights, biases in zip(self._weights[:-1], self._biases[:-1], strict=True):
            layer = torch.nn.functional.silu(torch.baddbmm(biases, layer, weights))
        return torch.baddbmm(self._biases[-1], layer, self._weights[-1])
