"""Refusal of operators that are not mapped, with what would do in their place."""

from __future__ import annotations

from models.importing.readers.foreign import Node
from models.importing.readers.table import RefusalError

INSTEAD = {
    "Softmax": "leave it to the host: only at the network's end is it taken off",
    "Sigmoid": "use ReLU, or hard limits (Clip)",
    "Tanh": "use ReLU, or hard limits (Clip)",
    "LeakyRelu": "use ReLU",
    "PRelu": "use ReLU",
    "HardSwish": "use ReLU6",
    "HARD_SWISH": "use ReLU6",
    "LSTM": "use convolutions over time",
    "GRU": "use convolutions over time",
    "ConvTranspose": "use a convolution on a larger map",
    "TRANSPOSE_CONV": "use a convolution on a larger map",
    "Resize": "train for one size",
    "DynamicQuantizeLinear": "quantise statically, with calibration data",
    "MatMulInteger": "quantise statically: QLinearMatMul, or QuantizeLinear and DequantizeLinear",
    "LayerNormalization": "use batch norm",
    "InstanceNormalization": "use batch norm",
}
"""Operator -> what would do instead."""


def unknown(node: Node) -> RefusalError:
    """Return the refusal of a node whose operator has no handler."""
    return RefusalError("is no operator that can be mapped", "", INSTEAD.get(node.op, ""))
