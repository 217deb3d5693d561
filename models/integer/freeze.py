"""Freezing: learned scales become integer multipliers and shifts, with integer weights and biases.

``gain`` is the real value of one accumulator unit. The learned gain of a channel, input scale times
weight scale, is snapped to the nearest ``multiplier / 2**shift`` times the output scale, so that
the frozen network computes with exactly the scale that hardware has. The output layer is not
requantised: its gain is not snapped.
docs/explanation/arithmetic.md derives it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models import arithmetic
from models.graph.layers import Activation, Concat, Conv2d, Input, Linear
from models.graph.network import Layer
from models.integer.assemble import Numbers, weight_shapes
from models.integer.network import Ints
from models.quantisation.learned_thresholds import ThresholdQuantiser
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork

Reals = NDArray[np.float64]

_DEAD_CODES = 1 / 64
"""A channel whose weighted sum moves its output by less than this many output codes gets zero
weights."""

_LEAST_SPAN = 1 / 4
"""Fraction of the output's range of codes; a channel whose largest possible sum spans less gets a
wider weight scale."""


@dataclass(frozen=True, eq=False)
class Frozen:
    """Integers of one MacLayer, with ``gain`` (out_channels,): real value of one accumulator unit.

    gain: float64. Made by ``freeze``.
    """

    numbers: Numbers
    gain: Reals


def freeze(network: QuantNetwork, scale_bits: int) -> tuple[dict[str, Frozen], dict[str, float]]:
    """Return the integers of every layer except input and concats, and the activation scales.

    Both are by layer name, scales by that of their owner (TensorPlan.scale_owner), the logits' by
    the output layer's. network: folded and quantised (not checked), not changed. scale_bits: width
    of the requantisation multipliers.
    """
    scales = {
        plan.scale_owner: float(network.quantiser(name).scale)
        for name, plan in network.plans.items()
    }
    frozen: dict[str, Frozen] = {}
    for layer in network.graph.layers:
        if not isinstance(layer.spec, Input | Concat):
            frozen[layer.name] = _freeze_layer(network, layer, scales, scale_bits)
    output = network.graph.output.name
    scales[output] = float(frozen[output].gain[0])
    return frozen, scales


def _freeze_layer(
    network: QuantNetwork, layer: Layer, scales: dict[str, float], scale_bits: int
) -> Frozen:
    inputs = [scales[network.plans[name].scale_owner] for name in layer.inputs]
    plan = network.plans.get(layer.name)
    if isinstance(layer.spec, Conv2d | Linear):
        module = network.weight_layer(layer.name)
        source = network.plans[layer.inputs[0]]
        largest_input = max(-source.ends[0], source.ends[1] + 1)
        if plan is None:
            return _output_layer(module, inputs[0], largest_input)
        out_scale = scales[plan.scale_owner]
        quantiser = network.quantiser(layer.name)
        given = module, inputs[0], largest_input, out_scale, plan.bits, scale_bits
        if isinstance(quantiser, ThresholdQuantiser):
            values = quantiser.thresholds.numpy()
            return _with_thresholds(_weight_layer(*given, values.max(axis=1)), values)
        return _weight_layer(*given)
    assert plan is not None  # it is None for the output layer only, which has weights
    input_scales = [torch.tensor(scale, dtype=torch.float64) for scale in inputs]
    if isinstance(layer.spec, Activation):  # a copy of its input's codes, to be looked up
        return _activation(
            weight_shapes(network.graph, layer), scales[plan.scale_owner], scale_bits
        )
    weights, unit = network.weightless(layer.name).fixed_weights(input_scales)
    shapes = weight_shapes(network.graph, layer)
    multiplier, shift = snap(float(unit) / scales[plan.scale_owner], scale_bits)
    channels = shapes[0][0]
    numbers = Numbers(
        tuple(np.full(shape, int(w), np.int64) for shape, w in zip(shapes, weights, strict=True)),
        np.zeros(channels, np.int64),
        np.full(channels, multiplier, np.int64),
        np.full(channels, shift, np.int64),
    )
    gain = math.ldexp(multiplier, -shift) * scales[plan.scale_owner]
    return Frozen(numbers, np.full(channels, gain))


def _activation(
    shapes: tuple[tuple[int, int, int, int], ...], out_scale: float, scale_bits: int
) -> Frozen:
    channels = shapes[0][0]
    multiplier, shift = snap(1.0, scale_bits)
    numbers = Numbers(
        tuple(np.ones(shape, np.int64) for shape in shapes),
        np.zeros(channels, np.int64),
        np.full(channels, multiplier, np.int64),
        np.full(channels, shift, np.int64),
    )
    return Frozen(numbers, np.full(channels, out_scale))


def _with_thresholds(frozen: Frozen, values: Reals) -> Frozen:
    """Return a layer with thresholds: the least accumulators of real ``values`` and more.

    values: (out_channels, 2**bits - 1). Those that reach beyond any accumulator are MOST.
    """
    least = np.ceil(values / frozen.gain[:, None])
    found = np.clip(least, 1, arithmetic.MOST).astype(np.int64)
    return dataclasses.replace(
        frozen, numbers=dataclasses.replace(frozen.numbers, thresholds=found)
    )


def snap(value: float, scale_bits: int) -> tuple[int, int]:
    """Return the (multiplier, shift) nearest to ``value``, as arithmetic.nearest_scale does.

    A value of at least (2**scale_bits - 1) / 2 gives the largest: (2**scale_bits - 1, 1).
    """
    largest = (1 << scale_bits) - 1
    if value >= largest / 2:
        return largest, 1
    return arithmetic.nearest_scale(value, scale_bits)


def _codes(module: WeightLayer, scale: Reals) -> Ints:
    """Return the integer weights, int64 (out, in / groups, rows, cols), at ``scale`` (out,).

    Channels whose scale is not the learned one are rounded anew, half up, unless weights have 1
    bit.
    """
    kept = module.kept_weight().detach()
    codes: Ints = module.quantiser.codes(kept).numpy()
    wider = scale != _weight_scales(module)
    if module.quantiser.bits > 1 and wider.any():
        scales = torch.from_numpy(scale)[:, None, None, None]
        codes[wider] = module.quantiser.codes(kept.double(), scales).numpy()[wider]
    return codes


def _weight_scales(module: WeightLayer) -> Reals:
    """Return a copy of the learned weight scales, float64 (out_channels,)."""
    scale = module.quantiser.scale.double().flatten()
    return scale.expand(len(module.weight)).numpy().copy()


def _largest_sum(module: WeightLayer, largest_input: int) -> int:
    """Return the largest accumulator, without bias, that weight bits, kernel and sparsity allow.

    It is for one output channel, and within the layer's limits. largest_input: largest magnitude of
    an input code less its zero point.
    """
    largest = module.quantiser.high * module.products * largest_input
    return min(largest, module.limits.accumulator.largest) if module.limits else largest


def _within(module: WeightLayer, biases: Ints, weights: Ints) -> Ints:
    """Return biases int64 (out,) within the layer's limits beside its weights (out, ...)."""
    if module.limits is None:
        return biases
    sums = [np.maximum(part, 0).sum(axis=(1, 2, 3)) for part in (weights, -weights)]
    return np.clip(biases, *module.limits.biases(*sums))


def _output_layer(module: WeightLayer, in_scale: float, largest_input: int) -> Frozen:
    """Freeze the layer of the logits; a weight scale too small for the bias is widened.

    The widened scale is the least at which the largest bias is no larger than ``_largest_sum``.
    in_scale: scale of the input tensor. Multipliers and shifts, which are unused, are 1.
    """
    bias = module.bias.detach().double().numpy()
    least = float(np.abs(bias).max()) / (in_scale * _largest_sum(module, largest_input))
    scale = np.maximum(_weight_scales(module), least)
    gain = in_scale * scale
    channels = len(bias)
    ones = np.ones(channels, np.int64)
    weights = _codes(module, scale)
    rounded = _within(module, np.rint(bias / gain).astype(np.int64), weights)
    return Frozen(Numbers((weights,), rounded, ones, ones), gain)


def _weight_layer(
    module: WeightLayer,
    in_scale: float,
    largest_input: int,
    out_scale: float,
    out_bits: int,
    scale_bits: int,
    highest: Reals | None = None,
) -> Frozen:
    """Freeze a conv2d or linear layer: snapped scale, weights and bias of every channel.

    A channel whose largest sum spans less than a quarter of the output's range gets a wider weight
    scale, unless its weights have 1 bit: otherwise its bias, in accumulator units, would set the
    accumulator's width. A channel that moves its output by less than _DEAD_CODES gets zero weights.
    Biases are clipped where the output is saturated for every input, and where they leave the
    layer's limits, and rounded half to even. A channel of zeros has a scale at which any output
    fits its bias.
    in_scale, out_scale: scales of the tensors; out_bits: bits of the output; largest_input: as in
    ``_largest_sum``; highest: largest threshold of each channel, where they are learned: beyond it
    the output is saturated.
    """
    span = 1 << out_bits
    scale = _weight_scales(module)
    if module.quantiser.bits > 1:
        least = span * _LEAST_SPAN / _largest_sum(module, largest_input)
        scale = np.maximum(scale, least * out_scale / in_scale)
    weights = _codes(module, scale)
    sums = np.abs(weights).sum(axis=(1, 2, 3)) * largest_input
    ratio = in_scale * scale / out_scale
    dead = sums * ratio < _DEAD_CODES
    weights[dead] = 0
    ratio[dead] = _DEAD_CODES
    if module.limits is not None:
        ratio[dead] = max(_DEAD_CODES, span / module.limits.accumulator.largest)
    pairs = [snap(float(value), scale_bits) for value in ratio]
    multiplier = np.array([pair[0] for pair in pairs], np.int64)
    shift = np.array([pair[1] for pair in pairs], np.int64)
    snapped = np.ldexp(multiplier.astype(np.float64), -shift)
    bias = module.bias.detach().double().numpy() / (out_scale * snapped)
    # Beyond this limit the output is saturated for every input.
    top = span if highest is None else np.maximum(highest / out_scale, 0.0)
    limit = np.ceil(top / snapped) + sums
    rounded = np.rint(np.clip(bias, -limit, limit)).astype(np.int64)
    rounded = _within(module, rounded, weights)
    return Frozen(Numbers((weights,), rounded, multiplier, shift), snapped * out_scale)
