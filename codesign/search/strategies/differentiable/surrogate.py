"""Differentiable model of the results told: an ensemble of small networks on relaxed genes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from codesign.search.strategies.differentiable.adam import Adam
from codesign.search.strategies.differentiable.relaxation import Relaxation, Vectors

MEMBERS, HIDDEN, BATCH = 4, 32, 32
"""Networks of the ensemble, units of each of their two hidden layers, results of a step."""
MARGIN = 0.2
"""Excess by which the constraints of a feasible candidate are to be met at least."""
Back = Callable[[Vectors], Vectors]
"""Gradient by outputs -> gradient by inputs, of these shapes with any axes before."""


class Surrogate:
    """Ensemble of perceptrons from distributions over the genes to objectives and excess.

    Inputs are the chances of every value and the mean place of each gene, as values mostly ascend.
    Each member has its own initial weights and its own batches of results, so that members differ
    where little is known. The last output is the excess over the constraints: it is fitted to what
    was told of infeasible candidates and only has to be below 0 for feasible ones, of which no one
    says by how much they meet the constraints (a censored regression, as Tobin's, Econometrica
    26(1), 1958).

    >>> relaxation = Relaxation(np.array([2, 3]))
    >>> model = Surrogate(relaxation, objectives=1, random=np.random.default_rng(0))
    >>> vectors = relaxation.one_hot(np.array([[1, 2], [0, 1]]))
    >>> wanted = np.array([[1.0], [-1.0]], dtype=np.float32)
    >>> model.hear(vectors, wanted, np.zeros(2, dtype=np.float32))
    >>> _ = [model.step(0.01) for _ in range(200)]
    >>> outputs, back = model(np.tile(vectors, (MEMBERS, 1, 1)))
    >>> bool(np.abs(outputs[..., :1] - wanted).max() < 0.1), back(outputs).shape
    (True, (4, 2, 5))
    """

    def __init__(
        self, relaxation: Relaxation, objectives: int, random: np.random.Generator
    ) -> None:
        self._random = random
        genes = len(relaxation.sizes)
        place = relaxation.value / np.maximum(relaxation.sizes - 1, 1)[relaxation.gene]
        self._places = np.zeros((relaxation.values, genes), dtype=np.float32)
        self._places[np.arange(relaxation.values), relaxation.gene] = 2 * place - 1
        widths = (relaxation.values + genes, HIDDEN, HIDDEN, objectives + 1)
        active = (2 * genes, HIDDEN, HIDDEN)  # of one-hot inputs a gene has one that is not 0
        shapes = [(a + 1, b) for a, b in itertools.pairwise(widths)]
        ends = np.cumsum([MEMBERS * a * b for a, b in shapes])
        self._flat, self._slope = np.zeros((2, ends[-1]), dtype=np.float32)
        self._layers, self._slopes = (
            [
                part.reshape(MEMBERS, *shape)
                for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)
            ]
            for flat in (self._flat, self._slope)
        )
        """Weights of the layers, (MEMBERS, inputs + 1, outputs), biases last; their gradients."""
        for layer, many in zip(self._layers, active, strict=True):
            layer[:, :-1] = random.standard_normal(layer[:, :-1].shape) / np.sqrt(many)
        self._adam = Adam(self._flat.shape)

    def hear(self, vectors: Vectors, objectives: Vectors, excess: Vectors) -> None:
        """Take the results to fit: shapes (n, values), (n, objectives), (n,); excess 0: feasible.

        They replace those of before; the weights stay as they are.
        """
        self._inputs = self._placed(vectors)
        self._objectives, self._excess = objectives, excess

    def step(self, rate: float) -> float:
        """Make a step of Adam on a batch for each member.

        Returns the sum of squares of the weights' gradients, of a member in the mean.
        """
        shape = (MEMBERS, min(BATCH, len(self._inputs)))
        rows = self._random.integers(0, len(self._inputs), shape)
        layers, excess = self._forward(self._inputs[rows]), self._excess[rows]
        misses = np.empty_like(layers[-1])
        misses[..., :-1] = layers[-1][..., :-1] - self._objectives[rows]
        over = layers[-1][..., -1] + MARGIN
        misses[..., -1] = np.where(excess > 0, over - 2 * MARGIN - excess, np.maximum(over, 0))
        delta = 2 * misses / shape[1]
        for weights, slope, inputs in zip(
            self._layers[::-1], self._slopes[::-1], layers[-2::-1], strict=True
        ):
            np.matmul(inputs.transpose(0, 2, 1), delta, out=slope[:, :-1])
            delta.sum(axis=1, out=slope[:, -1])
            if inputs is not layers[0]:
                delta = (delta @ weights[:, :-1].transpose(0, 2, 1)) * (1 - inputs * inputs)
        self._flat += self._adam.step(self._slope, rate)
        return float(self._slope @ self._slope) / MEMBERS

    def __call__(self, vectors: Vectors) -> tuple[Vectors, Back]:
        """Return outputs of distributions of shape (MEMBERS, n, values), and the way back.

        Outputs have the shape (MEMBERS, n, objectives + 1).
        """
        layers = self._forward(self._placed(vectors))

        def back(gradient: Vectors) -> Vectors:
            for weights, inputs in zip(self._layers[::-1], layers[-2::-1], strict=True):
                gradient = gradient @ weights[:, :-1].transpose(0, 2, 1)
                if inputs is not layers[0]:
                    gradient = gradient * (1 - inputs * inputs)
            values = len(self._places)
            found: Vectors = gradient[..., :values] + gradient[..., values:] @ self._places.T
            return found

        return layers[-1], back

    def _placed(self, vectors: Vectors) -> Vectors:
        """Return vectors (..., values) with the mean places of the genes behind them."""
        return np.concatenate([vectors, vectors @ self._places], axis=-1)

    def _forward(self, inputs: Vectors) -> list[Vectors]:
        """Return inputs and outputs of all layers, each (MEMBERS, n, units)."""
        layers = [inputs]
        for weights in self._layers:
            if len(layers) > 1:
                layers[-1] = np.tanh(layers[-1])
            layers.append(layers[-1] @ weights[:, :-1] + weights[:, -1:])
        return layers
