"""Column reuse: depthwise layers that read each column once per kernel row, not once per position.

The array's history (rtl_gen.blocks.history) holds the two columns read before: a position of a row
reads its new columns, ``stride`` of them, and takes up to two older ones from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.integer.network import MacLayer
from rtl_gen.blocks.history import MOST_ROWS, OLDER_COLUMNS


@dataclass(frozen=True)
class ColumnWalk:
    """How a layer walks its rows with column reuse."""

    new: int
    """Columns that a position reads."""
    older: int
    """Columns that it takes from the history."""
    fills: int
    """Positions at the start of a row that only fill the history."""
    first: int
    """First column read of a row; negative in the padding."""


def column_walk(layer: MacLayer, in_channels: int, out_cols: int) -> ColumnWalk | None:
    """None where the layer has nothing to reuse, or the history cannot hold it."""
    kernel_rows, kernel_cols = layer.sources[0].weights.shape[2:]
    stride, padding = layer.stride[1], layer.padding[1]
    older = kernel_cols - stride
    depthwise = len(layer.requant_multiplier) == in_channels == layer.groups > 1
    if not depthwise or layer.raw or layer.pool or len(layer.sources) > 1 or out_cols == 1:
        return None
    if not 1 <= older <= OLDER_COLUMNS or kernel_rows > MOST_ROWS:
        return None
    # The column before a row's first one counts as read: it is padding.
    fills = -(-(older - min(padding, 1)) // stride)
    return ColumnWalk(stride, older, fills, older - padding - fills * stride)
