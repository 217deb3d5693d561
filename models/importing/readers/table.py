"""The table of an import: what became of every node of a file, and what would do instead."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from models.errors import ModelError
from models.files.reading import printable
from models.importing.readers.foreign import Node

FATES = ("mapped", "folded", "host")
"""What a node can become: a layer, part of one, or work of the host."""


class RefusalError(ModelError):
    """A node that cannot be mapped; says which attribute, why, and what would do instead."""

    def __init__(self, reason: str, attribute: str = "", instead: str = "") -> None:
        super().__init__(f"{reason}; instead: {instead}" if instead else reason)
        self.reason, self.attribute, self.instead = reason, attribute, instead


INSTEAD = {
    "Softmax": "leave it to the host: only at the network's end is it taken off",
    "ConvTranspose": "use a convolution on a larger map",
    "TRANSPOSE_CONV": "use a convolution on a larger map",
    "Resize": "resize to nearest values, or bilinearly",
    "DynamicQuantizeLinear": "quantise statically, with calibration data",
    "ConvInteger": "quantise statically: QLinearConv, or QuantizeLinear and DequantizeLinear",
    "MatMulInteger": "quantise statically: QLinearMatMul, or QuantizeLinear and DequantizeLinear",
    "LayerNormalization": "use batch norm",
    "InstanceNormalization": "use batch norm",
}
"""Operator -> what would do instead."""


def unknown(operator: str) -> RefusalError:
    """Return the refusal of an operator, with what would do instead where that is known."""
    return RefusalError("is no operator that can be mapped", "", INSTEAD.get(operator, ""))


@dataclass(frozen=True)
class Row:
    """Line of the table: a node and what became of it.

    >>> Row("conv1", "Conv", "mapped", "conv1").layer
    'conv1'
    """

    name: str
    operator: str
    fate: str
    """mapped, folded or host."""
    layer: str = ""
    """Layer that the node became, or became part of."""
    note: str = ""


@dataclass(frozen=True)
class RefusedRow:
    """Line of the table: a node that cannot be mapped, why, and what would do instead.

    >>> RefusedRow("lstm1", "LSTM", "", "is no layer of ours", "").operator
    'LSTM'
    """

    name: str
    operator: str
    attribute: str
    reason: str
    instead: str

    def __str__(self) -> str:
        what = f", attribute {printable(self.attribute)}" if self.attribute else ""
        hint = f"; instead: {self.instead}" if self.instead else ""
        name, operator = printable(self.name), printable(self.operator)
        return f"{name} ({operator}{what}): {self.reason}{hint}"


@dataclass
class Table:
    """Rows of what became of every node of a file, in the file's order.

    >>> table = Table([Row("conv1", "Conv", "mapped", "conv1")])
    >>> table.to_dict()["mapped"]
    [{'name': 'conv1', 'operator': 'Conv', 'layer': 'conv1', 'note': ''}]
    """

    rows: list[Row] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)

    def refuse(self, node: Node, error: ModelError) -> None:
        """Add a refused node with the reason of an error."""
        self.refuse_layer(node.name, node.operator or node.op, error)

    def refuse_layer(self, name: str, operator: str, error: ModelError) -> None:
        """Add a refused layer with the reason of an error."""
        attribute, instead = getattr(error, "attribute", ""), getattr(error, "instead", "")
        reason = getattr(error, "reason", str(error))
        self.refused.append(RefusedRow(name, operator, attribute, reason, instead))

    def of(self, fate: str) -> list[Row]:
        """Return the rows of one fate."""
        return [row for row in self.rows if row.fate == fate]

    def to_dict(self) -> dict[str, Any]:
        """Return the rows as plain data, by their fate."""
        found = {fate: [asdict(row) for row in self.of(fate)] for fate in FATES}
        for row in (row for rows in found.values() for row in rows):
            del row["fate"]
        return {**found, "refused": [asdict(row) for row in self.refused]}
