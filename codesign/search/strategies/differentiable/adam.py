"""Adam: steps along gradients, in units of their own moving size."""

from __future__ import annotations

import numpy as np

from codesign.search.strategies.differentiable.relaxation import Vectors

FIRST, SECOND = 0.9, 0.999
"""Shares of the moving averages of gradients and of their squares that stay."""


class Adam:
    """Moving averages of the gradients of an array, and the steps that follow from them.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    >>> adam = Adam((2,))
    >>> adam.step(np.array([3.0, -0.1], dtype=np.float32), rate=0.5).round(3).tolist()
    [-0.5, 0.5]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._mean, self._square = np.zeros((2, *shape), dtype=np.float32)
        self._steps = 0

    def step(self, gradient: Vectors, rate: float) -> Vectors:
        """Return what to add to the array, whose gradient has the same shape."""
        self._steps += 1
        self._mean += (1 - FIRST) * (gradient - self._mean)
        self._square += (1 - SECOND) * (gradient * gradient - self._square)
        size = np.sqrt(self._square / (1 - SECOND**self._steps)) + 1e-8
        found: Vectors = -rate / (1 - FIRST**self._steps) * self._mean / size
        return found
