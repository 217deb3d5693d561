"""FrozenNetwork: the fake-quantised network with hardware's exact scales, in real values.

It computes in float64 with the graph's own operations; the integer reference must agree with it
code for code (docs/explanation/arithmetic.md has the bound).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from models.graph.layers import Activation, Conv2d, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import scale_source
from models.integer.freeze import Frozen
from models.integer.lookups import TIE
from models.quantisation.plan import TensorPlan
from models.training.layers.convolution import convolve
from models.training.layers.weightless import Weightless, operation


class FrozenNetwork(nn.Module):
    """Float64 model of an integer network, for comparison with it.

    Made by ``lower.lower`` from a ``graph`` in legal form and its ``plan_tensors``; ``frozen`` and
    ``scales`` are those that ``freeze.freeze`` returns.
    """

    def __init__(
        self,
        graph: NetworkGraph,
        plans: Mapping[str, TensorPlan],
        frozen: Mapping[str, Frozen],
        scales: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.graph, self.plans, self.frozen, self.scales = graph, plans, frozen, scales

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits float64 (n, classes) for pixels uint8 (n, C, H, W)."""
        name = self.graph.output.name
        logits, scale = self.tensors(pixels)[name].flatten(1), self.scales[name]
        # Equal accumulators must give equal logits: float64's error would rank them.
        return torch.round(logits / scale) * scale

    @torch.no_grad()
    def tensors(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return every layer's output by name, as float64 reals, for uint8 pixels (n, C, H, W).

        Outputs have four axes, too; the logits' map is 1x1.
        """
        values: dict[str, Tensor] = {}
        for layer in self.graph.layers:
            inputs = [values[name] for name in layer.inputs]
            out = self._compute(layer, inputs) if inputs else self._input(pixels)
            if layer.name in self.frozen and layer.name in self.plans:
                out = self._quantise(layer.name, out)
            values[layer.name] = out
        return values

    def codes(self, name: str, values: Tensor) -> np.ndarray:  # type: ignore[type-arg]
        """Convert a result of ``tensors`` for layer ``name`` to the reference's integers, int64.

        These are codes, or accumulators for the logits, rounded to the nearest.
        """
        scale = self.scales[self.plans[name].scale_owner if name in self.plans else name]
        plan = self.plans.get(name)
        zero = plan.zero_point if plan else 0
        return np.rint(values.numpy() / scale).astype(np.int64) + zero

    def _input(self, pixels: Tensor) -> Tensor:
        name = self.graph.input.name
        plan = self.plans[name]
        codes = torch.floor(pixels.double() * ((1 << plan.bits) - 1) / 255 + 0.5)
        return (codes - plan.zero_point) * self.scales[name]

    def _compute(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        passes_on = scale_source(self.graph, layer.name) != layer.name
        if passes_on or isinstance(layer.spec, Activation) or layer.name not in self.frozen:
            return operation(layer)(inputs)
        spec, frozen = layer.spec, self.frozen[layer.name]
        gains = [
            torch.from_numpy(frozen.gain / self.scales[self.plans[name].scale_owner])
            for name in layer.inputs
        ]
        if isinstance(spec, Conv2d | Linear):
            weight = torch.from_numpy(frozen.numbers.weights[0]) * gains[0][:, None, None, None]
            bias = torch.from_numpy(frozen.numbers.bias * frozen.gain)
            return convolve(spec, inputs[0], weight, bias)
        factors = [
            (gain * int(weights.flat[0]))[:, None, None]
            for gain, weights in zip(gains, frozen.numbers.weights, strict=True)
        ]
        module = Weightless(layer, inputs[0].shape[2:], passes_on, scale_bits=0)
        return module.scaled(inputs, factors)

    def _quantise(self, name: str, values: Tensor) -> Tensor:
        plan = self.plans[name]
        scale, (low, high) = self.scales[plan.scale_owner], plan.ends
        frozen = self.frozen[name]
        if frozen.numbers.thresholds is not None:
            # Between two accumulators, so that no rounding moves a value across.
            middles = (frozen.numbers.thresholds - 0.5) * frozen.gain[:, None]
            each = torch.from_numpy(middles)[..., None, None].unbind(dim=1)
            return torch.stack([(values >= one).double() for one in each]).sum(dim=0) * scale
        return torch.clamp(torch.floor(values / scale + 0.5 + TIE), low, high) * scale
