"""The neutral graph of an int8 file, written as QDQ ONNX: the same numbers in another format."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from models.importing.readers.foreign import Constant, ForeignGraph, Node

TYPES = {"int8": np.int8, "int32": np.int32}


def qdq(graph: ForeignGraph) -> ModelProto:
    """A model of float inputs; whatever the graph rounds is a pair of QDQ nodes there."""
    writer = _Writer(graph)
    nodes = [made for node in graph.nodes for made in writer.node(node)]
    ((name, shape),) = graph.inputs.items()
    made = helper.make_graph(
        [*writer.constants, *nodes],
        "qdq",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info(graph.outputs[0])],
        [numpy_helper.from_array(array, key) for key, array in writer.arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


class _Writer:
    def __init__(self, graph: ForeignGraph) -> None:
        self.arrays: dict[str, Any] = {}
        self.constants: list[Any] = []
        for name, found in graph.constants.items():
            self._constant(name, found)

    def _constant(self, name: str, found: Constant) -> None:
        if found.codes is None:
            kind = np.float32 if found.values.dtype.kind == "f" else np.int64
            self.arrays[name] = found.values.astype(kind)
            return
        kind = "int8" if np.abs(found.codes).max() <= 128 and found.codes.ndim > 1 else "int32"
        scale = np.asarray(found.scale, np.float32)
        along = [axis for axis, side in enumerate(scale.shape) if side > 1]
        self.arrays |= {
            f"{name}/q": found.codes.astype(TYPES[kind]),
            f"{name}/s": scale.ravel() if along else scale.reshape(()),
            f"{name}/z": np.zeros(scale.size if along else (), TYPES[kind]),
        }
        axis = along[0] if along else 0
        names = [f"{name}/{part}" for part in "qsz"]
        self.constants.append(helper.make_node("DequantizeLinear", names, [name], axis=axis))

    def node(self, node: Node) -> list[Any]:
        if node.op in ("Quantise", "Dequantise"):
            grid = node.attributes["grid"]
            if grid is None:
                return [helper.make_node("Identity", node.inputs, node.outputs)]
            key = node.outputs[0]
            self.arrays |= {
                f"{key}/s": np.float32(grid.scale), f"{key}/z": np.int8(grid.zero_point - 128),
            }  # fmt: skip
            ends = [f"{key}/s", f"{key}/z"]
            return [
                helper.make_node("QuantizeLinear", [*node.inputs, *ends], [f"{key}/q"]),
                helper.make_node("DequantizeLinear", [f"{key}/q", *ends], [key]),
            ]
        given = dict(node.attributes)
        inputs = list(node.inputs)
        for name in ("low", "high"):
            if name in given:
                inputs.append(f"{node.outputs[0]}/{name}")
                self.arrays[inputs[-1]] = np.float32(given.pop(name))
        name = node.name or node.outputs[0]
        return [helper.make_node(node.op, inputs, node.outputs, name, **given)]
