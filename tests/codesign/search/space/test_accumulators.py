"""Accumulators as a choice of a space: what training keeps to, each once, as the compiler says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.compiler import (
    least_accumulator_bits,
    trained_accumulator,
    untrainable_reasons,
    worst_accumulator_bits,
)
from codesign.cost.cycles.layers import LayerTable
from codesign.results import UserError
from codesign.search.accuracy.features import FEATURES, capacity, network_features
from codesign.search.space import accumulators
from codesign.search.space.candidates import npu_table
from codesign.search.space.choices import ACCUMULATOR
from codesign.search.space.declaration import (
    BitChoices,
    NetworkChoices,
    NpuChoices,
    SpaceDeclaration,
    load_declaration,
)
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from codesign.search.space.given import NetworkSpace
from models.graph.layers import Linear
from models.graph.network import sequential
from models.integer.lower import shape_only
from rtl_gen.parameters import MULTIPLIERS

CHOICES = (0, 10, 12, 14, 16)


def space(choices: tuple[int, ...] = CHOICES, name: str = "images") -> SearchSpace:
    """Return a shipped space with a choice of accumulators, 1-bit weights and every multiplier."""
    found = load_declaration(name)
    npu = dataclasses.replace(found.npu, accumulator_bits=choices, multiplier=MULTIPLIERS)
    bits = dataclasses.replace(found.bits, weights=(*found.bits.weights, 1, 8))
    network = dataclasses.replace(found.network, residual=(True, False, "projection"))
    return SearchSpace(SpaceDeclaration(network, bits, npu), (1, 28, 28), 10)


def drawn(one: SearchSpace, count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return one.canonical(random.integers(0, one.sizes, (count, len(one.sizes))))


def test_widths_are_those_that_training_keeps_to():
    one = space()
    candidates = drawn(one, 150)
    layers = one.layers(candidates)
    kept, npus = (
        accumulators.kept_bits(one, candidates, layers),
        npu_table(one, candidates, layers),
    )
    networks = [shape_only(*one.network(candidate), 8) for candidate in candidates]
    seen = set()
    for row, network in enumerate(networks):
        config, worst = npus.config(row), worst_accumulator_bits(network)
        choice = one.params(candidates[row])[ACCUMULATOR]
        assert not list(untrainable_reasons(network, config))
        trained = trained_accumulator(network, config)
        if config.activation_offset or not kept[row]:
            assert config.accumulator_bits == max(worst, accumulators.LEAST_ACCUMULATOR_BITS)
            assert trained is None
        else:
            assert trained is not None
            assert trained.bits == kept[row] < worst
            # Depthwise layers of a table are not told from layers without trained weights.
            assert kept[row] == choice or kept[row] >= least_accumulator_bits(network)
        short = layers.short[row].max()
        assert short == (worst - kept[row] if kept[row] else 0)
        seen.add((choice, bool(kept[row])))
    assert {(16, True), (14, True), (12, True), (0, False)} <= seen


def test_choices_of_one_width_are_one_design():
    one = space((0, 12, 16, 32))
    candidates = drawn(one, 60)
    np.testing.assert_array_equal(one.canonical(candidates), candidates)
    gene = one.index[ACCUMULATOR]
    for candidate in candidates:
        found: dict[int, np.ndarray] = {}
        for choice in range(len(one.choices[ACCUMULATOR])):
            other = candidate.copy()
            other[gene] = choice
            same = one.canonical(other[None])
            width = int(accumulators.kept_bits(one, other[None], one.layers(other[None]))[0])
            np.testing.assert_array_equal(same, found.setdefault(width, same))
            np.testing.assert_array_equal(one.layers(same).short, one.layers(other[None]).short)
        assert len({network_key(one, one_of[0]) for one_of in found.values()}) == len(found)


def test_small_spaces_have_every_design_once():
    declaration = SpaceDeclaration(
        NetworkChoices((1,), (1,), (2, 64), (3,), ("max",), (False,), ("average",), (0,)),
        BitChoices((4,), (4, 8), (4,)),
        NpuChoices((1,), (4,), (1,), (4,), (1,), (8,), ("lut",), accumulator_bits=(0, 12, 14)),
    )
    one = SearchSpace(declaration, (1, 8, 8), 10)
    every = one.every()
    assert len(every) == len(np.unique(every, axis=0)) < one.designs
    np.testing.assert_array_equal(one.canonical(every), every)


def test_spaces_without_the_choice_are_as_before():
    plain = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    assert ACCUMULATOR not in plain.index
    assert ACCUMULATOR not in plain.declared()["npu"]
    candidates = drawn(plain, 20)
    layers = plain.layers(candidates)
    assert not layers.short.any()
    assert plain.declared() != space(name="digits").declared()
    features = network_features(layers)
    assert not features[:, FEATURES.index("short_accumulator_bits")].any()


def test_networks_of_few_bits_are_expected_to_know_less():
    """The prior before any training; else the search would take the fewest bits for granted."""
    one = space()
    candidates = drawn(one, 200)
    gene = one.index[ACCUMULATOR]
    wide = candidates.copy()
    wide[:, gene] = 0
    less, more = (capacity(network_features(one.layers(given))) for given in (candidates, wide))
    short = one.layers(candidates).short.max(axis=1) > 0
    assert short.any()
    assert (less[short] < more[short]).all()
    np.testing.assert_array_equal(less[~short], more[~short])


def test_what_cannot_be_chosen_is_refused():
    npu = load_declaration("digits").npu
    few = dataclasses.replace(npu, accumulator_bits=(9,))
    with pytest.raises(ValueError, match=r"accumulator_bits must be of 0, 10, .*, 32, not 9"):
        dataclasses.replace(load_declaration("digits"), npu=few)
    given = dataclasses.replace(npu, accumulator_bits=(0, 12))
    graph = sequential("tiny", (1, 8, 8), Linear(10))
    with pytest.raises(UserError, match=r"npu\.accumulator_bits: a network that is given is calib"):
        NetworkSpace(graph, "sha", given)


def test_the_table_of_a_lowered_network_has_no_short_bits():
    network = shape_only(*space().network(drawn(space(), 1)[0]), 8)
    assert not LayerTable.of([network]).short.any()
