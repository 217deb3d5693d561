"""What binds a layer: parts add up to its cycles and stalls, and what is named is what helps."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import bottleneck, plan
from codesign.compiler.bottleneck import COMPUTE, LOADS, POST, STORES, WEIGHTS
from codesign.compiler.program.memory import waits
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.program.test_memory import CONFIG, wide_network
from tests.codesign.compiler.random_networks import random_config, random_network, with_memory_port


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans())
def test_parts_add_up_to_the_cycles_and_stalls_of_simulations(
    seed: int, bits: int, memory: bool
) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    plain = random_config(pick, network, bits)
    config = with_memory_port(pick, network, plain) if memory else plain
    if config is None:
        return
    try:
        planned = plan(network, config)
    except InfeasibleError:
        return
    found = bottleneck.tensor_parts(planned)
    assert all(min(one.values()) >= 0 for one in found.values())
    cycles = sum(layer.cycles for layer in planned.layers)
    stalls = sum(waits(planned.schedule.config, planned.steps))
    assert sum(one.total() for one in found.values()) == cycles + stalls
    assert len(bottleneck.bounds(planned)) == len(planned.layers)


def pointwise(inputs: int) -> IntegerNetwork:
    net = NetworkBuilder(random.Random(1), (inputs, 6, 6), 4)
    net.linear(net.conv("image", 16), 4)
    return net.build()


SMALL = dataclasses.replace(
    CONFIG, memory_port_bits=0, pixels=1, columns=16, lanes=4, weight_depth=4096
)


@pytest.mark.parametrize("inputs", [4, 16, 32, 96])
def test_what_is_named_is_what_helps(inputs: int) -> None:
    network = pointwise(inputs)
    before = plan(network, SMALL)
    more_units = plan(network, dataclasses.replace(SMALL, post_units=4))
    more_lanes = plan(network, dataclasses.replace(SMALL, lanes=8, columns=16))
    named = bottleneck.bounds(before)[0]
    assert named == (POST if inputs <= 32 else COMPUTE)
    cycles = before.layers[0].cycles
    by_units, by_lanes = (cycles / one.layers[0].cycles for one in (more_units, more_lanes))
    assert by_units > 1.2 if named == POST else by_units < 1.05
    assert by_lanes > 1.3 if named == COMPUTE else by_lanes < 1.05


def test_a_layer_that_waits_for_weights_is_bound_by_them() -> None:
    network = wide_network()
    planned = plan(network, CONFIG)
    assert bottleneck.bounds(planned)[-1] == WEIGHTS
    wider = plan(network, dataclasses.replace(CONFIG, memory_port_bits=128))
    parts, better = ([*bottleneck.tensor_parts(one).values()][-1] for one in (planned, wider))
    assert better.total() < 0.8 * parts.total()
    on_chip = plan(network, dataclasses.replace(CONFIG, memory_port_bits=0, weight_depth=4096))
    assert WEIGHTS not in bottleneck.bounds(on_chip)


def test_a_layer_that_waits_for_its_map_is_bound_by_its_loads() -> None:
    net = NetworkBuilder(random.Random(3), (32, 24, 24), 8)
    first = net.conv(net.conv("image", 32), 32, (2, 2), stride=(2, 2))
    net.linear(net.conv(first, 32, (3, 3), stride=(3, 3)), 4)
    config = NpuConfig(
        pixels=1, lanes=32, columns=32, weight_digit_bits=8, activation_bits=8,
        accumulator_bits=28, post_units=32, activation_depth=128, weight_depth=1024,
        channel_depth=1024, program_depth=4096, memory_port_bits=32, memory_tiles=True,
    )  # fmt: skip
    network = net.build()
    narrow, wide = (
        plan(network, dataclasses.replace(config, memory_port_bits=bits)) for bits in (32, 128)
    )
    assert LOADS in bottleneck.bounds(narrow)
    before, after = (
        sum((Counter(one) for one in bottleneck.tensor_parts(planned).values()), Counter())
        for planned in (narrow, wide)
    )
    for moved in (LOADS, STORES):
        assert 0 < after[moved] < before[moved]
    assert after[COMPUTE] == before[COMPUTE]
    whole = dataclasses.replace(config, activation_depth=1024)
    assert not {LOADS, STORES} & set(bottleneck.bounds(plan(network, whole)))
