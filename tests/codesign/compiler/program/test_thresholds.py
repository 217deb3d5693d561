"""Threshold units give the codes of requantisation: arithmetic, reference, twin and RTL agree."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from codesign.compiler import accumulator_bits, compile_network, plan
from codesign.results import InfeasibleError
from models import arithmetic
from models.integer import reference
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ConfigError
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import learned, random_config, random_network
from tests.codesign.cost.closed_form import check_closed_form
from tests.sweep.tables import with_lookups
from tests.sweep.thresholds import with_thresholds


def case(seed: int) -> tuple[IntegerNetwork, NpuConfig]:
    """A random network of codes of 1..3 bits on a random NPU with threshold units."""
    pick, config = random.Random(seed), None
    while config is None:
        bits = pick.randint(1, 3)
        network = random_network(pick, bits)
        config = with_thresholds(network, random_config(pick, network, bits))
    return network, config


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_thresholds_count_what_requantisation_rounds_to(bits: int) -> None:
    rng = np.random.default_rng(bits)
    shifts = rng.integers(1, arithmetic.MAX_SHIFT + 1, 60)
    multipliers = rng.integers(0, 1 << 16, 60)
    multipliers[:4] = 0
    for zero in range(1 << bits):
        found = arithmetic.thresholds(multipliers, shifts, zero, bits)
        assert found.shape == (60, (1 << bits) - 1)
        near = np.clip(found[:, :, None] + np.arange(-1, 2), -(1 << 45), 1 << 45).reshape(-1)
        sums = np.concatenate([near, np.arange(-500, 500), rng.integers(-(1 << 31), 1 << 31, 500)])
        codes = arithmetic.requantise(sums[:, None], multipliers, shifts, zero, bits)
        assert np.array_equal((sums[:, None, None] >= found).sum(axis=2), codes)


@pytest.mark.parametrize("seed", range(12))
def test_the_twin_equals_the_reference(seed: int) -> None:
    network, config = case(seed)
    check_against_reference(network, compile_network(network, config))


@pytest.mark.parametrize("seed", range(6))
def test_learned_thresholds_need_no_even_steps(seed: int) -> None:
    network, config = case(seed)
    network = learned(network, seed)
    check_against_reference(network, compile_network(network, config))


def test_the_rtl_equals_the_reference_at_learned_thresholds() -> None:
    even, config = case(3)
    network = learned(even, 3)
    spec = network.tensors[network.input]
    images = np.random.default_rng(3).integers(0, 1 << spec.bits, (4, *spec.shape), dtype=np.uint8)
    before, after = (reference.run(one, images) for one in (even, network))
    assert any((before[name] != after[name]).any() for name in before)
    check_on_the_rtl(network, compile_network(network, config), 3, stall=0.2)


def test_units_that_multiply_cannot_have_learned_thresholds() -> None:
    network, config = case(2)
    multiplying = dataclasses.replace(
        config, requantisation="multiply", scale_bits=network.scale_bits
    )
    with pytest.raises(
        InfeasibleError, match=r"thresholds of their own.*set npu\.requantisation to thresholds"
    ):
        plan(learned(network, 2), multiplying)


@pytest.mark.parametrize("seed", [3, 5])
def test_the_rtl_equals_the_reference(seed: int) -> None:
    network, config = case(seed)
    check_on_the_rtl(network, compile_network(network, config), seed, stall=0.2)


def test_the_closed_form_counts_latency_and_fields() -> None:
    for seed in range(4):
        network, config = case(seed)
        multiplying = dataclasses.replace(
            config, requantisation="multiply", scale_bits=network.scale_bits
        )
        found = check_closed_form(network, [config, multiplying])
        assert found.cycles[0] < found.cycles[1]


def test_sums_lie_above_the_lowest_accumulator() -> None:
    """A constant code needs a threshold that every sum reaches; the lowest number of all does not.

    512 weights of -1 and codes of 1 bit give that number, -512, in 10 bits.
    """
    net = NetworkBuilder(random.Random(5), (512, 1, 1), 1)
    inner = net.linear("image", 2, weight_bits=1, output_bits=1, raw=False, zero_point=1)
    net.linear(inner, 2, weight_bits=2)
    built = net.build()
    first = built.mac_layers[0]
    source = dataclasses.replace(first.sources[0], weights=np.full((2, 512, 1, 1), -1))
    constant = dataclasses.replace(
        first, sources=(source,), bias=np.zeros(2, np.int64),
        requant_multiplier=np.zeros(2, np.int64),
    )  # fmt: skip
    layers = (constant, *built.layers[1:])
    built = dataclasses.replace(built, layers=layers)
    narrow = NpuConfig(
        lanes=8, columns=8, activation_bits=1, accumulator_bits=10, requantisation="thresholds",
        channel_depth=64, activation_depth=128, weight_depth=1024,
    )  # fmt: skip
    assert accumulator_bits(built) == 10
    assert accumulator_bits(built, narrow) == 11
    with pytest.raises(InfeasibleError, match="accumulator_bits"):
        compile_network(built, narrow)
    compiled = compile_network(built, dataclasses.replace(narrow, accumulator_bits=11))
    check_against_reference(built, compiled, images=4)


def test_a_bias_beyond_the_accumulators_needs_no_wider_ones() -> None:
    net = NetworkBuilder(random.Random(5), (4, 4, 4), 2)
    inner = net.conv("image", 3, (1, 1), weight_bits=2, output_bits=2)
    net.linear(inner, 2, weight_bits=2)
    built = net.build()
    first = built.mac_layers[0]
    far = dataclasses.replace(first, bias=np.array([5000, -5000, 0]))
    built = dataclasses.replace(built, layers=(far, *built.layers[1:]))
    config = NpuConfig(activation_bits=2, accumulator_bits=11, requantisation="thresholds")
    check_against_reference(built, compile_network(built, config))
    with pytest.raises(InfeasibleError, match="accumulator_bits"):
        compile_network(built, dataclasses.replace(config, requantisation="multiply"))


def test_multipliers_of_any_width_run() -> None:
    network = random_network(random.Random(8), 2, scale_bits=16)
    config = random_config(random.Random(8), network, 2)
    found = with_thresholds(network, config)
    assert found is not None
    narrow = dataclasses.replace(found, scale_bits=4)
    check_against_reference(network, compile_network(network, narrow))


def test_a_network_with_look_up_tables_is_refused() -> None:
    network, config = case(1)
    looking = with_lookups(random.Random(1), network, 2)
    assert any(layer.lookup for layer in looking.mac_layers)
    with pytest.raises(InfeasibleError, match=r"set npu\.requantisation to multiply"):
        plan(looking, config)


def test_wider_codes_are_refused() -> None:
    config = NpuConfig(activation_bits=2, requantisation="thresholds")
    network = random_network(random.Random(4), 6)
    with pytest.raises(InfeasibleError, match="activation_bits"):
        plan(network, config)
    with pytest.raises(ConfigError, match=r"activation_bits must be 1\.\.3 with npu\.requantisat"):
        dataclasses.replace(config, activation_bits=4)
    with pytest.raises(ConfigError, match="activation_tables must be 0"):
        dataclasses.replace(config, activation_tables=1)
    with pytest.raises(ConfigError, match=r"requantisation must be one of multiply, thresholds"):
        dataclasses.replace(config, requantisation="shift")


def test_the_channel_table_must_lie_in_its_window() -> None:
    fits = NpuConfig(
        lanes=64, columns=64, post_units=64, activation_bits=3, channel_depth=1024,
        requantisation="thresholds",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="channel_depth must be at most 1024"):
        dataclasses.replace(fits, channel_depth=2048)


def test_npus_that_multiply_keep_their_hash() -> None:
    assert "requantisation" not in NpuConfig().to_dict()
