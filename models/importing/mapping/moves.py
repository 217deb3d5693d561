"""Operators that move values or leave them alone, and all operators on constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.graph.verifier import MOST_SIDE
from models.importing.mapping import layouts
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import Handler, Value, Walk
from models.importing.readers.foreign import Constant, Node, check_shape
from models.importing.readers.table import RefusalError, Row


def row(walk: Walk, node: Node, note: str, fate: str = "folded") -> Row:
    """Return the table's line of a node that became part of the layer of its first output."""
    found = walk.values.get(node.outputs[0])
    return Row(node.name, node.operator or node.op, fate, found.stage if found else "", note)


# Moves ---------------------------------------------------------------------------------------


def arrange(walk: Walk, node: Node, array: Any) -> list[Any]:
    """Return the outputs of a node that moves the values of ``array`` about. Raises RefusalError.

    array: numpy array of the first input: values, or their positions.
    """
    given = node.attributes
    match node.op:
        case "Reshape":
            target = walk.numbers(node, 1, "shape") or []
            return [layouts.reshaped(array, target, bool(given.get("allowzero", 0)))]
        case "Flatten":
            return [layouts.flattened(array, given.get("axis", 1))]
        case "Transpose":
            perm = given.get("perm", tuple(range(array.ndim))[::-1])
            if sorted(perm) != list(range(array.ndim)):
                raise RefusalError(f"perm {list(perm)} of {array.ndim} axes", "perm")
            return [array.transpose(perm)]
        case "Squeeze":
            return [layouts.squeezed(array, walk.numbers(node, 1, "axes"))]
        case "Unsqueeze":
            return [layouts.unsqueezed(array, walk.numbers(node, 1, "axes") or [])]
        case "Slice":
            starts, ends = walk.numbers(node, 1, "starts"), walk.numbers(node, 2, "ends")
            cut, steps = walk.numbers(node, 3, "axes"), walk.numbers(node, 4, "steps")
            return [layouts.sliced(array, starts or [], ends or [], cut, steps)]
        case "Split":
            sizes, axis = walk.numbers(node, 1, "split"), given.get("axis", 0)
            return layouts.split(array, axis, sizes, len(node.outputs))
        case "Gather":
            picked = walk.constant(node, 1, "indices")
            axis = given.get("axis", 0)
            assert picked is not None
            taken = array.size // array.shape[axis] * picked.values.size
            check_shape([max(taken, 1)], node.outputs[0])
            try:
                return [np.take(array, picked.values.astype(np.int64), axis)]
            except IndexError as error:
                raise RefusalError(str(error), "indices") from None
    if node.op == "Resize":
        return [_resized(walk, node, array)]
    return [layouts.blocks(node.op, array, given["blocksize"], given.get("mode", "DCR"))]


def _resized(walk: Walk, node: Node, array: Any) -> Any:
    """Return a map resized to its nearest values. Raises RefusalError for other ways."""
    given = node.attributes
    if given.get("mode", "nearest") != "nearest":
        raise RefusalError(
            f"resizes by {given['mode']} interpolation", "mode",
            "nearest, or a transposed convolution with fixed weights",
        )  # fmt: skip
    factors, sides = walk.constant(node, 2, "scales"), walk.numbers(node, 3, "sizes")
    axes = [int(axis) % array.ndim for axis in given.get("axes", range(array.ndim))]
    scales = np.ravel(factors.values).tolist() if factors else []
    scales, sides = scales or [0.0] * len(axes), sides or [0] * len(axes)
    if given.get("keep_aspect_ratio_policy", "stretch") != "stretch" or len(sides) != len(scales):
        raise RefusalError("keeps the aspect ratio", "keep_aspect_ratio_policy", "stretch")
    for axis, scale, side in zip(axes, scales, sides, strict=True):
        made = int(side) or int(array.shape[axis] * scale)
        check_shape([max(array.size // array.shape[axis] * made, 1), made], node.outputs[0])
        if made != array.shape[axis]:
            array = layouts.nearest(array, axis, made, scale or made / array.shape[axis], given)
    return array


MOVES = (
    "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather",
    "DepthToSpace", "SpaceToDepth", "Resize",
)  # fmt: skip
SAME = ("Identity", "Dropout", "Cast")
"""Operators that pass their values on; of training, or of number formats."""
_REALS = (1, 10, 11, 16)
"""Types of real numbers that Cast may name (onnx.TensorProto)."""


def move(walk: Walk, node: Node) -> Row:
    """Map an operator that moves values: only positions change."""
    value = walk.value(node)
    if len(node.outputs) > 1:  # what follows one part is not what follows the others
        walk.stages[value.stage].closed = True
    for position, index in enumerate(arrange(walk, node, value.index)):
        check_shape(index.shape, node.outputs[position])
        walk.put(node, Value(value.stage, index, value.pads), position)
    return row(walk, node, "positions only")


def same(walk: Walk, node: Node) -> Row:
    """Map an operator that leaves its values alone."""
    if node.attributes.get("to", 1) not in _REALS:
        raise RefusalError("makes integers of its input", "to", "quantise with QuantizeLinear")
    if any(walk.numbers(node, 2, "training_mode") or ()):
        raise RefusalError("is in training mode", "training_mode", "export for inference")
    walk.put(node, walk.value(node))
    return row(walk, node, "leaves its values alone")


def shape_of(walk: Walk, node: Node) -> Row:
    """Map Shape: the shape is known."""
    name = node.inputs[0]
    found = walk.values[name].index if name in walk.values else np.zeros(1)
    walk.constants[node.outputs[0]] = shape_constant(node, found)
    return row(walk, node, "a constant")


def shape_constant(node: Node, array: Any) -> Constant:
    """Return what a Shape node gives of an array: its sides from ``start`` to ``end``."""
    given = node.attributes
    sides = array.shape[given.get("start", 0) : given.get("end", array.ndim)]
    return Constant(np.array(sides, np.int64))


def pad(walk: Walk, node: Node) -> Row:
    """Map Pad: the layer behind it reads zeros around its input."""
    value = walk.value(node)
    pads = walk.numbers(node, 1, "pads") or []
    fill = walk.constant(node, 2, "constant_value")
    number = float(np.ravel(fill.values)[0]) if fill else float(node.attributes.get("value", 0.0))
    if node.attributes.get("mode", "constant") != "constant":
        raise RefusalError(
            f"pads by {node.attributes['mode']}", "mode", "pad with zeros (mode constant)"
        )
    if number != 0:
        raise RefusalError(f"pads with {number:g}, not 0", "constant_value", "pad with zeros")
    axes = walk.numbers(node, 3, "axes")
    ndim = value.index.ndim
    sides = np.zeros((2, ndim), np.int64)
    sides[:, axes if axes is not None else slice(None)] = np.reshape(pads, (2, -1))
    if sides.min() < 0:
        raise RefusalError("negative padding cuts the map", "pads", "use Slice")
    if not sides.any():
        walk.put(node, value)
        return row(walk, node, "pads nothing")
    walk.put(node, padded(walk, value, sides))
    return row(walk, node, "padding of the layer behind it")


def padded(walk: Walk, value: Value, sides: Any) -> Value:
    """Return a tensor with zeros around its map; sides: (before and after, axes)."""
    index = walk.index(value)
    shape = walk.stages[value.stage].shape
    if index.ndim == 3:  # a sequence (1, channels, columns)
        index, sides = index[:, :, None, :], np.insert(sides, 2, 0, axis=1)
    rows, cols = _map_axes(index, shape)
    others = [axis for axis in range(index.ndim) if axis not in (rows, cols)]
    if sides[:, others].any():
        raise RefusalError("pads other axes than rows and columns", "pads")
    top, left, bottom, right = (
        int(sides[0, rows]), int(sides[0, cols]), int(sides[1, rows]), int(sides[1, cols]),
    )  # fmt: skip
    pads = tuple(map(sum, zip(value.pads, (top, left, bottom, right), strict=True)))
    if max(pads[0] + pads[2], pads[1] + pads[3]) >= MOST_SIDE:
        raise RefusalError(f"is padded by {max(pads)}", "pads", f"less than {MOST_SIDE}")
    return Value(value.stage, value.index, (pads[0], pads[1], pads[2], pads[3]))


def _map_axes(index: Any, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the axes of a tensor of 4 along which rows and columns of its stage lie."""
    if index.ndim == 4:
        for rows, cols, rest in ((2, 3, (1, 2, 3)), (1, 2, (3, 1, 2))):
            view = index.transpose((0, *rest))
            if view.shape[1:] == shape and layouts.channels(view, shape) is not None:
                return rows, cols
    raise RefusalError("pads what is no map of rows and columns", "pads")


def unpadded(handler: Handler) -> Handler:
    """Return a handler whose node reads the zeros around its inputs as values of a layer."""

    def handle(walk: Walk, node: Node) -> Row:
        for name in node.inputs:
            if name in walk.values:
                walk.values[name] = filled(walk, walk.values[name], name)
        return handler(walk, node)

    return handle


def filled(walk: Walk, value: Value, name: str) -> Value:
    """Return a tensor whose zeros around the map are values of a layer of its own.

    That is a window as large as the padding, of which one place is 1. The tensor itself if it has
    no padding.
    """
    if not any(value.pads):
        return value
    index, top, left = walk.index(value), value.pads[0], value.pads[1]
    stage = walk.closed(value)
    tall, wide = top + value.pads[2], left + value.pads[3]
    channels = stage.shape[0]
    walk.memory.take(name, channels * (tall + 1) * (wide + 1))
    walk.memory.take(name, channels * (stage.shape[1] + tall) * (stage.shape[2] + wide))
    place = np.zeros((channels, 1, tall + 1, wide + 1), np.int64)
    place[:, :, value.pads[2], value.pads[3]] = 1
    made = Stage(
        walk.unused(f"{walk.layer_name(name)}_padded"),
        "conv2d",
        (stage.name,),
        (channels, stage.shape[1] + tall, stage.shape[2] + wide),
        (Kernel(place.astype(np.float64), place, np.ones(channels)),),
        channels,
        pads=(tall, wide, tall, wide),
        grid=stage.grid,
    )
    view = index[:, :, None, :] if index.ndim == 3 else index
    rows, cols = _map_axes(view, stage.shape)
    first = np.moveaxis(view, (rows, cols), (2, 3))
    picks = layouts.channels(first, stage.shape)
    maps = walk.add(made).index[:, picks]
    maps = np.moveaxis(maps, (2, 3), (rows, cols))
    return Value(made.name, maps[:, :, 0, :] if index.ndim == 3 else maps)
