"""Accuracy of networks that were not trained, from a few that were.

A Gaussian process over what a network is made of (weights, work, depth, bits): networks that
differ in their NPU alone share everything, similar ones inform each other.
"""

from __future__ import annotations

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct, WhiteKernel
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from codesign.cost.layers import LayerTable
from codesign.search.pareto import Floats

_NOISES = (0.02, 0.1, 0.3)
_LENGTHS = (2.0, 4.0, 8.0)


def network_features(layers: LayerTable) -> Floats:
    """[n, features] of the networks, all roughly of one magnitude."""
    dense = (layers.active == 1) & (layers.diagonal == 0)
    inner = (layers.active == 1) & (layers.raw == 0)
    weights, count = layers.weights * dense, dense.sum(axis=1)
    total = np.maximum(weights.sum(axis=1), 1)
    most = 8
    columns = [
        np.log2(total),
        np.log2(np.maximum(layers.macs.sum(axis=1), 1)),
        count,
        (layers.weight_bits * weights).sum(axis=1) / total,
        np.where(dense, layers.weight_bits, most).min(axis=1),
        np.where(inner, layers.out_bits, 0).sum(axis=1) / np.maximum(inner.sum(axis=1), 1),
        np.where(layers.active == 1, layers.in_bits, most).min(axis=1),
        np.log2(np.where(inner, np.maximum(layers.out_channels, 1), 4096).min(axis=1)),
        (layers.active * layers.diagonal).sum(axis=1),
        np.log2(np.max(layers.in_channels * layers.kernel_rows * layers.raw, axis=1)),
    ]
    return np.column_stack(columns).astype(np.float64)


class AccuracyPredictor:
    """Fitted on trained networks: ``features`` [n, f], ``accuracies`` [n] on ``images`` images."""

    def __init__(self, features: Floats, accuracies: Floats, images: int) -> None:
        self._centre = features.mean(axis=0)
        self._spread = np.maximum(features.std(axis=0), 0.5)
        # Odds instead of shares: the step from 97 to 98 % is as hard as that from 90 to 93 %.
        share = (accuracies * images + 0.5) / (images + 1)
        odds = np.log(share / (1 - share))
        place = self._place(features)
        with threadpool_limits(1):
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
        """[n] accuracies, 0..1."""
        with threadpool_limits(1):
            odds = self._process.predict(self._place(features))
        accuracy: Floats = 1 / (1 + np.exp(-odds))
        return accuracy


def farthest(features: Floats, taken: Floats, count: int) -> list[int]:
    """``count`` rows that are far from each other and from ``taken`` [m, features].

    The first of all is row 0 when nothing is taken: callers put their favourite there.
    """
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
