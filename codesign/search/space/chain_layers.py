"""Layers of a chain as one record, which is set, and then written to a table, layer by layer.

The record has LayerTable's columns, in which the previous layer has already written the input
fields.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import Records, part

Ints = NDArray[np.int64]


class ChainTask(NamedTuple):
    """Inputs common to all candidates: image shape, classes, and bit widths that are not genes.

    These are the widths of the weights of additions (add) and average pooling (ones), and of the
    logits. Made by ``layer_table``.
    """

    channels: int
    rows: int
    cols: int
    classes: int
    add_weight_bits: int
    ones_weight_bits: int
    logit_bits: int
    row_step: int
    """Factor by which a stage that halves its map divides the rows: 2, or 1 of images of one."""
    col_step: int
    """The same for columns."""
    reused_rows: int
    """Most kernel rows with column reuse (rtl_gen.blocks.history)."""
    reused_cols: int
    """Most kernel columns that a position takes from the history."""


@part
def depthwise(
    stage: Records, rows: int, cols: int, bits: Records, task: ChainTask, strided: bool,
    layer: Records,
) -> None:  # fmt: skip
    """Set ``layer`` to a depthwise convolution with padding; of one channel it is a dense one."""
    dense(layer, layer.in_channels, rows, cols, bits.weight_bits)
    strides(layer, task, strided)
    layer.out_bits = bits.activation_bits
    if layer.in_channels > 1:
        layer.diagonal = 1
        _reuse(layer, rows, cols, task)
    else:
        layer.kept, layer.group = stage.kept, stage.group


@part
def strides(layer: Records, task: ChainTask, strided: bool) -> None:
    """Set stride and sizes of a convolution with padding, which keeps odd sizes by rounding up."""
    row_stride = task.row_step if strided else 1
    col_stride = task.col_step if strided else 1
    sizes(
        layer,
        (layer.in_rows + row_stride - 1) // row_stride,
        (layer.in_cols + col_stride - 1) // col_stride,
    )
    layer.stride = layer.step = row_stride


@part
def _reuse(layer: Records, rows: int, cols: int, task: ChainTask) -> None:
    """Set the walk of a depthwise layer with ``rows`` x ``cols`` taps (mapping.reuse)."""
    # The stride over columns: an image of one row or column has a kernel of one there, and no walk.
    stride = 1 if layer.out_cols == layer.in_cols else 2
    older = cols - stride
    if layer.out_cols > 1 and 1 <= older <= task.reused_cols and rows <= task.reused_rows:
        layer.reuse_cols = stride
        layer.reuse_fills = (older - min(cols // 2, 1) + stride - 1) // stride


@part
def dense(layer: Records, channels: int, rows: int, cols: int, weight_bits: int) -> None:
    """Set ``layer`` to a dense layer of stride 1 without pooling, but for map sizes and bits.

    Those and its input channels stay as they are. channels: of its output; rows and cols: size of
    the kernel.
    """
    layer.active, layer.sources, layer.stride, layer.step, layer.pool_area = 1, 1, 1, 1, 1
    layer.diagonal, layer.skip, layer.raw, layer.kept, layer.group = 0, 0, 0, 0, 0
    layer.reuse_cols, layer.reuse_fills, layer.other_stacked = 0, 0, 0
    layer.out_channels, layer.kernel_rows, layer.kernel_cols = channels, rows, cols
    layer.weight_bits = weight_bits


@part
def whole(layer: Records, channels: int, weight_bits: int, bits: int) -> None:
    """Set ``layer`` to a dense layer with one output position, whose kernel covers the whole map.

    channels, bits: of its output.
    """
    dense(layer, channels, layer.in_rows, layer.in_cols, weight_bits)
    sizes(layer, 1, 1)
    layer.out_bits = bits


@part
def sizes(layer: Records, rows: int, cols: int) -> None:
    layer.conv_rows, layer.conv_cols = rows, cols
    layer.out_rows, layer.out_cols = rows, cols


@part
def pool(layer: Records, task: ChainTask) -> None:
    """Add max pooling to ``layer``, by 2 along each side on which images have several pixels.

    A row or column left over is dropped. The layer's stride must be 1.
    """
    layer.step, layer.pool_area = task.row_step, task.row_step * task.col_step
    layer.out_rows = layer.conv_rows // task.row_step
    layer.out_cols = layer.conv_cols // task.col_step
    layer.conv_rows = layer.out_rows * task.row_step
    layer.conv_cols = layer.out_cols * task.col_step


@part
def append(layer: Records, numbers: Ints, table: Ints, slot: int) -> int:
    """Write the layer to column ``slot`` of ``table``, and return the next slot.

    numbers: the fields of ``layer`` as an array. The layer's output becomes its input, that of the
    next layer.
    """
    for column in range(len(numbers)):
        table[column, slot] = numbers[column]
    layer.in_channels, layer.in_bits, layer.stacked = layer.out_channels, layer.out_bits, 1
    layer.in_rows, layer.in_cols = layer.out_rows, layer.out_cols
    return slot + 1
