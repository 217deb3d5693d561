"""Layers without trained weights in torch, in floating point and with hardware's scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.arithmetic import weight_range
from models.graph.layers import Activation, Add, AvgPool, Concat, GlobalPool, MaxPool, Relu
from models.graph.network import Layer
from models.quantisation.fake_quantisers import snapping
from models.quantisation.plan import ADD_WEIGHT_BITS
from models.training.layers.convolution import padded


def operation(layer: Layer) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return the function that a layer computes from its inputs, in real values.

    layer: any but input, conv2d and linear (not checked: the identity is returned).
    """
    match layer.spec:
        case MaxPool():
            return partial(_max_pool, layer.spec)
        case AvgPool():
            return partial(_avg_pool, layer.spec)
        case GlobalPool(kind="max"):
            return lambda inputs: inputs[0].amax(dim=(2, 3), keepdim=True)
        case GlobalPool():
            return lambda inputs: inputs[0].mean(dim=(2, 3), keepdim=True)
        case Add(relu=True):
            return lambda inputs: F.relu(reduce(torch.add, inputs))
        case Add():
            return partial(reduce, torch.add)
        case Concat():
            return partial(torch.cat, dim=1)  # type: ignore[call-overload]
        case Activation(function=function):
            curve = _CURVES[function]
            return lambda inputs: curve(inputs[0])
        case Relu():
            return lambda inputs: F.relu(inputs[0])
    return lambda inputs: inputs[0]  # Requantise


def _max_pool(spec: MaxPool, inputs: Sequence[Tensor]) -> Tensor:
    values, padding = padded(inputs[0], spec, fill=-math.inf)
    return F.max_pool2d(values, spec.kernel, spec.stride, padding)


def _avg_pool(spec: AvgPool, inputs: Sequence[Tensor]) -> Tensor:
    _, channels, rows, cols = inputs[0].shape
    values, padding = padded(inputs[0], spec)
    divisor = spec.divisor((channels, rows, cols))
    return F.avg_pool2d(values, spec.kernel, spec.stride, padding, divisor_override=divisor)


_CURVES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "hard_swish": F.hardswish,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu": F.elu,
    "softplus": F.softplus,
    "mish": F.mish,
    "quarter_square": lambda x: x * x / 4,
    "minus_quarter_square": lambda x: -x * x / 4,
    "sixteenth_square": lambda x: x * x / 16,
    "minus_sixteenth_square": lambda x: -x * x / 16,
}
"""Functions of ``models.graph.activations`` for tensors, by name."""


class Weightless(nn.Module):
    """Pooling, add, concat, ReLU or copy layer as a torch module.

    rows_cols: size of its input map. passes_on: it outputs its input's codes, no scale is applied
    (max pooling). Made by ``QuantNetwork``, and by FrozenNetwork.
    """

    def __init__(
        self, layer: Layer, rows_cols: Sequence[int], passes_on: bool, scale_bits: int
    ) -> None:
        super().__init__()
        self.operation = operation(layer)
        self.adds = isinstance(layer.spec, Add)
        self.looks_up = isinstance(layer.spec, Activation)
        self.passes_on = passes_on
        self.scale_bits = scale_bits
        self.window = 1
        """Number of values that an average pooling's mean is over; 1 for other layers."""
        if isinstance(layer.spec, AvgPool):
            self.window = layer.spec.divisor((1, rows_cols[0], rows_cols[1]))
        elif layer.spec == GlobalPool("avg"):
            self.window = math.prod(rows_cols)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the layer in floating point."""
        return self.operation(inputs)

    def quantised(
        self, inputs: Sequence[Tensor], scales: Sequence[Tensor], out_scale: Tensor | None
    ) -> Tensor:
        """Compute the layer with hardware's scale; the caller quantises the result.

        scales: of the inputs, one scalar each. If ``out_scale`` is None, or the layer passes codes
        on or looks them up, compute as ``forward`` does.
        """
        if out_scale is None or self.passes_on or self.looks_up:
            return self.operation(inputs)
        weights, unit = self.fixed_weights(scales)
        gain = unit * snapping(unit / out_scale, self.scale_bits)
        return self.scaled(inputs, [w * gain / scale for w, scale in zip(weights, scales)])  # noqa: B905

    def fixed_weights(self, scales: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return the integer weight of each source, and the real value of one accumulator unit.

        All are scalar tensors, as are ``scales``, one per input. A sum weights its inputs by the
        ratio of their scales: the larger has weight 127. Other layers have weight 1.
        """
        if self.adds:
            unit = torch.maximum(scales[0], scales[1]) / weight_range(ADD_WEIGHT_BITS)[1]
            return [torch.round(scale / unit) for scale in scales], unit
        return [torch.ones_like(scales[0])], scales[0] / self.window

    def scaled(self, inputs: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
        """Compute the layer with input i multiplied by factors[i]; an average becomes a sum.

        ``operation`` computes means. The factors include the division by the window's size, so the
        division in ``operation`` is undone.
        """
        return self.operation([x * (f * self.window) for x, f in zip(inputs, factors)])  # noqa: B905
