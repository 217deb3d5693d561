"""Operators that sum products: matrix products, sums of two maps; and concat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.graph.layers import Shape
from models.graph.verifier import MOST_SIDE, MOST_WEIGHTS
from models.importing.mapping import kernels, layouts, moves, phases
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import INPUT, Value, Walk, same_grid
from models.importing.readers.foreign import Node
from models.importing.readers.table import RefusalError, Row

NO_PADS = (0, 0, 0, 0)


def mapped(node: Node, stage: Stage) -> Row:
    """Return the table's line of a node that became a layer."""
    return Row(node.name, node.operator or node.op, "mapped", stage.name)


def as_read(value: Value, ndim: int) -> Value:
    """Return a map as the file sees it: a sequence (1, channels, columns) has no rows."""
    return Value(value.stage, value.index[:, :, 0, :]) if ndim == 3 else value


def linear(walk: Walk, node: Node) -> Row:
    """Map Gemm, and MatMul of a vector with constant weights."""
    given = node.attributes
    value = walk.value(node)
    constant = walk.constant(node, 1, "B")
    weights = kernels.kernel_of(kernels.matrix(constant), int(not given.get("transB", 0)))
    if weights.values.ndim != 2 or given.get("transA", 0):
        raise RefusalError("its weights must be a matrix, its input a row", "B")
    if value.index.ndim < 1 or value.index.shape[-1] != weights.values.shape[1]:
        raise RefusalError(
            f"weights {weights.values.shape} do not fit an input of {value.index.shape}", "B"
        )
    more = constant.values.ndim - max(value.index.ndim, 2) if constant else 0
    rows = (*[1] * more, *value.index.shape[:-1])
    if node.op == "Gemm":  # its output is a matrix always
        rows = rows or (1,)
    if value.index.size != weights.values.shape[1]:
        return _each_place(walk, node, value, weights, rows)
    part, index = kernels.within(walk, value.stage, walk.index(value).ravel())
    stage = walk.stages[part]
    stage.closed = True
    if math.prod(stage.shape) * len(weights.values) > MOST_WEIGHTS:
        raise RefusalError(f"has more than {MOST_WEIGHTS} weights", "B")
    weights = kernels.each(
        weights,
        lambda array: kernels.spread(walk, array, index, math.prod(stage.shape)).reshape(
            -1, *stage.shape
        ),
    )
    out = len(weights.values)
    made = Stage(walk.name(node), "linear", (stage.name,), (out, 1, 1), (weights,))
    made.gain = made.gain * float(given.get("alpha", 1.0))
    kernels.add_bias(walk, node, made, 2, float(given.get("beta", 1.0)))
    walk.put(node, Value(made.name, layouts.positions((*rows, out))))
    walk.add(made)
    return mapped(node, made)


def _each_place(
    walk: Walk, node: Node, value: Value, weights: Kernel, shape: tuple[int, ...]
) -> Row:
    """Map a matrix product of each row of its input: a 1x1 convolution, if columns are channels.

    shape: of its output, but for the columns.
    """
    if value.stage == INPUT and value.index.ndim == 3:
        walk.fix_input(np.moveaxis(value.index, -1, 1))
    rows = walk.index(value).reshape(-1, weights.values.shape[1])
    stage = walk.closed(value)
    size = math.prod(stage.shape[1:])
    picks, places = rows[0] // size, rows[:, 0] % size
    if (rows != picks * size + places[:, None]).any():
        raise RefusalError(
            f"multiplies each row of an input of {value.index.shape}, whose columns are not "
            "channels of one map",
            "A",
            "a 1x1 convolution, or a flattened input",
        )
    weights = kernels.each(
        weights, lambda array: kernels.spread(walk, array, picks, stage.shape[0])[:, :, None, None]
    )
    out = len(weights.values)
    made = Stage(walk.name(node), "conv2d", (stage.name,), (out, *stage.shape[1:]), (weights,))
    made.gain = made.gain * float(node.attributes.get("alpha", 1.0))
    kernels.add_bias(walk, node, made, 2, float(node.attributes.get("beta", 1.0)))
    index = np.arange(out) * size + places[:, None]
    walk.put(node, Value(made.name, index.reshape(*shape, out)))
    walk.add(made)
    return mapped(node, made)


def add(walk: Walk, node: Node, sign: float = 1.0) -> Row:
    """Map the sum (or difference) of two maps."""
    first, second = operands(walk, node)
    name = walk.name(node)
    shapes = walk.index(first).shape, walk.index(second).shape
    if shapes[0] != shapes[1]:
        first = repeated(walk, first, shapes[1], name)
        second = repeated(walk, second, shapes[0], name)
    first, second = matched(walk, first, second, name)
    stages = walk.stages[first.stage], walk.stages[second.stage]
    channels = stages[0].shape[0]
    ones = np.ones((channels, 1, 1, 1))
    both = (Kernel(ones), Kernel(sign * ones))
    weighted = [kernels.by_channel(walk, stage) for stage in stages]
    made = None
    if sign > 0 and weighted[0] and weighted[1]:
        ends, sources = (weighted[0][0], weighted[1][0]), (weighted[0][1], weighted[1][1])
        if sources[0] is not sources[1]:
            both, stages = ends, sources
        else:
            made = _of_one(sources[0], ends, name)
    if made is None:
        inputs = (stages[0].name, stages[1].name)
        made = Stage(name, "add", inputs, stages[0].shape, both, channels)
    walk.put(node, walk.add(made, walk.index(first)))
    return mapped(node, made)


def _of_one(stage: Stage, both: tuple[Kernel, Kernel], name: str) -> Stage | None:
    """Return the sum of two products of a map's channels as one: weights are added.

    None where their codes have several scales.
    """
    first, second = both
    if first.codes is None or second.codes is None or first.scale is None or second.scale is None:
        return None
    if not np.array_equal(first.scale, second.scale):
        return None
    kernel = Kernel(first.values + second.values, first.codes + second.codes, first.scale)
    return Stage(name, "conv2d", (stage.name,), stage.shape, (kernel,), stage.shape[0])


def matched(walk: Walk, first: Value, second: Value, name: str) -> tuple[Value, Value]:
    """Return two maps of one shape as tensors that lie alike in stages of one shape.

    Raises RefusalError for others.
    """
    indices = walk.index(first), walk.index(second)
    if indices[0].shape != indices[1].shape:
        raise RefusalError(
            f"combines maps of {indices[0].shape} and {indices[1].shape}",
            "shape",
            "maps of one shape",
        )
    places = [walk.stages[value.stage].shape for value in (first, second)]
    if places[0] != places[1] or not np.array_equal(*indices):
        first, second = phases.alike(walk, [first, second], name)
    stages = walk.stages[first.stage], walk.stages[second.stage]
    if stages[0].shape != stages[1].shape or stages[0] is stages[1]:
        raise RefusalError("combines maps that lie differently, or a map with itself", "shape")
    return first, second


def repeated(walk: Walk, value: Value, shape: tuple[int, ...], name: str) -> Value:
    """Return a tensor of one row or column repeated to as many as ``shape`` has, by layers.

    Each is a window of ones, as high as the map, of which one row lies on the input. The tensor
    itself where ``shape`` asks for nothing of the kind.
    """
    index, stage = walk.index(value), walk.stages[value.stage]
    if index.ndim not in (3, 4) or index.shape[:2] != shape[:2]:
        return value
    sides = [side if own == 1 else 1 for own, side in zip(index.shape[2:], shape[2:], strict=True)]
    if math.prod(sides) == 1 or layouts.channels(index, stage.shape) is None:
        return value
    rows, cols = (1, *sides)[-2:]  # a sequence has no rows
    return as_read(spread(walk, walk.straight(value, name), (rows, cols), name), index.ndim)


def spread(
    walk: Walk, value: Value, sides: tuple[int, int], name: str, weight: float = 1.0
) -> Value:
    """Return a map whose rows or columns, where it has one, are as many as ``sides`` says.

    value: channels lie as in its stage. weight: what all values are multiplied by.
    """
    stage = walk.closed(value)
    windows = [one for one in ((sides[0], 1), (1, sides[1])) if one != (1, 1)]
    for rows, cols in windows or [(1, 1)]:
        channels, *places = stage.shape
        ones = np.ones((channels, 1, rows, cols), np.int64)
        stage = Stage(
            walk.unused(f"{name}_repeated"),
            "conv2d",
            (stage.name,),
            (channels, places[0] + rows - 1, places[1] + cols - 1),
            (Kernel(ones.astype(np.float64) * weight, ones, np.full(channels, weight)),),
            channels,
            pads=(rows - 1, cols - 1, rows - 1, cols - 1),
            grid=stage.grid,
            closed=True,
        )
        value, weight = walk.add(stage), 1.0
    return value


def concat(walk: Walk, node: Node) -> Row:
    """Map the concatenation of maps of equal rows and columns, along any axis of the file."""
    values = [walk.value(node, position) for position in range(len(node.inputs))]
    axis = int(node.attributes.get("axis", 1))
    if len(values) == 1:
        return moves.same(walk, node)
    if len({walk.stages[value.stage].shape[1:] for value in values}) > 1:
        values = phases.alike(walk, values, walk.name(node))
    inputs = [walk.index(value) for value in values]
    parts = [walk.stages[value.stage] for value in values]
    base, indices = 0, []
    for stage, index in zip(parts, inputs, strict=True):
        indices.append(index + base)
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
    return mapped(node, made)


# Helpers -------------------------------------------------------------------------------------


def operands(walk: Walk, node: Node) -> list[Value]:
    """Return the inputs of a node that are no constants, with as many axes as any input has.

    Axes that others have in front are of length 1: so tensors are broadcast.
    """
    known = [walk.constants[name].values for name in node.inputs if name in walk.constants]
    found = [walk.value(node, at) for at, name in enumerate(node.inputs) if name in walk.values]
    most = max(array.ndim for array in (*known, *(value.index for value in found)))
    for at, value in enumerate(found):
        if more := most - value.index.ndim:
            walk.index(value)  # the input is laid out as the file has it
            found[at] = replace(value, index=np.expand_dims(value.index, tuple(range(more))))
    return found


def pair(node: Node, attribute: str) -> tuple[int, int]:
    """Return (rows, columns) of an attribute, 1 where it is absent or of one dimension."""
    given = [int(n) for n in node.attributes.get(attribute, (1, 1))]
    given = [1, *given] if len(given) == 1 else given
    if len(given) != 2 or min(given) < 1 or max(given) > MOST_SIDE:
        raise RefusalError(f"{attribute} {given}", attribute, "one or two numbers >= 1")
    return given[0], given[1]


def padded_sides(shape: Shape, value: Value) -> tuple[int, int]:
    """Return rows and columns of a map of ``shape``, with the zeros around ``value``."""
    top, left, bottom, right = value.pads
    return shape[1] + top + bottom, shape[2] + left + right


def sum4(
    first: tuple[int, int, int, int], second: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    top, left, bottom, right = (a + b for a, b in zip(first, second, strict=True))
    return top, left, bottom, right


def output_places(
    shape: tuple[int, int, int],
    kernel: Sequence[int],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
    node: Node | None = None,
) -> tuple[int, int]:
    """Return rows and columns of the output of windows over a map. Raises RefusalError."""
    found = []
    up = node is not None and bool(node.attributes.get("ceil_mode", 0))
    for axis in (0, 1):
        room = shape[1 + axis] + pads[axis] + pads[axis + 2] - kernel[axis]
        if room < 0:
            raise RefusalError(f"kernel {tuple(kernel)} is larger than its padded input {shape}")
        count = (-(-room // stride[axis]) if up else room // stride[axis]) + 1
        if up and (count - 1) * stride[axis] >= shape[1 + axis] + pads[axis]:
            count -= 1
        found.append(count)
    return found[0], found[1]
