"""An ONNX model in the making: nodes, constants by their content, and names used once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    import onnx

OPSET = 17
"""Version of ONNX's operators that is written."""
IR_VERSION = 8
"""Version of the file format that goes with it."""
INPUT = "x"
"""Name of the file's input."""
QONNX = "qonnx.custom_op.general"
"""Domain of QONNX's operators."""


class Sketch:
    """Nodes and constants of a model. Made by ``export.onnx_bytes``."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._known: dict[tuple[Any, ...], str] = {}

    def constant(self, array: Any) -> str:
        """Add an array or a number of numpy's, or find its like; return the constant's name."""
        from onnx import numpy_helper

        array = np.asarray(array).copy()
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"constant{len(self._known)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def node(
        self, op: str, inputs: Sequence[str], output: str, called: str = "", **attributes: Any
    ) -> str:
        """Add a node, of a name of its own unless ``called`` otherwise, and return the output."""
        from onnx import helper

        domain = QONNX if op in ("Quant", "MultiThreshold") else ""
        self.nodes.append(
            helper.make_node(
                op, list(inputs), [output], called or f"{output}/{op}", domain=domain, **attributes
            )
        )
        return output

    def free(self, names: Sequence[str]) -> None:
        """Give tensors that are called like outputs to come another name.

        Raises ModelError for the name of the file's input.
        """
        if INPUT in names:
            raise ModelError(f"an output is called {INPUT}, as the file's input: rename it there")
        taken = set(names)
        for each in self.nodes:
            for part in (each.input, each.output):
                part[:] = [f"{one}/inner" if one in taken else one for one in part]
        for constant in self.constants:
            if constant.name in taken:
                constant.name = f"{constant.name}/inner"
        self._known = {
            key: f"{one}/inner" if one in taken else one for key, one in self._known.items()
        }

    def content(
        self, name: str, shape: Sequence[int | str], outputs: Sequence[str], text: str
    ) -> bytes:
        """Return the file: one float input ``x`` of a shape, outputs, ``text`` as its doc."""
        from onnx import TensorProto, helper

        domains = {node.domain for node in self.nodes} - {""}
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs],
            self.constants,
            doc_string=text,
        )
        imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(d, 1) for d in domains)]
        model = helper.make_model(
            graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="codesign"
        )
        found: bytes = model.SerializeToString(deterministic=True)
        return found
