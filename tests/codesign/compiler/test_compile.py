"""Compiled networks compute what the integer reference computes, tensor by tensor.

On the behavioural model (twin): random networks on random NPUs, networks of awkward shapes, and
images back to back in one run.
"""

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
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
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
    """Return a network that adds a tensor of its own and one that is part of a concat: they take
    different numbers of words per pixel."""
    net = builder()
    parts = [net.conv3x3("image", size) for size in (9, 9)]
    alone = net.conv("image", 9)
    both = net.concat(parts)
    added = net.add(alone, parts[1])
    net.linear(net.concat([net.conv(added, 4), net.conv(both, 4)]), 5)
    return net.build()


def add_of_different_row_ratios() -> IntegerNetwork:
    """Return a network that adds equal shapes reached by stride 2 and by a large kernel: their
    strips of rows cannot line up."""
    net = builder((2, 8, 8))
    strided = net.conv("image", 6, (2, 2), stride=(2, 2))
    cropped = net.conv("image", 6, (5, 5))
    net.linear(net.add(strided, cropped), 4)
    return net.build()


def concat_of_different_row_ratios() -> IntegerNetwork:
    net = builder((2, 8, 8))
    strided = net.conv("image", 6, (2, 2), stride=(2, 2))
    cropped = net.conv("image", 3, (5, 5))
    net.linear(net.conv3x3(net.concat([strided, cropped]), 6), 4)
    return net.build()


def add_of_a_tensor_to_itself() -> IntegerNetwork:
    net = builder()
    net.linear(net.add("image", "image"), 4)
    return net.build()


def add_of_the_input() -> IntegerNetwork:
    net = builder((12, 6, 6))
    other = net.conv3x3("image", 12, signed=True)
    net.linear(net.add(other, "image"), 4)
    return net.build()


def stride_larger_than_a_strip() -> IntegerNetwork:
    net = builder((2, 9, 9))
    net.linear(net.conv("image", 4, (2, 2), stride=(4, 4)), 3)
    return net.build()


def grouped_over_a_concat_with_holes() -> IntegerNetwork:
    net = builder()
    parts = [net.conv("image", size) for size in (5, 3, 7, 1)]
    net.linear(net.conv3x3(net.concat(parts), 32, groups=8), 3)
    return net.build()


def padded_pool_of_signed_codes() -> IntegerNetwork:
    net = builder()
    signed = net.conv("image", 5, (3, 3), padding=(2, 0), signed=True)
    pooled = net.depthwise(
        signed, (1, 1), op="max_pool", padding=(1, 1), weight_bits=1, largest_weights=True,
        signed=True, pool=PoolWindow(kernel=(3, 3), stride=(2, 2)),
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
def test_twin_equals_the_reference_on_awkward_networks(
    case: object, pixels: int, lanes: int, columns: int
) -> None:
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


def test_a_tensor_that_nothing_reads_disturbs_none_of_a_hundred_images() -> None:
    net = builder((1, 4, 4))
    net.conv("image", 3, (3, 3))
    net.linear("image", 2)
    network = net.build()
    compiled = compile_network(network, NpuConfig())
    check_against_reference(network, compiled, images=100)


def with_room_for_two_images(config: NpuConfig) -> NpuConfig:
    """Return ``config`` with room for two images and for the program that overlaps them."""
    return dataclasses.replace(config, activation_depth=4096, program_depth=4096)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_images_back_to_back_equal_the_reference(seed: int, bits: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    config = with_room_for_two_images(random_config(pick, network, bits))
    compiled = compile_network(network, config)
    assert compiled.stream
    assert compiled.plan.interval_cycles >= compiled.stream.interval_cycles
    check_against_reference(network, compiled, images=3, seed=seed)


def test_a_single_layer_does_not_write_results_that_are_still_sent() -> None:
    """EMIT cannot overlap with the next image, whose only layer writes the results at once."""
    network = linear_only()
    config = NpuConfig(lanes=4, columns=4, accumulator_bits=24, activation_bits=4)
    config = with_room_for_two_images(config)
    compiled = compile_network(network, config)
    assert compiled.stream
    ahead = [step.values.get("ahead") for step in compiled.stream.steps]
    assert ahead == [0, None, 1, 0, None, None]  # LOAD, LAYER, LOAD, EMIT, REPEAT, END


def test_no_stream_without_room_for_the_next_image() -> None:
    """Layers write over the words of their own input, as the activation memory is just large
    enough for one image."""
    net = builder((4, 8, 8))
    net.linear(net.conv(net.conv("image", 4), 4), 5)
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
