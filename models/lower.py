"""Lowering: a graph, or a trained network, to the integer network that hardware computes."""

from __future__ import annotations

from collections import defaultdict

from models.assemble import assemble, zero_numbers
from models.graph import NetworkGraph
from models.integer import IntegerNetwork
from models.passes import legalise
from models.quantisation import Quantisation, check


def shape_only(graph: NetworkGraph, quantisation: Quantisation, scale_bits: int) -> IntegerNetwork:
    """The integer network with zero weights and unit step sizes, for estimates before training.

    Raises ModelError when the graph is not sound or ``quantisation`` names an unknown layer.
    """
    check(quantisation, graph)
    legal = legalise(graph)
    return assemble(
        legal,
        quantisation,
        scale_bits,
        lambda layer: zero_numbers(legal, layer),
        defaultdict(lambda: 1.0),
    )
