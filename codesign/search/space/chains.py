"""Compiled decoding of candidates to layers: loops over candidates, stages and convolutions.

The layers are those of the graphs of codesign.search.space.topology. The current layer is a record
of LayerTable's columns, in which the previous layer has already written the input fields.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import Records, Scratch, compiled, int64_fields, part
from codesign.search.space.chain_layers import (
    ChainTask,
    append,
    dense,
    depthwise,
    pool,
    sizes,
    strides,
    whole,
)
from codesign.search.space.choices import (
    BLOCKS,
    CHEAP_KERNEL,
    GHOST,
    POOLINGS,
    PROJECTION,
    RESIDUALS,
    STACK,
    STEM,
    STRIDE,
)

Ints = NDArray[np.int64]
_STRIDE, _STEM = POOLINGS.index(STRIDE), POOLINGS.index(STEM)
_PROJECTED = RESIDUALS.index(PROJECTION)
_GHOST, _STACK = BLOCKS.index(GHOST), BLOCKS.index(STACK)
NETWORK = int64_fields(
    "stages", "pooling", "average", "hidden", "input_bits", "hidden_weight_bits",
    "hidden_activation_bits", "classifier_weight_bits", "kept", "group",
)  # fmt: skip
STAGE = int64_fields(
    "convs", "channels", "kernel", "residual", "block", "expansion", "halve", "kept", "group",
)  # fmt: skip
"""``residual`` and ``block`` are indices into RESIDUALS and BLOCKS of declaration, ``expansion`` is
that of EXPANSIONS or 0, ``kept`` and ``group`` are of the N:M pattern, 0 of dense weights."""
CONV = int64_fields("weight_bits", "activation_bits")


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
    layer.in_bits, layer.stacked = net.input_bits, 1
    slot = last_bits = 0
    for stage in range(net.stages):
        last_bits = convs[stage, stages[stage].convs - 1].activation_bits
        slot = _stage(net, stages[stage], convs[stage], task, layer, numbers, table, slot)
    if net.average and net.stages > 0:  # also for a 1 x 1 map, as in lowering
        whole(layer, layer.in_channels, task.ones_weight_bits, last_bits)
        layer.diagonal = layer.in_channels > 1
        slot = append(layer, numbers, table, slot)
    if net.hidden > 0:
        whole(layer, net.hidden, net.hidden_weight_bits, net.hidden_activation_bits)
        layer.kept, layer.group = net.kept, net.group
        slot = append(layer, numbers, table, slot)
    whole(layer, task.classes, net.classifier_weight_bits, task.logit_bits)
    layer.kept, layer.group = net.kept, net.group
    layer.raw = 1
    append(layer, numbers, table, slot)


@part
def _stage(
    net: Records, stage: Records, convs: Records, task: ChainTask, layer: Records, numbers: Ints,
    table: Ints, slot: int,
) -> int:  # fmt: skip
    """Append the layers of a stage from ``slot`` on and return the next free slot.

    Max pooling, unless a stride replaces it, is part of the residual add if there is one, else of
    the last convolution. ``layer`` holds the stage's input before, that of the next layer after.
    """
    stacks = stage.block == _STACK
    residual = stage.residual if stage.convs >= 2 and not stacks else 0
    entry, channels, bits, entered = slot, layer.in_channels, layer.in_bits, layer.stacked
    rows, cols = layer.in_rows, layer.in_cols
    strides_here = net.pooling == _STRIDE or (net.pooling == _STEM and entry == 0)
    halves = stage.halve and rows >= task.row_step and cols >= task.col_step
    first, read, joined = slot, 1, False
    for conv in range(stage.convs):
        strided, before = halves and strides_here and conv == 0, layer.in_channels
        joined = (stacks and conv > 0) or (stage.block == _GHOST and slot > 0)
        made = _share(stage, conv)
        slot = _convolution(
            net, stage, convs[conv], task, made, strided, layer, numbers, table, slot
        )
        if conv < stage.convs - 1 or residual or joined:
            slot = append(layer, numbers, table, slot)
        if joined:
            layer.stacked = conv + 1 if stacks else 2
            layer.in_channels = before + made if stacks else stage.channels
        if conv == 0:
            first, read = slot, layer.stacked
    last_bits = convs[stage.convs - 1].activation_bits
    add_bits, skip = max(convs[0].activation_bits, last_bits), slot - first
    if residual == _PROJECTED:
        last = layer.stacked
        layer.in_channels, layer.in_rows, layer.in_cols, layer.in_bits = channels, rows, cols, bits
        layer.stacked = entered
        dense(layer, stage.channels, 1, 1, convs[0].weight_bits)
        if entry > 0:
            layer.kept, layer.group = stage.kept, stage.group
        strides(layer, task, halves and strides_here)
        layer.out_bits, layer.skip = last_bits, slot - entry
        slot = append(layer, numbers, table, slot)
        add_bits, skip, read, layer.stacked = last_bits, 1, last, 1
    if residual:
        dense(layer, stage.channels, 1, 1, task.add_weight_bits)
        sizes(layer, layer.in_rows, layer.in_cols)
        layer.out_bits, layer.in_bits = last_bits, add_bits
        layer.diagonal = stage.channels > 1
        layer.sources, layer.skip, layer.other_stacked = 2, skip, read
    elif joined:
        if not halves or strides_here:
            return slot
        # What is side by side has no layer of its own that could pool it.
        dense(layer, layer.in_channels, 1, 1, task.ones_weight_bits)
        sizes(layer, layer.in_rows, layer.in_cols)
        layer.out_bits, layer.diagonal = last_bits, layer.in_channels > 1
    if halves and not strides_here:
        pool(layer, task)
    return append(layer, numbers, table, slot)


@part
def _share(stage: Records, conv: int) -> int:
    """Return the output channels of a convolution of a stage: in a dense block its share."""
    if stage.block != _STACK:
        return stage.channels
    share = stage.channels // stage.convs
    return share if conv > 0 else stage.channels - share * (stage.convs - 1)


@part
def _convolution(
    net: Records, stage: Records, bits: Records, task: ChainTask, channels: int, strided: bool,
    layer: Records, numbers: Ints, table: Ints, slot: int,
) -> int:  # fmt: skip
    """Append one convolution of a stage without its last layer, which is left in ``layer``.

    channels: of its output. Returns the slot of that last layer.
    """
    rows = stage.kernel if task.row_step > 1 else 1
    cols = stage.kernel if task.col_step > 1 else 1
    plain = stage.expansion == 0 or slot == 0  # the first layer reads the image
    if not plain and stage.expansion > 1:
        dense(layer, layer.in_channels * stage.expansion, 1, 1, bits.weight_bits)
        layer.kept, layer.group, layer.out_bits = stage.kept, stage.group, bits.activation_bits
        strides(layer, task, False)
        slot = append(layer, numbers, table, slot)
    if not plain:
        depthwise(stage, rows, cols, bits, task, strided, layer)
        slot = append(layer, numbers, table, slot)
        rows, cols, strided = 1, 1, False
    ghost = stage.block == _GHOST and slot > 0
    dense(layer, channels // 2 if ghost else channels, rows, cols, bits.weight_bits)
    if slot > 0:
        layer.kept, layer.group = stage.kept, stage.group
    strides(layer, task, strided)
    layer.out_bits = bits.activation_bits
    if ghost:
        slot = append(layer, numbers, table, slot)
        rows = CHEAP_KERNEL if task.row_step > 1 else 1
        cols = CHEAP_KERNEL if task.col_step > 1 else 1
        depthwise(stage, rows, cols, bits, task, False, layer)
    return slot
