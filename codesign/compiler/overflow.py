"""Proof that no accumulator overflows, by interval arithmetic over weights and code ranges.

Codes are 0..2**bits - 1, so the largest sum of a channel takes every positive weight at the largest
code and every other one at code 0. Only the final sum has to fit: the accumulator wraps, and
partial sums (of some taps, or of the upper digits) are right modulo its width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from codesign.compiler.program.channels import folded_bias
from codesign.results import Infeasible
from models import arithmetic
from models.integer.network import IntegerNetwork, MacLayer, TensorSpec
from models.quantisation.accumulators import Accumulator
from rtl_gen.config import NpuConfig

TRAINED = ("conv2d", "linear")
"""Operations of layers whose weights are trained."""
ANY = NpuConfig()
"""An NPU of no packing, whose post units add biases to accumulators."""


def layer_accumulator_bits(
    layer: MacLayer, tensors: Mapping[str, TensorSpec], npu: NpuConfig = ANY
) -> int:
    """Return the least bits, sign included, that hold a layer's sums and its folded biases.

    Sums are those over all taps, without bias; for a raw layer, whose results are sums with bias,
    these must fit as well. The bound is the worst case over all input codes. Post units of ``npu``
    that compare with thresholds add biases to raw layers alone, and the lowest number of all
    reaches no threshold, so sums must lie above it.
    """
    channels, offset = len(layer.bias), npu.activation_offset
    low, high = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    for source in layer.sources:
        top = (1 << tensors[source.tensor].bits) - 1
        flat = source.weights.reshape(channels, -1)
        moved = offset * flat.sum(axis=1)
        high += top * np.maximum(flat, 0).sum(axis=1) - moved
        low += top * np.minimum(flat, 0).sum(axis=1) - moved
    bias = folded_bias(layer, tensors, offset)
    if npu.has_thresholds and not layer.raw:
        low, bias = low - 1, np.zeros_like(bias)
    elif layer.raw:
        low, high = np.minimum(low, low + bias), np.maximum(high, high + bias)
    return _signed_bits(int(min(low.min(), bias.min())), int(max(high.max(), bias.max())))


def accumulator_bits(network: IntegerNetwork, npu: NpuConfig = ANY) -> int:
    """Return the accumulator bits that a trained network needs: those of its widest MacLayer.

    npu: as in ``layer_accumulator_bits``. Weights and biases are taken as they are.
    """
    return max(layer_accumulator_bits(layer, network.tensors, npu) for layer in network.mac_layers)


def worst_accumulator_bits(network: IntegerNetwork) -> int:
    """Return accumulator bits that suffice for the sums of any weights of the layers' widths.

    The worst case of all MacLayers, on an NPU without activation_offset; biases are not counted.
    """
    return max(_worst_bits(layer, network.tensors) for layer in network.mac_layers)


def accumulator_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason for each MacLayer whose sums or folded biases exceed the accumulators."""
    for layer in network.mac_layers:
        need = layer_accumulator_bits(layer, network.tensors, config)
        have = config.accumulator_bits
        if need > have:
            levers = ("raise npu.accumulator_bits", "use fewer weight or activation bits")
            yield Infeasible("accumulator_bits", layer.name, need, have, "bits", levers)


def trained_accumulator(network: IntegerNetwork, config: NpuConfig) -> Accumulator | None:
    """Return the accumulators that training has to keep to, or None if any weights fit.

    The network's own weights are not looked at. After a training without them a layer can only fail
    for its biases, or for NpuConfig.activation_offset, which is not regarded.
    """
    if worst_accumulator_bits(network) <= config.accumulator_bits:
        return None
    return Accumulator(config.accumulator_bits, config.activation_offset)


def untrainable_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason for each MacLayer whose sums no training keeps within the accumulators.

    There is none where any weights fit. The network's own weights are not looked at.
    """
    accumulator = trained_accumulator(network, config)
    if accumulator is None:
        return
    for layer in network.mac_layers:
        need = _least_bits(layer, network.tensors, accumulator.offset)
        if need > accumulator.bits:
            levers = (f"set npu.accumulator_bits to {need}", "use fewer weight or activation bits")
            yield Infeasible("accumulator_bits", layer.name, need, accumulator.bits, "bits", levers)


def least_accumulator_bits(network: IntegerNetwork) -> int:
    """Return the least accumulator bits that training can keep to: those of the widest MacLayer.

    It is on an NPU without activation_offset; NpuConfig may not have as few.
    """
    return max(_least_bits(layer, network.tensors, 0) for layer in network.mac_layers)


def _least_bits(layer: MacLayer, tensors: Mapping[str, TensorSpec], offset: int) -> int:
    """Return the accumulator bits below which no training helps.

    They hold a product of trained weights, or of 1-bit ones, which are not 0, all; of other layers
    the sums of any weights of the width. offset: NpuConfig.activation_offset.
    """
    if layer.op not in TRAINED:
        return _worst_bits(layer, tensors, offset)
    (source,) = layer.sources
    codes, products = tensors[source.tensor], 1
    if layer.weight_bits == 1:
        products = source.weights[0].size
    bits = 2
    while (
        Accumulator(bits, offset).limits(codes.bits, codes.zero_point, layer.raw).weights < products
    ):
        bits += 1
    return bits


def _worst_bits(layer: MacLayer, tensors: Mapping[str, TensorSpec], offset: int = 0) -> int:
    _, largest = arithmetic.weight_range(layer.weight_bits)
    total = sum(
        source.weights[0].size * largest * max((1 << tensors[source.tensor].bits) - 1, offset)
        for source in layer.sources
    )
    return _signed_bits(-total, total)


def _signed_bits(low: int, high: int) -> int:
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)
