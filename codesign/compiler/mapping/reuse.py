"""Column reuse of depthwise layers: along a row, each input column is read once per kernel row.

Neighbouring windows overlap in kernel width - stride columns. The array's history
(rtl_gen.blocks.history) is a line buffer of the last two columns for every kernel row: a position
reads its ``stride`` new columns and takes up to two older ones from there, multiplied in lanes that
depthwise layers leave idle.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.integer.network import MacLayer
from rtl_gen.blocks.history import MOST_ROWS, OLDER_COLUMNS


@dataclass(frozen=True)
class ColumnWalk:
    """Walk of a depthwise layer along a row of positions with column reuse.

    Made by ``column_walk``; a 3x3 kernel of stride 1 and padding 1 has ``ColumnWalk(1, 2, 1, 0)``.
    """

    new: int
    """Kernel columns that a position reads from memory, equal to the stride."""
    older: int
    """Kernel columns that a position takes from the history, 1 or 2."""
    fills: int
    """Positions at the start of a row that only fill the history; they have no output."""
    first: int
    """Column of the input that is read first in a row; negative left of the image."""


def column_walk(layer: MacLayer, in_channels: int, out_cols: int) -> ColumnWalk | None:
    """Return the walk of a layer with column reuse, or None if the layer cannot have it.

    in_channels: channels of its input; out_cols: columns of its output. Whether the NPU has a
    history is not checked. The layer must be depthwise (one output channel for each of several
    input channels) with one source, no dilation and no pooling, and not raw; its kernel one or two
    columns wider than the stride and at most MOST_ROWS rows high, its output wider than one column.
    """
    kernel_rows, kernel_cols = layer.sources[0].weights.shape[2:]
    stride, padding = layer.stride[1], layer.padding[1]
    older = kernel_cols - stride
    depthwise = len(layer.requant_multiplier) == in_channels == layer.groups > 1
    if not depthwise or layer.raw or layer.pool or len(layer.sources) > 1 or out_cols == 1:
        return None
    dilated = layer.dilation != (1, 1)
    if not 1 <= older <= OLDER_COLUMNS or kernel_rows > MOST_ROWS or dilated:
        return None
    # The history starts each row as if one column had been read: of padding, if there is any.
    fills = -(-(older - min(padding, 1)) // stride)
    return ColumnWalk(stride, older, fills, older - padding - fills * stride)
