"""The trainable network: floating point with batch norm first, folded and fake-quantised then."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models import weightless
from models.graph import Layer, NetworkGraph
from models.layers import Concat, Conv2d, Input, Linear
from models.passes import legalise, step_source
from models.quantisation import Quantisation, check, plan_tensors
from models.quantisers import ActivationQuantiser, round_half_up, snapping
from models.weight_layer import WeightLayer

PIXEL_TOP = 255.0


class QuantNetwork(nn.Module):
    """Pixels to logits; starts in floating point, ``quantise`` turns it for good.

    Raises ModelError when the graph is not sound or the quantisation names an unknown layer.
    """

    def __init__(
        self, graph: NetworkGraph, quantisation: Quantisation, scale_bits: int = 8
    ) -> None:
        """scale_bits: width of the requantisation multipliers that scales are snapped to."""
        super().__init__()
        check(quantisation, graph)
        self.scale_bits = scale_bits
        self.graph = legalise(graph)
        self.quantised = False
        self.input_top = (1 << quantisation.input_bits) - 1
        self.plans = plan_tensors(self.graph, quantisation)
        self.weights = nn.ModuleDict()
        self.steps = nn.ModuleDict()
        for layer in self.graph.layers:
            if isinstance(layer.spec, Conv2d | Linear):
                bits = quantisation.spec(layer.name).weight_bits
                module = WeightLayer(self.graph, layer, bits, scale_bits)
                self.weights[_key(layer.name)] = module
            if self._requantises(layer):
                plan = self.plans[layer.name]
                if _key(plan.step) not in self.steps:
                    self.steps[_key(plan.step)] = ActivationQuantiser(plan.bits, plan.signed)

    def _requantises(self, layer: Layer) -> bool:
        passes_on = step_source(self.graph, layer.name) != layer.name
        return (
            layer.name in self.plans
            and not passes_on
            and not isinstance(layer.spec, Input | Concat)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: uint8 or float 0..255, [n, C, H, W]. Returns logits [n, classes]."""
        return self.tensors(pixels)[self.graph.output.name].flatten(1)

    def tensors(self, pixels: Tensor, calibrate: bool = False) -> dict[str, Tensor]:
        """Every layer's output; ``calibrate`` sets each quantiser from what it meets."""
        values: dict[str, Tensor] = {}
        for layer in self.graph.layers:
            inputs = [values[name] for name in layer.inputs]
            if not inputs:
                out = self._input(pixels)
            elif self.quantised:
                out = self._compute_quantised(layer, inputs, snap=not calibrate)
            else:
                out = self._compute(layer, inputs)
            if self.quantised and self._requantises(layer):
                quantiser = self.quantiser(layer.name)
                if calibrate:
                    quantiser.calibrate(self._calibration(layer, out, values))
                out = quantiser(out)
            values[layer.name] = out
        return values

    def quantiser(self, name: str) -> ActivationQuantiser:
        """The quantiser of that layer's output."""
        quantiser = self.steps[_key(self.plans[name].step)]
        assert isinstance(quantiser, ActivationQuantiser)
        return quantiser

    def weight_layer(self, name: str) -> WeightLayer:
        module = self.weights[_key(name)]
        assert isinstance(module, WeightLayer)
        return module

    def _input(self, pixels: Tensor) -> Tensor:
        values = pixels.float() / PIXEL_TOP
        if self.input_top == PIXEL_TOP:
            return values
        return round_half_up(values * self.input_top) / self.input_top

    def _compute(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        if isinstance(layer.spec, Conv2d | Linear):
            out: Tensor = self.weight_layer(layer.name)(inputs[0])
            return out
        return weightless.compute(layer, inputs)

    def _compute_quantised(self, layer: Layer, inputs: list[Tensor], snap: bool) -> Tensor:
        """As _compute; ``snap`` uses the scales that hardware has where a step follows."""
        steps = [self.step(name) for name in layer.inputs]
        snap = snap and self._requantises(layer)
        out_step = self.step(layer.name) if snap else None
        if isinstance(layer.spec, Conv2d | Linear):
            return self.weight_layer(layer.name).quantised(inputs[0], steps[0], out_step)
        if out_step is None:
            return weightless.compute(layer, inputs)
        weights, unit = weightless.fixed_weights(layer, steps, inputs[0].shape[2:])
        gain = unit * snapping(unit / out_step, self.scale_bits)
        factors = [weight * gain / step for weight, step in zip(weights, steps, strict=True)]
        return weightless.compute_scaled(layer, inputs, factors)

    def step(self, name: str) -> Tensor:
        """Step size of that layer's output, without gradient."""
        if name == self.graph.input.name:
            return torch.tensor(1 / self.input_top)
        return self.quantiser(name).step

    def _calibration(self, layer: Layer, out: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """All tensors seen so far that share this layer's step: a concat's inputs."""
        step = self.plans[layer.name].step
        shared = [
            tensor.flatten()
            for name, tensor in values.items()
            if self.plans[name].step == step and self._requantises(self.graph[name])
        ]
        return torch.cat([*shared, out.flatten()])

    @torch.no_grad()
    def fold(self) -> None:
        """Fold every batch norm; what the network computes in eval mode stays the same."""
        for name, _ in self.weights.items():
            module = self.weights[name]
            assert isinstance(module, WeightLayer)
            module.fold()

    @torch.no_grad()
    def quantise(self, pixels: Tensor | None = None) -> None:
        """Fold, switch the quantisers on and set their steps from a batch of ``pixels``.

        Without pixels the steps stay as they are: the state is about to be loaded.
        """
        self.fold()
        self.quantised = True
        if pixels is None:
            return
        for module in self.weights.values():
            assert isinstance(module, WeightLayer)
            module.quantiser.calibrate(module.weight)
        self.tensors(pixels, calibrate=True)


def _key(name: str) -> str:
    """ModuleDict keys hold no dots and no names of its own methods; layer names may."""
    return "/" + name.replace(".", "/")
