"""The last layer of a network of several outputs, which gives all of them.

An NPU gives out the sums of its last layer, one map. Outputs that end in convolutions or fully
connected layers, whose results nothing else reads, have their own products there, each in a block
of the layer's channels; any other output is copied. What the blocks read is joined along channels,
smaller maps at the top left of the largest, with zeros around them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from models.graph.layers import Pair
from models.graph.verifier import MOST_WEIGHTS
from models.importing.joining import NAME, concatenated, enlarged
from models.importing.mapping import borders
from models.importing.mapping.stages import UNCLIPPED, Kernel, Stage
from models.importing.mapping.walk import INPUT, Walk
from models.importing.numbers import ones
from models.importing.readers.foreign import Grid
from models.importing.readers.table import RefusalError

_INSTEAD = "quantise every output, or import the part before them (--partition)"


@dataclass(frozen=True, eq=False)
class _Block:
    """Channels of the last layer: those of ``stage``. Made by ``_block`` and ``_copy``.

    source: what is read, the stage itself by a copy. stride, pads (above, left): of its windows.
    """

    stage: Stage
    source: Stage
    kernel: Kernel
    groups: int
    stride: Pair = (1, 1)
    pads: Pair = (0, 0)


def join(walk: Walk, names: Sequence[str], *, quantised: bool) -> str:
    """Return the name of the stage that has all outputs, a new one unless they have one already.

    names: of the tensors, which then lie there. Raises RefusalError for outputs that one layer
    cannot give, or that are not computed of the network's input.
    """
    for name in names:
        value = walk.values.get(name)
        if value is None or value.stage == INPUT:
            raise RefusalError(
                f"output {name} is not computed of the network's input", "",
                "leave it out of the file: the host has it already",
            )  # fmt: skip
        walk.values[name] = borders.filled(walk, value, name)
    labels = {walk.values[name].stage: name for name in reversed(names)}
    stages = [
        walk.stages[name] for name in dict.fromkeys(walk.values[name].stage for name in names)
    ]
    if len(stages) == 1:
        return stages[0].name
    blocks = _of_one_stride([_block(walk, stage, labels, quantised) for stage in stages],
                            labels, quantised)  # fmt: skip
    made = _layer(walk, blocks, quantised)
    walk.add(made)
    first = dict(zip((stage.name for stage in stages), _starts(stages), strict=True))
    for name in names:
        value = walk.values[name]
        _, rows, cols = walk.stages[value.stage].shape
        index = walk.index(value)
        channel, row, col = index // (rows * cols), index // cols % rows, index % cols
        places = (first[value.stage] + channel) * made.shape[1] + row
        walk.values[name] = dataclasses.replace(
            value, stage=made.name, index=places * made.shape[2] + col
        )
    gone = {block.stage.name for block in blocks if block.source is not block.stage}
    walk.table.rows[:] = [
        dataclasses.replace(row, layer=made.name) if row.layer in gone else row
        for row in walk.table.rows
    ]
    return made.name


def _starts(stages: Sequence[Stage]) -> list[int]:
    """Return the first channel of each stage in the concatenation of all."""
    return list(accumulate((stage.shape[0] for stage in stages), initial=0))[:-1]


# Blocks --------------------------------------------------------------------------------------


def _block(walk: Walk, stage: Stage, labels: Mapping[str, str], quantised: bool) -> _Block:
    """Return the block of a stage: its products where nothing else reads their sums, or a copy."""
    read = any(stage.name in other.inputs for other in walk.stages.values())
    plain = stage.grid is None and stage.clip == UNCLIPPED and not stage.halves
    # The mean of real numbers is a layer of its own, as it is where a network ends with it.
    kinds = ("conv2d", "linear", "avg_pool", "scale") if quantised else ("conv2d", "linear")
    if read or not plain or stage.op not in kinds:
        return _copy(stage, labels, quantised)
    (kernel,), source = stage.kernels or (ones(stage.shape[0]),), walk.stages[stage.inputs[0]]
    groups = stage.groups if stage.op in ("conv2d", "linear") else stage.shape[0]
    if quantised and (kernel.codes is None or source.grid is None):
        what = "the weights" if source.grid else f"the results of layer {source.name}, its input,"
        raise RefusalError(
            f"output {labels[stage.name]}: {what} are not quantised", "",
            "quantise every layer, or none of the network",
        )  # fmt: skip
    return _Block(stage, source, kernel, groups, stage.stride, stage.pads[:2])


def _copy(stage: Stage, labels: Mapping[str, str], quantised: bool) -> _Block:
    """Return the block that copies a stage's codes. Raises RefusalError where it has none."""
    if quantised and stage.grid is None:
        raise RefusalError(
            f"output {labels[stage.name]} is not quantised, and one last layer cannot compute it "
            "with the others: that has windows of one stride, and results that nothing else reads, "
            "clips or pools", "", _INSTEAD,
        )  # fmt: skip
    stage.closed = True
    return _Block(stage, stage, ones(stage.shape[0]), stage.shape[0])


def _of_one_stride(
    blocks: list[_Block], labels: Mapping[str, str], quantised: bool
) -> list[_Block]:
    """Return blocks of one stride; where they have several, strided layers stay and are copied.

    Along an axis of one place a stride means nothing.
    """
    own = [
        tuple(step if side > 1 else 0 for step, side in
              zip(block.stride, block.stage.shape[1:], strict=True))
        for block in blocks
    ]  # fmt: skip
    most = [max(steps) for steps in zip(*own, strict=True)]
    if any(step not in (0, top) for steps in own for step, top in zip(steps, most, strict=True)):
        blocks = [
            block if max(steps) <= 1 else _copy(block.stage, labels, quantised)
            for block, steps in zip(blocks, own, strict=True)
        ]
        most = [1, 1]
    stride = (max(most[0], 1), max(most[1], 1))
    return [dataclasses.replace(block, stride=stride) for block in blocks]


# The layer -----------------------------------------------------------------------------------


def _layer(walk: Walk, blocks: Sequence[_Block], quantised: bool) -> Stage:
    """Return the stage of all blocks, and add those of what it reads to the walk."""
    axes = [_windows(blocks, axis) for axis in (0, 1)]
    window, before, after, sides, places = ((a, b) for a, b in zip(*axes, strict=True))
    sources = list({block.source.name: block.source for block in blocks}.values())
    pads = (*before, *after)
    # A padding is one code: that of 0 in what padded windows read.
    padded = [block.source.grid for block in blocks
              if block.source is not block.stage and any(block.stage.pads)]  # fmt: skip
    zeros = {grid.zero_point for grid in padded if grid}
    if len(zeros) > 1 and any(pads):
        large = (before[0] + sides[0] + after[0], before[1] + sides[1] + after[1])
        parts, pads = [enlarged(walk, one, large, before) for one in sources], (0, 0, 0, 0)
    else:
        parts = [enlarged(walk, source, sides, (0, 0)) for source in sources]
    joined = parts[0] if len(parts) == 1 else concatenated(walk, parts, max(zeros, default=0))
    starts = dict(zip((source.name for source in sources), _starts(sources), strict=True))
    single = window == (1, 1) and all(block.source is block.stage for block in blocks)
    found = []
    for block in blocks:
        corner = (before[0] - block.pads[0], before[1] - block.pads[1])
        first, width = starts[block.source.name], joined.shape[0]
        kernel = block.kernel if single else _within(
            walk, block, (width, *window), first, corner
        )  # fmt: skip
        found.append(_numbers(block, kernel, joined.grid))
    kernels, gains, biases, codes, units = zip(*found, strict=True)
    stage = Stage(
        walk.unused(NAME), "conv2d", (joined.name,),
        (sum(map(len, gains)), *places), (_stacked(kernels),),
        joined.shape[0] if single else 1, blocks[0].stride, pads,
        gain=np.concatenate(gains), bias=np.concatenate(biases),
    )  # fmt: skip
    if quantised:
        stage.bias_codes = np.concatenate(codes), np.concatenate(units)
    if window == joined.shape[1:] and not any(pads) and not single:
        stage.op = "linear"
    return stage


def _windows(blocks: Sequence[_Block], axis: int) -> tuple[int, int, int, int, int]:
    """Return how windows that hold those of all blocks lie along an axis.

    That is their size, the padding before and after the map, the map's side, and the result's.
    """
    stride = blocks[0].stride[axis]
    side = max(block.source.shape[1 + axis] for block in blocks)
    before = max(block.pads[axis] for block in blocks)
    ends = [before - block.pads[axis] + block.kernel.values.shape[2 + axis] for block in blocks]
    places = max(block.stage.shape[1 + axis] for block in blocks)
    after = max((places - 1) * stride + max(ends) - before - side, 0)
    return max(ends), before, after, side, (side + before + after - max(ends)) // stride + 1


def _within(
    walk: Walk, block: _Block, shape: tuple[int, int, int], first: int, corner: Pair
) -> Kernel:
    """Return a block's weights among zeros (out, \\*shape): from a channel, row and column on."""
    out, ins, rows, cols = block.kernel.values.shape
    if out * shape[0] * shape[1] * shape[2] > MOST_WEIGHTS:
        raise RefusalError(f"a layer of all outputs has more than {MOST_WEIGHTS} weights")
    picks = first + np.arange(out)[:, None] * block.groups // out * ins + np.arange(ins)

    def within(array: Any) -> Any:
        walk.memory.take(NAME, out * shape[0] * shape[1] * shape[2])
        large = np.zeros((out, *shape), array.dtype)
        part = large[:, :, corner[0] : corner[0] + rows, corner[1] : corner[1] + cols]
        part[np.arange(out)[:, None], picks] = array
        return large

    codes = None if block.kernel.codes is None else within(block.kernel.codes)
    return Kernel(within(block.kernel.values), codes, block.kernel.scale)


def _numbers(block: _Block, kernel: Kernel, grid: Grid | None) -> tuple[Any, ...]:
    """Return a block's kernel, gain, bias, and the bias's codes and their unit.

    grid: of the codes that the layer reads, which may mean something else than those of the block's
    own source: its scale goes to the weights, its zero point to the bias.
    """
    own, stage = block.source.grid, block.stage
    count = stage.shape[0]
    copies = block.source is stage
    gain, bias = (np.ones(count), np.zeros(count)) if copies else (stage.gain, stage.bias)
    if own is None or grid is None or kernel.codes is None or kernel.scale is None:
        return kernel, gain, bias, np.zeros(0), np.zeros(0)
    unit = kernel.scale * own.scale
    moved = kernel.codes.sum(axis=(1, 2, 3)) * (grid.zero_point - own.zero_point)
    # A unit of 0 is no bias of the file's: it is rounded.
    codes, units = (np.zeros(count, np.int64), np.zeros(count))
    if stage.bias_codes is not None and not copies:
        codes, units = stage.bias_codes
    scale = unit / grid.scale
    scaled = Kernel(kernel.codes * scale[:, None, None, None], kernel.codes, scale)
    return scaled, gain, bias + moved * unit * gain, codes + moved, units


def _stacked(kernels: Sequence[Kernel]) -> Kernel:
    values = np.concatenate([kernel.values for kernel in kernels])
    codes = [kernel.codes for kernel in kernels if kernel.codes is not None]
    scales = [kernel.scale for kernel in kernels if kernel.scale is not None]
    if len(codes) < len(kernels) or len(scales) < len(kernels):
        return Kernel(values)
    return Kernel(values, np.concatenate(codes), np.concatenate(scales))
