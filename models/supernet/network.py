"""Supernet: one set of weights for all networks of a family, to evaluate each without training it.

Networks of a family share layer names. A layer's weights are the first channels and the centre of
the kernel of shared weights, which have the largest extents of all layers of that name, as in Cai
et al., Once-for-All, ICLR 2020, arXiv 1908.09791; linear layers share between equal map sizes. The
weights are shared by all bit widths, too: weights and activations are rounded with a scale that
follows from their root mean square. Batch-norm statistics and activation scales are measured anew
for every network (Yu et al., BigNAS, ECCV 2020, arXiv 2003.11142).
"""

from __future__ import annotations

import dataclasses
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
from models.training.layers.convolution import convolve
from models.training.layers.weightless import operation

_EPS = 1e-5


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics that a sub-network measured on a batch; filled by ``Supernet.tensors``.

    >>> from models.graph.network import sequential
    >>> subnet = Subnet(sequential("tiny", (1, 8, 8), Linear(10, batch_norm=True)), None)
    >>> seen = Statistics()
    >>> logits = Supernet([subnet.graph])(torch.zeros(4, 1, 8, 8), subnet, seen=seen)
    >>> [tuple(tensor.shape) for tensor in seen.norms["linear1"]]
    [(10,), (10,)]
    """

    norms: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """(Mean, variance) of each batch norm's input, each (channels,), by layer name; the variance is
    divided by the count, not by one less."""
    spreads: dict[str, Tensor] = field(default_factory=dict)
    """Root mean square, a scalar, of each activation tensor that is rounded, by layer name; that of
    ``known`` if ``tensors`` was given that."""


@dataclass(frozen=True, eq=False)
class Subnet:
    """Choice of one network in a Supernet: graph and quantisation, without weights.

    With ``quantisation`` None the Supernet computes it in floating point, but for 8-bit input
    codes. The quantisation's sparsity has no effect, and 1-bit weights are computed as 2-bit ones:
    -1, 0 and +1.

    >>> from models.graph.network import sequential
    >>> Subnet(sequential("tiny", (1, 8, 8), Linear(10)), Quantisation()).graph.name
    'tiny'
    """

    graph: NetworkGraph
    quantisation: Quantisation | None


class Supernet(nn.Module):
    """Shared weights, large enough for every one of ``graphs``.

    Graphs must be in legal form and have no concats and no grouped convolutions. This is not
    checked: a grouped convolution would be computed as a dense one.

    >>> from models.graph.network import sequential
    >>> small, large = (sequential("net", (1, 8, 8), Linear(n), Linear(10)) for n in (16, 32))
    >>> supernet = Supernet([small, large])
    >>> supernet(torch.zeros(2, 1, 8, 8), Subnet(small, Quantisation())).shape
    torch.Size([2, 10])
    """

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
        """Return logits (n, classes); arguments and errors are those of ``tensors``."""
        return self.tensors(pixels, subnet, known, seen)[subnet.graph.output.name].flatten(1)

    def tensors(
        self, pixels: Tensor, subnet: Subnet, known: Statistics | None = None,
        seen: Statistics | None = None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Return every layer's output by name, for pixels (n, C, H, W), uint8 or float 0..255.

        known: statistics that set batch norms and activation scales; None uses this batch's own.
        seen: receives this batch's statistics, but the spreads of ``known`` if that is given.
        Raises ModelError for a network that is larger than the shared weights, KeyError for a layer
        that the shared weights or ``known`` lack.
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
            weight = _round(weight, spread * best_scale(low, high), low, high)
        if isinstance(spec, Conv2d):
            spec = dataclasses.replace(spec, groups=1)
        bias = shared.bias[: shape[0]]
        if not spec.batch_norm:
            out = convolve(spec, inputs, weight, bias)
        else:
            out = convolve(spec, inputs, weight, None)
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
    """Weights of the largest layer of a name, with batch norm's gain and bias (or its own bias).

    shape: (output channels, input channels, rows, columns).
    """

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
    """Return the key of a layer's shared weights: layers with equal keys share.

    That of a convolution is its name. A linear layer's holds the linear and global pooling layers
    since the last feature map and that map's size: linear layers share only if all these are alike.
    """
    if isinstance(layer.spec, Conv2d):
        return f"/{layer.name}"
    way, source = layer.name, graph[layer.inputs[0]]
    while isinstance(source.spec, Linear | GlobalPool):
        way, source = f"{way}/{source.name}", graph[source.inputs[0]]
    _, rows, cols = graph.shapes[source.name]
    return f"/{way}/{rows}x{cols}"


def _shape(graph: NetworkGraph, layer: Layer) -> tuple[int, int, int, int]:
    """Return output channels, input channels, rows and columns of a layer's weights."""
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
    return _round(values, spread * best_scale(*codes), *codes)


def _round(values: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    return round_half_up(torch.clamp(values / scale, low, high)) * scale


@functools.cache
def best_scale(low: int, high: int) -> float:
    """Return the scale with the least mean squared error on normally distributed values.

    Candidates are 0.01 to 3.99 in steps of 0.01, each divided by sqrt(high), of codes -1..0 by 1.
    low, high: range of the codes, both included. The values have root mean square 1; if ``low`` is
    0, they are the positive half of the distribution.
    """
    least = 0.5 if low == 0 else 0.0
    places = torch.arange(0.5, 4000) / 4000 * (1 - least) + least
    values = torch.special.ndtri(places.double())
    scales = torch.arange(1, 400, dtype=torch.float64) / 100 / max(high, 1) ** 0.5
    rounded = torch.clamp(torch.floor(values / scales[:, None] + 0.5), low, high) * scales[:, None]
    return float(scales[(rounded - values).square().mean(dim=1).argmin()])
