"""Layers without trained weights in torch: in floating point, and scaled as hardware does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.arithmetic import weight_range
from models.graph import Layer
from models.layers import Add, AvgPool, Concat, GlobalPool, MaxPool, Relu
from models.quantisation import ADD_WEIGHT_BITS


def compute(layer: Layer, inputs: list[Tensor]) -> Tensor:
    """The result of any layer that has no weights, in real values."""
    first = inputs[0]
    match layer.spec:
        case MaxPool(kernel=kernel, stride=stride, padding=padding):
            return F.max_pool2d(first, kernel, stride, padding)
        case AvgPool(kernel=kernel, stride=stride, padding=padding):
            return F.avg_pool2d(first, kernel, stride, padding, count_include_pad=True)
        case GlobalPool(kind="max"):
            return first.amax(dim=(2, 3), keepdim=True)
        case GlobalPool():
            return first.mean(dim=(2, 3), keepdim=True)
        case Add(relu=relu):
            total = first + inputs[1]
            return F.relu(total) if relu else total
        case Concat():
            return torch.cat(inputs, dim=1)
        case Relu():
            return F.relu(first)
    return first  # Requantise


def window_size(layer: Layer, rows_cols: Sequence[int]) -> int:
    """How many values an average is over; 1 for other layers. rows_cols: of the input map."""
    match layer.spec:
        case AvgPool(kernel=kernel):
            return math.prod(kernel)
        case GlobalPool(kind="avg"):
            return math.prod(rows_cols)
    return 1


def fixed_weights(
    layer: Layer, steps: Sequence[Tensor], rows_cols: Sequence[int]
) -> tuple[list[Tensor], Tensor]:
    """The integer weight of each source, and the real value of one accumulator unit.

    steps: step sizes of the inputs, scalars. A sum weighs its inputs by their steps' ratio.
    """
    if isinstance(layer.spec, Add):
        unit = torch.maximum(steps[0], steps[1]) / weight_range(ADD_WEIGHT_BITS)[1]
        return [torch.round(step / unit) for step in steps], unit
    return [torch.ones_like(steps[0])], steps[0] / window_size(layer, rows_cols)


def compute_scaled(layer: Layer, inputs: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
    """The layer's sum over its window with input i multiplied by factors[i].

    Averages are computed as sums: the division is part of the factor.
    """
    count = window_size(layer, inputs[0].shape[2:])
    scaled = [value * (factor * count) for value, factor in zip(inputs, factors, strict=True)]
    return compute(layer, scaled)
