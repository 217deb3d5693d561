"""Hypothesis strategies: random network graphs, quantisations and quantised networks.

All are small enough to run in milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import torch
from hypothesis import strategies as st

from models.errors import ModelError
from models.graph.activations import FUNCTIONS
from models.graph.layers import (
    Activation,
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    LayerSpec,
    Linear,
    MaxPool,
    Padding,
    Relu,
)
from models.graph.network import Layer, NetworkGraph
from models.graph.verifier import verify
from models.quantisation.accumulators import Accumulator
from models.quantisation.plan import SPARSITY, Quantisation, QuantSpec, knobs
from models.quantisation.sparsity import PATTERNS, Sparsity
from models.training.history import Epoch
from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork

CLASSES = 5
SPARSITIES = st.sampled_from([None, *(Sparsity(*pattern) for pattern in PATTERNS)])


class _Builder:
    """A graph under construction, with the shape of every tensor."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.layers = [Layer("image", Input(shape))]
        self.shapes = {"image": shape}

    def add(self, spec: LayerSpec, *inputs: str) -> str:
        name = f"{spec.op}.{len(self.layers)}"
        self.layers.append(Layer(name, spec, inputs))
        self.shapes[name] = spec.output_shape([self.shapes[source] for source in inputs])
        return name

    def unread(self) -> list[str]:
        """Return the layers that no other layer reads."""
        read = {source for layer in self.layers for source in layer.inputs}
        return [layer.name for layer in self.layers if layer.name not in read]


@st.composite
def graphs(draw: st.DrawFn, max_layers: int = 6) -> NetworkGraph:
    """Draw a graph of all kinds of layers; its ends are joined by global pooling, a concat and a
    linear layer."""
    channels = draw(st.integers(1, 3))
    rows, cols = draw(st.integers(4, 9)), draw(st.integers(4, 9))
    builder = _Builder((channels, rows, cols))
    for _ in range(draw(st.integers(1, max_layers))):
        source = draw(st.sampled_from(sorted(builder.shapes)))
        _grow(draw, builder, source)
    heads = []
    for name in builder.unread():
        kind = draw(st.sampled_from(["max", "avg", None]))
        heads.append(name if kind is None else builder.add(GlobalPool(kind), name))
    maps = {builder.shapes[name][1:] for name in heads}
    if len(maps) > 1:
        heads = [builder.add(GlobalPool("max"), name) for name in heads]
    joined = builder.add(Concat(), *heads) if len(heads) > 1 else heads[0]
    builder.add(Linear(CLASSES), joined)
    return verify(NetworkGraph("random", builder.layers))


def _grow(draw: st.DrawFn, builder: _Builder, source: str) -> None:
    """Add a layer that reads ``source``."""
    channels, rows, cols = builder.shapes[source]
    same = [name for name, shape in builder.shapes.items() if shape == builder.shapes[source]]
    maps = [name for name, shape in builder.shapes.items() if shape[1:] == (rows, cols)]
    match draw(st.sampled_from(["conv", "conv", "max", "avg", "add", "concat", "relu", "curve"])):
        case "conv":
            builder.add(draw(_convolutions(channels, rows, cols)), source)
        case "max":
            builder.add(draw(_pools(MaxPool, rows, cols)), source)
        case "avg":
            builder.add(draw(_pools(AvgPool, rows, cols)), source)
        case "add":
            others = draw(st.lists(st.sampled_from(same), min_size=1, max_size=3))
            builder.add(Add(draw(st.booleans())), source, *others)
        case "concat":
            builder.add(Concat(), source, draw(st.sampled_from(maps)))
        case "relu":
            builder.add(Relu(), source)
        case "curve":
            builder.add(Activation(draw(st.sampled_from(sorted(FUNCTIONS)))), source)


@st.composite
def _convolutions(draw: st.DrawFn, channels: int, rows: int, cols: int) -> Conv2d:
    kernel = draw(st.integers(1, min(3, rows))), draw(st.integers(1, min(3, cols)))
    dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel = (
        kernel[0] if (kernel[0] - 1) * dilation[0] < rows else 1,
        kernel[1] if (kernel[1] - 1) * dilation[1] < cols else 1,
    )
    padding = draw(_paddings((kernel[0] - 1) * dilation[0], (kernel[1] - 1) * dilation[1]))
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    return Conv2d(
        groups * draw(st.integers(1, 4)),
        kernel,
        (draw(st.integers(1, 2)), draw(st.integers(1, 2))),
        padding,
        groups,
        batch_norm=draw(st.booleans()),
        relu=draw(st.booleans()),
        dilation=dilation,
    )


@st.composite
def _pools(draw: st.DrawFn, kind: type[MaxPool | AvgPool], rows: int, cols: int) -> LayerSpec:
    kernel = draw(st.integers(1, min(3, rows))), draw(st.integers(1, min(3, cols)))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(_paddings(kernel[0] // 2, kernel[1] // 2))
    spec = kind(kernel, stride, padding, draw(st.booleans()))
    if not isinstance(spec, AvgPool):
        return spec
    for option in (dataclasses.replace(spec, count_include_pad=False), spec):
        with contextlib.suppress(ModelError):
            option.divisor((1, rows, cols))
            return option
    return dataclasses.replace(spec, ceil_mode=False)


@st.composite
def _paddings(draw: st.DrawFn, most_rows: int, most_cols: int) -> Padding:
    """Draw a padding of up to that many rows and columns, alike on both sides or not."""
    sides = [draw(st.integers(0, most)) for most in (most_rows, most_cols) * 2]
    return (sides[0], sides[1]) if draw(st.booleans()) else (*sides[:2], *sides[2:])


@st.composite
def quantisations(draw: st.DrawFn, graph: NetworkGraph) -> Quantisation:
    """Draw bits, N:M sparsity, a zero point, learned thresholds: defaults, and some layers' own."""
    bits = st.integers(1, 8)
    default = QuantSpec(draw(bits), draw(bits), draw(SPARSITIES))
    layers = {}
    for name, fields in knobs(graph).items():
        if draw(st.booleans()):
            spec = default if SPARSITY in fields else dataclasses.replace(default, sparsity=None)
            values = {f: draw(SPARSITIES if f == SPARSITY else bits) for f in fields}
            layers[name] = dataclasses.replace(spec, **values)
    input_bits = draw(bits)
    zero_point = draw(st.integers(0, (1 << input_bits) - 1))
    return Quantisation(input_bits, default, layers, zero_point, draw(st.booleans()))


@st.composite
def trained_networks(draw: st.DrawFn) -> TrainedNetwork:
    """Draw a network with random weights and batch norms, calibrated but not trained.

    It keeps to accumulators of some width or of any.
    """
    graph = draw(graphs())
    quantisation = draw(quantisations(graph))
    seed, scale_bits = draw(st.integers(0, 2**16)), draw(st.integers(4, 12))
    kept = draw(st.none() | st.builds(Accumulator, st.integers(8, 16), st.sampled_from([0, 128])))
    with contextlib.suppress(ModelError):  # 1-bit weights cannot keep to any
        return untrained(graph, quantisation, seed, scale_bits, kept)
    return untrained(graph, quantisation, seed, scale_bits)


def untrained(
    graph: NetworkGraph,
    quantisation: Quantisation,
    seed: int,
    scale_bits: int = 8,
    accumulator: Accumulator | None = None,
) -> TrainedNetwork:
    """Return a network with random weights, biases and batch-norm statistics, untrained.

    Its activation scales are calibrated on random images. accumulator: as for QuantNetwork.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = QuantNetwork(graph, quantisation, scale_bits, accumulator=accumulator)
        with torch.no_grad():
            for name, values in network.state_dict().items():
                if name.endswith(("bias", "running_mean")):
                    values.normal_(0, 0.3)
                elif name.endswith("running_var"):
                    values.uniform_(0.2, 2)
    network.eval()
    network.quantise(torch.from_numpy(pixels(graph, 16, seed)))
    return TrainedNetwork(graph, quantisation, network, (Epoch(0.0, 0.0, True),))


def pixels(graph: NetworkGraph, count: int, seed: int) -> np.ndarray:
    """Return random images for the graph, uint8, shape (count, channels, rows, columns)."""
    shape = graph.shapes[graph.input.name]
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
