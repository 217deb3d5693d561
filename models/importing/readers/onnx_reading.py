"""State of the reading of an ONNX file: nodes, constants, and the types of codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.readers.foreign import Constant, Node
from models.importing.readers.grids import Rounding
from models.importing.readers.table import RefusalError

KINDS = {
    "int8": (8, True), "uint8": (8, False), "int16": (16, True), "uint16": (16, False),
    "int4": (4, True), "uint4": (4, False), "int32": (32, True),
}  # fmt: skip
"""Type of codes -> their bits, and whether they are signed."""
TYPES: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 21, 22)
"""Types of numbers: reals of 16 to 64 bits, integers of 4 to 64, booleans (onnx.TensorProto)."""


def type_of(number: Any) -> np.dtype[Any]:
    """Return the type that onnx.TensorProto numbers so; object if it is none of ``TYPES``."""
    from onnx import helper

    return np.dtype(helper.tensor_dtype_to_np_dtype(number) if number in TYPES else object)


class Reading:
    """Nodes read so far, and the constants, to which those of the file's nodes are added.

    Made by ``onnx_file.read``.
    """

    def __init__(self) -> None:
        self.constants: dict[str, Constant] = {}
        self.types: dict[str, str] = {}
        """Type of the codes of a tensor, by its name, where it is known."""
        self.nodes: list[Node] = []
        self._places: dict[str, int] = {}
        self.roundings: dict[str, Rounding] = {}
        """How the codes of a computed tensor were made, by its name."""
        self.clipped: set[str] = set()
        """Tensors of codes that a node clips, and no other may read."""

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant as the file holds it and return its name."""
        self.types[name] = array.dtype.name
        self.constants[name] = Constant.of(array)
        return name

    def add(self, nodes: Sequence[Node]) -> None:
        """Add nodes of the neutral graph."""
        for node in nodes:
            self._places |= dict.fromkeys(node.outputs, len(self.nodes))
            self.nodes.append(node)

    def maker(self, name: str, op: str) -> Node | None:
        """Return the node read so far that makes a tensor, if it is an ``op``."""
        found = self.nodes[self._places[name]] if name in self._places else None
        return found if found and found.op == op else None

    def exchange(self, name: str, node: Node) -> None:
        """Put another node in the place of the one that makes a tensor."""
        self.nodes[self._places[name]] = node

    def values(self, node: Node, position: int, what: str) -> Any:
        """Return a constant input of a node as an array; None if absent. Raises RefusalError."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise RefusalError(f"{what} must be a constant of the file", what)
        return self.constants[name].values

    def rounding(self, node: Node, first: int, kind: str, axis: int | None = None) -> Rounding:
        """Return scale and zero point of a node's inputs ``first`` and the one behind it.

        kind: type of the codes, where the zero point's does not say it. Raises RefusalError.
        """
        scale = self.values(node, first, "scale")
        zero = self.values(node, first + 1, "zero_point")
        if scale is None:
            raise RefusalError("has no scale", "scale")
        if zero is not None:
            kind = self.types.get(node.inputs[first + 1], kind)
        if kind not in KINDS:
            raise RefusalError(f"codes of type {kind}", "zero_point", "int8 or uint8")
        bits, signed = KINDS[kind]
        return Rounding(scale, np.zeros(1) if zero is None else zero, bits, signed, axis=axis)

    def codes(self, name: str, rounding: Rounding) -> None:
        """Say of a computed tensor that it holds codes."""
        kind = (rounding.bits, rounding.signed)
        self.types[name] = next(found for found, known in KINDS.items() if known == kind)
        self.roundings[name] = rounding


Reader = Callable[[Reading, Node], list[Node]]
"""What reads a node, which may become several; raises RefusalError."""
