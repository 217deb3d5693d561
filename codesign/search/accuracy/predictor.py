"""Prediction of the accuracy of untrained networks, from a few trained ones.

The predictor is a Gaussian process over features of the network (weights, multiply-accumulates,
depth, bit widths): designs that differ only in their NPU share one prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct, WhiteKernel

from codesign.cost.cycles.layers import LayerTable
from codesign.search.accuracy.features import network_features
from codesign.search.pareto import Floats
from codesign.search.parts import in_parts
from models.threads import one_thread

_NOISES = (0.02, 0.1, 0.3)
_LENGTHS = (2.0, 4.0, 8.0)


class AccuracyPredictor:
    """Gaussian process regression of the log odds of a correct answer, fitted to trained networks.

    features: shape (n, f); accuracies: shape (n,), 0..1, measured on so many ``images``. The kernel
    is RBF plus linear plus noise; length scale and noise are selected by marginal likelihood.

    >>> log2_weights = np.array([[10.0], [12.0], [14.0], [16.0]])
    >>> predictor = AccuracyPredictor(log2_weights, np.array([0.6, 0.8, 0.9, 0.95]), images=1000)
    >>> low, high = predictor.interval(np.array([[13.0]]))
    >>> bool(low[0] < 0.86 < high[0])
    True
    """

    def __init__(self, features: Floats, accuracies: Floats, images: int) -> None:
        self._centre = features.mean(axis=0)
        self._spread = np.maximum(features.std(axis=0), 0.5)
        # Log odds, as the step from 97 to 98 % is about as hard as that from 90 to 93 %.
        share = (accuracies * images + 0.5) / (images + 1)
        odds = np.log(share / (1 - share))
        place = self._place(features)
        with one_thread():
            fits = [
                GaussianProcessRegressor(
                    RBF(length) + 0.1 * DotProduct(0.1) + WhiteKernel(noise),
                    optimizer=None,
                    normalize_y=True,
                ).fit(place, odds)
                for length in _LENGTHS
                for noise in _NOISES
            ]
        self._process = max(fits, key=lambda fit: fit.log_marginal_likelihood_value_)

    def _place(self, features: Floats) -> Floats:
        place: Floats = (features - self._centre) / self._spread
        return place

    def predict(self, features: Floats) -> Floats:
        """Return the predicted accuracies, 0..1, shape (n,), of features of shape (n, f)."""
        with one_thread():
            odds = self._process.predict(self._place(features))
        return _share(odds)

    def predict_networks(self, layers: LayerTable, threads: int | None = None) -> Floats:
        """Return ``predict`` of ``network_features``, which it must be fitted to, shape (n,).

        threads: as in ``in_parts``.
        """
        return in_parts(
            lambda rows: self.predict(network_features(layers.take(rows))), len(layers), threads
        )

    def network_odds(self, layers: LayerTable, threads: int | None = None) -> Floats:
        """Return the log odds of ``predict_networks``, shape (n,): what a search maximises.

        In log odds a front spreads where networks differ little in per cent, but much in errors.
        """
        return odds_of(self.predict_networks(layers, threads))

    def interval(self, features: Floats, coverage: float = 0.9) -> tuple[Floats, Floats]:
        """Return (low, high) ends of the prediction interval of trained accuracies, each (n,).

        Accuracies are 0..1; coverage: probability that one lies inside. The interval is that of the
        Gaussian process, which includes the noise of training.
        """
        odds, std = self.odds(features)
        reach = NormalDist().inv_cdf((1 + coverage) / 2) * std
        return _share(odds - reach), _share(odds + reach)

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        """Return natural log odds of a correct answer and their standard deviations, each (n,).

        features: shape (n, f). Standard deviations include the noise of training.
        """
        with one_thread():
            odds, std = self._process.predict(self._place(features), return_std=True)
        return odds, std

    def table(self) -> PredictorTable:
        """Return the mean of the Gaussian process as plain arrays, for fast prediction."""
        process = self._process
        (rbf, linear), _ = (process.kernel_.k1.k1, process.kernel_.k1.k2), process.kernel_.k2
        gain, sigma = linear.k1.constant_value, linear.k2.sigma_0
        scale = float(process._y_train_std)
        alpha = process.alpha_ * scale
        offset = float(process._y_train_mean) + gain * sigma**2 * float(alpha.sum())
        return PredictorTable(
            centre=self._centre.astype(np.float32),
            spread=self._spread.astype(np.float32),
            places=process.X_train_.astype(np.float32),
            alpha=alpha.astype(np.float32),
            slope=(gain * process.X_train_.T @ alpha).astype(np.float32),
            offset=offset,
            length=float(rbf.length_scale),
        )


@dataclass(frozen=True, eq=False)
class PredictorTable:
    """Mean of an AccuracyPredictor in float32. Made by ``AccuracyPredictor.table``.

    A prediction costs one matrix product and one exponential per trained network. Features are
    standardised by ``centre`` and ``spread``; ``places`` are those of the trained networks, shape
    (networks, features), and ``alpha`` their weights in the RBF kernel of scale ``length``; slope
    and offset are the linear part of the log odds.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    places: NDArray[np.float32]
    alpha: NDArray[np.float32]
    slope: NDArray[np.float32]
    offset: float
    length: float

    def predict(self, features: Floats) -> Floats:
        """Return the predicted accuracies, 0..1, shape (n,), of features of shape (n, f).

        They equal those of AccuracyPredictor.predict to about five digits.
        """
        place = (features.astype(np.float32) - self.centre) / self.spread
        near = place @ (self.places.T / self.length**2)
        near -= (np.square(place).sum(axis=1) / (2 * self.length**2))[:, None]
        near -= np.square(self.places).sum(axis=1) / (2 * self.length**2)
        odds = np.exp(near, out=near) @ self.alpha + place @ self.slope + self.offset
        return _share(odds)


def odds_of(accuracies: Floats) -> Floats:
    """Return natural log odds of accuracies, which count as those in 0.001..0.999, same shape."""
    share = np.clip(accuracies, 0.001, 0.999)
    odds: Floats = np.log(share / (1 - share))
    return odds


def _share(odds: Floats) -> Floats:
    share: Floats = 1 / (1 + np.exp(-odds))
    return share


def farthest(features: Floats, taken: Floats, count: int) -> list[int]:
    """Return indices of up to ``count`` feature rows far from each other and from ``taken``.

    In the order of choice, by farthest-point sampling; columns are scaled by their standard
    deviations. features: shape (n, f); taken: shape (m, f). If nothing is taken the first row is
    row 0, so callers put their first choice there. Rows equal to one that is taken or chosen are
    left out.
    """
    if not len(features):
        return []
    spread = np.maximum(features.std(axis=0), 1e-9)
    place = features / spread
    chosen: list[int] = []
    distance = np.full(len(features), np.inf)
    for row in taken / spread:
        distance = np.minimum(distance, np.sum((place - row) ** 2, axis=1))
    while len(chosen) < min(count, len(features)):
        index = int(np.argmax(distance))
        if distance[index] == 0:
            break
        chosen.append(index)
        distance = np.minimum(distance, np.sum((place - place[index]) ** 2, axis=1))
    return chosen
