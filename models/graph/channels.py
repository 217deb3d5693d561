"""Channels that must be cut together: which ones of a network's tensors are one and the same.

A residual add ties the channels of its inputs, a depthwise layer those of its input and output; a
concat lays tensors side by side. What a network can have or lack is a set of tied channels as a
whole (structured pruning; Li et al., Pruning Filters for Efficient ConvNets, arXiv 1608.08710).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import networkx as nx
from networkx.utils import UnionFind

from models.graph.activations import POSITIVE
from models.graph.layers import Activation, Add, Concat, Conv2d, Input, Linear
from models.graph.network import Layer, NetworkGraph

Channel = tuple[str, int]
"""A set of tied channels, by one of the layers that compute it and its number there: the first in
the order of names, so that passes over a graph do not change it."""


@dataclass(frozen=True)
class ChannelMap:
    """Channels of a network's tensors: which are one, which may be cut. Made by ``channel_map``.

    >>> from models.graph.network import sequential
    >>> graph = sequential("tiny", (3, 8, 8), Conv2d(2, (3, 3)), Linear(10))
    >>> channel_map(graph).groups
    {'conv2d1': (('conv2d1', 0), ('conv2d1', 1))}
    """

    tensors: Mapping[str, tuple[Channel, ...]]
    """Channels of each layer's output, in their order."""
    groups: Mapping[str, tuple[Channel, ...]]
    """Channels that may be cut, those that a layer computes together in one group, by the name of
    one of its layers. Not those of the image, of the logits, of grouped convolutions that are not
    depthwise, and those of which a sigmoid or the like makes more than 0, where they are 0."""


def channel_map(graph: NetworkGraph) -> ChannelMap:
    """Return the channels of a graph, and the groups in the order of the layers.

    The graph need not be in legal form; equal channels of the legal one are the same. Raises
    ModelError where shapes do not fit.
    """
    ties: UnionFind = UnionFind()
    tensors: dict[str, list[Channel]] = {}
    fixed: set[Channel] = set()
    for layer in graph.layers:
        made = [(layer.name, number) for number in range(graph.shapes[layer.name][0])]
        read = [tensors[source] for source in layer.inputs]
        tensors[layer.name] = _channels(graph, layer, made, read, ties)
        if isinstance(layer.spec, Conv2d) and layer.spec.groups > 1 and not depthwise(graph, layer):
            fixed.update(made, *read)
        elif isinstance(layer.spec, Activation) and layer.spec.function in POSITIVE:
            fixed.update(*read)
        elif isinstance(layer.spec, Input) or layer.name == graph.output.name:
            fixed.update(tensors[layer.name])
    first = {one: min(tied) for tied in ties.to_sets() for one in tied}
    named = {name: tuple(first.get(one, one) for one in own) for name, own in tensors.items()}
    return ChannelMap(named, _groups(graph, named, {first.get(one, one) for one in fixed}))


def depthwise(graph: NetworkGraph, layer: Layer) -> bool:
    """True if each output channel of a layer reads one channel of several."""
    if not isinstance(layer.spec, Conv2d):
        return False
    return graph.shapes[layer.inputs[0]][0] == layer.spec.groups > 1


def without(graph: NetworkGraph, gone: Collection[Channel]) -> NetworkGraph:
    """Return the graph without some channels of its ``channel_map``, of layers and their readers.

    That each tensor keeps a channel is not checked.
    """
    tensors = channel_map(graph).tensors
    layers = []
    for layer in graph.layers:
        if isinstance(layer.spec, Conv2d | Linear):
            out = sum(one not in gone for one in tensors[layer.name])
            field = "out_features" if isinstance(layer.spec, Linear) else "out_channels"
            changes = {field: out}
            if depthwise(graph, layer):
                changes["groups"] = sum(one not in gone for one in tensors[layer.inputs[0]])
            layer = Layer(layer.name, dataclasses.replace(layer.spec, **changes), layer.inputs)  # type: ignore[arg-type]
        layers.append(layer)
    return NetworkGraph(graph.name, layers)


def _channels(
    graph: NetworkGraph,
    layer: Layer,
    made: list[Channel],
    read: list[list[Channel]],
    ties: UnionFind,
) -> list[Channel]:
    """Return the channels of a layer's output; tie those that it ties.

    made: what it computes if they are new ones; read: those of its inputs.
    """
    match layer.spec:
        case Conv2d() if depthwise(graph, layer):
            times = len(made) // len(read[0])
            return [one for one in read[0] for _ in range(times)]
        case Input() | Conv2d() | Linear():
            return made
        case Add():
            for tied in zip(*read, strict=True):
                ties.union(*tied)
            return read[0]
        case Concat():
            return [one for channels in read for one in channels]
    return read[0]


def _groups(
    graph: NetworkGraph, tensors: Mapping[str, tuple[Channel, ...]], fixed: set[Channel]
) -> dict[str, tuple[Channel, ...]]:
    together = nx.Graph()
    for layer in graph.layers:
        if isinstance(layer.spec, Conv2d | Linear):
            free = [one for one in tensors[layer.name] if one not in fixed]
            nx.add_path(together, free)
    found = [sorted(group) for group in nx.connected_components(together)]
    place = {layer.name: number for number, layer in enumerate(graph.layers)}
    found.sort(key=lambda group: place[group[0][0]])
    return {group[0][0]: tuple(group) for group in found}
