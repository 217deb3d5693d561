"""Operators on each value by itself: rounding to a grid, clips, scales and offsets, batch norm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.importing import moves, sums
from models.importing.foreign import Grid, Node, Reals
from models.importing.grids import grid_of
from models.importing.stages import UNCLIPPED, Stage
from models.importing.table import RefusalError, Row
from models.importing.walk import Handler, Value, Walk, same_grid

# Rounding ------------------------------------------------------------------------------------


def quantise(walk: Walk, node: Node) -> Row:
    """Map the rounding to a grid: the end of an open stage, or a layer that changes grids."""
    value, grid = walk.value(node), grid_of(node)
    if grid is None:
        return moves.same(walk, node)
    if grid.bits > 8:
        raise RefusalError(
            f"activations of {grid.bits} bits", "bits", "quantise activations to 8 bits or fewer"
        )
    stage = walk.stages[value.stage]
    if same_grid(stage.grid, grid):
        walk.put(node, value)
        return moves.row(walk, node, "rounds what is rounded so already")
    if round_to(walk, stage, grid):
        walk.put(node, value)
        return moves.row(walk, node, "codes of the layer")
    if stage.grid is None:
        raise RefusalError(
            "rounds what other nodes read unrounded", "", "round once, before all its readers"
        )
    made = _scale(walk, node, stage)
    made.grid = grid
    walk.put(node, _like(walk, made, value))
    return sums.mapped(node, made)


def dequantise(walk: Walk, node: Node) -> Row:
    """Map the return from codes to real values: its input has these codes already.

    At the network's input it says what the codes of the host mean. Raises RefusalError where the
    codes were made with other numbers.
    """
    value, grid = walk.value(node), grid_of(node)
    stage = walk.stages[value.stage]
    if stage.op == "input" and stage.grid is None:
        stage.grid = grid
    if grid is not None and not same_grid(stage.grid, grid):
        raise RefusalError(
            "reads codes with another scale or zero point than they were made with", "scale"
        )
    return moves.same(walk, node)


def round_to(walk: Walk, stage: Stage, grid: Grid) -> bool:
    """Round a stage's result to a grid if it is not rounded yet; return whether it is now."""
    if stage.grid is not None:
        return False
    if stage.op == "input":
        stage.grid = grid
        return True
    if stage.op == "concat":
        return _round_parts(walk, stage, grid)
    if not stage.is_open:
        return False
    if stage.op == "max_pool":
        before = walk.stages[stage.inputs[0]]
        if before.grid is None and not round_to(walk, before, grid):
            return False
        if not same_grid(before.grid, grid):
            return False
    if stage.op == "add":
        _settle(walk, stage, grid)
    stage.grid = grid
    return True


def _round_parts(walk: Walk, stage: Stage, grid: Grid) -> bool:
    """Round all that a concat joins to one grid, by layers of their own where it must be."""
    names = []
    for position, name in enumerate(stage.inputs):
        part = walk.stages[name]
        if not same_grid(part.grid, grid) and not round_to(walk, part, grid):
            copy = Stage(
                walk.unused(f"{stage.name}_part{position + 1}"), "scale", (name,), part.shape
            )
            copy.grid = grid
            walk.add(copy)
            name = copy.name
        names.append(name)
    stage.inputs, stage.grid = tuple(names), grid
    return True


def _settle(walk: Walk, stage: Stage, grid: Grid) -> None:
    """Give 8 bits to the one operand of a sum that the file does not round.

    Its range is what the sum's result can tell apart. Raises RefusalError for two such operands.
    """
    loose = [walk.stages[name] for name in stage.inputs if walk.stages[name].grid is None]
    if not loose:
        return
    known = [walk.stages[name].grid for name in stage.inputs if walk.stages[name].grid]
    if len(loose) > 1 or loose[0].op not in ("conv2d", "linear", "scale", "avg_pool"):
        raise RefusalError("adds maps that are not rounded", "", "round both operands of the sum")
    assert known[0] is not None
    low, high = grid.range()
    least, most = known[0].range()
    low, high = max(low - most, loose[0].clip[0]), min(high - least, loose[0].clip[1])
    step = grid.scale * 2.0 ** -math.floor(math.log2(255 * grid.scale / (high - low)))
    loose[0].grid = Grid(step, min(max(round(-low / step), 0), 255), 8, signed=low < 0)
    walk.table.rows.append(
        Row(stage.name, "Add", "folded", loose[0].name, f"we round it: 8 bits of {step:g}")
    )


def _scale(walk: Walk, node: Node, stage: Stage) -> Stage:
    """Return a new stage that scales channels, by 1 so far."""
    stage.closed = True
    made = Stage(walk.name(node), "scale", (stage.name,), stage.shape)
    walk.add(made)
    return made


def _like(walk: Walk, stage: Stage, value: Value) -> Value:
    """Return the tensor that lies in ``stage`` as ``value`` does in the stage that it copies."""
    return Value(stage.name, walk.index(value), value.pads)


# Clips and scales ----------------------------------------------------------------------------


def clip(walk: Walk, node: Node) -> Row:
    """Map Relu, Relu6 and Clip: the end of an open stage, or a layer of its own."""
    low, high = (0.0, math.inf) if node.op == "Relu" else _limits(walk, node)
    if not low < high:
        raise RefusalError(f"clips to {low:g}..{high:g}", "min")
    value = walk.value(node)
    stage = walk.stages[value.stage]
    least, most = stage.grid.range() if stage.grid else UNCLIPPED
    if low <= least and high >= most:
        walk.put(node, value)
        return moves.row(walk, node, "clips nothing: its input has no such values")
    target = _open(walk, stage)
    if target is not None:
        target.clip_to(low, high)
        walk.put(node, value)
        return moves.row(walk, node, f"clips the layer to {low:g}..{high:g}")
    made = _scale(walk, node, stage)
    made.clip_to(low, high)
    walk.put(node, _like(walk, made, value))
    return sums.mapped(node, made)


def _open(walk: Walk, stage: Stage) -> Stage | None:
    """Return the open stage whose result a clip may limit: before a max pooling, that's the same."""
    if stage.is_open and stage.op == "max_pool":
        return _open(walk, walk.stages[stage.inputs[0]])
    return stage if stage.is_open else None


def _limits(walk: Walk, node: Node) -> tuple[float, float]:
    low, high = node.attributes.get("low", -math.inf), node.attributes.get("high", math.inf)
    found = []
    for position, value, what in ((1, low, "min"), (2, high, "max")):
        given = walk.constant(node, position, what)
        found.append(float(np.ravel(given.values)[0]) if given else float(value))
    return found[0], found[1]


def affine(walk: Walk, node: Node, value: Value, gain: Reals, offset: Reals) -> Row:
    """Multiply each channel by ``gain`` and add ``offset``, both of the stage's (channels,)."""
    if not (np.isfinite(gain).all() and np.isfinite(offset).all()):
        raise RefusalError("its numbers are not finite (NaN or infinity)")
    stage = walk.stages[value.stage]
    if stage.op == "input" and stage.grid is None and not stage.closed:
        stage.scale_by(gain, offset)
        walk.put(node, value)
        return moves.row(walk, node, "the host scales the input", "host")
    if stage.takes_affine(gain, offset):
        stage.scale_by(gain, offset)
        if stage.clip != UNCLIPPED and np.ptp(gain) > 0 and math.isfinite(stage.clip[1]):
            raise RefusalError("scales channels of a clipped map differently")
        walk.put(node, value)
        return moves.row(walk, node, "part of the layer's scale and bias")
    if any(value.pads):
        raise RefusalError("scales a padded map", "", "pad in the convolution behind it")
    made = _scale(walk, node, stage)
    made.scale_by(gain, offset)
    walk.put(node, _like(walk, made, value))
    return sums.mapped(node, made)


def batch_norm(walk: Walk, node: Node) -> Row:
    """Map batch norm: a scale and an offset of each channel."""
    value = walk.value(node)
    numbers = [
        walk.constant(node, position, what)
        for position, what in enumerate(("scale", "B", "mean", "var"), 1)
    ]
    if None in numbers or node.attributes.get("training_mode", 0):
        raise RefusalError("is in training mode", "training_mode", "export for inference")
    scale, shift, mean, variance = (np.ravel(n.values).astype(float) for n in numbers if n)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    along = (1, -1, *[1] * (value.index.ndim - 2))
    gain, offset = factor.reshape(along), (shift - mean * factor).reshape(along)
    return affine(walk, node, value, *_by_channel(walk, value, gain, offset))


def _by_channel(walk: Walk, value: Value, gain: Any, offset: Any) -> tuple[Reals, Reals]:
    """Return numbers that broadcast to a tensor as those of its stage's channels."""
    index = walk.index(value)
    stage = walk.stages[value.stage]
    size = stage.shape[1] * stage.shape[2]
    found = []
    for numbers, default in ((gain, 1.0), (offset, 0.0)):
        try:
            spread = np.broadcast_to(np.asarray(numbers, np.float64), index.shape)
        except ValueError:
            raise RefusalError(
                f"a constant of shape {np.shape(numbers)} does not fit a map of {index.shape}",
                "shape",
            ) from None
        whole = np.full(stage.shape[0] * size, np.nan)
        whole[index.ravel()] = spread.ravel()
        maps = whole.reshape(stage.shape[0], size)
        per_channel = np.where(np.isnan(maps).all(axis=1), default, np.nanmax(maps, axis=1, initial=-np.inf))
        if ((maps != per_channel[:, None]) & ~np.isnan(maps)).any():
            raise RefusalError(
                "its constant differs within a channel", "shape", "one number for each channel"
            )
        found.append(per_channel)
    return found[0], found[1]


def arithmetic(walk: Walk, node: Node) -> Row:
    """Map Add, Sub, Mul and Div: of a map and a constant, or the sum of two maps."""
    constants = [position for position in (0, 1) if node.inputs[position] in walk.constants]
    if not constants:
        if node.op in ("Add", "Sub"):
            return sums.add(walk, node, 1.0 if node.op == "Add" else -1.0)
        raise RefusalError("combines two computed maps", "", "sums of maps")
    found = walk.constants[node.inputs[constants[0]]]
    value, number = walk.value(node, 1 - constants[0]), found.values.astype(np.float64)
    if node.op == "Div" and constants[0] == 0:
        raise RefusalError("divides by a computed map")
    with np.errstate(all="ignore"):
        gain, offset = {
            "Add": (1.0, number),
            "Sub": (1.0, -number) if constants[0] else (-1.0, number),
            "Mul": (number, 0.0),
            "Div": (1 / number if node.op == "Div" else 1.0, 0.0),
        }[node.op]
    return affine(walk, node, value, *_by_channel(walk, value, gain, offset))


def concat(walk: Walk, node: Node) -> Row:
    """Map the concatenation of maps of equal rows and columns, along any axis of the file."""
    values = [walk.value(node, position) for position in range(len(node.inputs))]
    axis = int(node.attributes.get("axis", 1))
    if len(values) == 1:
        return moves.same(walk, node)
    parts = [walk.stages[value.stage] for value in values]
    if len({stage.shape[1:] for stage in parts}) > 1 or any(any(v.pads) for v in values):
        raise RefusalError("joins maps of different rows and columns, or padded ones", "axis")
    base, indices = 0, []
    for stage, value in zip(parts, values, strict=True):
        indices.append(walk.index(value) + base)
        base += int(np.prod(stage.shape))
    try:
        index = np.concatenate(indices, axis)
    except ValueError as error:
        raise RefusalError(str(error), "axis") from None
    shape = (sum(stage.shape[0] for stage in parts), *parts[0].shape[1:])
    made = Stage(walk.name(node), "concat", tuple(stage.name for stage in parts), shape)
    walk.put(node, walk.add(made, index))
    grids = [stage.grid for stage in parts]
    if grids[0] is not None and all(same_grid(grid, grids[0]) for grid in grids):
        made.grid = grids[0]
    return sums.mapped(node, made)


HANDLERS: Mapping[str, Handler] = {
    "Conv": sums.conv,
    "Gemm": sums.linear,
    "MatMul": sums.linear,
    "AveragePool": sums.average_pool,
    "GlobalAveragePool": sums.average_pool,
    "ReduceMean": sums.average_pool,
    "MaxPool": sums.max_pool,
    "GlobalMaxPool": sums.max_pool,
    "Add": arithmetic,
    "Sub": arithmetic,
    "Mul": arithmetic,
    "Div": arithmetic,
    "Concat": concat,
    "Relu": clip,
    "Clip": clip,
    "BatchNormalization": batch_norm,
    "Quantise": quantise,
    "Pad": moves.pad,
    "Shape": moves.shape_of,
    **dict.fromkeys(moves.MOVES, moves.move),
    **dict.fromkeys(moves.SAME, moves.same),
    "Dequantise": dequantise,
}
"""What makes stages of a node, by its operator."""
