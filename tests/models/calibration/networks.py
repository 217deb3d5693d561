"""Small float networks for tests of calibration."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.data.datasets import Split
from models.data.values import InputRange
from models.graph.layers import Add, Conv2d, GlobalPool, Input, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph
from models.importing.floating import FloatNetwork, Weights
from models.importing.folder import weight_shapes

RESIDUAL = NetworkGraph(
    "residual",
    [
        Layer("input", Input((3, 12, 12))),
        Layer("first", Conv2d(8, (3, 3), padding=(1, 1), relu=True), ("input",)),
        Layer("pool", MaxPool((2, 2), (2, 2)), ("first",)),
        Layer("deep", Conv2d(8, (3, 3), padding=(1, 1), groups=8, relu=True), ("pool",)),
        Layer("point", Conv2d(8, (1, 1)), ("deep",)),
        Layer("sum", Add(relu=True), ("pool", "point")),
        Layer("mean", GlobalPool(), ("sum",)),
        Layer("classes", Linear(5), ("mean",)),
    ],
)
UNIT = InputRange.of(0, 1)


def floating(
    graph: NetworkGraph, seed: int = 0, ceilings: Mapping[str, float] | None = None
) -> FloatNetwork:
    """Return a network of random float weights."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in weight_shapes(graph).items():
        spread = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = rng.normal(0, spread, shape).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.2, shape[0]).astype(np.float32)
    return FloatNetwork(graph, weights, dict(ceilings or {}))


def examples(graph: NetworkGraph, count: int = 64, seed: int = 1) -> Split:
    """Return random input levels that vary slowly over the map, and random labels."""
    rng = np.random.default_rng(seed)
    channels, rows, cols = graph.shapes[graph.input.name]
    coarse = rng.integers(0, 256, (count, channels, -(-rows // 4), -(-cols // 4)))
    levels = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, :rows, :cols]
    return Split(levels.astype(np.uint8), rng.integers(0, 5, count))
