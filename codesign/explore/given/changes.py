"""Rows on what became of each layer of the network that a search started from."""

from __future__ import annotations

from typing import Any

from codesign.compiler import Plan, bottleneck
from models.graph.network import NetworkGraph
from models.graph.passes import legalise


def layer_changes(given: NetworkGraph, planned: Plan) -> list[dict[str, Any]]:
    """Return a JSON object for each layer of a design: its channels, bits, cycles and bottleneck.

    given: the graph before it was cut; planned: the design made of it. ``of_channels`` are those
    that the layer had; ``activation_bits`` of the outputs (logits) are None, and so is ``sparsity``
    of dense weights.
    """
    before, network = legalise(given).shapes, planned.schedule.network
    return [
        {
            "name": shape.layer.name,
            "channels": shape.out_shape[0],
            "of_channels": before[shape.layer.name][0],
            "weight_bits": shape.layer.weight_bits,
            "activation_bits": None
            if shape.layer.raw
            else network.tensors[shape.layer.output].bits,
            "sparsity": str(shape.layer.sparsity) if shape.layer.sparsity else None,
            "cycles": layer.cycles,
            "bound": bound,
        }
        for shape, layer, bound in zip(
            planned.schedule.shapes, planned.layers, bottleneck.bounds(planned), strict=True
        )
    ]
