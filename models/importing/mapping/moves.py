"""Operators that move values or leave them alone, and all operators on constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.importing.mapping import layouts
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import REALS, Constant, Node, check_shape
from models.importing.readers.grids import Rounding
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
            return [layouts.squeezed(array, walk.numbers(node, 1, "axes") or None)]
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
        known = given["mode"] == "linear"
        raise RefusalError(
            f"resizes {'a constant ' if known else ''}by {given['mode']} interpolation", "mode",
            "fold constants before the export" if known else "nearest or linear",
        )  # fmt: skip
    for axis, made, scale in resized_sides(walk, node, array.shape):
        check_shape([max(array.size // array.shape[axis] * made, 1), made], node.outputs[0])
        array = layouts.nearest(array, axis, made, scale, given)
    return array


def resized_sides(walk: Walk, node: Node, shape: tuple[int, ...]) -> list[tuple[int, int, float]]:
    """Return axes that Resize changes, with their places then and the scale. Raises RefusalError.

    shape: of its input.
    """
    given = node.attributes
    factors, sides = walk.constant(node, 2, "scales"), walk.numbers(node, 3, "sizes")
    axes = [int(axis) % len(shape) for axis in given.get("axes", range(len(shape)))]
    scales = np.ravel(factors.values).tolist() if factors else []
    scales, sides = scales or [0.0] * len(axes), sides or [0] * len(axes)
    if given.get("keep_aspect_ratio_policy", "stretch") != "stretch" or len(sides) != len(scales):
        raise RefusalError("keeps the aspect ratio", "keep_aspect_ratio_policy", "stretch")
    found = []
    for axis, scale, side in zip(axes, scales, sides, strict=True):
        # As ONNX Runtime counts: 0.7 of 10 places are 7 in float32, and 6 in float64.
        made = int(side) or int(np.float32(shape[axis]) * np.float32(scale))
        scale = scale or made / shape[axis]
        if scale != 1:
            found.append((axis, made, scale))
    return found


MOVES = (
    "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather",
    "DepthToSpace", "SpaceToDepth", "Resize",
)  # fmt: skip
SAME = ("Identity", "Dropout", "Cast")
"""Operators that pass their values on; of training, or of number formats."""


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
    kind = node.attributes.get("kind")  # that Cast names
    if kind is not None and kind.name not in REALS:
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
    return Constant.of(np.array(sides, np.int64))


# Constants ------------------------------------------------------------------------------------

_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.true_divide,
    "Neg": np.negative, "Sqrt": np.sqrt, "Abs": np.abs, "Exp": np.exp, "Floor": np.floor,
    "Ceil": np.ceil, "Pow": np.power, "Sign": np.sign, "Reciprocal": np.reciprocal,
    "Max": np.maximum, "Min": np.minimum,
}  # fmt: skip


def fold(walk: Walk, node: Node) -> Row:
    """Compute a node of constants alone. Raises RefusalError for an operator that is not known."""
    outputs = _folded(walk, node)
    given = [walk.constants[name].values for name in node.inputs if name]
    for name, found in zip(node.outputs, outputs, strict=False):
        if not any(np.may_share_memory(found.values, array) for array in given):
            walk.memory.take(name, found.values.size)
        check_shape([max(side, 1) for side in found.values.shape], name)
        walk.constants[name] = found
    return row(walk, node, "a constant")


def _folded(walk: Walk, node: Node) -> list[Constant]:
    inputs = [walk.constants[name] for name in node.inputs if name]
    if node.op == "Shape":
        return [shape_constant(node, inputs[0].values)]
    if node.op == "Cast" and "kind" in node.attributes:
        return [_cast(inputs[0], node.attributes["kind"])]
    if node.op in SAME and inputs:
        return [inputs[0]] * len(node.outputs)
    if node.op in MOVES and inputs:
        return _moved(walk, node, inputs[0])
    rounding = node.attributes.get("grid")
    if isinstance(rounding, Rounding):
        change = rounding.rounded if node.op == "Quantise" else rounding.decoded
        return [change(inputs[0])]
    values = [found.values for found in inputs]
    if node.op == "Concat" and values:
        check_shape([max(sum(array.size for array in values), 1)], node.outputs[0])
        try:
            joined = np.concatenate(values, axis=node.attributes.get("axis", 0))
            return [Constant(joined, kind=inputs[0].kind)]
        except ValueError as error:
            raise RefusalError(str(error), "axis") from None
    if node.op in ("ConstantOfShape", "Expand"):
        return [_repeated(node, inputs)]
    if node.op in _ARITHMETIC and values:
        return [_computed(node, inputs)]
    raise RefusalError("is not computed on constants", "", "fold constants before the export")


def _moved(walk: Walk, node: Node, found: Constant) -> list[Constant]:
    values = arrange(walk, node, found.values)
    if found.codes is None or found.scale is None:
        return [Constant(array, kind=found.kind) for array in values]
    codes = arrange(walk, node, found.codes)
    scales = arrange(walk, node, np.broadcast_to(found.scale, found.codes.shape))
    return [Constant(*parts, found.offset) for parts in zip(values, codes, scales, strict=True)]


def _repeated(node: Node, inputs: list[Constant]) -> Constant:
    """Return a number, or a constant, repeated to a shape that memory can hold."""
    sides = tuple(int(side) for side in np.ravel(inputs[-1].values))
    first, own = inputs[0], np.shape(inputs[0].values)
    if node.op == "ConstantOfShape":
        number = np.ravel(node.attributes.get("value", np.zeros(1, np.float32)))
        first, own = Constant.of(number[:1].reshape(())), ()
    try:
        whole = np.broadcast_shapes(own, sides)
        check_shape([max(side, 1) for side in whole], node.outputs[0])
        repeated = np.ascontiguousarray(np.broadcast_to(first.values, whole))
        return Constant(repeated, kind=first.kind)
    except ValueError as error:
        raise RefusalError(str(error), "shape") from None


def _cast(found: Constant, kind: np.dtype[Any]) -> Constant:
    """Return a constant in another type, as ONNX's Cast makes it. Raises RefusalError."""
    if kind.hasobject:
        raise RefusalError("makes no numbers of its input", "to")
    is_real = kind.name in REALS
    if kind == found.kind or (is_real and found.codes is not None):
        return found
    with np.errstate(all="ignore"):
        made = Constant.of(found.own.astype(kind))
    # Integers wrap; what real numbers become that do not fit depends on the machine.
    cut = found.values.dtype.kind == "f" and not is_real and kind.kind != "b"
    if cut and not np.array_equal(np.trunc(found.values), made.values):
        raise RefusalError(f"has values that {kind.name} does not hold", "to")
    return made


def _computed(node: Node, inputs: list[Constant]) -> Constant:
    """Return what a node computes of constants: in the first one's type, where the file says it."""
    values, kind = [found.own for found in inputs], inputs[0].kind
    try:
        sides = np.broadcast_shapes(*(array.shape for array in values))
        check_shape([max(side, 1) for side in sides], node.outputs[0])
        whole = node.op == "Div" and kind is not None and kind.kind in "iu"
        with np.errstate(all="ignore"):
            function = _quotient if whole else _ARITHMETIC[node.op]
            found = values[0] if len(values) > 2 else function(*values)
            for other in values[1:] if len(values) > 2 else ():
                found = function(found, other)
            made = Constant(found) if kind is None else Constant.of(found.astype(kind))
    except (ValueError, TypeError) as error:
        raise RefusalError(f"cannot be computed ({error})") from None
    if made.values.dtype.kind == "f" and not math.isfinite(float(np.sum(np.abs(made.values)))):
        raise RefusalError("gives values that are not finite")
    return made


def _quotient(first: Any, second: Any) -> Any:
    """Return quotients of integers without their fractions: -7 / 2 is -3."""
    if not np.all(second):
        raise ValueError("divides by 0")
    return (first - np.fmod(first, second)) // second
