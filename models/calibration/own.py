"""Trained networks of ours as float networks, to be quantised anew with other bits."""

from __future__ import annotations

import dataclasses

from models.graph.layers import Conv2d, Linear
from models.graph.network import Layer, NetworkGraph
from models.importing.floating import FloatNetwork
from models.training.trained import TrainedNetwork


def float_network(trained: TrainedNetwork) -> FloatNetwork:
    """Return the weights that training ended with, before they were rounded.

    Batch norms are folded into them. The input is that of ``inputs.fit``, with the zero point of
    the trained network's quantisation.
    """
    graph, network = trained.graph, trained.network
    layers = [
        Layer(layer.name, dataclasses.replace(layer.spec, batch_norm=False), layer.inputs)
        if isinstance(layer.spec, Conv2d | Linear)
        else layer
        for layer in graph.layers
    ]
    weights = {}
    for layer in layers:
        if isinstance(layer.spec, Conv2d | Linear):
            module = network.weight_layer(layer.name)
            weights[f"{layer.name}.weight"] = module.kept_weight().detach().numpy().copy()
            weights[f"{layer.name}.bias"] = module.bias.detach().numpy().copy()
    ceilings = {node.name: node.ceiling for node in network.nodes if node.ceiling is not None}
    return FloatNetwork(NetworkGraph(graph.name, layers), weights, ceilings)
