"""Closed-form features of networks for accuracy prediction: sums over layers, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from codesign.cost.cycles.compiled import compiled
from codesign.cost.cycles.layers import Ints, LayerTable
from codesign.search.pareto import Floats

FEATURES = (
    "log2_weights",
    "log2_macs",
    "layers",
    "mean_weight_bits",
    "least_weight_bits",
    "mean_activation_bits",
    "least_input_bits",
    "log2_least_channels",
    "sums",
    "log2_classifier_inputs",
    "short_accumulator_bits",
)
"""Names of the columns of ``network_features``; ``sums`` counts diagonal layers (LayerTable):
residual adds, global average pooling and depthwise convolutions of several channels, which count
neither as layers nor as weights, but in MACs. Mean weight bits are per weight; mean activation bits
and least channels are of the outputs of all layers but the classifier (0 and 4096 channels if there
are none). Classifier inputs are channels times rows of the map that the classifier reads, whatever
its columns. Short accumulator bits are the most of a layer (LayerTable.short)."""


SHORT_WORTH = 0.25
"""Capacity that a bit less of the accumulators costs, before any network is trained
(docs/measurements/training.md)."""


class _Columns(NamedTuple):
    """Columns of LayerTable that the features depend on, each of shape (n, slots)."""

    active: Ints
    raw: Ints
    short: Ints
    diagonal: Ints
    kept_share: Floats
    in_channels: Ints
    out_channels: Ints
    kernel_rows: Ints
    kernel_cols: Ints
    weight_bits: Ints
    in_bits: Ints
    out_bits: Ints
    macs: Ints
    weights: Ints


def network_features(layers: LayerTable) -> Floats:
    """Return the features of networks, of similar magnitude, shape (n, len(FEATURES)).

    Weights that an N:M pattern removes, and their products, do not count.
    """
    found = np.empty((len(FEATURES), len(layers)))
    _write(_Columns(*(getattr(layers, name) for name in _Columns._fields)), found)
    for name in ("log2_weights", "log2_macs", "log2_least_channels", "log2_classifier_inputs"):
        row = found[FEATURES.index(name)]
        np.log2(row, out=row)
    return found.T


@compiled
def _write(layers: _Columns, found: Floats) -> None:
    """Write the features to ``found``, shape (len(FEATURES), n), before logarithms are taken.

    Rows are in the order of FEATURES.
    """
    networks, slots = layers.active.shape
    for i in range(networks):
        weights = macs = weight_bits = 0.0
        count = inner = activation_bits = sums = classifier_inputs = 0
        least_weight_bits = least_input_bits = 8
        least_channels = 4096
        short = 0
        for slot in range(slots):
            if layers.active[i, slot] == 0:
                break
            share = layers.kept_share[i, slot]
            macs += layers.macs[i, slot] * share
            short = max(short, layers.short[i, slot])
            least_input_bits = min(least_input_bits, layers.in_bits[i, slot])
            if layers.diagonal[i, slot]:
                sums += 1
            else:
                count += 1
                weights += layers.weights[i, slot] * share
                weight_bits += layers.weight_bits[i, slot] * layers.weights[i, slot] * share
                least_weight_bits = min(least_weight_bits, layers.weight_bits[i, slot])
            if layers.raw[i, slot]:
                inputs = layers.in_channels[i, slot] * layers.kernel_rows[i, slot]
                classifier_inputs = max(classifier_inputs, inputs)
            else:
                inner += 1
                activation_bits += layers.out_bits[i, slot]
                least_channels = min(least_channels, layers.out_channels[i, slot])
        found[0, i] = max(weights, 1.0)
        found[1, i] = max(macs, 1.0)
        found[2, i] = count
        found[3, i] = weight_bits / max(weights, 1.0)
        found[4, i] = least_weight_bits
        found[5, i] = activation_bits / max(inner, 1)
        found[6, i] = least_input_bits
        found[7, i] = least_channels
        found[8, i] = sums
        found[9, i] = classifier_inputs
        found[10, i] = short


def capacity(features: Floats) -> Floats:
    """Return a score of ``network_features`` that needs no training, shape (n,).

    It is the sum of log2 of weights, log2 of multiply-accumulates and 1.5 times both mean bit
    widths (of weights and of activations), less SHORT_WORTH times the bits that accumulators are
    short of. features: shape (n, len(FEATURES)).
    """
    score: Floats = features[:, :2].sum(axis=1) + 1.5 * (features[:, 3] + features[:, 5])
    return score - SHORT_WORTH * features[:, FEATURES.index("short_accumulator_bits")]
