"""Thresholds of layers: the accumulators at which the codes of an output channel rise.

Threshold units (rtl_gen.blocks.threshold_unit) compare with these instead of multiplying. Where
they come from is ``layer_thresholds`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codesign.results import Infeasible
from models import arithmetic
from models.integer.network import IntegerNetwork, Ints, MacLayer, TensorSpec
from rtl_gen.blocks.threshold_unit import ThresholdUnitSpec
from rtl_gen.config import NpuConfig


def layer_thresholds(layer: MacLayer, spec: TensorSpec) -> Ints:
    """Return the least accumulators, bias included, of the codes 1..2**bits - 1 of each channel.

    spec: the layer's output tensor. int64 (out_channels, 2**bits - 1), rising along a channel. An
    accumulator's code is the number of its channel's thresholds that it reaches.
    """
    if layer.thresholds is not None:
        return layer.thresholds
    return arithmetic.thresholds(
        layer.requant_multiplier, layer.requant_shift, spec.zero_point, spec.bits
    )


def reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason if layers have thresholds of their own and post units multiply."""
    own = [layer.name for layer in network.mac_layers if layer.thresholds is not None]
    if own and not config.has_thresholds:
        levers = ("set npu.requantisation to thresholds", "train without learned_thresholds")
        what = "layers with thresholds of their own"
        yield Infeasible("requantisation", own[0], len(own), 0, what, levers)


def offsets(layer: MacLayer, spec: TensorSpec, bias: Ints, unit: ThresholdUnitSpec) -> Ints:
    """Return a layer's part of the channel table, int64 (out_channels, unit.thresholds).

    They are the thresholds of accumulators without ``bias`` (int64, (out_channels,)), negated. As
    far as accumulators reach, all sums of ``layer_accumulator_bits`` get the codes of
    ``layer_thresholds``; codes that narrower tensors do not have are out of reach. A raw layer has
    its bias in place of the middle threshold.
    """
    half = 1 << (unit.accumulator_bits - 1)
    found = np.full((len(bias), unit.thresholds), -half, np.int64)
    if layer.raw:
        found[:, unit.bias_column] = bias
    else:
        own = layer_thresholds(layer, spec) - bias[:, None]
        found[:, : own.shape[1]] = -np.clip(own, 1 - half, half)
    return found
