"""Unfolding: the input image as windows, so that a first layer of few channels fills the lanes.

The lanes of an activation word take input channels. An image has one or three: most lanes would
idle while the first convolution walks its kernel. So the host may send the image unfolded (im2col
of its columns, or of rows and columns): what was a kernel position becomes a channel. That costs
stream beats where a word gets longer, never LUTs; the compiler takes it where it saves cycles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from models.integer.network import IntegerNetwork, MacLayer, TensorSpec

Pair = tuple[int, int]


@dataclass(frozen=True)
class InputWindow:
    """How the host unfolds the image ``shape`` (channels, rows, columns) before it packs it.

    Channel ``(i * kernel[1] + j) * channels + c`` of the unfolded tensor at (y, x) is channel c of
    the image at row ``y * stride[0] - padding[0] + i``, column ``x * stride[1] - padding[1] + j``,
    and ``pad_code`` outside of it.
    """

    shape: tuple[int, int, int]
    kernel: Pair
    stride: Pair
    padding: Pair
    pad_code: int

    @property
    def unfolded_shape(self) -> tuple[int, int, int]:
        channels, *sizes = self.shape
        rows, cols = (
            (size + 2 * pad - kernel) // stride + 1
            for size, pad, kernel, stride in zip(
                sizes, self.padding, self.kernel, self.stride, strict=True
            )
        )
        return channels * self.kernel[0] * self.kernel[1], rows, cols


@dataclass(frozen=True, eq=False)
class Unfolded:
    """A network as the NPU sees it. ``window`` is None when its input is the image itself."""

    network: IntegerNetwork
    window: InputWindow | None


def unfoldings(network: IntegerNetwork) -> Iterator[Unfolded]:
    """``network`` as it is, then with its input's columns unfolded, then rows and columns.

    Only a dense layer that alone reads the input can be unfolded.
    """
    yield Unfolded(network, None)
    readers = [
        layer
        for layer in network.mac_layers
        if any(source.tensor == network.input for source in layer.sources)
    ]
    if len(readers) != 1 or len(readers[0].sources) > 1 or readers[0].groups > 1:
        return
    first = readers[0]
    kernel = first.sources[0].weights.shape[2:]
    if kernel[1] > 1:
        yield _unfolded(network, first, rows=False)
    if kernel[0] > 1:
        yield _unfolded(network, first, rows=True)


def _unfolded(network: IntegerNetwork, first: MacLayer, *, rows: bool) -> Unfolded:
    spec, weights = network.tensors[network.input], first.sources[0].weights
    out_channels, _, kernel_rows, kernel_cols = weights.shape
    window = InputWindow(
        shape=spec.shape,
        kernel=(kernel_rows if rows else 1, kernel_cols),
        stride=(first.stride[0] if rows else 1, first.stride[1]),
        padding=(first.padding[0] if rows else 0, first.padding[1]),
        pad_code=first.pad_code,
    )
    # [out, channel, row, column] -> [out, (row,) column, channel] as channels.
    left = 1 if rows else kernel_rows
    moved = weights.transpose(0, 2, 3, 1) if rows else weights.transpose(0, 3, 1, 2)
    source = dataclasses.replace(first.sources[0], weights=moved.reshape(out_channels, -1, left, 1))
    layer = dataclasses.replace(
        first,
        sources=(source,),
        stride=(1 if rows else first.stride[0], 1),
        padding=(0 if rows else first.padding[0], 0),
        sparsity=None,  # other channels are neighbours now
    )
    layers = tuple(layer if each is first else each for each in network.layers)
    tensors: dict[str, TensorSpec] = {
        **network.tensors,
        network.input: dataclasses.replace(spec, shape=window.unfolded_shape),
    }
    return Unfolded(dataclasses.replace(network, layers=layers, tensors=tensors), window)
