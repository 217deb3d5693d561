"""The space of several networks: each row as its own space has it, and beliefs kept apart."""

from __future__ import annotations

import dataclasses

import numpy as np

from codesign.cost.area.model import AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.data import dataset
from codesign.results import Budget
from codesign.search.accuracy.sensitivity import SensitivityBelief
from codesign.search.accuracy.zoo import ZooBelief
from codesign.search.problem import Problem
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import network_key
from codesign.search.space.given import NetworkSpace
from codesign.search.space.zoo import ZooLayers, ZooSpace
from models.graph.layers import Linear
from models.graph.network import NetworkGraph, sequential
from tests.codesign.search.space.test_given import NPU, RESIDUAL, losses, space

WIDE = sequential("wide", (3, 16, 16), Linear(20, relu=True), Linear(10))


def zoo() -> ZooSpace:
    """Two networks with other layers, and one of the same layers with other weights."""
    again = dataclasses.replace(space(RESIDUAL), weights_sha256="other")
    return ZooSpace({"residual": space(RESIDUAL), "wide": space(WIDE), "again": again})


def drawn(one: ZooSpace | NetworkSpace, count: int = 60) -> np.ndarray:
    genes = np.random.default_rng(0).integers(0, one.sizes, (count, len(one.sizes)))
    return one.canonical(genes)


def test_designs_cost_what_they_cost_in_the_space_of_their_network_alone() -> None:
    one = zoo()
    model = AreaModel.fit(dataset.read()[:40])
    together = Problem(one, model, Budget(luts=10_000))
    candidates = drawn(one)
    found = together.evaluate(candidates)
    assert isinstance(found.layers, ZooLayers)
    assert set(found.layers.numbers) == {0, 1, 2}
    for number, own in enumerate(one.every_space):
        rows = np.flatnonzero(found.layers.numbers == number)
        mine = one.own(candidates[rows], number)
        np.testing.assert_array_equal(mine, own.canonical(mine))
        alone = dataclasses.replace(together, space=own).evaluate(mine)
        for field in dataclasses.fields(LayerTable):
            table, true = getattr(found.layers, field.name)[rows], getattr(alone.layers, field.name)
            np.testing.assert_array_equal(table[:, : true.shape[1]], true, err_msg=field.name)
            assert not table[:, true.shape[1] :].any()
        np.testing.assert_allclose(found.violation[rows], alone.violation, rtol=1e-12)
        costs = together.costs(found.estimate)[rows]
        np.testing.assert_allclose(costs, together.costs(alone.estimate), rtol=1e-12)
        for row, candidate in zip(rows[:3], mine[:3], strict=True):
            assert one.network(candidates[row]) == own.network(candidate)


def test_genes_of_other_networks_have_no_effect() -> None:
    one = zoo()
    candidate = one.bases[1]
    for name in ("weight_bits.residual.fc", "channels.again.down", "dense.residual.down"):
        changed = candidate.copy()
        changed[one.index[name]] = 1
        np.testing.assert_array_equal(one.canonical(changed[None])[0], candidate)
    changed = candidate.copy()
    changed[one.index["weight_bits.wide.linear1"]] = 1
    assert network_key(one, changed) != network_key(one, candidate)
    keys = {network_key(one, base) for base in one.bases}
    assert len(keys) == 3  # the same layers with other weights are another network


def test_names_begin_with_that_of_the_zoo() -> None:
    one = zoo()
    labels = [one.label(one.params(base)).split()[0] for base in one.bases]
    assert labels == ["residual", "wide", "again"]


def test_the_designs_of_a_small_zoo_are_all_listed() -> None:
    bits = BitChoices(input=(8,), weights=(2, 4), activations=(4,), sparsity=("dense", "2:4"))
    fewest = {name: getattr(NPU, name)[:1] for name in NPU.genes}
    npu = dataclasses.replace(NPU, **{**fewest, "lanes": (4, 8)})  # type: ignore[arg-type]

    def tiny(graph: NetworkGraph, npu: NpuChoices) -> NetworkSpace:
        return NetworkSpace(graph, graph.name, npu, bits)

    one = ZooSpace({"a": tiny(RESIDUAL, npu), "b": tiny(WIDE, npu)})
    every = one.every()
    assert len(every) == one.designs == len(np.unique(every, axis=0))
    np.testing.assert_array_equal(every, one.canonical(every))


def test_candidates_of_one_network_come_and_go() -> None:
    one = zoo()
    for number, own in enumerate(one.every_space):
        mine = drawn(own)
        joined = one.joined(mine, number)
        np.testing.assert_array_equal(joined, one.canonical(joined))
        np.testing.assert_array_equal(one.own(joined, number), mine)
        assert {one.start(candidate) for candidate in joined} == {number}
        placed, table = one.placed(own.layers(mine), number), one.layers(joined)
        for field in dataclasses.fields(table):
            np.testing.assert_array_equal(getattr(placed, field.name), getattr(table, field.name))


def test_what_is_learned_of_one_network_says_nothing_of_another() -> None:
    one = zoo()
    alone = [
        SensitivityBelief(base, losses(own), 500)
        for base, own in zip((3.0, 1.0, 2.0), one.every_space, strict=True)
    ]
    belief = ZooBelief(tuple(alone))
    candidates = drawn(one)
    layers = one.layers(candidates)
    features = belief.features(layers)
    tried = np.flatnonzero(layers.numbers == 0)[:4]
    accuracies = np.linspace(0.6, 0.9, 4)
    predictor = belief.after(features[tried], accuracies)
    mean, deviation = predictor.odds(features)
    np.testing.assert_allclose(predictor.network_odds(layers), mean)
    for number, own in enumerate(one.every_space):
        rows = np.flatnonzero(layers.numbers == number)
        known = own.layers(one.own(candidates[tried if number == 0 else tried[:0]], number))
        told = accuracies if number == 0 else accuracies[:0]
        single = alone[number].after(alone[number].features(known), told)
        mine = alone[number].features(own.layers(one.own(candidates[rows], number)))
        for found, true in zip((mean, deviation), single.odds(mine), strict=True):
            np.testing.assert_allclose(found[rows], true)
