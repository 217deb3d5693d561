"""Gaussian process regression on vectors of genes, with a scale for each gene."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.optimize import minimize

from codesign.search.pareto import Floats, Ints

JITTER = 1e-6
"""Least variance of the noise, in variances of the values."""
_SCALE, _NOISE = np.log(0.3), np.log(1e-3)
"""Centres of the priors of the logarithms of scales and noise; all are normal, levels' at 0."""
_BOUNDS = {"scale": (-8.0, 4.0), "noise": (-14.0, 1.0), "level": (-4.0, 4.0)}


class GaussianProcess:
    """Regression with two kernels: exp(-sum of weighted distances of genes), and equal genes.

    A gene of several values has a distance that is 1 where they differ, for values without an
    order; one of three or more has one for the difference of its values, too, 0..1, for those with
    one. The second kernel is the share of equal genes: a part of the values that is a sum of one
    number for each gene, and is so where no candidate is near. Weights, noise and levels are those
    of the largest posterior density: an order of values or the lack of one, and genes without
    effect, show in them. Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning",
    2006, chapters 4 and 5.

    >>> genes = np.array([[0, 0], [1, 0], [3, 1], [4, 1]])
    >>> process = GaussianProcess(sizes=np.array([5, 2]))
    >>> process.weigh(genes, np.array([0.0, 1.0, 3.0, 4.0]), steps=20)
    >>> process.fit(genes, np.array([0.0, 1.0, 3.0, 4.0]))
    >>> mean, deviation = process.predict(np.array([[2, 0]]))
    >>> bool(0.5 < mean[0] < 3)
    True
    """

    def __init__(self, sizes: Ints) -> None:
        self._distances = _Distances(sizes)
        terms = self._distances.terms
        self._start = np.append(np.full(terms, -np.log(max(terms, 1))), [np.log(1e-2), 0.0, 0.0])
        self._weights = self._start

    def weigh(self, genes: Ints, values: Floats, steps: int = 25) -> None:
        """Find the weights for values, shape (n,), of ``genes``, shape (n, genes).

        steps: of L-BFGS at most, from the last weights on and from the first ones, as both may end
        in a lesser optimum.
        """
        count = self._distances.terms
        bounds = [_BOUNDS["scale"]] * count + [_BOUNDS["noise"], _BOUNDS["level"], _BOUNDS["level"]]
        limits = {"maxiter": steps}
        wanted = (values - values.mean()) / (values.std() + 1e-12)
        data = self._distances, self._distances.coded(genes), wanted
        found = [
            minimize(_loss, start, data, "L-BFGS-B", jac=True, bounds=bounds, options=limits)
            for start in (self._weights, self._start)
        ]
        self._weights = min(found, key=lambda one: float(one.fun)).x

    def fit(self, genes: Ints, values: Floats) -> None:
        """Fit to values, shape (n,), of ``genes``, shape (n, genes), with the weights as found."""
        self._mean, self._spread = values.mean(), values.std() + 1e-12
        self._coded = self._distances.coded(genes)
        covariance = _covariance(self._weights, self._distances, self._coded)
        self._root = np.linalg.cholesky(covariance)
        self._alpha = cho_solve((self._root, True), (values - self._mean) / self._spread)

    def predict(self, genes: Ints) -> tuple[Floats, Floats]:
        """Return means and standard deviations, each (m,), at ``genes``, shape (m, genes)."""
        coded = self._distances.coded(genes)
        near, equal = _kernels(self._weights, self._distances, coded, self._coded)
        kernel = near + equal
        known = solve_triangular(self._root, kernel.T, lower=True)
        left = np.maximum(np.exp(self._weights[-2:]).sum() - (known**2).sum(axis=0), 1e-12)
        return (
            self._mean + self._spread * (kernel @ self._alpha),
            self._spread * np.sqrt(left),
        )


class _Distances:
    """Weighted distances of genes as products of matrices, by one column for each value."""

    def __init__(self, sizes: Ints) -> None:
        self._starts = np.cumsum(sizes) - sizes
        self._columns, self.genes = int(sizes.sum()), len(sizes)
        several, many = np.flatnonzero(sizes > 1), np.flatnonzero(sizes > 2)
        self.terms = len(several) + len(many)
        self._tables = np.zeros((self.terms, self._columns, self._columns))
        """Distance of each two values of a gene, shape (terms, columns, columns)."""
        for place, gene in enumerate([*several, *many]):
            values = np.arange(sizes[gene])
            gaps = np.abs(values[:, None] - values)
            span = slice(self._starts[gene], self._starts[gene] + sizes[gene])
            ordered = place >= len(several)
            self._tables[place, span, span] = gaps / values[-1] if ordered else gaps > 0

    def coded(self, genes: Ints) -> Floats:
        """Return genes, shape (n, genes), with a 1 in the column of each value, (n, columns)."""
        coded = np.zeros((len(genes), self._columns))
        np.put_along_axis(coded, genes + self._starts, 1.0, axis=1)
        return coded

    def between(self, weights: Floats, left: Floats, right: Floats) -> Floats:
        """Return the weighted distances of coded genes, shape (n, m); weights: logarithms."""
        table = np.tensordot(np.exp(weights[: self.terms]), self._tables, 1)
        found: Floats = (left @ table) @ right.T
        return found

    def sums(self, coded: Floats, factors: Floats) -> Floats:
        """Return the sum of each distance times ``factors``, shape (n, n), as (terms,)."""
        found: Floats = np.tensordot(self._tables, coded.T @ factors @ coded, 2)
        return found


def _kernels(
    weights: Floats, distances: _Distances, left: Floats, right: Floats
) -> tuple[Floats, Floats]:
    """Return both kernels of coded genes, each (n, m): by distances, and by equal genes."""
    near = np.exp(weights[-2] - distances.between(weights, left, right))
    equal = np.exp(weights[-1]) / distances.genes * (left @ right.T)
    return near, equal


def _covariance(weights: Floats, distances: _Distances, coded: Floats) -> Floats:
    """Return the covariance of coded genes with noise, shape (n, n)."""
    near, equal = _kernels(weights, distances, coded, coded)
    return near + equal + (np.exp(weights[-3]) + JITTER) * np.eye(len(coded))


def _loss(
    weights: Floats, distances: _Distances, coded: Floats, wanted: Floats
) -> tuple[float, Floats]:
    """Return minus the log posterior density of the logarithms ``weights``, and its gradient."""
    near, equal = _kernels(weights, distances, coded, coded)
    noise = np.exp(weights[-3])
    root, failed = lapack.dpotrf(near + equal + (noise + JITTER) * np.eye(len(coded)), lower=1)
    if failed:
        return 1e10, np.zeros_like(weights)
    alpha = cho_solve((root, True), wanted)
    half, _ = lapack.dpotri(root, lower=1)
    inverse = np.tril(half) + np.tril(half, -1).T
    slope = inverse - np.outer(alpha, alpha)
    scales, quiet, levels = weights[:-3] - _SCALE, weights[-3] - _NOISE, weights[-2:]
    value = 0.5 * wanted @ alpha + np.log(np.diag(root)).sum()
    value += (scales**2).sum() / 16 + quiet**2 / 8 + (levels**2).sum() / 2
    gradient = np.concatenate(
        [
            scales / 8 - 0.5 * np.exp(weights[:-3]) * distances.sums(coded, slope * near),
            [quiet / 4 + 0.5 * noise * np.trace(slope)],
            levels + 0.5 * np.array([(slope * near).sum(), (slope * equal).sum()]),
        ]
    )
    return float(value), gradient
