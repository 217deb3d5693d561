"""Estimators of the cost models (non-negative factors, Gaussian process) and conformal quantiles.

The estimators follow scikit-learn: ``__init__`` only stores its arguments, fitted attributes end in
``_``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

from models.threads import one_thread

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST_ROWS = 20
"""Smallest number of measured rows that a model is fitted to."""
FOLDS = 5
"""Folds of grouped cross-validation."""
LENGTHS = (2.0, 3.5, 6.0, 10.0)
"""Candidate length scales of the RBF kernel, in standard deviations of the columns of X."""
NOISES = (0.03, 0.1, 0.3, 0.9)
"""Candidate noise variances, in variances of y."""
MOST_JUDGED = 300
"""Largest number of rows on which marginal likelihoods are compared, at a cost of O(rows^3)."""
JITTER = 1e-8
"""Added to the diagonal of the inducing points' kernel matrix, for numerical stability."""


class FactorRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Weighted non-negative least squares, ``y = X @ factors``, with ridge penalty towards priors.

    Minimises the weighted sum of squared errors plus ``(ridge * norm * (factor - prior))**2`` for
    each factor, where norm is that of its weighted column of X. Factors of collinear columns thus
    stay near their priors, and those of zero columns equal them. As factors are >= 0, estimates do
    not decrease in any column. ``priors`` has shape (columns,), default 1.

    >>> X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])
    >>> FactorRegressor().fit(X, X @ [2.0, 5.0]).factors_.round(2)
    array([2., 5.])
    """

    def __init__(self, priors: Sequence[float] | None = None, ridge: float = 0.003) -> None:
        self.priors = priors
        self.ridge = ridge

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit ``factors_``, shape (columns,), to X, shape (n, columns), and y, shape (n,).

        sample_weight: weights of the squared errors, shape (n,); 1 / y**2 makes errors relative.
        Raises ValueError for another number of priors than columns, and for values not finite.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        root = np.sqrt(_check_sample_weight(sample_weight, X))
        priors = np.ones(X.shape[1]) if self.priors is None else np.asarray(self.priors, float)
        if priors.shape != (X.shape[1],):
            raise ValueError(f"{len(priors)} priors for {X.shape[1]} features")
        rows = X * root[:, None]
        norms = np.linalg.norm(rows, axis=0)
        norms = np.where(norms > 0, norms, 1.0)
        # Columns are normalised, as counts differ by orders of magnitude.
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
        tags.regressor_tags.poor_score = True  # no intercept, factors >= 0: poor on arbitrary data
        return tags


class ProcessRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Sparse Gaussian process regression with an RBF kernel and ``points`` inducing points.

    ``length`` (length scale, in standard deviations of the columns) and ``noise`` (variance, in
    variances of y) are selected from LENGTHS and NOISES by marginal likelihood unless both are
    given. Inducing points are rows of X far from each other. The posterior is that of the
    deterministic training conditional (Quinonero-Candela and Rasmussen, 2005): far from the data
    the mean returns to that of y and the standard deviation to that of the prior.

    >>> X = np.linspace(0.0, 6.0, 50)[:, None]
    >>> process = ProcessRegressor(length=0.5, noise=0.01).fit(X, np.sin(X[:, 0]))
    >>> mean, deviation = process.predict([[1.5], [30.0]], return_std=True)
    >>> bool(abs(mean[0] - np.sin(1.5)) < 0.05), bool(deviation[0] < deviation[1])
    (True, True)
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
            # Predictive variance: 1 - k (Kuu^-1 - (Kuu + Kuf Kfu / noise)^-1) k, plus noise.
            self.known_ = np.linalg.inv(among) - np.linalg.inv(system)
        return self

    def _lengths(self, place: Floats, target: Floats) -> tuple[float, float]:
        if self.length is not None and self.noise is not None:
            return self.length, self.noise
        step = -(-len(place) // MOST_JUDGED)
        return _most_likely(place[::step], target[::step])

    def _kernel(self, place: Floats) -> Floats:
        # -|x - p|^2 / 2 by one matrix product, where batches spend their time.
        near = self.points_ / self.length_**2
        exponents = place @ near.T
        exponents -= (np.square(place).sum(axis=1) * (0.5 / self.length_**2))[:, None]
        exponents -= 0.5 * (near * self.points_).sum(axis=1)
        found: Floats = np.exp(exponents, out=exponents)
        return found

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return means, shape (n,); with ``return_std`` also standard deviations of y.

        Standard deviations include the noise.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with one_thread():
            mean, deviation = self.moments(X)
        return (mean, deviation) if return_std else mean

    def moments(self, X: Floats) -> tuple[Floats, Floats]:
        """Return ``predict(X, return_std=True)``, (means, deviations), without validation of X."""
        kernel = self._kernel((X - self.centre_) / self.spread_)
        known = np.einsum("np,np->n", kernel @ self.known_, kernel)
        deviation = self.scale_ * np.sqrt(np.maximum(1.0 - known, 0.0) + self.noise_)
        return self.level_ + self.scale_ * (kernel @ self.weights_), deviation


def _most_likely(place: Floats, target: Floats) -> tuple[float, float]:
    """Return (length scale, noise) of the exact process with the highest marginal likelihood.

    place: rows of X, shape (n, columns); target: y, shape (n,); both standardised.
    Candidates are LENGTHS and NOISES.
    """
    best = (-np.inf, LENGTHS[-1], NOISES[-1])
    for length in LENGTHS:
        for noise in NOISES:
            kernel = RBF(length) + WhiteKernel(noise)
            fit = GaussianProcessRegressor(kernel, optimizer=None).fit(place, target)
            best = max(best, (fit.log_marginal_likelihood_value_, length, noise))
    return best[1], best[2]


def _far_apart(place: Floats, count: int) -> list[int]:
    """Return indices of ``count`` rows, far apart; the first is the row nearest to the origin.

    By farthest-point sampling, in the order of choice. ``count`` is at most the number of rows.
    """
    chosen = [int(np.argmin(np.sum(place**2, axis=1)))]
    distance = np.sum((place - place[chosen[0]]) ** 2, axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.sum((place - place[chosen[-1]]) ** 2, axis=1))
    return chosen


def grouped(groups: Ints, seed: int, folds: int = FOLDS) -> Iterator[tuple[Ints, Ints]]:
    """Yield splits (training rows, test rows) of grouped k-fold cross-validation.

    groups: label of each row; seed: shuffles the groups. No group is on both sides; there are
    ``folds`` splits, but at most as many as groups, and each row is a test row in one of them.
    Raises ValueError if there is only one group.
    """
    folds = min(folds, len(np.unique(groups)))
    yield from GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)


def cross_predict(
    fit_and_predict: Callable[[Ints, Ints], tuple[Floats, Floats]], groups: Ints, seed: int
) -> tuple[Floats, Floats]:
    """Return out-of-fold estimates and standard deviations of all rows, each of shape (n,).

    fit_and_predict: (training rows, test rows) -> estimates and standard deviations of test rows.
    Each row is predicted by a model fitted without its group (``grouped``). Raises ValueError if
    there is only one group.
    """
    middle, deviation = np.zeros(len(groups)), np.zeros(len(groups))
    for train, test in grouped(groups, seed):
        middle[test], deviation[test] = fit_and_predict(train, test)
    return middle, deviation


def conformal_quantile(scores: Floats, coverage: float) -> float:
    """Return the score that, on average, at least ``coverage`` of unseen scores do not exceed.

    It is the score of rank ceil(coverage * (n + 1)) (split conformal prediction, Papadopoulos et
    al., 2002), or infinity if there are too few scores. ``coverage`` is above 0 and up to 1 (not
    checked).
    """
    rank = int(np.ceil(coverage * (len(scores) + 1)))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")
