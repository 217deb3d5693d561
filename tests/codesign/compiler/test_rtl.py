"""Whole random networks on the RTL equal the integer reference, tensor by tensor.

In Amaranth's simulator, with random stalls on both streams; cycles are as the compiler predicted.
"""

from __future__ import annotations

import dataclasses
import random

import pytest

from codesign.compiler import compile_network, minimal_depths, plan
from codesign.results import InfeasibleError
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import random_config, random_network


def test_weight_memory_in_a_stack_of_block_rams_holds_every_word() -> None:
    """1,040 words take 1,536 instead of 2,048; one step less is too little."""
    net = NetworkBuilder(random.Random(7), (40, 1, 1), 4)
    net.linear(net.conv("image", 40, weight_bits=8, largest_weights=True), 12, weight_bits=8)
    network = net.build()
    config = NpuConfig(
        pixels=1, lanes=2, columns=2, weight_digit_bits=4, post_units=2, accumulator_bits=24
    )
    whole, stack = (minimal_depths(network, config, stacked) for stacked in (False, True))
    assert whole["weight_depth"] == 2048
    assert stack == {**whole, "weight_depth": 1536}
    config = dataclasses.replace(config, **stack)
    compiled = compile_network(network, config)
    assert len(compiled.weights) == 1040
    check_on_the_rtl(network, compiled, seed=7, stall=0.1)
    with pytest.raises(InfeasibleError, match="1,040 words of weight_depth, has 1,024"):
        plan(network, dataclasses.replace(config, weight_depth=1024))


def test_fetched_weights_come_through_a_stack_of_block_rams() -> None:
    net = NetworkBuilder(random.Random(7), (40, 1, 1), 4)
    made = net.conv(net.conv("image", 80, weight_bits=8), 40, weight_bits=8)
    net.linear(made, 12, weight_bits=8)
    network = net.build()
    config = NpuConfig(
        pixels=1, lanes=2, columns=2, weight_digit_bits=4, post_units=2, accumulator_bits=24,
        weight_depth=1536, channel_depth=128, program_depth=1024, memory_port_bits=32,
    )  # fmt: skip
    compiled = compile_network(network, config)
    assert compiled.memory.size > 1536
    check_against_reference(network, compiled)


@pytest.mark.parametrize("seed", [1, 20, 31])
def test_rtl_equals_the_reference_for_every_tensor(seed: int) -> None:
    pick = random.Random(seed)
    bits = pick.randint(1, 8)
    network = random_network(pick, bits)
    compiled = compile_network(network, random_config(pick, network, bits))
    check_on_the_rtl(network, compiled, seed, stall=0.3)
