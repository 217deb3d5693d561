"""Layers as windows and products: what both kinds of file share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from models.errors import ModelError
from models.integer.network import IntegerNetwork, MacLayer, convolved, extent


class Dialect(Protocol):
    """Writer of one kind of file. Made by ``export.onnx_bytes``."""

    def input(self) -> None:
        """Write the rounding of the input ``x``."""

    def layer(self, layer: MacLayer, output: str) -> None:
        """Write a layer, without its pooling, whose result gets the name ``output``."""

    def pool(self, source: str, output: str, **attributes: Any) -> None:
        """Write a maximum pooling of codes."""

    def concat(self, inputs: tuple[str, ...], output: str) -> None:
        """Write a concatenation along the channels."""


def by_channel(network: IntegerNetwork, layer: MacLayer) -> bool:
    """Return True for a layer that multiplies each value by a weight of its channel.

    That is a sum of two maps, a copy, a ReLU: kernels of 1x1 without stride or padding.
    """
    return (
        all(source.weights.shape[1:] == (1, 1, 1) for source in layer.sources)
        and layer.groups == len(layer.bias)
        and layer.stride == (1, 1)
        and max(windows(network, layer)["pads"]) <= 0
    )


def is_pool_alone(network: IntegerNetwork, layer: MacLayer) -> bool:
    """Return True for a layer that copies codes, perhaps padded with the lowest, and pools them."""
    source = layer.sources[0]
    before, after = network.tensors[source.tensor], network.tensors[layer.output]
    copies = (
        len(layer.sources) == 1
        and source.weights.shape[1:] == (1, 1, 1)
        and bool((source.weights == 1).all())
        and not layer.bias.any()
        and layer.thresholds is None
        and bool((layer.requant_multiplier == 1 << (layer.requant_shift.clip(0, 62))).all())
    )
    same = (before.zero_point, before.bits) == (after.zero_point, after.bits)
    return copies and same and layer.pool is not None and layer.stride == (1, 1)


def windows(network: IntegerNetwork, layer: MacLayer) -> dict[str, Any]:
    """Return strides, pads and dilations of a convolution; pads may cut the map (below 0)."""
    shape = network.tensors[layer.sources[0].tensor].shape
    counts = convolved(layer, network.tensors[layer.output].shape)
    ends = []
    for axis, count in enumerate(counts):
        reach = (count - 1) * layer.stride[axis] + extent(layer)[axis]
        ends.append(reach - layer.padding[axis] - shape[1 + axis])
    # Rows that no window reads need no cut unless another window, or pooling, fits there.
    more = layer.pool.stride if layer.pool else (1, 1)
    for axis, end in enumerate(ends):
        if end < 0 and -end // layer.stride[axis] < more[axis]:
            ends[axis] = 0
    return {
        "strides": list(layer.stride),
        "pads": [*layer.padding, *ends],
        "dilations": list(layer.dilation),
        "group": layer.groups,
    }


def pooled(network: IntegerNetwork, layer: MacLayer, *, alone: bool) -> dict[str, Any]:
    """Return kernel_shape, strides and pads of a layer's maximum pooling.

    alone: the pooling pads its input itself. Raises ModelError for a map that it leaves too early.
    """
    assert layer.pool is not None
    shape = network.tensors[layer.sources[0].tensor].shape
    pads = [0, 0, 0, 0]
    if alone:
        for axis, count in enumerate(network.tensors[layer.output].shape[1:]):
            reach = (count - 1) * layer.pool.stride[axis] + layer.pool.kernel[axis]
            pads[axis] = layer.padding[axis]
            end = reach - layer.padding[axis] - shape[1 + axis]
            if -end >= layer.pool.stride[axis]:
                raise ModelError(f"layer {layer.name}: its pooling leaves out rows or columns")
            pads[axis + 2] = max(end, 0)
    return {
        "kernel_shape": list(layer.pool.kernel), "strides": list(layer.pool.stride), "pads": pads
    }  # fmt: skip


def check_padding(network: IntegerNetwork, layer: MacLayer) -> None:
    """Raise ModelError unless a layer's padding stands for the real value 0."""
    padded = np.any(windows(network, layer)["pads"])
    zero = network.tensors[layer.sources[0].tensor].zero_point
    if padded and layer.pad_code != zero:
        raise ModelError(f"layer {layer.name}: pads with code {layer.pad_code}, not that of 0")
