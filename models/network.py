"""The trainable network: floating point with batch norm first, folded and fake-quantised then."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph import Layer, NetworkGraph
from models.layers import Add, AvgPool, Concat, Conv2d, GlobalPool, Input, Linear, MaxPool, Relu
from models.passes import legalise, step_source
from models.quantisation import Quantisation, check, plan_tensors
from models.quantisers import ActivationQuantiser, WeightQuantiser, round_half_up

PIXEL_TOP = 255.0


class WeightLayer(nn.Module):
    """A conv2d or linear layer; a linear one is a convolution as large as its input."""

    def __init__(self, graph: NetworkGraph, layer: Layer, bits: int) -> None:
        super().__init__()
        spec = layer.spec
        channels, rows, cols = graph.shapes[layer.inputs[0]]
        out = graph.shapes[layer.name][0]
        if isinstance(spec, Conv2d):
            self.stride, self.padding, self.groups = spec.stride, spec.padding, spec.groups
            kernel = spec.kernel
        else:
            self.stride, self.padding, self.groups = (1, 1), (0, 0), 1
            kernel = (rows, cols)
        assert isinstance(spec, Conv2d | Linear)
        self.relu = spec.relu
        self.weight = nn.Parameter(torch.empty(out, channels // self.groups, *kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu" if spec.relu else "linear")
        self.bias = nn.Parameter(torch.zeros(out))
        self.batch_norm = nn.BatchNorm2d(out) if spec.batch_norm else None
        # One step for the whole output layer, so that its accumulators compare as logits.
        last = layer.name == graph.output.name
        self.quantiser = WeightQuantiser(bits, out, per_channel=not last)

    def forward(self, values: Tensor, quantised: bool) -> Tensor:
        weight = self.quantiser(self.weight) if quantised else self.weight
        bias = None if self.batch_norm else self.bias
        out = F.conv2d(values, weight, bias, self.stride, self.padding, 1, self.groups)
        if self.batch_norm is not None:
            out = self.batch_norm(out)
        return F.relu(out) if self.relu else out

    @torch.no_grad()
    def fold(self) -> None:
        """Put the batch norm's running statistics into weight and bias."""
        norm = self.batch_norm
        if norm is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.weight.mul_(factor[:, None, None, None])
        self.bias.copy_(norm.bias - norm.running_mean * factor)
        self.batch_norm = None


class QuantNetwork(nn.Module):
    """Pixels to logits; starts in floating point, ``quantise`` turns it for good.

    Raises ModelError when the graph is not sound or the quantisation names an unknown layer.
    """

    def __init__(self, graph: NetworkGraph, quantisation: Quantisation) -> None:
        super().__init__()
        check(quantisation, graph)
        self.graph = legalise(graph)
        self.quantised = False
        self.input_top = (1 << quantisation.input_bits) - 1
        self.plans = plan_tensors(self.graph, quantisation)
        self.weights = nn.ModuleDict()
        self.steps = nn.ModuleDict()
        for layer in self.graph.layers:
            if isinstance(layer.spec, Conv2d | Linear):
                bits = quantisation.spec(layer.name).weight_bits
                self.weights[_key(layer.name)] = WeightLayer(self.graph, layer, bits)
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
            out = self._input(pixels) if not inputs else self._compute(layer, inputs)
            if self.quantised and self._requantises(layer):
                quantiser = self.step(layer.name)
                if calibrate:
                    quantiser.calibrate(self._calibration(layer, out, values))
                out = quantiser(out)
            values[layer.name] = out
        return values

    def step(self, name: str) -> ActivationQuantiser:
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
            out: Tensor = self.weight_layer(layer.name)(inputs[0], self.quantised)
            return out
        return compute_weightless(layer, inputs)

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


def compute_weightless(layer: Layer, inputs: list[Tensor]) -> Tensor:
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
