"""Differentiable search with robustness as an objective, by multiple-gradient descent (MGDA)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from codesign.search.strategies.differentiable.adam import Adam
from codesign.search.strategies.differentiable.gumbel import GumbelSearch
from codesign.search.strategies.differentiable.relaxation import Vectors

CHANGES = 2
"""Changes of one gene by which the robustness of a candidate is predicted."""
STRIDE = 3.0
"""Learning rate of the logits."""
ITERATIONS = 10
"""Iterations of pairwise Frank and Wolfe steps; for two gradients the first one is exact."""


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
    by pairwise steps of Frank and Wolfe's method (Lacoste-Julien and Jaggi, NeurIPS 2015). Sampling
    and schedule are those of GumbelSearch, but logits take plain steps, since Adam's would not go
    along that vector; candidates are chosen as in Descent, robustness among the objectives. It
    guides this strategy alone: the search that it serves counts the objectives that it told.

    Source: Yue, Lin, Huang, Zhang, "Effective, Efficient and Robust Neural Architecture Search",
    arXiv 2011.09820; Desideri, "Multiple-Gradient Descent Algorithm (MGDA) for Multiobjective
    Optimization", Comptes Rendus Mathematique 350, 2012; Sener and Koltun, "Multi-Task Learning as
    Multi-Objective Optimization", NeurIPS 2018.

    >>> from codesign.search.strategies.interface import Genes
    >>> RobustSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    MORE: ClassVar[int] = 1

    def _step(self, logits: Vectors, weights: Vectors, temperature: float, adam: Adam) -> Vectors:
        vectors, back = self._sampled(logits, temperature)
        gradients = np.moveaxis(back(self._slopes(vectors)), 0, -2)
        lengths = np.linalg.norm(gradients, axis=-1, keepdims=True)
        ones = np.ones((*weights.shape[:-1], 1), dtype=np.float32)
        if not self._blind:
            ones = np.concatenate([np.maximum(weights, 1e-3), ones], axis=-1)
        scaled = gradients / np.maximum(lengths * ones[..., None], 1e-9)
        found: Vectors = -np.float32(STRIDE) * least(scaled)
        return found

    def _terms(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        objectives, excess = super()._terms(vectors)
        changed, _ = self._changed(vectors)
        rises = self._model(changed)[0][..., 0] - np.repeat(objectives[..., 0], CHANGES, axis=1)
        return np.concatenate([objectives, _mean(np.maximum(rises, 0)[..., None])], -1), excess

    def _slopes(self, vectors: Vectors) -> Vectors:
        """Return gradients by vectors, (MEMBERS, n, values), of everything that is to fall.

        Shape (k, MEMBERS, n, values): of objectives, robustness and excess; of the excess alone
        while nothing feasible is known.
        """
        found, back = self._model(vectors)
        outputs = found.shape[-1]
        slopes = np.zeros((outputs, *found.shape), dtype=np.float32)
        slopes[np.arange(outputs), ..., np.arange(outputs)] = 1.0
        if self._blind:
            return back(slopes[-1:])
        slopes[-1] *= found[..., -1:] > 0
        by = back(slopes)
        changed, kept = self._changed(vectors)
        errors, back = self._model(changed)
        rising = errors[..., :1] > np.repeat(found[..., :1], CHANGES, axis=1)
        slope = np.zeros_like(errors)
        slope[..., :1] = rising
        rise = _mean(back(slope) * kept) - _mean(rising.astype(np.float32)) * by[0]
        return np.concatenate([by[:-1], rise[None], by[-1:]])

    def _changed(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Return CHANGES of each one-hot vector in one gene, and 1 at places of other genes.

        Both have the shape (MEMBERS, n CHANGES, values).
        """
        sizes = self._relaxation.sizes
        values = np.repeat(self._relaxation.likeliest(vectors), CHANGES, axis=1)
        open_ = np.flatnonzero(sizes > 1) if (sizes > 1).any() else np.arange(1)
        genes = open_[self._random.integers(0, len(open_), values.shape[:-1])][..., None]
        steps = self._random.integers(1, np.maximum(sizes[genes], 2))
        moved = (np.take_along_axis(values, genes, axis=-1) + steps) % sizes[genes]
        np.put_along_axis(values, genes, moved, axis=-1)
        kept = (self._relaxation.gene != genes).astype(np.float32)
        return self._relaxation.one_hot(values), kept


def _mean(values: Vectors) -> Vectors:
    """Return the mean over CHANGES, shape (members, n, d), of values (members, n CHANGES, d)."""
    members, _, last = values.shape
    found: Vectors = values.reshape(members, -1, CHANGES, last).mean(axis=2)
    return found


def least(gradients: Vectors) -> Vectors:
    """Return the shortest vector of the convex hull of k vectors, shape (..., d), of (..., k, d).

    Vectors of length 0 do not count: of an objective that does not change there is nothing to say.

    >>> least(np.array([[2, 0], [0, 1], [0, 0]], dtype=np.float32)).round(3).tolist()
    [0.4000000059604645, 0.800000011920929]
    """
    inner = gradients @ np.swapaxes(gradients, -1, -2)
    squares = np.diagonal(inner, axis1=-2, axis2=-1)
    some = squares > 0
    shares = some / np.maximum(some.sum(axis=-1, keepdims=True), 1)
    for _ in range(ITERATIONS):
        along = (inner @ shares[..., None])[..., 0]
        best = np.where(some, along, np.inf).argmin(axis=-1)[..., None]
        worst = np.where(shares > 0, along, -np.inf).argmax(axis=-1)[..., None]
        one, other = (np.take_along_axis(along, row, axis=-1) for row in (best, worst))
        between = np.take_along_axis(inner, best[..., None], axis=-2)[..., 0, :]
        apart = np.take_along_axis(squares, best, axis=-1)
        apart = apart + np.take_along_axis(squares, worst, axis=-1)
        apart = apart - 2 * np.take_along_axis(between, worst, axis=-1)
        most = np.take_along_axis(shares, worst, axis=-1)
        step = np.clip((other - one) / np.maximum(apart, 1e-12), 0, most)
        np.put_along_axis(shares, worst, most - step, axis=-1)
        np.put_along_axis(shares, best, np.take_along_axis(shares, best, axis=-1) + step, axis=-1)
    found: Vectors = (shares[..., None] * gradients).sum(axis=-2).astype(np.float32)
    return found
