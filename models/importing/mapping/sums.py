"""Operators that sum products: convolutions, matrix products, average pools, sums of two maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.graph.verifier import MOST_SIDE, MOST_WEIGHTS
from models.importing.mapping import layouts, moves
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import Value, Walk, same_grid
from models.importing.readers.foreign import Constant, Ints, Node, Reals
from models.importing.readers.table import RefusalError, Row

NO_PADS = (0, 0, 0, 0)


def mapped(node: Node, stage: Stage) -> Row:
    """Return the table's line of a node that became a layer."""
    return Row(node.name, node.operator or node.op, "mapped", stage.name)


def conv(walk: Walk, node: Node) -> Row:
    """Map a convolution of 1 or 2 dimensions, grouped and dilated ones included."""
    value, weights = walk.value(node), _kernel(walk.constant(node, 1, "weights"))
    groups = int(node.attributes.get("group", 1))
    if weights.values.ndim == 3:
        weights = _each(weights, lambda array: array[:, :, None, :])
    elif weights.values.ndim != 4:
        raise RefusalError(
            f"weights of {weights.values.ndim} axes", "weights", "1-D or 2-D convolutions"
        )
    weights = _dilated(walk, weights, pair(node, "dilations"))
    out, per_group = weights.values.shape[:2]
    value, picks = walk.aligned(value)
    if groups < 1 or len(picks) != per_group * groups or out % groups:
        raise RefusalError(
            f"weights {weights.values.shape} in {groups} groups do not fit {len(picks)} channels",
            "group",
        )
    straight = np.array_equal(picks, np.arange(walk.stages[value.stage].shape[0]))
    if not straight and groups > 1:
        value, straight = walk.straight(value, walk.name(node)), True
    stage = walk.closed(value)
    if not straight:
        weights = _each(weights, lambda array: _spread(walk, array, picks, stage.shape[0]))
    kernel, stride = weights.values.shape[2:], pair(node, "strides")
    pads = layouts.padding_of(node.attributes, stage.shape[1:], kernel, stride)
    pads = sum4(pads, value.pads)
    made = Stage(
        walk.name(node),
        "conv2d",
        (stage.name,),
        (out, *output_places(stage.shape, kernel, stride, pads)),
        (weights,),
        groups,
        stride,
        pads,
    )
    _add_bias(walk, node, made, 2)
    walk.put(node, as_read(walk.add(made), walk.index(walk.value(node)).ndim))
    return mapped(node, made)


def as_read(value: Value, ndim: int) -> Value:
    """Return a map as the file sees it: a sequence (1, channels, columns) has no rows."""
    return Value(value.stage, value.index[:, :, 0, :]) if ndim == 3 else value


def linear(walk: Walk, node: Node) -> Row:
    """Map Gemm, and MatMul of a vector with constant weights."""
    given = node.attributes
    value = walk.value(node)
    weights = _kernel(walk.constant(node, 1, "B"), int(not given.get("transB", 0)))
    if weights.values.ndim != 2 or given.get("transA", 0):
        raise RefusalError("its weights must be a matrix, its input a row", "B")
    if any(value.pads):
        raise RefusalError("reads a padded map", "", "pad before a convolution")
    if value.index.ndim < 1 or value.index.shape[-1] != weights.values.shape[1]:
        raise RefusalError(
            f"weights {weights.values.shape} do not fit an input of {value.index.shape}", "B"
        )
    if value.index.size != weights.values.shape[1]:
        raise RefusalError(
            f"multiplies each row of an input of {value.index.shape}",
            "A",
            "a 1x1 convolution, or a flattened input",
        )
    index = walk.index(value).ravel()
    stage = walk.closed(value)
    if math.prod(stage.shape) * len(weights.values) > MOST_WEIGHTS:
        raise RefusalError(f"has more than {MOST_WEIGHTS} weights", "B")
    weights = _each(
        weights,
        lambda array: _spread(walk, array, index, math.prod(stage.shape)).reshape(-1, *stage.shape),
    )
    out = len(weights.values)
    made = Stage(walk.name(node), "linear", (stage.name,), (out, 1, 1), (weights,))
    made.gain = made.gain * float(given.get("alpha", 1.0))
    _add_bias(walk, node, made, 2, float(given.get("beta", 1.0)))
    shape = (*value.index.shape[:-1], out)
    walk.put(node, Value(made.name, layouts.positions(shape)))
    walk.add(made)
    return mapped(node, made)


def add(walk: Walk, node: Node, sign: float = 1.0) -> Row:
    """Map the sum (or difference) of two maps."""
    first, second = walk.value(node, 0), walk.value(node, 1)
    indices = walk.index(first), walk.index(second)
    if indices[0].shape != indices[1].shape or any(first.pads) or any(second.pads):
        raise RefusalError(
            f"adds maps of {indices[0].shape} and {indices[1].shape}",
            "shape",
            "maps of one shape",
        )
    name = walk.name(node)
    shapes = [walk.stages[value.stage].shape for value in (first, second)]
    if shapes[0] != shapes[1] or not np.array_equal(*indices):
        first, second = walk.straight(first, name), walk.straight(second, name)
    stages = walk.stages[first.stage], walk.stages[second.stage]
    if stages[0].shape != stages[1].shape or stages[0] is stages[1]:
        raise RefusalError("adds maps that lie differently, or a map to itself", "shape")
    channels = stages[0].shape[0]
    ones = np.ones((channels, 1, 1, 1))
    kernels = (Kernel(ones), Kernel(sign * ones))
    inputs = (stages[0].name, stages[1].name)
    made = Stage(name, "add", inputs, stages[0].shape, kernels, channels)
    walk.put(node, walk.add(made, walk.index(first)))
    return mapped(node, made)


def concat(walk: Walk, node: Node) -> Row:
    """Map the concatenation of maps of equal rows and columns, along any axis of the file."""
    values = [walk.value(node, position) for position in range(len(node.inputs))]
    axis = int(node.attributes.get("axis", 1))
    if len(values) == 1:
        return moves.same(walk, node)
    inputs = [walk.index(value) for value in values]
    parts = [walk.stages[value.stage] for value in values]
    if len({stage.shape[1:] for stage in parts}) > 1 or any(any(v.pads) for v in values):
        raise RefusalError("joins maps of different rows and columns, or padded ones", "axis")
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


def pair(node: Node, attribute: str) -> tuple[int, int]:
    """Return (rows, columns) of an attribute, 1 where it is absent or of one dimension."""
    given = [int(n) for n in node.attributes.get(attribute, (1, 1))]
    given = [1, *given] if len(given) == 1 else given
    if len(given) != 2 or min(given) < 1 or max(given) > MOST_SIDE:
        raise RefusalError(f"{attribute} {given}", attribute, "one or two numbers >= 1")
    return given[0], given[1]


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


def _kernel(found: Constant | None, axis: int = 0) -> Kernel:
    """Return a constant as a kernel, with a scale for each output channel, along its first axis.

    axis: where the output channels lie in the file. Raises RefusalError.
    """
    if found is None:
        raise RefusalError("has no weights", "weights")
    if found.offset:
        raise RefusalError(
            f"weights have a zero point ({found.offset:+d} from the middle of their codes); the "
            "array multiplies symmetrical weights",
            "zero_point",
            "quantise again with symmetrical int8 weights, per channel",
        )
    if not np.isfinite(found.values).all():
        raise RefusalError("weights are not finite (NaN or infinity)", "weights")
    if found.values.ndim <= axis:
        raise RefusalError(f"weights of shape {found.values.shape}", "weights")
    values = np.moveaxis(found.values, axis, 0).astype(np.float64)
    if found.codes is None or found.scale is None:
        return Kernel(values)
    scale = np.moveaxis(np.broadcast_to(found.scale, found.codes.shape), axis, 0)
    scale = scale.reshape(len(values), -1)
    if (scale != scale[:, :1]).any():
        raise RefusalError(
            "weights of one output channel have several scales",
            "scale",
            "a scale for the tensor, or for each output channel",
        )
    return Kernel(values, np.moveaxis(found.codes, axis, 0), scale[:, 0])


def check_weights(walk: Walk, node: Node) -> None:
    """Raise RefusalError for weights that no input could be multiplied with."""
    if node.op in ("Conv", "Gemm", "MatMul"):
        transposed = node.op != "Conv" and not node.attributes.get("transB", 0)
        _kernel(walk.constant(node, 1, "weights"), int(transposed))


def _each(kernel: Kernel, change: Any) -> Kernel:
    """Return a kernel with a change made to values and codes alike."""
    codes = None if kernel.codes is None else change(kernel.codes)
    return Kernel(change(kernel.values), codes, kernel.scale)


def _dilated(walk: Walk, found: Kernel, dilation: tuple[int, int]) -> Kernel:
    """Return weights with the zeros between them that a dilation stands for."""
    if dilation == (1, 1):
        return found
    out, ins, rows, cols = found.values.shape
    tall, wide = (rows - 1) * dilation[0] + 1, (cols - 1) * dilation[1] + 1
    if max(tall, wide) > MOST_SIDE or out * ins * tall * wide > MOST_WEIGHTS:
        raise RefusalError(f"dilation {dilation} makes a kernel of {tall}x{wide}", "dilations")

    def spread(array: Any) -> Any:
        walk.memory.take("weights", out * ins * tall * wide)
        large = np.zeros((out, ins, tall, wide), array.dtype)
        large[:, :, :: dilation[0], :: dilation[1]] = array
        return large

    return _each(found, spread)


def _spread(walk: Walk, array: Any, places: Ints, size: int) -> Any:
    """Return weights with their second axis at ``places`` of one of ``size``, zeros elsewhere.

    Weights that read one place are summed.
    """
    walk.memory.take("weights", size * math.prod((array.shape[0], *array.shape[2:])))
    large = np.zeros((array.shape[0], size, *array.shape[2:]), array.dtype)
    for place, column in zip(places, np.moveaxis(array, 1, 0), strict=True):
        large[:, place] += column
    return large


def _add_bias(walk: Walk, node: Node, stage: Stage, position: int, factor: float = 1.0) -> None:
    found = walk.constant(node, position, "bias")
    if found is None:
        return
    try:
        values = np.broadcast_to(found.values.ravel(), stage.shape[:1]) * factor
    except ValueError:
        raise RefusalError(f"a bias of {found.values.shape} for {stage.shape[0]}", "bias") from None
    if not np.isfinite(values).all():
        raise RefusalError("the bias is not finite (NaN or infinity)", "bias")
    stage.bias = values.astype(np.float64)
    if found.codes is not None and found.scale is not None and factor == 1.0:
        codes = np.broadcast_to(found.codes.ravel(), stage.shape[:1])
        scale: Reals = np.broadcast_to(np.ravel(found.scale), stage.shape[:1])
        stage.bias_codes = (codes, scale)
