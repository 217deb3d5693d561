"""Regressors on block counts: one factor a block, then a smooth correction of the log ratio.

A scikit-learn estimator: ``__init__`` only stores, fitted names end in ``_``. X holds the block
counts first and the shape columns (logarithms of the knobs) after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, Kernel, WhiteKernel
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
LENGTHS = (2.0, 3.5, 6.0, 10.0)
"""Length scales tried for the correction, in standard deviations of the shape columns."""
NOISES = (0.01, 0.1, 0.5)
"""Shares of noise tried, in variances of the log ratio."""


class BlockRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """``y = (counts @ factors) * exp(correction(shape))``; y must be positive.

    The factors (>= 0, least relative squared error, drawn towards 1 by ``ridge``) keep the
    estimate physical where no data is; the Gaussian process fades to no correction there.
    Intervals are conformal: relative cross-validation residuals, so that ``coverage`` of unseen
    configurations lie inside.
    """

    def __init__(
        self,
        blocks: int = 1,
        coverage: float = 0.9,
        folds: int = 5,
        ridge: float = 0.05,
        correct: bool = True,
    ) -> None:
        self.blocks = blocks
        self.coverage = coverage
        self.folds = folds
        self.ridge = ridge
        self.correct = correct

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """groups: [n] labels; rows of one group are never on both sides of a split."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        if np.any(y <= 0):
            raise ValueError("y must be positive")
        self._fit_core(X, y, _kernels())
        folds = min(self.folds, len(y))
        self.residuals_ = np.zeros(0)
        if folds >= 2:
            self.residuals_ = np.sort(np.abs(np.log(y / self.cross_predict(X, y, groups))))
        return self

    def _fit_core(self, X: Floats, y: Floats, kernels: Sequence[Kernel]) -> None:
        """Factors, then the most likely of the kernels for what they leave."""
        counts, shape = self._parts(X)
        share = np.mean(counts / y[:, None], axis=0)
        # A block that no row has keeps its factor of 1.
        weight = self.ridge * np.sqrt(len(y)) * np.where(share > 0, share, 1.0)
        rows = np.vstack([counts / y[:, None], np.diag(weight)])
        self.factors_, _ = nnls(rows, np.concatenate([np.ones(len(y)), weight]))
        self.process_ = None
        self.centre_, self.spread_ = shape.mean(axis=0), np.maximum(shape.std(axis=0), 1e-9)
        if self.correct and shape.shape[1] and len(y) > 10:
            ratio = np.log(y / np.maximum(counts @ self.factors_, 1e-9))
            place = (shape - self.centre_) / self.spread_
            # Small matrices: more threads only get in each other's way.
            with threadpool_limits(1):
                fits = [
                    GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(
                        place, ratio
                    )
                    for kernel in kernels
                ]
            self.process_ = max(fits, key=lambda fit: fit.log_marginal_likelihood_value_)

    def _parts(self, X: Floats) -> tuple[Floats, Floats]:
        return X[:, : self.blocks], X[:, self.blocks :]

    def _core(self, X: Floats) -> Floats:
        counts, shape = self._parts(X)
        mean: Floats = np.maximum(counts @ self.factors_, 1e-9)
        if self.process_ is not None:
            with threadpool_limits(1):
                ratio = self.process_.predict((shape - self.centre_) / self.spread_)
            mean = mean * np.exp(ratio)
        return mean

    def predict(self, X: Any) -> Floats:
        """[n] estimates."""
        check_is_fitted(self)
        return self._core(validate_data(self, X, dtype=np.float64, reset=False))

    @property
    def margin_(self) -> float:
        """Half width of the interval of log y."""
        count = len(self.residuals_)
        rank = int(np.ceil(self.coverage * (count + 1)))
        return float(self.residuals_[rank - 1]) if rank <= count else float("inf")

    def interval(self, X: Any) -> tuple[Floats, Floats]:
        """[n] lower and [n] upper ends that hold ``coverage`` of unseen configurations."""
        middle, factor = self.predict(X), np.exp(self.margin_)
        return middle / factor, middle * factor

    def cross_predict(self, X: Floats, y: Floats, groups: Any = None) -> Floats:
        """[n] estimates of each row by a model that saw none of its group."""
        labels = np.arange(len(y)) if groups is None else np.asarray(groups)
        folds = min(self.folds, len(np.unique(labels)))
        found = np.zeros(len(y))
        kernels = [self.process_.kernel_] if self.process_ is not None else _kernels()
        for train, test in GroupKFold(folds).split(X, y, labels):
            part = BlockRegressor(self.blocks, ridge=self.ridge, correct=self.correct)
            part._fit_core(X[train], y[train], kernels)
            found[test] = part._core(X[test])
        return found


def _kernels() -> list[Kernel]:
    return [RBF(length) + WhiteKernel(noise) for length in LENGTHS for noise in NOISES]
