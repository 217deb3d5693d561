"""Compiled decoding of candidates to layers: loops over candidates, stages and convolutions.

The layers are those of the graphs of codesign.search.space.topology. The current layer is a record
of LayerTable's columns, in which the previous layer has already written the input fields.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import Records, Scratch, compiled, int64_fields, part

Ints = NDArray[np.int64]
NETWORK = int64_fields(
    "stages", "strided", "average", "hidden", "input_bits", "hidden_weight_bits",
    "hidden_activation_bits", "classifier_weight_bits", "kept", "group",
)  # fmt: skip
STAGE = int64_fields("convs", "channels", "kernel", "residual")
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
    """Factor by which a stage divides the rows of its map: 2, or 1 where images have one row."""
    col_step: int
    """The same for columns."""


@compiled
def write(
    networks: Records, stages: Records, convs: Records, task: ChainTask, layer: Scratch, table: Ints
) -> None:
    """Write the layers of n candidates to ``table``, shape (columns, n, slots), all 0 before.

    networks: NETWORK records, shape (n,); stages: STAGE records, shape (n, stages); convs: CONV
    records, shape (n, stages, convs); layer: one record of the columns as working memory, all 0
    before (reuse_cols and reuse_fills stay so); columns: the fields of LayerTable in their order.
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
    residual = stage.convs >= 2 and stage.residual
    for conv in range(stage.convs):
        halves = net.strided and conv == 0
        row_stride = task.row_step if halves else 1
        col_stride = task.col_step if halves else 1
        pooled = not net.strided and conv == stage.convs - 1 and not residual
        bits = convs[conv]
        rows = stage.kernel if task.row_step > 1 else 1
        cols = stage.kernel if task.col_step > 1 else 1
        _dense(layer, stage.channels, rows, cols, bits.weight_bits)
        if slot > 0:  # the first layer, which reads the image, is dense
            layer.kept, layer.group = net.kept, net.group
        # Padding keeps odd sizes: a strided convolution rounds up, pooling down.
        _sizes(
            layer,
            (layer.in_rows + row_stride - 1) // row_stride,
            (layer.in_cols + col_stride - 1) // col_stride,
        )
        layer.stride = layer.step = row_stride
        layer.out_bits = bits.activation_bits
        if pooled:
            _pool(layer, task)
        slot = _append(layer, numbers, table, slot)
    if residual:
        _dense(layer, stage.channels, 1, 1, task.add_weight_bits)
        _sizes(layer, layer.in_rows, layer.in_cols)
        layer.out_bits = layer.in_bits
        layer.in_bits = max(layer.in_bits, convs[0].activation_bits)
        layer.diagonal = stage.channels > 1
        layer.sources, layer.skip = 2, stage.convs - 1
        if not net.strided:
            _pool(layer, task)
        slot = _append(layer, numbers, table, slot)
    return slot


@part
def _dense(layer: Records, channels: int, rows: int, cols: int, weight_bits: int) -> None:
    """Set ``layer`` to a dense layer of stride 1 without pooling, but for map sizes and bits.

    Those, its input channels and the fields of column reuse stay as they are. channels: of its
    output; rows and cols: size of the kernel.
    """
    layer.active, layer.sources, layer.stride, layer.step, layer.pool_area = 1, 1, 1, 1, 1
    layer.diagonal, layer.skip, layer.raw, layer.kept, layer.group = 0, 0, 0, 0, 0
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
