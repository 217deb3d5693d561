"""Unfolding (im2col) of the input image by the host, so that a first layer fills the array's lanes.

Lanes take input channels, of which an image has one or three, so most lanes would idle while the
first convolution walks its kernel. The host may send the image unfolded: kernel columns, or kernel
rows and columns, become channels, and the layer's kernel shrinks to n x 1 or 1 x 1. A pixel then
takes more stream beats if its words fill up; the hardware needs nothing for it. The compiler counts
the cycles of all three layouts and takes the fastest that fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from models.integer.network import IntegerNetwork, MacLayer, TensorSpec, convolved

Pair = tuple[int, int]


@dataclass(frozen=True)
class InputWindow:
    """Sliding window by which the host unfolds an image of ``shape`` (channels, rows, columns).

    Channel ``(i * kernel[1] + j) * channels + c`` of the unfolded tensor at (y, x) is channel c of
    the image at row ``y * stride[0] - padding[0] + i * dilation[0]``, column
    ``x * stride[1] - padding[1] + j * dilation[1]``, and ``pad_code`` outside of the image. Pairs
    are (rows, columns).

    >>> window = InputWindow(
    ...     (3, 32, 32), kernel=(1, 3), dilation=(1, 1), stride=(1, 1), padding=(0, 1), pad_code=0,
    ...     size=(32, 32),
    ... )
    >>> window.unfolded_shape
    (9, 32, 32)
    """

    shape: tuple[int, int, int]
    kernel: Pair
    dilation: Pair
    stride: Pair
    padding: Pair
    pad_code: int
    size: Pair
    """Rows and columns of the unfolded image."""

    @property
    def unfolded_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the unfolded image."""
        return self.shape[0] * self.kernel[0] * self.kernel[1], *self.size


@dataclass(frozen=True, eq=False)
class Unfolded:
    """An equivalent network whose input the host may have unfolded. Made by ``unfoldings``."""

    network: IntegerNetwork
    """The network that the NPU runs; its input tensor is the image as the host sends it."""
    window: InputWindow | None
    """Unfolding that the host applies to the image; None if the input is the image itself."""


def unfoldings(network: IntegerNetwork) -> Iterator[Unfolded]:
    """Yield ``network`` as it is, with its input's columns unfolded, and with rows and columns.

    The latter two exist if a single MacLayer reads the input, ungrouped and with no other source,
    and its kernel is wider than one column, or higher than one row, respectively. In them this
    layer has no sparsity pattern. Whether a concat reads the input is not checked.
    """
    yield Unfolded(network, None)
    readers = network.input_readers
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
    size = convolved(first, network.tensors[first.output].shape)
    window = InputWindow(
        shape=spec.shape,
        kernel=(kernel_rows if rows else 1, kernel_cols),
        dilation=(first.dilation[0] if rows else 1, first.dilation[1]),
        stride=(first.stride[0] if rows else 1, first.stride[1]),
        padding=(first.padding[0] if rows else 0, first.padding[1]),
        pad_code=first.pad_code,
        size=(size[0] if rows else spec.shape[1], size[1]),
    )
    # (out, channel, row, column) -> (out, (row,) column, channel): the last axes become channels.
    left = 1 if rows else kernel_rows
    moved = weights.transpose(0, 2, 3, 1) if rows else weights.transpose(0, 3, 1, 2)
    source = dataclasses.replace(first.sources[0], weights=moved.reshape(out_channels, -1, left, 1))
    layer = dataclasses.replace(
        first,
        sources=(source,),
        stride=(1 if rows else first.stride[0], 1),
        padding=(0 if rows else first.padding[0], 0),
        dilation=(1 if rows else first.dilation[0], 1),
        sparsity=None,  # the channels of a group of the pattern are no longer neighbours
    )
    layers = tuple(layer if each is first else each for each in network.layers)
    tensors: dict[str, TensorSpec] = {
        **network.tensors,
        network.input: dataclasses.replace(spec, shape=window.unfolded_shape),
    }
    return Unfolded(dataclasses.replace(network, layers=layers, tensors=tensors), window)
