"""Integers in ONNX files: which operators may read them, and clips that narrow codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.importing.readers.foreign import REALS, Node
from models.importing.readers.grids import Rounding, narrowed
from models.importing.readers.onnx_reading import Reading
from models.importing.readers.table import RefusalError

_KEEPS = (
    "Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split",
    "Gather", "MaxPool", "GlobalMaxPool", "Concat", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
"""Operators that give the codes of what they would give of the values; Resize to the nearest, too.
"""
_COMPUTES = (
    "Conv", "Gemm", "MatMul", "AveragePool", "GlobalAveragePool", "ReduceMean", "Add", "Sub", "Mul",
    "Div", "Sum", "Relu", "Clip", "BatchNormalization", "Pad", "QuantizeLinear", "Resize",
    "Upsample",
)  # fmt: skip
"""Operators of which the neutral graph knows what they compute of real values alone."""
_NEAREST = (None, "nearest", b"nearest")


def check(reading: Reading, node: Node) -> None:
    """Raise RefusalError for a node that computes on integers; note those that it passes on."""
    computed = [name for name in node.inputs if name and name not in reading.constants]
    clipped = [name for name in computed if name in reading.clipped]
    if clipped:
        raise RefusalError(f"reads {clipped[0]}, which another node clips", "", "clip once")
    whole = [name for name in computed if reading.types.get(name, "float32") not in REALS]
    if not whole:
        return
    kind = reading.types[whole[0]]
    nearest = node.op in ("Resize", "Upsample") and node.attributes.get("mode") in _NEAREST
    if node.op in _KEEPS or nearest:
        for name in node.outputs:
            reading.types[name] = kind
            if whole[0] in reading.roundings:
                reading.roundings[name] = reading.roundings[whole[0]]
    elif node.op == "Cast" and whole[0] in reading.roundings:
        raise RefusalError("takes codes for values", "", "DequantizeLinear")
    elif node.op in _COMPUTES and not (node.op == "Clip" and whole[0] in reading.roundings):
        raise RefusalError(
            f"computes on integers ({kind})", "", "DequantizeLinear (or Cast, of an input) before"
        )


def clip(reading: Reading, node: Node) -> list[Node] | None:
    """Read a Clip of codes: the rounding before it has fewer codes. None for one of values."""
    name = node.inputs[0]
    given = reading.roundings.get(name)
    if given is None:
        return None
    limits = [
        default if found is None else int(np.ravel(found)[0])
        for found, default in (
            (reading.values(node, 1, "min"), given.low),
            (reading.values(node, 2, "max"), given.high),
        )
    ]
    narrow = narrowed(given, max(limits[0], given.low), min(limits[1], given.high))
    made = reading.maker(name, "Quantise")
    if made is None:
        raise RefusalError("clips codes that it does not read from QuantizeLinear")
    reading.exchange(name, replace(made, attributes={"grid": narrow}))
    reading.clipped.add(name)
    reading.types[node.outputs[0]] = reading.types[name]
    reading.roundings[node.outputs[0]] = narrow
    return [replace(node, op="Identity", inputs=node.inputs[:1], attributes={})]


def same_numbers(first: Rounding, second: Rounding) -> bool:
    """Return True if two roundings have the same scales and zero points."""
    pairs: tuple[tuple[Any, Any], ...] = ((first.scale, second.scale), (first.zero, second.zero))
    return all(np.array_equal(np.ravel(a), np.ravel(b)) for a, b in pairs)
