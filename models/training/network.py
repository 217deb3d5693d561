"""QuantNetwork: the trainable network, first in floating point, then folded and fake-quantised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.graph.layers import Concat, Conv2d, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import legalise, scale_source
from models.quantisation.accumulators import Accumulator
from models.quantisation.fake_quantisers import ActivationQuantiser, InputQuantiser
from models.quantisation.learned_thresholds import ThresholdQuantiser
from models.quantisation.plan import Quantisation, check, plan_tensors, threshold_layers
from models.training.layers.weight_layer import WeightLayer
from models.training.layers.weightless import Weightless

Quantiser = ActivationQuantiser | InputQuantiser


@dataclass(frozen=True, eq=False)
class _Node:
    """One layer, ready to run; plain attributes only, which torch.compile can trace."""

    name: str
    inputs: tuple[str, ...]
    module: WeightLayer | Weightless
    in_quantisers: tuple[Quantiser, ...]
    quantiser: ActivationQuantiser | None
    """Quantiser of the result; None for max pooling, concat and the output layer."""
    ceiling: float | None = None
    """Largest value of the result in floating point, where it is clipped (ReLU6)."""


class QuantNetwork(nn.Module):
    """Trainable network from pixels to logits, in floating point until ``quantise`` is called.

    The input is rounded to its codes from the start. Raises ModelError when the graph is not sound
    or the quantisation does not fit it.

    >>> from models.graph.network import sequential
    >>> network = QuantNetwork(sequential("tiny", (1, 8, 8), Linear(10)), Quantisation())
    >>> pixels = torch.zeros(2, 1, 8, 8)
    >>> network.quantise(pixels)
    >>> network(pixels).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        graph: NetworkGraph,
        quantisation: Quantisation,
        scale_bits: int = 8,
        ceilings: Mapping[str, float] | None = None,
        accumulator: Accumulator | None = None,
    ) -> None:
        """Build the modules of the legalised graph.

        scale_bits: width of the requantisation multipliers that scales are snapped to. ceilings:
        largest value of layers that clip above, by their name in the legal graph, in floating point
        alone: quantised, the largest code clips. accumulator: what the integers of layers with
        weights keep to; None: any width. ModelError is raised for one that they cannot keep to;
        layers without weights are not looked at.
        """
        super().__init__()
        check(quantisation, graph)
        self.quantisation, self.graph = quantisation, legalise(graph)
        self.scale_bits, self.accumulator = scale_bits, accumulator
        self.quantised = False
        self.plans = plan_tensors(self.graph, quantisation)
        self.input = InputQuantiser(quantisation.input_bits, quantisation.input_zero_point)
        self.modules_by_layer = nn.ModuleDict()
        self.quantisers = nn.ModuleDict()
        self.input_name, self.output_name = self.graph.input.name, self.graph.output.name
        highs = ceilings or {}
        self.nodes = [
            self._node(layer, quantisation, highs.get(layer.name))
            for layer in self.graph.layers
            if not isinstance(layer.spec, Input)
        ]

    def _node(self, layer: Layer, quantisation: Quantisation, ceiling: float | None) -> _Node:
        module: WeightLayer | Weightless
        passes_on = scale_source(self.graph, layer.name) != layer.name
        if isinstance(layer.spec, Conv2d | Linear):
            bits = quantisation.spec(layer.name).weight_bits
            sparsity = quantisation.sparsity(layer)
            limits = None
            if self.accumulator is not None:
                codes, raw = self.plans[layer.inputs[0]], layer.name == self.output_name
                limits = self.accumulator.limits(codes.bits, codes.zero_point, raw)
            module = WeightLayer(self.graph, layer, bits, self.scale_bits, sparsity, limits)
        else:
            rows_cols = self.graph.shapes[layer.inputs[0]][1:]
            module = Weightless(layer, rows_cols, passes_on, self.scale_bits)
        self.modules_by_layer[_key(layer.name)] = module
        quantiser: Quantiser | None = None
        if layer.name in self.plans and not passes_on and not isinstance(layer.spec, Concat):
            plan = self.plans[layer.name]
            if layer.name in threshold_layers(self.graph, quantisation):
                channels = self.graph.shapes[layer.name][0]
                self.quantisers[_key(layer.name)] = ThresholdQuantiser(plan.bits, channels)
            elif _key(plan.scale_owner) not in self.quantisers:
                self.quantisers[_key(plan.scale_owner)] = ActivationQuantiser(
                    plan.bits, plan.signed
                )
            quantiser = self.quantiser(layer.name)
        assert not isinstance(quantiser, InputQuantiser)
        in_quantisers = tuple(self.quantiser(name) for name in layer.inputs)
        return _Node(layer.name, layer.inputs, module, in_quantisers, quantiser, ceiling)

    # Running ---------------------------------------------------------------------------------

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (n, classes) for pixels (n, C, H, W), uint8 or float 0..255."""
        return self.tensors(pixels)[self.output_name].flatten(1)

    def tensors(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return every layer's output by name, in real values (n, C, H, W).

        pixels: as for ``forward``.
        """
        return self.tensors_from(self.input(pixels))

    def tensors_from(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``tensors`` for real values (n, C, H, W), which are not rounded to input codes."""
        return self._run({self.input_name: image}, self.nodes)

    def tensors_after(self, values: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
        """Return ``tensors`` with those of the layers after ``name`` computed anew.

        values: every layer's output by name; that of ``name`` may be any other.
        """
        after = [node.name for node in self.nodes].index(name) + 1
        return self._run(dict(values), self.nodes[after:])

    def _run(self, values: dict[str, Tensor], nodes: Sequence[_Node]) -> dict[str, Tensor]:
        for node in nodes:
            inputs = [values[name] for name in node.inputs]
            if not self.quantised:
                out = node.module(inputs)
                values[node.name] = out if node.ceiling is None else out.clamp(max=node.ceiling)
                continue
            scales = [quantiser.scale for quantiser in node.in_quantisers]
            if node.quantiser is None:
                values[node.name] = node.module.quantised(inputs, scales, None)
            else:
                out = node.module.quantised(inputs, scales, node.quantiser.scale)
                values[node.name] = node.quantiser(out)
        return values

    # Folding and quantising ------------------------------------------------------------------

    @torch.no_grad()
    def fold(self) -> None:
        """Fold every batch norm in place; what the network computes in eval mode stays the same."""
        for layer in self.weight_layers:
            layer.fold()

    @torch.no_grad()
    def take(self, given: QuantNetwork, pixels: Tensor, norms: bool) -> None:
        """Take the numbers of a folded, quantised network of the same layers, in place.

        If its bits or accumulators are others, scales are set anew, as by ``quantise``. norms: the
        batch norms that ``quantise`` can leave come back; results in eval mode stay nearly as they
        are. pixels: (n, C, H, W), 0..255, for both. Raises ModelError for other layers.
        """
        if given.graph.layers != self.graph.layers:
            raise ModelError("the weights to start from are of another network")
        self.quantise()
        own, theirs = self.state_dict(), given.state_dict()
        # Learned thresholds may be missing there, or here, or be of other bits.
        alike = (key for key in own if key in theirs and theirs[key].shape == own[key].shape)
        self.load_state_dict(own | {key: theirs[key] for key in alike})
        if (given.quantisation, given.accumulator) != (self.quantisation, self.accumulator):
            self.quantise(pixels)
        if norms:
            self._unfold(pixels)

    def _unfold(self, pixels: Tensor) -> None:
        values = self.eval().tensors(pixels)
        for node in self.nodes:
            module = node.module
            if isinstance(module, WeightLayer) and module.spec.batch_norm and not module.last:
                module.unfold([values[name] for name in node.inputs])

    @torch.no_grad()
    def estimate_norms(self, batches: Iterable[Tensor]) -> None:
        """Set all batch norms' statistics to their means over batches of pixels.

        batches: (n, C, H, W) each, 0..255. The network is left in eval mode.
        """
        norms = [layer.batch_norm for layer in self.weight_layers if layer.batch_norm is not None]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean
        self.train()
        for batch in batches:
            self(batch)
        self.eval()

    @property
    def folded(self) -> bool:
        """True if no layer has a batch norm (any more)."""
        return all(layer.batch_norm is None for layer in self.weight_layers)

    @torch.no_grad()
    def quantise(self, pixels: Tensor | None = None, fold: bool = True) -> None:
        """Switch the quantisers on for good, and set their scales from a batch of ``pixels``.

        pixels: (n, C, H, W), 0..255. If it is None the scales stay as they are: a stored state is
        loaded next. fold: False keeps batch norms, until ``fold`` is called, but for the output
        layer's, whose channels share one scale.
        """
        for layer in self.weight_layers:
            if fold or layer.last:
                layer.fold()
        self.quantised = True
        if pixels is not None:
            self._calibrate(pixels)

    def _calibrate(self, pixels: Tensor) -> None:
        """Set the scales layer by layer, each on the output of the quantised layers before it.

        pixels: as for ``quantise``. The inputs of a concat share a quantiser; each sets it anew
        from its own values and those of the concat's inputs before it.
        """
        values = {self.input_name: self.input(pixels)}
        seen: dict[ActivationQuantiser, list[Tensor]] = {}
        for node in self.nodes:
            if isinstance(node.module, WeightLayer):
                node.module.quantiser.calibrate(node.module.kept_weight())
            scales = [quantiser.scale for quantiser in node.in_quantisers]
            inputs = [values[name] for name in node.inputs]
            out = node.module.quantised(inputs, scales, None)
            if node.quantiser is not None:
                seen.setdefault(node.quantiser, []).append(out.flatten())
                node.quantiser.calibrate(torch.cat(seen[node.quantiser]))
                out = node.quantiser(out)
            values[node.name] = out

    # Reading ---------------------------------------------------------------------------------

    def quantiser(self, name: str) -> Quantiser:
        """Return the quantiser of the codes that layer ``name``, not the output layer, outputs."""
        if self.plans[name].scale_owner == self.input_name:
            return self.input
        quantiser = self.quantisers[_key(self.plans[name].scale_owner)]
        assert isinstance(quantiser, ActivationQuantiser)
        return quantiser

    def weight_layer(self, name: str) -> WeightLayer:
        module = self.modules_by_layer[_key(name)]
        assert isinstance(module, WeightLayer)
        return module

    @property
    def weight_layers(self) -> list[WeightLayer]:
        return [node.module for node in self.nodes if isinstance(node.module, WeightLayer)]

    def weightless(self, name: str) -> Weightless:
        module = self.modules_by_layer[_key(name)]
        assert isinstance(module, Weightless)
        return module


def _key(name: str) -> str:
    """Return a ModuleDict key of a layer name, which may hold dots or equal a ModuleDict method."""
    return "/" + name.replace(".", "/")
