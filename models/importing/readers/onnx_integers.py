"""Integer arithmetic spelled out: ConvInteger, and the rounding to codes by Floor, Clip and Cast.

Tensors of codes count their own units there: a grid of scale 1. ``models.exporting`` writes such
files.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from models.importing.readers.foreign import Node
from models.importing.readers.grids import Rounding, narrowed
from models.importing.readers.onnx_codes import same_numbers
from models.importing.readers.onnx_reading import KINDS, Reading, type_of
from models.importing.readers.table import RefusalError

_CODES = ("uint8", "int8")
"""Types of codes that Cast may round to."""


def convolution(reading: Reading, node: Node) -> list[Node]:
    """Read ConvInteger: the convolution of codes, less their zero points."""
    made = []
    for position in (0, 1):
        name = node.inputs[position]
        kind = reading.types.get(name, "")
        if kind not in KINDS:
            raise RefusalError(
                "its codes are made while the network runs",
                "",
                "quantise statically: QLinearConv, or QuantizeLinear and DequantizeLinear",
            )
        zero = reading.values(node, position + 2, "zero_point")
        rounding = Rounding(np.ones(()), np.zeros(()) if zero is None else zero, *KINDS[kind])
        before = reading.roundings.get(name)
        if before is not None and same_numbers(before, rounding):
            rounding = before
        output = (f"{node.outputs[0]}#in{position}",)
        made.append(Node(node.name, "Dequantise", (name,), output, {"grid": rounding}))
    inputs = tuple(found.outputs[0] for found in made)
    return [*made, replace(node, op="Conv", inputs=inputs)]


def cast(reading: Reading, node: Node) -> list[Node]:
    """Read Cast; of ``Clip(Floor(x + 1/2) + zero_point)`` to codes it is a rounding to them."""
    node = replace(node, attributes={"kind": type_of(node.attributes.get("to", 0))})
    kind = node.attributes["kind"].name
    clip = reading.maker(node.inputs[0], "Clip")
    if kind not in _CODES or clip is None:
        return [node]
    moved, zero = _offset(reading, clip.inputs[0])
    floor = reading.maker(moved, "Floor")
    value, half = _offset(reading, floor.inputs[0]) if floor else ("", 0.0)
    limits = [
        float(clip.attributes[key]) if found is None else float(np.ravel(found)[0])
        for key, found in (
            ("low", reading.values(clip, 1, "min")),
            ("high", reading.values(clip, 2, "max")),
        )
    ]
    bits, signed = KINDS[kind]
    whole = Rounding(np.ones(()), np.array(zero), bits, signed)
    if half != 0.5 or not all(math.isfinite(end) and end == int(end) for end in limits):
        return [node]
    if limits[0] < whole.low or limits[1] > whole.high:
        return [node]
    rounding = narrowed(whole, int(limits[0]), int(limits[1]))
    reading.types[node.outputs[0]] = kind
    reading.roundings[node.outputs[0]] = rounding
    return [replace(node, op="Quantise", inputs=(value,), attributes={"grid": rounding})]


def _offset(reading: Reading, name: str) -> tuple[str, float]:
    """Return what a tensor is the sum of: another one and a number, 0 if it is no such sum."""
    made: Any = reading.maker(name, "Add")
    for constant, other in ((0, 1), (1, 0)) if made else ():
        found = reading.constants.get(made.inputs[constant])
        if found is not None and found.values.size == 1:
            return made.inputs[other], float(found.values.ravel()[0])
    return name, 0.0
