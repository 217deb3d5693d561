"""Operators on constants, which are computed while the file is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.importing.mapping.moves import MOVES, SAME, arrange, row, shape_constant
from models.importing.mapping.walk import Walk
from models.importing.readers.foreign import Constant, Node, check_shape
from models.importing.readers.grids import Rounding
from models.importing.readers.table import RefusalError, Row

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
            return [Constant(np.concatenate(values, axis=node.attributes.get("axis", 0)))]
        except ValueError as error:
            raise RefusalError(str(error), "axis") from None
    if node.op in ("ConstantOfShape", "Expand"):
        return [Constant(_repeated(node, values))]
    if node.op in _ARITHMETIC and values:
        return [Constant(_computed(node, values))]
    raise RefusalError("is not computed on constants", "", "fold constants before the export")


def _moved(walk: Walk, node: Node, found: Constant) -> list[Constant]:
    values = arrange(walk, node, found.values)
    if found.codes is None or found.scale is None:
        return [Constant(array) for array in values]
    codes = arrange(walk, node, found.codes)
    scales = arrange(walk, node, np.broadcast_to(found.scale, found.codes.shape))
    return [Constant(*parts, found.offset) for parts in zip(values, codes, scales, strict=True)]


def _repeated(node: Node, values: list[Any]) -> Any:
    """Return a number, or a constant, repeated to a shape that memory can hold."""
    sides = tuple(int(side) for side in np.ravel(values[-1]))
    first = node.attributes.get("value", np.zeros(1)) if node.op == "ConstantOfShape" else values[0]
    try:
        whole = np.broadcast_shapes(np.shape(first) if node.op == "Expand" else (), sides)
        check_shape([max(side, 1) for side in whole], node.outputs[0])
        number = first if node.op == "Expand" else np.ravel(first)[0]
        return np.ascontiguousarray(np.broadcast_to(number, whole))
    except ValueError as error:
        raise RefusalError(str(error), "shape") from None


def _computed(node: Node, values: list[Any]) -> Any:
    try:
        sides = np.broadcast_shapes(*(array.shape for array in values))
        check_shape([max(side, 1) for side in sides], node.outputs[0])
        whole = node.op == "Div" and all(array.dtype.kind == "i" for array in values)
        with np.errstate(all="ignore"):
            function = np.floor_divide if whole else _ARITHMETIC[node.op]
            found = values[0] if len(values) > 2 else function(*values)
            for other in values[1:] if len(values) > 2 else ():
                found = function(found, other)
    except (ValueError, TypeError) as error:
        raise RefusalError(f"cannot be computed ({error})") from None
    if found.dtype.kind == "f" and not math.isfinite(float(np.sum(np.abs(found)))):
        raise RefusalError("gives values that are not finite")
    return found
