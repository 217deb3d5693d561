"""Operators of TensorFlow Lite files with their tensors, and what stands around each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.importing.readers.foreign import Constant, Grid, Node

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Transposes from channels last to channels first, and back."""
_ACTIVATIONS = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activation -> the range that it clips to."""


class Tensors(Protocol):
    """The tensors of a file, by index. Made by the reader."""

    names: list[str]
    constants: dict[str, Constant]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""

    def constant(self, index: int) -> NDArray[Any]:
        """Return the values of a constant. Raises ModelError if the tensor is none."""


@dataclass(frozen=True, eq=False)
class Call:
    """An operator of a file with its tensors by name, and by index in the file (-1 for none).

    Made by ``file.read``.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    indices: tuple[int, ...]
    grids: tuple[Grid | None, ...]
    operator: Any
    reader: Tensors

    def options(self, kind: str) -> Any:
        """Return the operator's options as those of ``kind``, such as Conv2DOptions.

        Absent ones are an empty table, whose values are the schema's defaults.
        """
        import tflite

        options = getattr(tflite, kind)()
        table = self.operator.BuiltinOptions()
        if table is None:
            return None
        options.Init(table.Bytes, table.Pos)
        return options

    def out_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output."""
        return self.reader.shape(self.reader.names.index(self.outputs[0]))

    def node(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Node:
        """Return the node that the table names for this operator."""
        return Node(self.name, op, inputs, (output,), attributes, self.kind)

    def helper(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Node:
        """Return a node that the table does not name."""
        return Node(self.name, op, inputs, (output,), attributes)

    def constant(self, end: str, values: Any) -> str:
        """Add a constant to the graph and return its name."""
        name = f"{self.name}#{end}"
        self.reader.constants[name] = Constant(np.asarray(values))
        return name


def result(call: Call, value: str, activation: int = 0) -> list[Node]:
    """Return the nodes from an operator's real result to its output."""
    found = []
    if activation in _ACTIVATIONS:
        low, high = _ACTIVATIONS[activation]
        found.append(call.helper("Clip", (value,), f"{call.name}#clipped", low=low, high=high))
        value = f"{call.name}#clipped"
    elif activation:
        found.append(call.node(f"activation {activation}", (value,), f"{call.name}#clipped"))
        value = f"{call.name}#clipped"
    (grid,) = call.grids
    if grid is not None:
        found.append(call.helper("Quantise", (value,), call.outputs[0], grid=grid))
    else:
        found.append(call.helper("Identity", (value,), call.outputs[0]))
    return found
