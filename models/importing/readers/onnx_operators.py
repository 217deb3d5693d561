"""Nodes of ONNX files as nodes of the neutral graph: all of quantisation becomes grids."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.importing.readers import onnx_codes, onnx_integers, qonnx
from models.importing.readers.foreign import Node
from models.importing.readers.grids import Rounding
from models.importing.readers.onnx_reading import Reader, Reading
from models.importing.readers.table import RefusalError

if TYPE_CHECKING:
    import onnx

QONNX_DOMAINS = (
    "qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas",
    "qonnx.custom_op.channels_last",
)  # fmt: skip
_OUTPUT_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4"}
"""Attribute output_dtype -> type of codes."""


# ONNX's own ----------------------------------------------------------------------------------


def _constant(reading: Reading, node: Node) -> list[Node]:
    given = node.attributes
    found = next((given[key] for key in given if key.startswith("value")), None)
    if found is None:
        raise RefusalError("holds no value that can be read", "value")
    array = np.asarray(found)
    if array.dtype.name == "float64" and not isinstance(found, np.ndarray):
        array = array.astype(np.float32)
    if array.dtype.kind in "USO":
        raise RefusalError("holds text", "value")
    value = reading.store(f"{node.outputs[0]}#value", array)
    # For what is read of it before the walk.
    reading.constants[node.outputs[0]] = reading.constants[value]
    reading.types[node.outputs[0]] = reading.types[value]
    return [replace(node, op="Identity", inputs=(value,))]


def _quantize(reading: Reading, node: Node) -> list[Node]:
    kind = _OUTPUT_TYPES.get(node.attributes.get("output_dtype", 0), "uint8")
    if node.attributes.get("block_size", 0):
        raise RefusalError("scales of blocks", "block_size", "a scale for each channel")
    rounding = reading.rounding(node, 1, kind, node.attributes.get("axis", 1))
    reading.codes(node.outputs[0], rounding)
    return [replace(node, op="Quantise", inputs=node.inputs[:1], attributes={"grid": rounding})]


def _dequantize(reading: Reading, node: Node) -> list[Node]:
    if node.attributes.get("block_size", 0):
        raise RefusalError("scales of blocks", "block_size", "a scale for each channel")
    kind = reading.types.get(node.inputs[0])
    if kind is None and reading.values(node, 2, "zero_point") is None:
        raise RefusalError("has codes of an unknown type", "zero_point", "a zero point of 0")
    rounding = reading.rounding(node, 1, kind or "int8", node.attributes.get("axis", 1))
    before = reading.roundings.get(node.inputs[0])
    if before is not None and onnx_codes.same_numbers(before, rounding):
        rounding = before  # perhaps of fewer codes
    return [replace(node, op="Dequantise", inputs=node.inputs[:1], attributes={"grid": rounding})]


def _clip(reading: Reading, node: Node) -> list[Node]:
    narrowed = onnx_codes.clip(reading, node)
    if narrowed is not None:
        return narrowed
    given = node.attributes
    limits = {"low": given.get("min", -math.inf), "high": given.get("max", math.inf)}
    return [replace(node, attributes=limits)]


def _sum(reading: Reading, node: Node) -> list[Node]:
    total, made = node.inputs[0], []
    for position, name in enumerate(node.inputs[1:], 1):
        last = position == len(node.inputs) - 1
        outputs = node.outputs if last else (f"{node.outputs[0]}#sum{position}",)
        made.append(Node(node.name, "Add", (total, name), outputs, {}, node.operator * last))
        total = outputs[0]
    return made or [replace(node, op="Identity")]


def _resize(reading: Reading, node: Node) -> list[Node]:
    """Read Upsample, and Resize as ONNX 10 has it: scales behind the input, one way to place."""
    if node.op == "Resize" and len(node.inputs) != 2:
        return [node]
    given = node.attributes
    name = next(iter(node.inputs[1:]), "")
    if "scales" in given:
        name = reading.store(f"{node.name}#scales", np.array(given["scales"], np.float32))
    mode = given.get("mode", "nearest")
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    how["mode"] = mode.decode() if isinstance(mode, bytes) else mode
    return [replace(node, op="Resize", inputs=(node.inputs[0], "", name), attributes=how)]


# Operators on codes (QOperator) --------------------------------------------------------------


def _real(reading: Reading, node: Node, position: int, axis: int | None = None) -> Node:
    """Return the node that gives the real values of an input and the two behind it."""
    name = node.inputs[position]
    kind = reading.types.get(name, "uint8")
    rounding = reading.rounding(node, position + 1, kind, axis)
    return Node(
        node.name, "Dequantise", (name,), (f"{node.name}#in{position}",), {"grid": rounding}
    )


def _on_codes(op: str, inputs: tuple[int, ...], output: int, bias: int = -1) -> Reader:
    """Return the reader of an operator on codes that computes ``op`` on real values.

    inputs: positions of its inputs, each followed by scale and zero point; output: that of the
    output's scale; bias: that of the bias, in units of the product of both scales (and alpha).
    """

    def read(reading: Reading, node: Node) -> list[Node]:
        if node.attributes.get("channels_last", 0):
            raise RefusalError("reads maps with channels last", "channels_last", "channels first")
        axes = [None, 0 if op == "Conv" else -1 if not node.attributes.get("transB") else 0]
        reals = [
            _real(reading, node, position, axes[min(i, 1)]) for i, position in enumerate(inputs)
        ]
        names = [real.outputs[0] for real in reals]
        if 0 <= bias < len(node.inputs) and node.inputs[bias]:
            scales = [reals[i].attributes["grid"].scale.ravel() for i in (0, 1)]
            scales.append(np.float64(node.attributes.get("alpha", 1.0)))  # of QGemm
            unit = Rounding(math.prod(scales), np.zeros(1), 32, True, axis=0)
            made = (f"{node.name}#bias",)
            reals.append(Node(node.name, "Dequantise", (node.inputs[bias],), made, {"grid": unit}))
            names.append(made[0])
        grid = reading.rounding(node, output, reading.types.get(node.inputs[0], "uint8"))
        reading.codes(node.outputs[0], grid)
        value = f"{node.name}#real"
        given = dict(node.attributes)
        return [
            *reals,
            replace(node, op=op, inputs=tuple(names), outputs=(value,), attributes=given),
            Node(node.name, "Quantise", (value,), node.outputs, {"grid": grid}),
        ]

    return read


def _concat(reading: Reading, node: Node) -> list[Node]:
    grid = reading.rounding(node, 0, "uint8")
    reals = [_real(reading, node, position) for position in range(2, len(node.inputs), 3)]
    reading.codes(node.outputs[0], grid)
    value = f"{node.name}#real"
    inputs = tuple(real.outputs[0] for real in reals)
    return [
        *reals,
        replace(node, op="Concat", inputs=inputs, outputs=(value,)),
        Node(node.name, "Quantise", (value,), node.outputs, {"grid": grid}),
    ]


READERS: dict[str, Reader] = {
    "Constant": _constant,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Clip": _clip,
    "Sum": _sum,
    "Resize": _resize,
    "Upsample": _resize,
    "Cast": onnx_integers.cast,
    "ConvInteger": onnx_integers.convolution,
    "QLinearConv": _on_codes("Conv", (0, 3), 6, bias=8),
    "QLinearMatMul": _on_codes("MatMul", (0, 3), 6),
    "QGemm": _on_codes("Gemm", (0, 3), 7, bias=6),
    "QLinearAdd": _on_codes("Add", (0, 3), 6),
    "QLinearAveragePool": _on_codes("AveragePool", (0,), 3),
    "QLinearGlobalAveragePool": _on_codes("GlobalAveragePool", (0,), 3),
    "QLinearSoftmax": _on_codes("Softmax", (0,), 3),
    "QLinearSigmoid": _on_codes("Sigmoid", (0,), 3),
    "QLinearConcat": _concat,
    "Quant": qonnx.quant,
    "BipolarQuant": qonnx.bipolar,
    "MultiThreshold": qonnx.thresholds,
}
"""What reads an operator whose node is not the neutral graph's as it stands."""


def read_node(
    reading: Reading, node: onnx.NodeProto, position: int, attributes: dict[str, Any]
) -> None:
    """Add a node of a file to what is read, as one node or several."""
    name = node.name or next(iter(node.output), "") or f"{node.op_type}{position}"
    made = Node(name, node.op_type, tuple(node.input), tuple(node.output), attributes, node.op_type)
    reader = READERS.get(made.op)
    if node.domain == "qonnx.custom_op.channels_last":
        reader = qonnx.channels_last
    try:
        onnx_codes.check(reading, made)
        reading.add(reader(reading, made) if reader else [made])
    except RefusalError as error:
        failed = {"error": error}
        reading.add([replace(made, attributes=failed)])
