"""The vectorised features of the accuracy predictor are those of the lowered networks."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.cost.cycles.layers import LayerTable
from codesign.search.accuracy.features import FEATURES, network_features
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork, MacLayer


def expected(net: IntegerNetwork) -> dict[str, float]:
    """Return the features, computed from the lowered layers."""
    layers = net.mac_layers
    dense = [layer for layer in layers if layer.groups == 1]
    inner = [layer for layer in layers if not layer.raw]
    weights = np.array([kept_weights(layer) for layer in dense])
    bits = np.array([layer.weight_bits for layer in dense])
    outputs = [net.tensors[layer.output] for layer in inner]
    macs = LayerTable.of([net]).macs[0]
    classifier = net.tensors[layers[-1].sources[0].tensor].shape
    return {
        "log2_macs": np.log2((macs * [kept_share(layer) for layer in layers]).sum()),
        # Of one column of the map.
        "log2_classifier_inputs": np.log2(classifier[0] * classifier[1]),
        "log2_weights": np.log2(weights.sum()),
        "layers": len(dense),
        "mean_weight_bits": (bits * weights).sum() / weights.sum(),
        "least_weight_bits": bits.min(),
        "mean_activation_bits": np.mean([tensor.bits for tensor in outputs]),
        "least_input_bits": min(
            net.tensors[source.tensor].bits for layer in layers for source in layer.sources
        ),
        "log2_least_channels": np.log2(min(tensor.shape[0] for tensor in outputs)),
        "sums": len(layers) - len(dense),
        "short_accumulator_bits": 0,
    }


def kept_share(layer: MacLayer) -> float:
    return layer.sparsity.kept / layer.sparsity.group if layer.sparsity else 1.0


def kept_weights(layer: MacLayer) -> float:
    return kept_share(layer) * sum(source.weights.size for source in layer.sources)


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8)), ("images", (3, 32, 32))])
def test_features_equal_those_of_the_lowered_networks(
    name: str, shape: tuple[int, int, int]
) -> None:
    space = SearchSpace(load_declaration(name), shape, 10)
    random = np.random.default_rng(3)
    candidates = space.canonical(random.integers(0, space.sizes, (40, len(space.sizes))))
    found = network_features(layer_table(space, candidates))
    for row, candidate in enumerate(candidates):
        net = shape_only(*network(space, candidate), 8)
        values = expected(net)
        assert set(values) == set(FEATURES)
        for feature, value in values.items():
            assert found[row, FEATURES.index(feature)] == pytest.approx(value), feature
