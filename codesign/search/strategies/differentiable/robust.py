"""Differentiable search with robustness as an objective, by multiple-gradient descent (MGDA)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from codesign.search.strategies.differentiable.gumbel import GumbelSearch

CHANGES = 3
"""Changes of one gene by which the robustness of a candidate is predicted."""
STRIDE = 3.0
"""Learning rate of the logits."""
ITERATIONS = 10
"""Iterations of Frank and Wolfe's method; for two gradients the first one is exact."""


class RobustSearch(GumbelSearch):
    """E2RNAS: objectives and robustness fall together, by the least vector of all gradients' hull.

    Robustness is one more objective: by how much the predicted first objective, the error, rises
    when one gene takes another value, in the mean of CHANGES random ones. A step of the logits goes
    along the vector of least length in the convex hull of the objectives' gradients, which descends
    in all of them, or is 0 where none can fall without another rising.

    Adapted: E2RNAS means robustness to adversarial images, and trains its supernet with such; a
    strategy sees no images, so here it is to the design itself: to a bit width, a channel count or
    an array that turns out otherwise, and to a surrogate that is wrong about one gene. Gradients
    are of length 1, as objectives differ in scale, and divided by the distribution's preference,
    so that each objective falls in proportion to its weight: without, all distributions would end
    near one compromise. The excess over the constraints has a gradient of its own where any is
    predicted. For two gradients, as in E2RNAS, the vector has a closed form; for more it is found
    by Frank and Wolfe's method. Sampling and schedule are those of GumbelSearch, but logits take
    plain steps, since Adam's would not go along that vector; candidates are chosen as in Descent,
    robustness among the objectives. It guides this strategy alone: the search that it serves
    counts the objectives that it told.

    Sources: Yue, Lin, Huang, Zhang, "Effective, Efficient and Robust Neural Architecture Search",
    arXiv 2011.09820; Desideri, "Multiple-Gradient Descent Algorithm (MGDA) for Multiobjective
    Optimization", Comptes Rendus Mathematique 350, 2012; Sener and Koltun, "Multi-Task Learning as
    Multi-Objective Optimization", NeurIPS 2018.

    >>> import numpy as np
    >>> from codesign.search.strategies.interface import Genes
    >>> RobustSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    MORE: ClassVar[int] = 1

    def _optimiser(self, logits: Tensor) -> torch.optim.Optimizer:
        return torch.optim.SGD([logits], lr=STRIDE)

    def _terms(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        objectives, excess = super()._terms(vectors)
        changed = self._model(self._changed(vectors))[..., 0]
        error = objectives[..., 0]
        rises = (changed.unflatten(1, (-1, CHANGES)) - error[..., None]).clamp(min=0)
        return torch.cat([objectives, rises.mean(dim=-1, keepdim=True)], dim=-1), excess

    def _changed(self, vectors: Tensor) -> Tensor:
        """Return CHANGES of each one-hot vector in one gene, (MEMBERS, n CHANGES, values)."""
        sizes = torch.from_numpy(self._relaxation.sizes)
        several = vectors.repeat_interleave(CHANGES, dim=1)
        values = torch.from_numpy(self._relaxation.likeliest(several.detach()))
        count = values[..., 0].numel()
        genes = torch.multinomial((sizes > 1) + 1e-9, count, True, generator=self._noise)
        genes = genes.reshape(values.shape[:-1])
        other = torch.rand(genes.shape, generator=self._noise) * (sizes[genes] - 1)
        moved = values + 1 + other.long()[..., None]
        here = self._relaxation.gene == genes[..., None]
        return torch.where(here, self._relaxation.one_hot((moved % sizes).numpy()), several)

    def _gradient(self, logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
        terms, excess = self._terms(self._sampled(logits, temperature))
        falling = [excess] if self._blind else [*terms.unbind(dim=-1), excess.clamp(min=0)]
        gradients = torch.stack(
            [torch.autograd.grad(t.sum(), logits, retain_graph=True)[0] for t in falling], dim=-2
        )
        lengths = gradients.norm(dim=-1, keepdim=True)
        ones = torch.ones((*weights.shape[:-1], 1))
        preferences = ones if self._blind else torch.cat([weights.clamp(min=1e-3), ones], dim=-1)
        return least(gradients / (lengths * preferences[..., None]).clamp(min=1e-9))


def least(gradients: Tensor) -> Tensor:
    """Return the shortest vector of the convex hull of k vectors, shape (..., d), of (..., k, d).

    Vectors of length 0 do not count: of an objective that does not change there is nothing to say.

    >>> least(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])).tolist()
    [0.4000000059604645, 0.800000011920929]
    """
    inner = gradients @ gradients.transpose(-1, -2)
    squares = inner.diagonal(dim1=-2, dim2=-1)
    some = (squares > 0).float()
    shares = some / some.sum(dim=-1, keepdim=True).clamp(min=1)
    for _ in range(ITERATIONS):
        along = (inner @ shares[..., None])[..., 0]
        best = torch.where(some > 0, along, torch.inf).argmin(dim=-1, keepdim=True)
        own, here = (shares * along).sum(dim=-1, keepdim=True), along.gather(-1, best)
        most = squares.gather(-1, best)
        step = ((own - here) / (own - 2 * here + most).clamp(min=1e-12)).clamp(0, 1)
        shares = (1 - step) * shares + step * torch.zeros_like(shares).scatter_(-1, best, 1.0)
    return (shares[..., None] * gradients).sum(dim=-2)
