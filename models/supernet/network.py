"""One set of weights for all networks of a family, so that each can be judged without training.

Networks of a family share layer names. A layer's weights are the first channels and the centre
of the kernel of the largest layer of that name, as in Cai et al., Once-for-All, ICLR 2020,
arXiv 1908.09791; linear layers share between equal map sizes. Bits are shared, too: weights and
activations are rounded to a step that follows from their spread. Batch norm and activation steps
are measured anew for every network (Yu et al., BigNAS, ECCV 2020, arXiv 2003.11142).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.arithmetic import weight_range
from models.errors import ModelError
from models.graph.layers import Conv2d, GlobalPool, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import is_signed, scale_source
from models.quantisation.fake_quantisers import InputQuantiser, code_range, round_half_up
from models.quantisation.plan import Quantisation
from models.training.weightless import operation

_EPS = 1e-5


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a network measured on a batch: mean and variance of each batch norm's input, and the
    root mean square of each tensor that is rounded."""

    norms: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    spreads: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Subnet:
    """A network of the family; ``quantisation`` None leaves it in floating point."""

    graph: NetworkGraph
    quantisation: Quantisation | None


class Supernet(nn.Module):
    """Shared weights, large enough for every one of ``graphs`` (in legal form, without concats)."""

    def __init__(self, graphs: Iterable[NetworkGraph]) -> None:
        super().__init__()
        largest: dict[str, tuple[int, ...]] = {}
        for graph in graphs:
            for layer in graph.layers:
                if isinstance(layer.spec, Conv2d | Linear):
                    here = largest.get(_key(graph, layer), (0, 0, 0, 0))
                    shape = _shape(graph, layer)
                    largest[_key(graph, layer)] = tuple(map(max, here, shape))
        self.layers = nn.ModuleDict({key: _Shared(shape) for key, shape in largest.items()})

    def forward(
        self, pixels: Tensor, subnet: Subnet, known: Statistics | None = None,
        seen: Statistics | None = None,
    ) -> Tensor:  # fmt: skip
        """Logits [n, classes]; the arguments are those of ``tensors``."""
        return self.tensors(pixels, subnet, known, seen)[subnet.graph.output.name].flatten(1)

    def tensors(
        self, pixels: Tensor, subnet: Subnet, known: Statistics | None = None,
        seen: Statistics | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Every layer's output.

        known: what batch norms and steps are set by; None: by this batch. seen: is filled with
        this batch's. Raises ModelError for a network that is larger than the shared weights.
        """
        graph, bits = subnet.graph, subnet.quantisation
        values: dict[str, Tensor] = {}
        for layer in graph.layers:
            if isinstance(layer.spec, Input):
                depth = 8 if bits is None else bits.input_bits
                values[layer.name] = InputQuantiser(depth)(pixels)
                continue
            inputs = [values[name] for name in layer.inputs]
            if isinstance(layer.spec, Conv2d | Linear):
                out = self._weighted(graph, layer, bits, inputs[0], known, seen)
            else:
                out = operation(layer)(inputs)
            rounds = layer is not graph.output and scale_source(graph, layer.name) == layer.name
            if bits is not None and rounds:
                width, signed = bits.spec(layer.name).activation_bits, is_signed(graph, layer.name)
                out = _rounded(out, layer.name, code_range(width, signed), known, seen)
            values[layer.name] = out
        return values

    def _weighted(
        self, graph: NetworkGraph, layer: Layer, bits: Quantisation | None, inputs: Tensor,
        known: Statistics | None, seen: Statistics | None,
    ) -> Tensor:  # fmt: skip
        spec, shape = layer.spec, _shape(graph, layer)
        assert isinstance(spec, Conv2d | Linear)
        shared = self.layers[_key(graph, layer)]
        assert isinstance(shared, _Shared)
        weight = shared.part(shape, layer.name)
        if bits is not None:
            low, high = weight_range(bits.spec(layer.name).weight_bits)
            dims = (1, 2, 3) if layer is not graph.output else (0, 1, 2, 3)
            spread = weight.detach().square().mean(dim=dims, keepdim=True).sqrt() + 1e-8
            weight = _round(weight, spread * best_step(low, high), low, high)
        stride, padding = (
            (spec.stride, spec.padding) if isinstance(spec, Conv2d) else ((1, 1), (0, 0))
        )
        bias = shared.bias[: shape[0]]
        if not spec.batch_norm:
            out = F.conv2d(inputs, weight, bias, stride, padding)
        else:
            out = F.conv2d(inputs, weight, None, stride, padding)
            gain = shared.gain[: shape[0]]
            if seen is not None:
                variance, mean = torch.var_mean(out.detach(), dim=(0, 2, 3), correction=0)
                seen.norms[layer.name] = mean, variance
            if known is None:
                out = F.batch_norm(out, None, None, gain, bias, training=True, eps=_EPS)
            else:
                mean, variance = known.norms[layer.name]
                out = F.batch_norm(out, mean, variance, gain, bias, eps=_EPS)
        return F.relu(out) if spec.relu else out


class _Shared(nn.Module):
    """Weights of the largest layer of a name, and what batch norm (or the layer) adds."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.weight)
        self.gain = nn.Parameter(torch.ones(shape[0]))
        self.bias = nn.Parameter(torch.zeros(shape[0]))

    def part(self, shape: tuple[int, ...], name: str) -> Tensor:
        out, channels, rows, cols = shape
        have = tuple(self.weight.shape)
        if any(size > most for size, most in zip(shape, have, strict=True)):
            raise ModelError(f"layer {name}: {shape} is larger than the shared weights, {have}")
        top, left = (have[2] - rows) // 2, (have[3] - cols) // 2
        return self.weight[:out, :channels, top : top + rows, left : left + cols]


def _key(graph: NetworkGraph, layer: Layer) -> str:
    """Layers of one key share weights; linear ones only where all from the last map on is alike."""
    if isinstance(layer.spec, Conv2d):
        return f"/{layer.name}"
    way, source = layer.name, graph[layer.inputs[0]]
    while isinstance(source.spec, Linear | GlobalPool):
        way, source = f"{way}/{source.name}", graph[source.inputs[0]]
    _, rows, cols = graph.shapes[source.name]
    return f"/{way}/{rows}x{cols}"


def _shape(graph: NetworkGraph, layer: Layer) -> tuple[int, int, int, int]:
    """Output channels, input channels, rows and columns of a layer's weights."""
    channels, rows, cols = graph.shapes[layer.inputs[0]]
    out = graph.shapes[layer.name][0]
    if isinstance(layer.spec, Conv2d):
        rows, cols = layer.spec.kernel
    return out, channels, rows, cols


def _rounded(
    values: Tensor, name: str, codes: tuple[int, int], known: Statistics | None,
    seen: Statistics | None,
) -> Tensor:  # fmt: skip
    spread = values.detach().square().mean().sqrt() + 1e-8 if known is None else known.spreads[name]
    if seen is not None:
        seen.spreads[name] = spread
    return _round(values, spread * best_step(*codes), *codes)


def _round(values: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    return round_half_up(torch.clamp(values / step, low, high)) * step


@functools.cache
def best_step(low: int, high: int) -> float:
    """Step of codes ``low`` .. ``high`` that loses least (mean square) on normally distributed
    values of root mean square 1, their positive half when ``low`` is 0."""
    least = 0.5 if low == 0 else 0.0
    places = torch.arange(0.5, 4000) / 4000 * (1 - least) + least
    values = torch.special.ndtri(places.double())
    steps = torch.arange(1, 400, dtype=torch.float64) / 100 / high**0.5
    rounded = torch.clamp(torch.floor(values / steps[:, None] + 0.5), low, high) * steps[:, None]
    return float(steps[(rounded - values).square().mean(dim=1).argmin()])
