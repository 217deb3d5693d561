"""Lowering of a graph, or of a trained network, to the integer network that hardware computes."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from models.graph.network import NetworkGraph
from models.graph.passes import legalise
from models.integer.assemble import assemble, blank_numbers
from models.integer.network import IntegerNetwork
from models.integer.parts import OutputPart
from models.quantisation.plan import Quantisation, check
from models.quantisation.sparsity import check as check_sparsity

if TYPE_CHECKING:
    from models.integer.frozen import FrozenNetwork
    from models.training.trained import TrainedNetwork


def shape_only(graph: NetworkGraph, quantisation: Quantisation, scale_bits: int) -> IntegerNetwork:
    """Return the integer network with blank weights and unit scales, for estimates before training.

    scale_bits: width of the requantisation multipliers. Raises ModelError when the graph is not
    sound, or ``quantisation`` names an unknown layer or gives a sparsity to a layer that cannot
    have one.
    """
    check(quantisation, graph)
    legal = legalise(graph)
    network = assemble(
        legal,
        quantisation,
        scale_bits,
        lambda layer: blank_numbers(legal, layer, quantisation),
        defaultdict(lambda: 1.0),
    )
    return dataclasses.replace(network, blank=True)


def lower(trained: TrainedNetwork, scale_bits: int) -> tuple[FrozenNetwork, IntegerNetwork]:
    """Return the float64 model and the integer network of a trained network.

    Both agree code for code. scale_bits: width of the requantisation multipliers. Raises ModelError
    when weights break their sparsity pattern.
    """
    # torch takes seconds to import; estimates need shapes only.
    from models.integer.freeze import freeze
    from models.integer.frozen import FrozenNetwork

    network = trained.network
    frozen, scales = freeze(network, scale_bits)
    integer = assemble(
        network.graph,
        trained.quantisation,
        scale_bits,
        lambda layer: frozen[layer.name].numbers,
        scales,
    )
    integer = dataclasses.replace(integer, **_ends(trained, integer))
    for layer in integer.mac_layers:
        if layer.sparsity:
            check_sparsity(layer.name, layer.sources[0].weights, layer.sparsity)
    return FrozenNetwork(network.graph, network.plans, frozen, scales), integer


def _ends(trained: TrainedNetwork, integer: IntegerNetwork) -> dict[str, Any]:
    """Return what the integer network says of outputs that are no classes of the input."""
    if trained.classifies:
        return {}
    part = OutputPart(integer.output.name, integer.output.shape)
    return {"parts": (part,), "offset": trained.offset}
