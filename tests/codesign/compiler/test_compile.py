"""Compiler and twin against the integer reference: random networks, then the awkward ones."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import accumulator_bits, compile_network, minimal_depths
from models.integer.network import IntegerNetwork, PoolWindow
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from tests.codesign.compiler.compiler_networks import NetworkBuilder, check_against_reference
from tests.codesign.compiler.random_networks import random_config, random_network


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_twin_equals_the_reference_for_every_tensor(seed: int, bits: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    compiled = compile_network(network, random_config(pick, network, bits))
    check_against_reference(network, compiled, images=2, seed=seed)


def builder(shape: tuple[int, int, int] = (3, 7, 5)) -> NetworkBuilder:
    return NetworkBuilder(random.Random(1), shape, 4)


def linear_only() -> IntegerNetwork:
    net = builder()
    net.linear("image", 17)
    return net.build()


def add_with_a_concat_part() -> IntegerNetwork:
    """The two tensors of the addition have different words per pixel."""
    net = builder()
    parts = [net.mac(["image"], size, (3, 3), padding=(1, 1)) for size in (9, 9)]
    alone = net.mac(["image"], 9)
    both = net.concat(parts)
    added = net.mac([alone, parts[1]], 9, op="add", groups=9)
    net.linear(net.concat([net.mac([added], 4), net.mac([both], 4)]), 5)
    return net.build()


def add_of_different_row_ratios() -> IntegerNetwork:
    """Equal shapes reached by stride 2 and by a large kernel: strips cannot line up."""
    net = builder((2, 8, 8))
    strided = net.mac(["image"], 6, (2, 2), stride=(2, 2))
    cropped = net.mac(["image"], 6, (5, 5))
    net.linear(net.mac([strided, cropped], 6, op="add", groups=6), 4)
    return net.build()


def concat_of_different_row_ratios() -> IntegerNetwork:
    net = builder((2, 8, 8))
    strided = net.mac(["image"], 6, (2, 2), stride=(2, 2))
    cropped = net.mac(["image"], 3, (5, 5))
    net.linear(net.mac([net.concat([strided, cropped])], 6, (3, 3), padding=(1, 1)), 4)
    return net.build()


def add_of_a_tensor_to_itself() -> IntegerNetwork:
    net = builder()
    net.linear(net.mac(["image", "image"], 3, op="add", groups=3), 4)
    return net.build()


def add_of_the_input() -> IntegerNetwork:
    net = builder((12, 6, 6))
    other = net.mac(["image"], 12, (3, 3), padding=(1, 1), signed=True)
    net.linear(net.mac([other, "image"], 12, op="add", groups=12), 4)
    return net.build()


def stride_larger_than_a_strip() -> IntegerNetwork:
    net = builder((2, 9, 9))
    net.linear(net.mac(["image"], 4, (2, 2), stride=(4, 4)), 3)
    return net.build()


def grouped_over_a_concat_with_holes() -> IntegerNetwork:
    net = builder()
    parts = [net.mac(["image"], size) for size in (5, 3, 7, 1)]
    net.linear(net.mac([net.concat(parts)], 32, (3, 3), padding=(1, 1), groups=8), 3)
    return net.build()


def padded_pool_of_signed_codes() -> IntegerNetwork:
    net = builder()
    signed = net.mac(["image"], 5, (3, 3), padding=(2, 0), signed=True)
    pooled = net.mac(
        [signed], 5, op="max_pool", padding=(1, 1), groups=5, weight_bits=1, diagonal=True,
        signed=True, pool=PoolWindow((3, 3), (2, 2)),
    )  # fmt: skip
    net.linear(pooled, 3)
    return net.build()


CASES = (
    linear_only, add_with_a_concat_part, add_of_different_row_ratios,
    concat_of_different_row_ratios, add_of_a_tensor_to_itself, add_of_the_input,
    stride_larger_than_a_strip, grouped_over_a_concat_with_holes, padded_pool_of_signed_codes,
)  # fmt: skip
ARRAYS = ((1, 2, 2), (3, 4, 4), (2, 8, 24), (5, 3, 9), (16, 2, 8))


@pytest.mark.parametrize("pixels, lanes, columns", ARRAYS)
@pytest.mark.parametrize("case", CASES)
def test_awkward_networks(case: object, pixels: int, lanes: int, columns: int) -> None:
    assert callable(case)
    network = case()
    config = NpuConfig(
        pixels=pixels,
        lanes=lanes,
        columns=columns,
        post_units=1 if lanes % 2 else 2,
        accumulator_bits=max(10, accumulator_bits(network)),
    )
    config = dataclasses.replace(config, **minimal_depths(network, config))
    check_against_reference(network, compile_network(network, config), images=2)


def test_unused_tensors_and_names_survive_a_hundred_images() -> None:
    net = builder((1, 4, 4))
    net.mac(["image"], 3, (3, 3))
    net.linear("image", 2)
    network = net.build()
    compiled = compile_network(network, NpuConfig())
    check_against_reference(network, compiled, images=100)


def deep(config: NpuConfig) -> NpuConfig:
    """With room for two images and the program that loads one beside the other."""
    return dataclasses.replace(config, activation_depth=4096, program_depth=4096)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_images_back_to_back(seed: int, bits: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    config = deep(random_config(pick, network, bits))
    compiled = compile_network(network, config)
    assert compiled.stream
    assert compiled.plan.interval_cycles >= compiled.stream.interval_cycles
    check_against_reference(network, compiled, images=3, seed=seed)


def test_a_single_layer_does_not_write_results_that_are_still_sent() -> None:
    """Its EMIT cannot go ahead: the next image's only layer writes the results at once."""
    network = linear_only()
    config = deep(NpuConfig(lanes=4, columns=4, accumulator_bits=24, activation_bits=4))
    compiled = compile_network(network, config)
    assert compiled.stream
    ahead = [step.values.get("ahead") for step in compiled.stream.steps]
    assert ahead == [0, None, 1, 0, None, None]  # LOAD, LAYER, LOAD, EMIT, REPEAT, END


def test_no_stream_without_room_for_the_next_image() -> None:
    """The input is as large as what the layers need beside it, so its words are used again."""
    net = builder((4, 8, 8))
    net.linear(net.mac([net.mac(["image"], 4)], 4), 5)
    network = net.build()
    config = NpuConfig(pixels=1, lanes=4, columns=4, accumulator_bits=24, activation_bits=4)
    config = dataclasses.replace(config, **minimal_depths(network, config))
    least = compile_network(network, config)
    assert least.stream is None
    assert least.plan.interval_cycles is None
    assert "stream" not in least.to_dict()["programs"]
    roomy = compile_network(network, dataclasses.replace(config, activation_depth=256))
    assert roomy.stream
    assert roomy.plan.cycles == least.plan.cycles
    assert len(roomy.stream.words) <= BUS_WORDS * config.program_depth
