"""The two estimators that the area model is made of, and the intervals around them.

Both follow scikit-learn: ``__init__`` only stores, fitted names end in ``_``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST_ROWS = 20
"""Of measured data that a model may be fitted on."""
FOLDS = 5
LENGTHS = (2.0, 3.5, 6.0, 10.0)
"""Length scales tried for the correction, in standard deviations of its columns."""
NOISES = (0.03, 0.1, 0.3, 0.9)
"""Shares of noise tried, in variances of y."""
MOST_JUDGED = 300
"""Rows on which likelihoods are compared: they take the cube of it in time."""
JITTER = 1e-8


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Small matrices: more threads only get in each other's way."""
    limit: AbstractContextManager[object] = _threads().limit(limits=1)
    return limit


class FactorRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """``y = X @ factors`` with factors >= 0: columns of X count hardware, y is what it took.

    Weighted least squares, each factor drawn towards its prior with the strength of ``ridge`` times
    the column's norm: columns that the data cannot tell apart keep their priors' proportion, and
    columns that no row has keep the prior itself. As no factor is negative, y grows with each
    column. ``priors``: [columns], 1 each by default.
    """

    def __init__(self, priors: Sequence[float] | None = None, ridge: float = 0.003) -> None:
        self.priors = priors
        self.ridge = ridge

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """sample_weight: [n] of the squared errors; 1 / y**2 makes them relative."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        root = np.sqrt(_check_sample_weight(sample_weight, X))
        priors = np.ones(X.shape[1]) if self.priors is None else np.asarray(self.priors, float)
        if priors.shape != (X.shape[1],):
            raise ValueError(f"{len(priors)} priors for {X.shape[1]} features")
        rows = X * root[:, None]
        norms = np.linalg.norm(rows, axis=0)
        norms = np.where(norms > 0, norms, 1.0)
        # Columns of one length: counts of all magnitudes stand side by side.
        scaled, _ = nnls(
            np.vstack([rows / norms, self.ridge * np.eye(len(norms))]),
            np.concatenate([y * root, self.ridge * norms * priors]),
            maxiter=30 * len(norms),
        )
        self.factors_ = scaled / norms
        return self

    def predict(self, X: Any) -> Floats:
        check_is_fitted(self)
        found: Floats = validate_data(self, X, dtype=np.float64, reset=False) @ self.factors_
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # no intercept, no negative factor: not for any data
        return tags


class ProcessRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A Gaussian process on ``points`` inducing points: a smooth correction, cheap in batches.

    An RBF kernel; ``length`` (in standard deviations of the columns) and ``noise`` (in variances of
    y) are the most likely of LENGTHS and NOISES unless given. The
    points are rows of X far from each other; the posterior is that of the deterministic training
    conditional (Quinonero-Candela and Rasmussen, 2005), so that far from the data the mean
    returns to that of y and the deviation to that of the prior.
    """

    def __init__(
        self, points: int = 40, length: float | None = None, noise: float | None = None
    ) -> None:
        self.points = points
        self.length = length
        self.noise = noise

    def fit(self, X: Any, y: Any) -> Self:
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.centre_, self.spread_ = X.mean(axis=0), np.maximum(X.std(axis=0), 1e-9)
        self.level_, self.scale_ = float(y.mean()), float(max(y.std(), 1e-12))
        place, target = (X - self.centre_) / self.spread_, (y - self.level_) / self.scale_
        with one_thread():
            self.length_, self.noise_ = self._lengths(place, target)
            self.points_ = place[_far_apart(place, min(self.points, len(place)))]
            among = self._kernel(self.points_) + JITTER * np.eye(len(self.points_))
            across = self._kernel(place)
            system = among + across.T @ across / self.noise_
            weights = cho_solve((cholesky(system, lower=True), True), across.T @ target)
            self.weights_ = weights / self.noise_
            # What the variance loses by the points, and regains by the noise of the rows.
            self.known_ = np.linalg.inv(among) - np.linalg.inv(system)
        return self

    def _lengths(self, place: Floats, target: Floats) -> tuple[float, float]:
        if self.length is not None and self.noise is not None:
            return self.length, self.noise
        step = -(-len(place) // MOST_JUDGED)
        return _most_likely(place[::step], target[::step])

    def _kernel(self, place: Floats) -> Floats:
        # Minus half the squared distances in one product: batches spend their time here.
        near = self.points_ / self.length_**2
        exponents = place @ near.T
        exponents -= (np.square(place).sum(axis=1) * (0.5 / self.length_**2))[:, None]
        exponents -= 0.5 * (near * self.points_).sum(axis=1)
        found: Floats = np.exp(exponents, out=exponents)
        return found

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """[n] means; with ``return_std`` also [n] standard deviations of y, noise included."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with one_thread():
            mean, deviation = self.moments(X)
        return (mean, deviation) if return_std else mean

    def moments(self, X: Floats) -> tuple[Floats, Floats]:
        """``predict`` with deviations, of an X that needs no checks."""
        kernel = self._kernel((X - self.centre_) / self.spread_)
        known = np.einsum("np,np->n", kernel @ self.known_, kernel)
        deviation = self.scale_ * np.sqrt(np.maximum(1.0 - known, 0.0) + self.noise_)
        return self.level_ + self.scale_ * (kernel @ self.weights_), deviation


def _most_likely(place: Floats, target: Floats) -> tuple[float, float]:
    """Length and noise of the exact process with the highest marginal likelihood."""
    best = (-np.inf, LENGTHS[-1], NOISES[-1])
    for length in LENGTHS:
        for noise in NOISES:
            kernel = RBF(length) + WhiteKernel(noise)
            fit = GaussianProcessRegressor(kernel, optimizer=None).fit(place, target)
            best = max(best, (fit.log_marginal_likelihood_value_, length, noise))
    return best[1], best[2]


def _far_apart(place: Floats, count: int) -> list[int]:
    """Rows far from each other, from the one nearest to the middle on."""
    chosen = [int(np.argmin(np.sum(place**2, axis=1)))]
    distance = np.sum((place - place[chosen[0]]) ** 2, axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.sum((place - place[chosen[-1]]) ** 2, axis=1))
    return chosen


def grouped(groups: Ints, seed: int, folds: int = FOLDS) -> Iterator[tuple[Ints, Ints]]:
    """Splits (train, test) that have no group on both sides; of fewer groups, fewer splits."""
    folds = min(folds, len(np.unique(groups)))
    yield from GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)


def cross_predict(
    fit_and_predict: Callable[[Ints, Ints], tuple[Floats, Floats]], groups: Ints, seed: int
) -> tuple[Floats, Floats]:
    """[n] estimates and deviations of all rows, each by what was fitted on none of its group.

    fit_and_predict: (rows to fit, rows to predict) -> both of the latter.
    """
    middle, deviation = np.zeros(len(groups)), np.zeros(len(groups))
    for train, test in grouped(groups, seed):
        middle[test], deviation[test] = fit_and_predict(train, test)
    return middle, deviation


def conformal_quantile(scores: Floats, coverage: float) -> float:
    """What ``coverage`` of unseen scores stay below: the rank that split conformal prediction
    takes (Papadopoulos et al., 2002); infinite for fewer scores than it needs."""
    rank = int(np.ceil(coverage * (len(scores) + 1)))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")
