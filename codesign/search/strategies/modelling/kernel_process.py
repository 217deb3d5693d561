"""Gaussian process regression with the likeliest of several given kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from codesign.search.pareto import Floats

NOISES = np.geomspace(1e-4, 1.0, 9)
"""Variances of the noise to choose from, in variances of the function."""


class KernelProcess:
    """Gaussian process whose kernel, noise and variance are those of largest marginal likelihood.

    kernels(left, right) returns kernels of encoded candidates, each of shape (n, m), with 1 on
    their diagonal. One eigendecomposition a kernel serves all of NOISES; the variance has a closed
    form. Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, ch. 5.

    >>> def near(left, right):
    ...     return [np.exp(-((left[:, None] - right) ** 2) / scale) for scale in (1.0, 10.0)]
    >>> process = KernelProcess(near)
    >>> process.weigh(np.arange(6.0), np.arange(6.0) ** 2)
    >>> process.fit(np.arange(6.0), np.arange(6.0) ** 2)
    >>> mean, deviation = process.predict(np.array([2.5]))
    >>> bool(5 < mean[0] < 7.5)
    True
    """

    def __init__(self, kernels: Callable[[Any, Any], Sequence[Floats]]) -> None:
        self._kernels = kernels
        self._kernel, self._noise, self._variance = 0, 1e-2, 1.0

    def weigh(self, encoded: Any, values: Floats) -> None:
        """Choose kernel, noise and variance for values of shape (n,)."""
        wanted = (values - values.mean()) / (values.std() + 1e-12)
        best = -np.inf
        for place, kernel in enumerate(self._kernels(encoded, encoded)):
            roots, vectors = np.linalg.eigh(kernel)
            shares = (vectors.T @ wanted) ** 2
            for noise in NOISES:
                spread = np.maximum(roots, 0.0) + noise
                variance = float((shares / spread).mean())
                likelihood = -len(wanted) * np.log(variance) - np.log(spread).sum()
                if likelihood > best:
                    best = likelihood
                    self._kernel, self._noise, self._variance = place, float(noise), variance

    def fit(self, encoded: Any, values: Floats) -> None:
        """Fit to values of shape (n,), with kernel and noise as chosen."""
        self._mean, self._spread = values.mean(), values.std() + 1e-12
        self._encoded = encoded
        kernel = self._kernels(encoded, encoded)[self._kernel]
        self._root = np.linalg.cholesky(kernel + self._noise * np.eye(len(kernel)))
        self._alpha = cho_solve((self._root, True), (values - self._mean) / self._spread)

    def predict(self, encoded: Any) -> tuple[Floats, Floats]:
        """Return means and standard deviations, each (m,)."""
        kernel = self._kernels(encoded, self._encoded)[self._kernel]
        known = solve_triangular(self._root, kernel.T, lower=True)
        left = np.maximum(1 - (known**2).sum(axis=0), 1e-9) * self._variance
        return self._mean + self._spread * (kernel @ self._alpha), self._spread * np.sqrt(left)
