"""Cross-layer equalisation: channels between two layers get ranges that one scale suits.

What a layer's channel is divided by, the weights of the next layer that read it are multiplied by,
so that the network computes the same (Nagel et al., arXiv 1906.04721). Factors weigh the range of
a channel's values against that of the weights that read it (Xiao et al., arXiv 2211.10438); weights
of a depthwise layer, whose scales are by channel as well, take all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.calibration.inputs import channels_read
from models.graph.layers import AvgPool, Conv2d, GlobalPool, Linear, MaxPool, Relu
from models.graph.network import NetworkGraph
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork

LARGEST = 64.0
"""Largest factor, and the inverse of the smallest."""


@dataclass(frozen=True)
class Pair:
    """Two layers with weights, of which only the second reads the first's channels."""

    first: str
    second: str


def pairs(network: QuantNetwork) -> list[Pair]:
    """Return the pairs whose channels can be scaled: nothing between or behind reads them else."""
    found = []
    for node in network.nodes:
        if isinstance(node.module, WeightLayer) and node.ceiling is None:
            second = _only_reader(network.graph, node.name)
            if second is not None:
                found.append(Pair(node.name, second))
    return found


def _only_reader(graph: NetworkGraph, name: str) -> str | None:
    """Return the one layer with weights that reads a layer, if need be through pooling and ReLU."""
    readers = graph.consumers(name)
    if len(readers) != 1:
        return None
    (reader,) = readers
    match graph[reader].spec:
        case Conv2d() | Linear():
            return reader
        case MaxPool() | AvgPool() | GlobalPool() | Relu():
            return _only_reader(graph, reader)
    return None


def equalise(network: QuantNetwork, values: Mapping[str, Tensor]) -> None:
    """Equalise the channels of all ``pairs`` of a float network in place.

    values: each layer's output (n, C, H, W) on examples, by name.
    """
    for pair in pairs(network):
        first, second = network.weight_layer(pair.first), network.weight_layer(pair.second)
        factor = _factor(values[pair.first].abs().amax(dim=(0, 2, 3)), second)
        first.weight.data /= factor[:, None, None, None]
        first.bias.data /= factor
        read = torch.from_numpy(channels_read(second.weight.shape, second.groups))
        second.weight.data *= factor[read][:, :, None, None]


def _factor(reach: Tensor, second: WeightLayer) -> Tensor:
    """Return what each channel is divided by, (C,). reach: largest magnitude of each channel."""
    read = torch.from_numpy(channels_read(second.weight.shape, second.groups))
    largest = second.weight.detach().abs().amax(dim=(2, 3))
    weights = torch.zeros_like(reach).scatter_reduce(0, read.flatten(), largest.flatten(), "amax")
    factor = reach if read.shape[1] == 1 else torch.sqrt(reach / weights)
    sound = torch.isfinite(factor) & (factor > 0)
    if not sound.any():
        return torch.ones_like(reach)
    middle = torch.exp(torch.log(factor[sound]).mean())
    return torch.where(sound, factor / middle, 1.0).clamp(1 / LARGEST, LARGEST)
