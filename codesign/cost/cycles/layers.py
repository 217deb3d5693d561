"""LayerTable: the MAC layers of many networks as columns, for estimates on whole batches.

Row = network, column = layer slot in execution order; slots that a network does not use are
inactive. ``of`` reads lowered networks; the search space writes the same numbers without
building any graph (a test holds the two against each other).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.reuse import column_walk
from models.integer.network import IntegerNetwork, MacLayer

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerTable:
    """int64 arrays [networks, slots]; sizes are of one image. Inactive slots hold zeros."""

    active: Ints
    in_channels: Ints
    in_rows: Ints
    in_cols: Ints
    in_bits: Ints
    """Bits of the widest input."""
    out_channels: Ints
    kernel_rows: Ints
    kernel_cols: Ints
    weight_bits: Ints
    kept: Ints
    """N of N:M weights; 0 of 0 where all may be there."""
    group: Ints
    """M of N:M weights."""
    diagonal: Ints
    """1 when each output channel reads one input channel (depthwise, average pooling, add)."""
    sources: Ints
    """Tensors read: 2 for a residual add."""
    skip: Ints
    """Slots between the layer before and the earliest one whose output is read; 0 in a chain."""
    stride: Ints
    step: Ints
    """Input rows per output row: ``stride`` x pooling stride."""
    conv_rows: Ints
    """Rows of the convolution's output, before max pooling."""
    conv_cols: Ints
    pool_area: Ints
    """Convolution outputs per output position: the max pooling window."""
    out_rows: Ints
    out_cols: Ints
    out_bits: Ints
    raw: Ints
    reuse_cols: Ints
    """Columns that a position reads with column reuse (compiler.mapping.reuse); 0: has none."""
    reuse_fills: Ints
    """Positions per row that only fill the history then."""

    @classmethod
    def empty(cls, networks: int, slots: int) -> LayerTable:
        shape = (networks, slots)
        return cls(**{f.name: np.zeros(shape, np.int64) for f in dataclasses.fields(cls)})

    @classmethod
    def of(cls, networks: Sequence[IntegerNetwork]) -> LayerTable:
        table = cls.empty(len(networks), max(len(net.mac_layers) for net in networks))
        for row, net in enumerate(networks):
            made = {layer.output: slot for slot, layer in enumerate(net.mac_layers)}
            for slot, layer in enumerate(net.mac_layers):
                for name, value in _numbers(net, layer).items():
                    getattr(table, name)[row, slot] = value
                first = min(made.get(source.tensor, -1) for source in layer.sources)
                table.skip[row, slot] = slot - 1 - first
        return table

    def __len__(self) -> int:
        return len(self.active)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> LayerTable:
        """The chosen networks."""
        return LayerTable(
            **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    @functools.cached_property
    def activation_bits(self) -> Ints:
        """[networks] widest tensor: what the array must multiply."""
        widest = np.maximum(self.in_bits, np.where(self.raw == 1, 0, self.out_bits))
        bits: Ints = widest.max(axis=1)
        return bits

    @functools.cached_property
    def kept_share(self) -> NDArray[np.float64]:
        """[networks, slots] share of the weights that their pattern keeps."""
        share: NDArray[np.float64] = self.kept / np.maximum(self.group, 1)
        return np.where(self.group > 0, share, 1.0)

    @functools.cached_property
    def weights(self) -> Ints:
        """[networks, slots] weights of dense and diagonal layers (diagonals: one a channel)."""
        channels = np.where(self.diagonal == 1, self.sources, self.in_channels)
        return self.out_channels * channels * self.kernel_rows * self.kernel_cols

    @functools.cached_property
    def macs(self) -> Ints:
        """[networks, slots] multiply-accumulates of one image."""
        return self.weights * (self.out_rows * self.out_cols * self.pool_area)


def _numbers(network: IntegerNetwork, layer: MacLayer) -> dict[str, int]:
    inputs = [network.tensors[source.tensor] for source in layer.sources]
    output = network.tensors[layer.output]
    channels, rows, cols = inputs[0].shape
    kernel = layer.sources[0].weights.shape[2:]
    conv_rows, conv_cols = (
        (size + 2 * padding - taps) // stride + 1
        for size, padding, taps, stride in zip(
            (rows, cols), layer.padding, kernel, layer.stride, strict=True
        )
    )
    pool = layer.pool
    walk = column_walk(layer, channels, output.shape[2])
    return {
        "active": 1,
        "in_channels": channels,
        "in_rows": rows,
        "in_cols": cols,
        "in_bits": max(tensor.bits for tensor in inputs),
        "out_channels": output.shape[0],
        "kernel_rows": kernel[0],
        "kernel_cols": kernel[1],
        "weight_bits": layer.weight_bits,
        "kept": layer.sparsity.kept if layer.sparsity else 0,
        "group": layer.sparsity.group if layer.sparsity else 0,
        "diagonal": int(layer.groups == channels and layer.groups > 1),
        "sources": len(inputs),
        "stride": layer.stride[0],
        "step": layer.stride[0] * (pool.stride[0] if pool else 1),
        "conv_rows": conv_rows,
        "conv_cols": conv_cols,
        "pool_area": pool.kernel[0] * pool.kernel[1] if pool else 1,
        "out_rows": output.shape[1],
        "out_cols": output.shape[2],
        "out_bits": output.bits,
        "raw": int(layer.raw),
        "reuse_cols": walk.new if walk else 0,
        "reuse_fills": walk.fills if walk else 0,
    }
