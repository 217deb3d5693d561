"""The space of a network that exists: its tables equal lowering, and its front can be refined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.cost.cycles.layers import LayerTable
from codesign.results import Budget
from codesign.search.accuracy.sensitivity import Losses, SensitivityBelief
from codesign.search.engine import InnerSearch, Problem
from codesign.search.refining import neighbours, refine
from codesign.search.space.declaration import load_declaration
from codesign.search.space.genome import network_key
from codesign.search.space.given import NetworkSpace
from models.graph.channels import channel_map
from models.graph.layers import (
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    LayerSpec,
    Linear,
    MaxPool,
    Relu,
)
from models.graph.network import Layer, NetworkGraph
from models.integer.lower import shape_only
from tests.codesign.cost import synthetic

NPU = load_declaration("images").npu


def graph(*layers: tuple[str, LayerSpec, str]) -> NetworkGraph:
    return NetworkGraph("given", [Layer(name, spec, tuple(i.split())) for name, spec, i in layers])


RESIDUAL = graph(
    ("image", Input((3, 16, 16)), ""),
    ("c1", Conv2d(8, (3, 3), padding=(1, 1), relu=True), "image"),
    ("c2", Conv2d(8, (3, 3), padding=(1, 1)), "c1"),
    ("sum", Add(relu=True), "c1 c2"),
    ("pool", MaxPool((2, 2), (2, 2)), "sum"),
    ("down", Conv2d(16, (3, 3), (2, 2), (0, 0, 1, 1), relu=True), "pool"),
    ("mean", GlobalPool("avg"), "down"),
    ("fc", Linear(10), "mean"),
)
SHARED = graph(
    ("image", Input((4, 8, 8)), ""),
    ("dw", Conv2d(4, (3, 3), padding=(1, 1), groups=4, relu=True), "image"),
    ("a", Conv2d(4, (1, 1), relu=True), "dw"),
    ("b", Conv2d(6, (3, 3), padding=(1, 1)), "dw"),
    ("rb", Relu(), "b"),
    ("both", Concat(), "a rb"),
    ("mean", AvgPool((2, 2), (2, 2)), "both"),
    ("fc", Linear(5), "mean"),
)


TIED = graph(
    ("image", Input((3, 9, 7)), ""),
    ("a", Conv2d(5, (3, 3), relu=True), "image"),
    ("b", Conv2d(6, (3, 3), relu=True), "image"),
    ("both", Concat(), "a b"),
    ("c", Conv2d(11, (1, 1)), "both"),
    ("d", Conv2d(11, (1, 1)), "c"),
    ("sum", Add(), "both c d"),
    ("deep", Conv2d(22, (3, 3), groups=11, relu=True), "sum"),
    ("two", Conv2d(4, (1, 1)), "deep"),
    ("pair", Conv2d(4, (1, 1), groups=2), "two"),
    ("fc", Linear(5), "pair"),
)


def space(network: NetworkGraph, **more: object) -> NetworkSpace:
    """All channels but two of each group may be cut, the last ones first."""
    order = {name: own[:1:-1] for name, own in channel_map(network).groups.items()}
    return NetworkSpace(network, "sha", NPU, **{"order": order, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("network", [RESIDUAL, SHARED, TIED])
def test_the_table_equals_the_lowered_networks(network: NetworkGraph) -> None:
    one = space(network)
    random = np.random.default_rng(0)
    candidates = random.integers(0, one.sizes, (40, len(one.sizes)))
    table = one.layers(candidates)
    lowered = LayerTable.of([shape_only(*one.network(c), 8) for c in candidates])
    for field in dataclasses.fields(LayerTable):
        written, true = getattr(table, field.name), getattr(lowered, field.name)
        np.testing.assert_array_equal(written, true, err_msg=field.name)
    assert len(np.unique(table.weight_bits[:, 0])) == len(one.choices["weight_bits.fc"])
    assert (np.ptp(table.out_channels, axis=0) > 0).any()


def test_layers_may_stay_dense_on_an_array_for_a_pattern() -> None:
    one = space(RESIDUAL)
    candidate = np.zeros(len(one.sizes), np.int64)
    candidate[one.index["dense.down"]] = 1
    assert not one.canonical(candidate[None]).any()  # without a pattern all are
    candidate[one.index["sparsity"]] = 1
    assert one.canonical(candidate[None])[0, one.index["dense.down"]] == 1
    layers = one.network(candidate)[1].layers
    assert [str(layers[name].sparsity) for name in ("c1", "c2", "down")] == ["None", "2:4", "None"]


def test_names_say_what_is_cut() -> None:
    one = space(RESIDUAL)
    whole = (one.sizes - 1) * np.array([p.name.startswith("channels") for p in one.parameters])
    assert "%" not in one.label(one.params(whole))
    whole[one.index["channels.down"]] = 0
    assert one.label(one.params(whole)).endswith(" c50-100%")
    assert one.lost(whole) == {"down": 8}


def test_genes_are_the_bits_that_have_an_effect() -> None:
    names = [one.name for one in space(SHARED).parameters]
    assert "activation_bits.both" in names
    assert not {"activation_bits.a", "activation_bits.b", "activation_bits.fc"} & set(names)
    assert space(SHARED).sharing("both") == ("a", "b")
    assert space(RESIDUAL).sparse == {"c2", "down", "fc"}  # c1 reads the image


def test_networks_of_other_weights_have_other_keys_and_npus_none() -> None:
    one, other = space(RESIDUAL), dataclasses.replace(space(RESIDUAL), weights_sha256="other")
    candidate = np.zeros(len(one.sizes), np.int64)
    moved = candidate.copy()
    moved[one.npu_genes[0]] = 1
    assert network_key(one, candidate) == network_key(one, moved)
    assert network_key(one, candidate) != network_key(other, candidate)
    moved[one.index["weight_bits.fc"]] = 1
    assert network_key(one, candidate) != network_key(one, moved)


def test_images_keep_their_bits_where_their_zero_is_a_code_of_its_own() -> None:
    one = space(RESIDUAL, zero_point=128)
    assert one.choices["input_bits"] == (8,)
    assert one.network(np.zeros(len(one.sizes), np.int64))[1].input_zero_point == 128


def losses(one: NetworkSpace) -> Losses:
    """Each bit of weights that is missing costs as much as the layer is deep; others a little."""
    costs = {
        p.name: {str(c): 0.01 * (1 + gene) * (int(p.choices[-1]) - int(c)) for c in p.choices}
        for gene, p in enumerate(one.parameters)
        if "bits." in p.name or p.name.startswith("channels")
    }
    return Losses.of_genes(one, costs)


def test_losses_add_up_and_trials_correct_them() -> None:
    one = space(RESIDUAL)
    belief = SensitivityBelief(3.0, losses(one), 1000)
    random = np.random.default_rng(0)
    layers = one.layers(random.integers(0, one.sizes, (30, len(one.sizes))))
    features = belief.features(layers)
    before = belief.after(np.empty((0, features.shape[1])), np.empty(0))
    mean, deviation = before.odds(features)
    np.testing.assert_allclose(mean, 3.0 - features.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(before.network_odds(layers), mean)
    # In truth all costs twice as much; what is unsure becomes less so.
    truth = 3.0 - 2 * features.sum(axis=1)
    after = belief.after(features[:20], 1 / (1 + np.exp(-truth[:20])))
    found, sure = after.odds(features[20:])
    assert np.abs(found - truth[20:]).max() < 0.3 * np.abs(mean[20:] - truth[20:]).max()
    assert (sure < deviation[20:]).all()


def test_patterns_of_layers_cost_what_they_were_measured_to() -> None:
    one = space(RESIDUAL)
    found = Losses.of_genes(one, {"sparsity.c2": {"2:4": 0.5}, "sparsity.fc": {"2:4": 0.25}})
    candidates = np.zeros((2, len(one.sizes)), np.int64)
    candidates[1, one.index["sparsity"]] = one.choices["sparsity"].index("2:4")
    assert found.of(one.layers(candidates)).sum(axis=1).tolist() == [0.0, 0.75]


def test_neighbours_differ_in_one_gene_one_kind_or_two_of_the_npu() -> None:
    one = space(RESIDUAL)
    random = np.random.default_rng(0)
    candidate = random.integers(0, one.sizes)
    near = neighbours(candidate, one.genes)
    assert ((near >= 0) & (near < one.sizes)).all()
    kinds = [set(kind.tolist()) for kind in one.genes.kinds]
    for other in near:
        changed = set(np.flatnonzero(other != candidate).tolist())
        assert changed
        arrays = len(changed) == 2 and changed <= set(one.npu_genes.tolist())
        assert len(changed) == 1 or arrays or any(changed <= kind for kind in kinds)
    single = sum(int(size) - 1 for size in one.sizes)
    assert len(near) >= single


@pytest.mark.parametrize("prefer", ["throughput", "area"])
def test_refinement_finds_what_costs_nothing_and_loses_nothing(prefer: str) -> None:
    one = space(RESIDUAL)
    belief = SensitivityBelief(3.0, losses(one), 1000)
    predictor = belief.after(np.empty((0, belief.losses.features)), np.empty(0))
    inner = InnerSearch(Problem(one, synthetic.model(), Budget(luts=9000)), "evolution", seed=0)
    before = inner.run(predictor.network_odds, 256)
    counted = inner.evaluations
    after = refine(inner, predictor.network_odds, 2000, prefer, first=True)
    assert inner.evaluations > counted + 2000

    def merits(found: object) -> np.ndarray:
        estimate = found.estimate  # type: ignore[attr-defined]
        if prefer == "area":
            return -np.log(estimate.area.luts)
        return np.log(estimate.images_per_second)

    old, new = predictor.network_odds(before.layers), predictor.network_odds(after.layers)
    for odds, merit in zip(old, merits(before), strict=True):
        assert ((new >= odds) & (merits(after) >= merit)).any()
    better = [
        ((new > odds) & (merits(after) >= merit)).any()
        for odds, merit in zip(old, merits(before), strict=True)
    ]
    assert np.mean(better) > 0.9
    assert after.feasible.all()
