"""Cut networks equal the original with zeros in place, in floating point and in integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import inputs, loading
from models.calibration.cutting import Cutter, cut
from models.calibration.own import float_network
from models.graph.channels import Channel, channel_map
from models.graph.layers import Conv2d, GlobalPool, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.importing.floating import FloatNetwork
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.trained import TrainedNetwork
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating
from tests.models.strategies import graphs, pixels, untrained


def masked(network: FloatNetwork, gone: Collection[Channel]) -> FloatNetwork:
    """Return the network with the weights and biases of these channels at 0."""
    weights, tensors = dict(network.weights), channel_map(network.graph).tensors
    for key, values in network.weights.items():
        lost = [one in gone for one in tensors[key.rpartition(".")[0]]]
        weights[key] = np.where(np.reshape(lost, (-1,) + (1,) * (values.ndim - 1)), 0, values)
    return dataclasses.replace(network, weights=weights)


def drawn(data: st.DataObject, graph: NetworkGraph) -> set[Channel]:
    """Draw channels to cut, none of which is the last of a tensor."""
    gone: set[Channel] = set()
    found = channel_map(graph)
    for own in found.groups.values():
        for one in data.draw(st.lists(st.sampled_from(own), unique=True)):
            rest = ([c for c in t if c not in gone] for t in found.tensors.values() if one in t)
            if all(len(set(left)) > 2 for left in rest):
                gone.add(one)
    return gone


def stay(graph: NetworkGraph, gone: Collection[Channel]) -> dict[str, np.ndarray]:
    """Return by tensor which of its channels stay."""
    tensors = channel_map(graph).tensors
    return {name: np.array([one not in gone for one in own]) for name, own in tensors.items()}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_a_cut_network_computes_what_the_masked_one_does(data: st.DataObject) -> None:
    """Weights and images are small integers, so that no order of sums changes a bit."""
    graph = data.draw(graphs())
    seed = data.draw(st.integers(0, 2**16))
    network = float_network(untrained(graph, Quantisation(), seed))
    random = np.random.default_rng(seed)
    whole = {
        key: random.integers(-2, 3, values.shape).astype(np.float32)
        for key, values in network.weights.items()
    }
    network = dataclasses.replace(network, weights=whole)
    gone = drawn(data, network.graph)
    small, large = cut(network, gone), masked(network, gone)
    image = torch.from_numpy(random.integers(0, 4, (2, *graph.shapes["image"]))).double()
    runs = [
        loading.load(one, Quantisation()).double().tensors_from(image) for one in (small, large)
    ]
    averages = any("avg" in repr(layer.spec).lower() for layer in graph.layers)
    for name, kept in stay(network.graph, gone).items():
        if name in runs[0]:
            found, expected = runs[0][name], runs[1][name][:, kept]
            if averages:
                torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
            else:
                assert torch.equal(found, expected), name


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_integers_of_a_cut_network_are_those_of_the_masked_one(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    bits = st.integers(2, 8)
    quantisation = Quantisation(data.draw(bits), QuantSpec(data.draw(bits), data.draw(bits)))
    network = float_network(untrained(graph, quantisation, data.draw(st.integers(0, 2**16))))
    gone = drawn(data, network.graph)
    large = loading.load(masked(network, gone), quantisation)
    large.quantise(torch.from_numpy(pixels(graph, 16, 1)))
    small = loading.load(cut(network, gone), quantisation)
    small.quantise()
    small.load_state_dict(_without(large.state_dict(), small.state_dict(), network.graph, gone))
    images = pixels(graph, 3, 2)
    results = [
        reference.run(integer, reference.quantise_input(integer, images))
        for integer in (
            lower(TrainedNetwork(one.graph, quantisation, one, ()), 8)[1] for one in (small, large)
        )
    ]
    kept = stay(large.graph, gone)
    assert set(results[0]) == set(results[1])
    for name, found in results[0].items():
        expected = results[1][name]
        if expected.ndim == 4:
            expected = expected[:, kept[name]]
        np.testing.assert_array_equal(found, expected, err_msg=name)


def _without(
    large: dict[str, torch.Tensor],
    small: dict[str, torch.Tensor],
    graph: NetworkGraph,
    gone: Collection[Channel],
) -> dict[str, torch.Tensor]:
    """Return the state of the large network without what belongs to channels that are cut."""
    kept, found = stay(graph, gone), {}
    for key, values in large.items():
        name = key.split(".")[1].removeprefix("/").replace("/", ".")  # of torch's ModuleDict
        for axis, size in enumerate(small[key].shape):
            if values.shape[axis] != size:
                tensor = name if axis == 0 else graph[name].inputs[0]
                values = values.index_select(axis, torch.from_numpy(np.flatnonzero(kept[tensor])))
        found[key] = values
    return found


NETWORK = inputs.fit(floating(RESIDUAL), UNIT).network
IMAGES = examples(RESIDUAL).images


def test_channels_that_another_one_can_stand_for_go_first() -> None:
    """Of two equal channels either can go; what the other then computes is what both did."""
    weights = dict(NETWORK.weights)
    for part in ("first.weight", "first.bias", "deep.weight", "deep.bias"):
        weights[part] = weights[part].copy()
        weights[part][5] = weights[part][2]
    weights["point.weight"] = weights["point.weight"].copy()
    weights["point.bias"] = weights["point.bias"].copy()
    weights["point.weight"][5], weights["point.bias"][5] = 0, -100
    weights["point.weight"][2], weights["point.bias"][2] = 0, -100
    twins = dataclasses.replace(NETWORK, weights=weights)
    cutter = Cutter.of(twins, 0, IMAGES)
    (group,) = cutter.order
    assert cutter.order[group][0][1] in (2, 5)
    before, after = (
        loading.load(one, Quantisation())(torch.from_numpy(IMAGES))
        for one in (twins, cutter.without({group: 1}))
    )
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_what_stays_takes_over_what_it_can(count: int) -> None:
    cutter = Cutter.of(NETWORK, 0, IMAGES)
    (group,) = cutter.order
    levels = torch.from_numpy(IMAGES)
    real = loading.load(NETWORK, Quantisation())(levels)
    plain, adapted = (
        loading.load(one, Quantisation())(levels)
        for one in (cut(NETWORK, cutter.gone({group: count})), cutter.without({group: count}))
    )
    assert (adapted - real).square().mean() < 0.7 * (plain - real).square().mean()
    assert cutter.without({group: 0}) is NETWORK


def test_padding_counts_as_zeros() -> None:
    """A channel that is constant is made up for by biases: exactly but at the border."""
    graph = NetworkGraph(
        "g",
        [
            Layer("input", Input((1, 6, 6))),
            Layer("a", Conv2d(4, (1, 1), relu=True), ("input",)),
            Layer("b", Conv2d(3, (3, 3), padding=(1, 1)), ("a",)),
            Layer("mean", GlobalPool(), ("b",)),
            Layer("fc", Linear(2), ("mean",)),
        ],
    )
    network = floating(graph, seed=3)
    network.weights["a.weight"][1] = 0
    network.weights["a.bias"][1] = 2
    images = np.random.default_rng(0).integers(0, 256, (64, 1, 6, 6), dtype=np.uint8)
    cutter = Cutter.of(network, 0, images)
    assert cutter.order["a"][0] == ("a", 1)
    before, after = (
        loading.load(one, Quantisation())(torch.from_numpy(images))
        for one in (network, cutter.without({"a": 1}))
    )
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-3)
