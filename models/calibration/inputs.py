"""The input of a float network: values of any range become codes, and the first layers take them.

An own design's input is 0..1 in codes from 0. Weights that read the input are scaled so that the
network computes the same from that. Where they pad it, the value 0 must be a code: the input's zero
point, which all channels share.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.values import InputRange
from models.errors import ModelError
from models.graph.layers import Conv2d, Linear
from models.graph.network import Layer, NetworkGraph
from models.importing.floating import FloatNetwork, Weights

Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A float network whose input is ``(code - zero_point) / (2**bits - 1)``. Made by ``fit``."""

    network: FloatNetwork
    values: InputRange
    """The original network's input values at the lowest and at the highest code: no less than those
    that were asked for."""
    zero_point: int
    widened: bool
    """True if ``values`` are more than those that were asked for."""


def fit(floating: FloatNetwork, values: InputRange, bits: int = 8) -> FittedNetwork:
    """Return the network for an input of codes, which computes the same as ``floating``.

    values: of the input that its codes must reach, for all channels or for each. bits: of the
    codes, 1..8. A layer that scales the input is added where others than convolutions and linear
    layers read it. Raises DatasetError for values that do not fit the input's channels, ModelError
    for a padded input of 1 bit with values on both sides of 0.
    """
    floating = _with_readers(floating)
    graph = floating.graph
    channels = graph.shapes[graph.input.name][0]
    values.check(channels)
    low, high = (
        np.broadcast_to(np.array(end, np.float64), channels) for end in (values.low, values.high)
    )
    top, zero = (1 << bits) - 1, 0
    offset, widened = low, bool(low.any() and _is_padded(graph))
    if widened:
        step, zero = _shared_zero(low, high, top)
        low, high = -zero * step, (top - zero) * step
        offset = np.zeros(channels)
    weights = dict(floating.weights)
    for layer in _readers(graph):
        _scale_inputs(weights, layer, high - low, offset)
    network = dataclasses.replace(floating, weights=weights)
    return FittedNetwork(network, _as_range(low, high), zero, widened)


def _readers(graph: NetworkGraph) -> list[Layer]:
    return [graph[name] for name in graph.consumers(graph.input.name)]


def _with_readers(floating: FloatNetwork) -> FloatNetwork:
    """Return a network whose input is read by convolutions and linear layers alone."""
    graph = floating.graph
    if all(isinstance(layer.spec, Conv2d | Linear) for layer in _readers(graph)):
        return floating
    source, channels = graph.input.name, graph.shapes[graph.input.name][0]
    name = graph.fresh_name(f"{source}_scaled")
    scaler = Layer(name, Conv2d(channels, (1, 1), groups=channels), (source,))
    readers = [
        Layer(layer.name, layer.spec, tuple(name if i == source else i for i in layer.inputs))
        for layer in _readers(graph)
    ]
    ones = {
        f"{name}.weight": np.ones((channels, 1, 1, 1), np.float32),
        f"{name}.bias": np.zeros(channels, np.float32),
    }
    graph = graph.edited(insert=[scaler], replace=readers)
    return dataclasses.replace(floating, graph=graph, weights={**floating.weights, **ones})


def _is_padded(graph: NetworkGraph) -> bool:
    return any(isinstance(one.spec, Conv2d) and any(one.spec.padding) for one in _readers(graph))


def _shared_zero(low: Reals, high: Reals, top: int) -> tuple[Reals, int]:
    """Return the step of each channel and the code of 0 whose codes reach low..high.

    Of all codes the one that widens the channels' steps least.
    """
    codes = np.arange(top + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(low < 0, -low / codes, 0)
        above = np.where(high > 0, high / (top - codes), 0)
    steps = np.maximum(below, above)
    widened = (steps / (high - low)).max(axis=1)
    best = int(widened.argmin())
    if not np.isfinite(widened[best]):
        raise ModelError("an input of 1 bit has no code for 0, which its layers pad it with")
    return steps[best], best


def _scale_inputs(weights: Weights, layer: Layer, span: Reals, offset: Reals) -> None:
    """Let a layer's weights take ``u`` for ``span * u + offset``, both by input channel."""
    kernel = weights[f"{layer.name}.weight"].astype(np.float64)
    groups = layer.spec.groups if isinstance(layer.spec, Conv2d) else 1
    channel = channels_read(kernel.shape, groups)
    moved = (kernel.sum(axis=(2, 3)) * offset[channel]).sum(axis=1)
    scaled = kernel * span[channel][:, :, None, None]
    weights[f"{layer.name}.weight"] = scaled.astype(np.float32)
    weights[f"{layer.name}.bias"] = (weights[f"{layer.name}.bias"] + moved).astype(np.float32)


def channels_read(kernel: tuple[int, ...], groups: int) -> NDArray[np.int64]:
    """Return the input channel that each weight reads, int64 (out, in / groups).

    kernel: shape of the weights, (out, in / groups, rows, columns).
    """
    out, inside = kernel[:2]
    group = np.arange(out) // (out // groups)
    channels: NDArray[np.int64] = group[:, None] * inside + np.arange(inside)
    return channels


def _as_range(low: Reals, high: Reals) -> InputRange:
    if np.ptp(low) == 0 and np.ptp(high) == 0:
        return InputRange.of(low[0], high[0])
    return InputRange(tuple(low.tolist()), tuple(high.tolist()))
