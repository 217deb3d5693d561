"""Lowering: a graph, or a trained network, to the integer network that hardware computes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from models.assemble import assemble, blank_numbers
from models.graph import NetworkGraph
from models.integer import IntegerNetwork
from models.passes import legalise
from models.quantisation import Quantisation, check
from models.sparsity import check as check_sparsity

if TYPE_CHECKING:
    from models.frozen import FrozenNetwork
    from models.train import TrainedNetwork


def shape_only(graph: NetworkGraph, quantisation: Quantisation, scale_bits: int) -> IntegerNetwork:
    """The integer network with blank weights and unit step sizes, for estimates before training.

    Raises ModelError when the graph is not sound or ``quantisation`` names an unknown layer.
    """
    check(quantisation, graph)
    legal = legalise(graph)
    return assemble(
        legal,
        quantisation,
        scale_bits,
        lambda layer: blank_numbers(legal, layer, quantisation),
        defaultdict(lambda: 1.0),
    )


def lower(trained: TrainedNetwork, scale_bits: int) -> tuple[FrozenNetwork, IntegerNetwork]:
    """The trained network with scales of ``scale_bits``-bit multipliers, twice.

    First in real values (torch, float64), then in integers; they agree code for code.
    """
    # torch takes seconds to import; estimates need shapes only.
    from models.freeze import freeze
    from models.frozen import FrozenNetwork

    network = trained.network
    frozen, scales = freeze(network, scale_bits)
    integer = assemble(
        network.graph,
        trained.quantisation,
        scale_bits,
        lambda layer: frozen[layer.name].numbers,
        scales,
    )
    for layer in integer.mac_layers:
        if layer.sparsity:
            check_sparsity(layer.name, layer.sources[0].weights, layer.sparsity)
    return FrozenNetwork(network.graph, network.plans, frozen, scales), integer
