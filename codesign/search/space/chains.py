"""Compiled decoding of candidates to layers: loops over candidates, stages and convolutions.

The layers are those of the graphs of codesign.search.space.topology. The current layer is a record
of LayerTable's columns, in which the previous layer has already written the input fields.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import Records, Scratch, compiled, int64_fields, part
from codesign.search.space.declaration import PROJECTION, RESIDUALS

Ints = NDArray[np.int64]
_PROJECTED = RESIDUALS.index(PROJECTION)
NETWORK = int64_fields(
    "stages", "strided", "average", "hidden", "input_bits", "hidden_weight_bits",
    "hidden_activation_bits", "classifier_weight_bits", "kept", "group",
)  # fmt: skip
STAGE = int64_fields("convs", "channels", "kernel", "residual", "expansion", "halve")
"""``residual`` is an index into declaration.RESIDUALS, ``expansion`` a value of its BLOCKS."""
CONV = int64_fields("weight_bits", "activation_bits")


class ChainTask(NamedTuple):
    """Inputs common to all candidates: image shape, classes, and bit widths that are not genes.

    These are the widths of the weights of additions (add) and average pooling (ones), and of the
    logits.
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


@compiled
def write(
    networks: Records, stages: Records, convs: Records, task: ChainTask, layer: Scratch, table: Ints
) -> None:
    """Write the layers of n candidates to ``table``, shape (columns, n, slots), all 0 before.

    networks: NETWORK records, shape (n,); stages: STAGE records, shape (n, stages); convs: CONV
    records, shape (n, stages, convs); layer: one record of the columns as working memory, all 0
    before; columns: the fields of LayerTable in their order.
    """
    records, numbers = layer
    for i in range(len(networks)):
        _network(networks[i], stages[i], convs[i], task, records[0], numbers[0], table[:, i])


@part
def _network(
    net: Records, stages: Records, convs: Records, task: ChainTask, layer: Records, numbers: Ints,
    table: Ints,
) -> None:  # fmt: skip
    layer.in_channels, layer.in_rows, layer.in_cols = task.channels, task.rows, task.cols
    layer.in_bits = net.input_bits
    slot = last_bits = 0
    for stage in range(net.stages):
        last_bits = convs[stage, stages[stage].convs - 1].activation_bits
        slot = _stage(net, stages[stage], convs[stage], task, layer, numbers, table, slot)
    if net.average and net.stages > 0:  # also for a 1 x 1 map, as in lowering
        _whole(layer, layer.in_channels, task.ones_weight_bits, last_bits)
        layer.diagonal = layer.in_channels > 1
        slot = _append(layer, numbers, table, slot)
    if net.hidden > 0:
        _whole(layer, net.hidden, net.hidden_weight_bits, net.hidden_activation_bits)
        layer.kept, layer.group = net.kept, net.group
        slot = _append(layer, numbers, table, slot)
    _whole(layer, task.classes, net.classifier_weight_bits, task.logit_bits)
    layer.kept, layer.group = net.kept, net.group
    layer.raw = 1
    _append(layer, numbers, table, slot)


@part
def _stage(
    net: Records, stage: Records, convs: Records, task: ChainTask, layer: Records, numbers: Ints,
    table: Ints, slot: int,
) -> int:  # fmt: skip
    """Append the layers of a stage from ``slot`` on and return the next free slot.

    Max pooling, unless a stride replaces it, is part of the residual add if there is one, else of
    the last convolution. ``layer`` holds the stage's input before, that of the next layer after.
    """
    residual = stage.residual if stage.convs >= 2 else 0
    entry, channels, bits = slot, layer.in_channels, layer.in_bits
    rows, cols = layer.in_rows, layer.in_cols
    halves = stage.halve and rows >= task.row_step and cols >= task.col_step
    first = slot
    for conv in range(stage.convs):
        strided = halves and net.strided and conv == 0
        slot = _convolution(net, stage, convs[conv], task, strided, layer, numbers, table, slot)
        if conv < stage.convs - 1 or residual:
            slot = _append(layer, numbers, table, slot)
        if conv == 0:
            first = slot
    last_bits = convs[stage.convs - 1].activation_bits
    add_bits, skip = max(convs[0].activation_bits, last_bits), slot - first
    if residual == _PROJECTED:
        layer.in_channels, layer.in_rows, layer.in_cols, layer.in_bits = channels, rows, cols, bits
        _dense(layer, stage.channels, 1, 1, convs[0].weight_bits)
        if entry > 0:
            layer.kept, layer.group = net.kept, net.group
        _strided(layer, task, halves and net.strided)
        layer.out_bits, layer.skip = last_bits, slot - entry
        slot = _append(layer, numbers, table, slot)
        add_bits, skip = last_bits, 1
    if residual:
        _dense(layer, stage.channels, 1, 1, task.add_weight_bits)
        _sizes(layer, layer.in_rows, layer.in_cols)
        layer.out_bits, layer.in_bits = last_bits, add_bits
        layer.diagonal = stage.channels > 1
        layer.sources, layer.skip = 2, skip
    if halves and not net.strided:
        _pool(layer, task)
    return _append(layer, numbers, table, slot)


@part
def _convolution(
    net: Records, stage: Records, bits: Records, task: ChainTask, strided: bool, layer: Records,
    numbers: Ints, table: Ints, slot: int,
) -> int:  # fmt: skip
    """Append one convolution of a stage without its last layer, which is left in ``layer``.

    Returns the slot of that last layer.
    """
    rows = stage.kernel if task.row_step > 1 else 1
    cols = stage.kernel if task.col_step > 1 else 1
    plain = stage.expansion == 0 or slot == 0  # the first layer reads the image
    if not plain and stage.expansion > 1:
        _dense(layer, layer.in_channels * stage.expansion, 1, 1, bits.weight_bits)
        layer.kept, layer.group, layer.out_bits = net.kept, net.group, bits.activation_bits
        _strided(layer, task, False)
        slot = _append(layer, numbers, table, slot)
    if not plain:
        _dense(layer, layer.in_channels, rows, cols, bits.weight_bits)
        _strided(layer, task, strided)
        layer.out_bits = bits.activation_bits
        if layer.in_channels > 1:
            layer.diagonal = 1
            _reuse(layer, rows, cols, task)
        else:  # a depthwise convolution of one channel is a dense one
            layer.kept, layer.group = net.kept, net.group
        slot = _append(layer, numbers, table, slot)
        rows, cols, strided = 1, 1, False
    _dense(layer, stage.channels, rows, cols, bits.weight_bits)
    if slot > 0:
        layer.kept, layer.group = net.kept, net.group
    _strided(layer, task, strided)
    layer.out_bits = bits.activation_bits
    return slot


@part
def _strided(layer: Records, task: ChainTask, strided: bool) -> None:
    """Set stride and sizes of a convolution with padding, which keeps odd sizes by rounding up."""
    row_stride = task.row_step if strided else 1
    col_stride = task.col_step if strided else 1
    _sizes(
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
def _dense(layer: Records, channels: int, rows: int, cols: int, weight_bits: int) -> None:
    """Set ``layer`` to a dense layer of stride 1 without pooling, but for map sizes and bits.

    Those and its input channels stay as they are. channels: of its output; rows and cols: size of
    the kernel.
    """
    layer.active, layer.sources, layer.stride, layer.step, layer.pool_area = 1, 1, 1, 1, 1
    layer.diagonal, layer.skip, layer.raw, layer.kept, layer.group = 0, 0, 0, 0, 0
    layer.reuse_cols, layer.reuse_fills = 0, 0
    layer.out_channels, layer.kernel_rows, layer.kernel_cols = channels, rows, cols
    layer.weight_bits = weight_bits


@part
def _whole(layer: Records, channels: int, weight_bits: int, bits: int) -> None:
    """Set ``layer`` to a dense layer with one output position, whose kernel covers the whole map.

    channels, bits: of its output.
    """
    _dense(layer, channels, layer.in_rows, layer.in_cols, weight_bits)
    _sizes(layer, 1, 1)
    layer.out_bits = bits


@part
def _sizes(layer: Records, rows: int, cols: int) -> None:
    layer.conv_rows, layer.conv_cols = rows, cols
    layer.out_rows, layer.out_cols = rows, cols


@part
def _pool(layer: Records, task: ChainTask) -> None:
    """Add max pooling to ``layer``, by 2 along each side on which images have several pixels.

    A row or column left over is dropped. The layer's stride must be 1.
    """
    layer.step, layer.pool_area = task.row_step, task.row_step * task.col_step
    layer.out_rows = layer.conv_rows // task.row_step
    layer.out_cols = layer.conv_cols // task.col_step
    layer.conv_rows = layer.out_rows * task.row_step
    layer.conv_cols = layer.out_cols * task.col_step


@part
def _append(layer: Records, numbers: Ints, table: Ints, slot: int) -> int:
    """Write the layer to column ``slot`` of ``table``, and return the next slot.

    numbers: the fields of ``layer`` as an array. The layer's output becomes its input, that of the
    next layer.
    """
    for column in range(len(numbers)):
        table[column, slot] = numbers[column]
    layer.in_channels, layer.in_bits = layer.out_channels, layer.out_bits
    layer.in_rows, layer.in_cols = layer.out_rows, layer.out_cols
    return slot + 1
