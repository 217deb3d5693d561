"""Prediction of the 1-bits in the weights of untrained networks, from a few trained ones.

Binary one optimisation (BOO; EMONAS-BOO: Feng, KTH 2023) minimises the 1-bits of the weights, here
in sign-magnitude form (models.integer.bits). The model is a number of 1-bits per weight for each
weight bit width.
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
    """Return the number of weights of each bit width 1..MAX_BITS, shape (n, MAX_BITS).

    Weights that an N:M pattern removes do not count, nor those of diagonal layers (LayerTable):
    adds and average pooling, which are constant, and depthwise convolutions.
    """
    weights = layers.weights * layers.kept_share * (layers.diagonal == 0)
    return np.stack(
        [np.where(layers.weight_bits == bits, weights, 0.0).sum(axis=1) for bits in _BITS], axis=1
    )


def _mean_ones(bits: int) -> float:
    """Return the mean number of 1-bits of the magnitude of a ``bits``-bit weight.

    The mean over all values that such a weight has; 1-bit weights are +1 and -1.
    """
    if bits == 1:
        return 1.0
    low, high = weight_range(bits)
    return float(np.mean([abs(value).bit_count() for value in range(low, high + 1)]))


class OneBitsPredictor:
    """Linear model of the 1-bits of a network: 1-bits per weight, by weight bit width.

    Before ``fit``, they are means over all weight values.

    >>> from models.graph.layers import Input, Linear
    >>> from models.graph.network import Layer, NetworkGraph
    >>> from models.integer.lower import shape_only
    >>> from models.quantisation.plan import Quantisation, QuantSpec
    >>> layers = [Layer("image", Input((1, 8, 8))), Layer("classifier", Linear(10), ("image",))]
    >>> bits = Quantisation(layers={"classifier": QuantSpec(weight_bits=2)})  # -1, 0 or 1
    >>> network = shape_only(NetworkGraph("small", layers), bits, scale_bits=8)  # 640 weights
    >>> OneBitsPredictor().predict(LayerTable.of([network])).round()
    array([427.])
    """

    def __init__(self) -> None:
        self._ones = np.array([_mean_ones(bits) for bits in _BITS])

    def fit(self, layers: LayerTable, one_bits: Floats) -> Self:
        """Fit 1-bits per weight to n trained networks, by relative errors.

        one_bits: 1-bits of the weights of each network, shape (n,). 1-bits per weight are drawn to
        their values before the fit, at which those of bit widths without data stay.
        """
        regressor = FactorRegressor(self._ones.tolist())
        weights = np.maximum(one_bits, 1.0) ** -2.0
        self._ones = regressor.fit(weights_by_bits(layers), one_bits, weights).factors_
        return self

    def predict(self, layers: LayerTable) -> Floats:
        """Return the predicted number of 1-bits of each network, at least 1, shape (n,)."""
        found: Floats = np.maximum(weights_by_bits(layers) @ self._ones, 1.0)
        return found
