"""LayerTable: the MAC layers of many networks as columns, for estimates on whole batches.

Row = network, column = layer position in execution order (slot); positions that a network does not
use are inactive. ``of`` reads lowered networks; codesign.search.space.tables writes the same
numbers without building graphs (a test compares the two).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.reuse import column_walk
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, convolved

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerTable:
    """MAC layers of a batch of networks, int64 arrays of shape (networks, slots).

    Sizes are per image; inactive slots hold zeros.

    >>> from models.graph.layers import Input, Linear
    >>> from models.graph.network import Layer, NetworkGraph
    >>> from models.integer.lower import shape_only
    >>> from models.quantisation.plan import Quantisation
    >>> layers = [Layer("image", Input((1, 8, 8))), Layer("classifier", Linear(10), ("image",))]
    >>> network = shape_only(NetworkGraph("small", layers), Quantisation(), scale_bits=8)
    >>> LayerTable.of([network]).macs
    array([[640]])
    """

    active: Ints
    """1 for a layer, 0 for a slot that the network does not use."""
    in_channels: Ints
    in_rows: Ints
    in_cols: Ints
    in_bits: Ints
    """Bits of the widest input tensor."""
    out_channels: Ints
    kernel_rows: Ints
    kernel_cols: Ints
    weight_bits: Ints
    kept: Ints
    """N of the N:M pattern of the weights; 0 if they are dense."""
    group: Ints
    """M of the N:M pattern of the weights; 0 if they are dense."""
    diagonal: Ints
    """1 when each output channel reads one of several input channels (depthwise, average pooling,
    add); 0 with a single input channel."""
    sources: Ints
    """Number of input tensors: 2 for a residual add."""
    skip: Ints
    """Index of the previous layer minus that of the earliest whose output is read. The index of a
    concat's result is that of its last part; it is -1 for the image, and for a concat of anything
    but the outputs of successive layers. 0 in a plain chain."""
    stacked: Ints
    """Outputs of successive layers that lie side by side and are read as one (concat), the last of
    them that of the layer before (or ``skip`` before that); 1 without concat."""
    other_stacked: Ints
    """The same of the second input tensor; 0 with one."""
    stride: Ints
    """Stride of the convolution over rows."""
    step: Ints
    """Input rows per output row: ``stride`` x pooling stride over rows."""
    conv_rows: Ints
    """Rows of the convolution's output, before max pooling; those that no window reads are not
    counted."""
    conv_cols: Ints
    pool_area: Ints
    """Convolution outputs per output position: the area of the max pooling window, else 1."""
    out_rows: Ints
    out_cols: Ints
    out_bits: Ints
    raw: Ints
    """1 for the last layer, whose accumulators (logits) are not requantised."""
    short: Ints
    """Bits by which accumulators that training keeps to are short of the sums of any weights."""
    reuse_cols: Ints
    """Columns read per position with column reuse (compiler.mapping.reuse); 0: not possible."""
    reuse_fills: Ints
    """Positions per row that only fill the line of recently read columns (history)."""

    @classmethod
    def empty(cls, networks: int, slots: int) -> Self:
        """Return a table of zeros: no active layer."""
        shape = (networks, slots)
        return cls(**{f.name: np.zeros(shape, np.int64) for f in dataclasses.fields(cls)})

    @classmethod
    def of(cls, networks: Sequence[IntegerNetwork]) -> LayerTable:
        """Return the table of one or more lowered networks, with as many slots as the longest."""
        table = cls.empty(len(networks), max(len(net.mac_layers) for net in networks))
        for row, net in enumerate(networks):
            made = _made(net)
            for slot, layer in enumerate(net.mac_layers):
                for name, value in _numbers(net, layer).items():
                    getattr(table, name)[row, slot] = value
                read = sorted(made.get(source.tensor, (-1, 1)) for source in layer.sources)
                table.skip[row, slot] = slot - 1 - read[0][0]
                table.stacked[row, slot] = read[-1][1]
                table.other_stacked[row, slot] = read[0][1] if len(read) > 1 else 0
        return table

    def __len__(self) -> int:
        return len(self.active)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Self:
        """Return the table of the chosen networks, by row numbers, a mask or a slice of rows."""
        return type(self)(
            **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    @functools.cached_property
    def activation_bits(self) -> Ints:
        """Bits of each network's widest tensor, logits not counted, of shape (networks,)."""
        widest = np.maximum(self.in_bits, np.where(self.raw == 1, 0, self.out_bits))
        bits: Ints = widest.max(axis=1)
        return bits

    @functools.cached_property
    def inner_bits(self) -> Ints:
        """Bits of each network's widest tensor but the image, logits not counted, at least 1.

        Shape (networks,).
        """
        bits: Ints = np.where(self.raw == 1, 1, np.maximum(self.out_bits, 1)).max(axis=1)
        return bits

    @functools.cached_property
    def kept_share(self) -> NDArray[np.float64]:
        """Fraction N/M of the weights that the N:M pattern keeps, 1 if dense; (networks, slots)."""
        share: NDArray[np.float64] = self.kept / np.maximum(self.group, 1)
        return np.where(self.group > 0, share, 1.0)

    @functools.cached_property
    def weights(self) -> Ints:
        """Number of weights, shape (networks, slots).

        A layer has as many for each source. Diagonal layers have one per output channel and kernel
        position; other grouped layers count as dense ones.
        """
        channels = np.where(self.diagonal == 1, 1, self.in_channels) * self.sources
        return self.out_channels * channels * self.kernel_rows * self.kernel_cols

    @functools.cached_property
    def macs(self) -> Ints:
        """Multiply-accumulates per image, shape (networks, slots).

        Convolution outputs count once for each pooling window that holds them; grouped layers that
        are not diagonal count as dense ones.
        """
        return self.weights * (self.out_rows * self.out_cols * self.pool_area)

    @functools.cached_property
    def bit_operations(self) -> NDArray[np.float64]:
        """Bit operations per image, shape (networks,): a proxy of the energy of products.

        Multiply-accumulates times bits of the weight times bits of the input; of an N:M pattern
        those that it keeps. Source: Baskin et al., UNIQ, ACM TOCS 37, 2021 (arXiv 1804.10969).
        """
        of_bits = self.macs * self.weight_bits * self.in_bits
        found: NDArray[np.float64] = (of_bits * self.kept_share).sum(axis=1)
        return found


def _made(network: IntegerNetwork) -> dict[str, tuple[int, int]]:
    """Return (index of the last layer, number of layers) that made each tensor, by its name.

    Left out are the image, and concats of anything but the outputs of successive layers.
    """
    made = {layer.output: (slot, 1) for slot, layer in enumerate(network.mac_layers)}
    for layer in network.layers:
        if isinstance(layer, ConcatLayer):
            parts = [made.get(name, (-1, 0)) for name in layer.inputs]
            ends = [last for last, _ in parts]
            begins = [last - count for last, count in parts[1:]]
            if begins == ends[:-1] and ends[0] >= 0:
                made[layer.output] = (ends[-1], sum(count for _, count in parts))
    return made


def _numbers(network: IntegerNetwork, layer: MacLayer) -> dict[str, int]:
    inputs = [network.tensors[source.tensor] for source in layer.sources]
    output = network.tensors[layer.output]
    channels, rows, cols = inputs[0].shape
    kernel = layer.sources[0].weights.shape[2:]
    conv_rows, conv_cols = convolved(layer, output.shape)
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
        "short": 0,
        "reuse_cols": walk.new if walk else 0,
        "reuse_fills": walk.fills if walk else 0,
    }
