"""Table of the functions that map each operator of the neutral graph."""

from __future__ import annotations

from collections.abc import Mapping

from models.importing.mapping import borders, channels, convolutions, moves, pools, rounding, sums
from models.importing.mapping.walk import RECURRENT, Handler
from models.importing.recurrent import unrolling

_HANDLERS: Mapping[str, Handler] = {
    "Conv": convolutions.conv,
    "ConvTranspose": convolutions.transposed,
    "Gemm": sums.linear,
    "MatMul": sums.linear,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.average_pool,
    "ReduceMean": pools.average_pool,
    "ReduceSum": pools.average_pool,
    "ReduceMax": pools.max_pool,
    "MaxPool": pools.max_pool,
    "GlobalMaxPool": pools.max_pool,
    "Add": channels.arithmetic,
    "Sub": channels.arithmetic,
    "Mul": channels.arithmetic,
    "Div": channels.arithmetic,
    "Concat": sums.concat,
    **dict.fromkeys(RECURRENT, unrolling.recurrent),
    "Relu": channels.clip,
    "Clip": channels.clip,
    "LeakyRelu": channels.leaky,
    "PRelu": channels.leaky,
    "HardSigmoid": channels.hard_sigmoid,
    **dict.fromkeys(channels.CURVES, channels.activation),
    "BatchNormalization": channels.batch_norm,
    "Quantise": rounding.quantise,
    "Pad": borders.pad,
    "Shape": moves.shape_of,
    **dict.fromkeys(moves.MOVES, moves.move),
    "Resize": convolutions.resize,
    **dict.fromkeys(moves.SAME, moves.same),
    "Dequantise": rounding.dequantise,
}
PADDED = ("Conv", "AveragePool", "Pad", "Transpose", "Quantise", "Dequantise", *moves.SAME)
"""Operators that take zeros around a map as they are, without a layer that makes them."""
HANDLERS: Mapping[str, Handler] = {
    op: handler if op in PADDED else borders.unpadded(handler) for op, handler in _HANDLERS.items()
}
"""What makes stages of a node, by its operator."""
