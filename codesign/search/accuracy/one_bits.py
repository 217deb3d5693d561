"""One-bits (BOO) of networks that were not trained, from a few that were.

Binary one optimisation (EMONAS-BOO: Feng, KTH 2023) counts the ones of the trained weights, here
of their magnitudes (models.integer.bits): so many per weight, by the weight's width.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.cost.regressors import FactorRegressor
from codesign.search.pareto import Floats
from models.arithmetic import weight_range
from models.quantisation.plan import MAX_BITS

_BITS = range(1, MAX_BITS + 1)


def weights_by_bits(layers: LayerTable) -> Floats:
    """[n, MAX_BITS] weights of convolutions and linear layers by their width; of N:M weights those
    that there are."""
    weights = layers.weights * layers.kept_share * (layers.diagonal == 0)
    return np.stack(
        [np.where(layers.weight_bits == bits, weights, 0.0).sum(axis=1) for bits in _BITS], axis=1
    )


def _mean_ones(bits: int) -> float:
    """Of a magnitude, were all values alike; 1-bit weights are +1 and -1."""
    if bits == 1:
        return 1.0
    low, high = weight_range(bits)
    return float(np.mean([abs(value).bit_count() for value in range(low, high + 1)]))


class OneBitsPredictor:
    """Ones per weight of each width: what trained networks have, else the mean of all values."""

    def __init__(self) -> None:
        self._ones = np.array([_mean_ones(bits) for bits in _BITS])

    def fit(self, layers: LayerTable, one_bits: Floats) -> Self:
        """layers: of n trained networks, whose weights have ``one_bits`` [n]."""
        regressor = FactorRegressor(self._ones.tolist())
        weights = np.maximum(one_bits, 1.0) ** -2.0
        self._ones = regressor.fit(weights_by_bits(layers), one_bits, weights).factors_
        return self

    def predict(self, layers: LayerTable) -> Floats:
        """[n] one-bits, at least 1."""
        found: Floats = np.maximum(weights_by_bits(layers) @ self._ones, 1.0)
        return found
