"""Operators that cannot be mapped, and what would do instead of some of them."""

from __future__ import annotations

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
    "ConvInteger": "quantise statically: QLinearConv, or QuantizeLinear and DequantizeLinear",
    "MatMulInteger": "quantise statically: QLinearMatMul, or QuantizeLinear and DequantizeLinear",
    "LayerNormalization": "use batch norm",
    "InstanceNormalization": "use batch norm",
}
"""Operator -> what would do instead."""


def unknown(operator: str) -> RefusalError:
    """Return the refusal of an operator, with what would do instead where that is known."""
    return RefusalError("is no operator that can be mapped", "", INSTEAD.get(operator, ""))
