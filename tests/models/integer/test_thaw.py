"""Integers -> trainable weights -> integers: nothing is lost on the way."""

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.graph.layers import Activation, Add, Concat, Conv2d, GlobalPool, Input, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph, sequential
from models.integer.lower import lower
from models.integer.thaw import thaw
from models.quantisation.accumulators import Accumulator
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork

FORKED = NetworkGraph(
    "forked",
    (
        Layer("image", Input((3, 8, 8))),
        Layer("a", Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True), ("image",)),
        Layer("b", Conv2d(8, (3, 3), padding=(1, 1), groups=8, relu=True), ("a",)),
        Layer("sum", Add(), ("a", "b")),
        Layer("wide", Concat(), ("sum", "b")),
        Layer("small", MaxPool((2, 2), stride=(2, 2)), ("wide",)),
        Layer("mean", GlobalPool("avg"), ("small",)),
        Layer("logits", Linear(4), ("mean",)),
    ),
)


def _trained(
    graph: NetworkGraph, bits: int, scale_bits: int, kept: Accumulator | None = None
) -> TrainedNetwork:
    torch.manual_seed(bits)
    quantisation = Quantisation(default=QuantSpec(bits, bits))
    network = QuantNetwork(graph, quantisation, scale_bits, accumulator=kept)
    images = torch.randint(0, 256, (16, *graph.input.spec.shape), dtype=torch.uint8)
    with torch.no_grad():
        for layer in network.weight_layers:
            layer.bias.normal_(std=0.3)
    network(images)  # batch norms' statistics
    network.eval().quantise(images)
    return TrainedNetwork(graph, quantisation, network, ())


@pytest.mark.parametrize(
    ("bits", "scale_bits", "kept"),
    [
        (1, 8, None),
        (2, 8, None),
        (4, 6, None),
        (8, 16, None),
        (2, 8, Accumulator(10)),
        (4, 8, Accumulator(10)),
        (8, 8, Accumulator(13, 128)),
    ],
)
@pytest.mark.parametrize(
    "graph", [FORKED, sequential("row", (1, 6, 6), Conv2d(5, (3, 3), relu=True), Linear(3))]
)
def test_freezing_what_was_thawed_gives_the_same_integers(graph, bits, scale_bits, kept):
    _, integers = lower(_trained(graph, bits, scale_bits, kept), scale_bits)
    quantisation = Quantisation(default=QuantSpec(bits, bits))
    network = thaw(integers, graph, quantisation, scale_bits, kept)
    again = TrainedNetwork(graph, quantisation, network, ())
    _, found = lower(again, scale_bits)
    for old, new in zip(integers.mac_layers, found.mac_layers, strict=True):
        for field in ("bias", "requant_multiplier", "requant_shift"):
            np.testing.assert_array_equal(getattr(new, field), getattr(old, field), old.name)
        for source, other in zip(old.sources, new.sources, strict=True):
            np.testing.assert_array_equal(other.weights, source.weights, old.name)


def test_other_layers_and_activations_are_refused():
    graph = sequential("row", (1, 6, 6), Conv2d(5, (3, 3), relu=True), Linear(3))
    quantisation = Quantisation()
    _, integers = lower(_trained(graph, 4, 8), 8)
    wider = sequential("row", (1, 6, 6), Conv2d(6, (3, 3), relu=True), Linear(3))
    with pytest.raises(ModelError, match=r"shape \(5, 1, 3, 3\), the layer \(6, 1, 3, 3\)"):
        thaw(integers, wider, quantisation, 8)
    curved = sequential("row", (1, 6, 6), Conv2d(5, (3, 3)), Activation("tanh"), Linear(3))
    _, integers = lower(_trained(curved, 4, 8), 8)
    with pytest.raises(ModelError, match="cannot go on from integers of activation functions"):
        thaw(integers, curved, quantisation, 8)
