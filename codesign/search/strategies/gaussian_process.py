"""Gaussian process regression on vectors of genes, with a scale for each gene."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from codesign.search.pareto import Floats, Ints

JITTER = 1e-6
"""Least variance of the noise, in variances of the values."""
_SCALE, _NOISE = np.log(0.3), np.log(1e-3)
"""Centres of the priors of the logarithms of scales and noise; all are normal."""
_BOUNDS = {"scale": (-8.0, 4.0), "noise": (-14.0, 1.0), "signal": (-4.0, 4.0)}


def distances(left: Ints, right: Ints, sizes: Ints) -> Floats:
    """Return the distances that kernels weight, shape (terms, n, m), each 0..1.

    A gene of several values has a term that is 1 where they differ, for values without an order;
    one of three or more has one for the difference of its values, too, for those with one. left,
    right: genes of shapes (n, genes) and (m, genes).
    """
    several, many = np.flatnonzero(sizes > 1), np.flatnonzero(sizes > 2)
    gaps = np.abs(left[:, None] - right[None])
    terms = np.concatenate([gaps[..., several] > 0, gaps[..., many] / (sizes[many] - 1)], axis=2)
    return np.ascontiguousarray(np.moveaxis(terms, 2, 0), dtype=np.float64)


class GaussianProcess:
    """Regression with the kernel exp(-sum of weighted distances) and one weight a term.

    Weights, noise and signal are those of the largest posterior density, found by L-BFGS from the
    last fit on. An order of values or the lack of one, and genes without effect, show in them.
    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5.

    >>> sizes = np.array([5, 2])
    >>> genes = np.array([[0, 0], [1, 0], [3, 1], [4, 1]])
    >>> process = GaussianProcess()
    >>> process.fit(distances(genes, genes, sizes), np.array([0.0, 1.0, 3.0, 4.0]), steps=20)
    >>> mean, deviation = process.predict(distances(np.array([[2, 0]]), genes, sizes))
    >>> bool(0.5 < mean[0] < 3)
    True
    """

    def __init__(self) -> None:
        self._weights = np.empty(0)

    def fit(self, terms: Floats, values: Floats, steps: int) -> None:
        """Fit to values of shape (n,), whose ``distances`` are ``terms``, shape (terms, n, n).

        steps: of L-BFGS at most.
        """
        self._mean, self._spread = values.mean(), values.std() + 1e-12
        wanted = (values - self._mean) / self._spread
        count = len(terms)
        if not len(self._weights):
            start = np.full(count, -np.log(max(count, 1)))
            self._weights = np.append(start, [np.log(1e-2), 0.0])
        bounds = [_BOUNDS["scale"]] * count + [_BOUNDS["noise"], _BOUNDS["signal"]]
        flat = terms.reshape(count, -1)
        found = minimize(
            _loss, self._weights, (flat, wanted), "L-BFGS-B", jac=True, bounds=bounds,
            options={"maxiter": steps},
        )  # fmt: skip
        self._weights = found.x
        covariance, _ = _covariance(self._weights, flat, len(values))
        self._root = np.linalg.cholesky(covariance)
        self._alpha = cho_solve((self._root, True), wanted)

    def predict(self, terms: Floats) -> tuple[Floats, Floats]:
        """Return means and standard deviations, each (m,), of ``distances`` (terms, m, n)."""
        weights = np.exp(self._weights)
        kernel = weights[-1] * np.exp(-np.tensordot(weights[:-2], terms, 1))
        known = solve_triangular(self._root, kernel.T, lower=True)
        left = np.maximum(weights[-1] - (known**2).sum(axis=0), 1e-12)
        return (
            self._mean + self._spread * (kernel @ self._alpha),
            self._spread * np.sqrt(left),
        )


def _covariance(weights: Floats, flat: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the covariance with and without noise; flat: terms of shape (terms, count ** 2)."""
    signal = np.exp(weights[-1] - np.exp(weights[:-2]) @ flat).reshape(count, count)
    return signal + (np.exp(weights[-2]) + JITTER) * np.eye(count), signal


def _loss(weights: Floats, flat: Floats, wanted: Floats) -> tuple[float, Floats]:
    """Return minus the log posterior density of the logarithms ``weights``, and its gradient."""
    covariance, signal = _covariance(weights, flat, len(wanted))
    root, failed = lapack.dpotrf(covariance, lower=1)
    if failed:
        return 1e10, np.zeros_like(weights)
    alpha = cho_solve((root, True), wanted)
    half, _ = lapack.dpotri(root, lower=1)
    inverse = np.tril(half) + np.tril(half, -1).T
    slope = inverse - np.outer(alpha, alpha)
    product = (slope * signal).ravel()
    scales, noise, level = weights[:-2] - _SCALE, weights[-2] - _NOISE, weights[-1]
    value = 0.5 * wanted @ alpha + np.log(np.diag(root)).sum()
    value += (scales**2).sum() / 16 + noise**2 / 8 + level**2 / 2
    gradient = np.append(
        scales / 8 - 0.5 * np.exp(weights[:-2]) * (flat @ product),
        [
            noise / 4 + 0.5 * np.exp(weights[-2]) * np.trace(slope),
            level + 0.5 * product.sum(),
        ],
    )
    return float(value), gradient
