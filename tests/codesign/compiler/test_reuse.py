"""Depthwise layers with column reuse (``depthwise_taps`` 3) compute the same in fewer cycles.

Behavioural model and RTL are held against the integer reference, cycles against the compiler's
without reuse, against the closed form, and against counts by hand.
"""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import CompiledNetwork, compile_network, minimal_depths, plan
from models.integer.network import IntegerNetwork, PoolWindow
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import random_config, random_network
from tests.codesign.cost.closed_form import check_closed_form

SQUARE = NpuConfig(
    pixels=1, lanes=8, columns=8, weight_digit_bits=4, post_units=8, depthwise_taps=3
)


def sized(network: IntegerNetwork, config: NpuConfig) -> NpuConfig:
    """Return ``config`` with memories that just hold the network."""
    return dataclasses.replace(config, **minimal_depths(network, config))


def chain(seed: int, shape: tuple[int, int, int], *, signed: bool = False) -> IntegerNetwork:
    """Return depthwise layers of strides 1 and 2, with and without padding, then a pooled 1x1 layer
    and a classifier."""
    net = NetworkBuilder(random.Random(seed), shape, 4, signed)
    last = net.depthwise("image", (3, 3), padding=(1, 1), signed=signed)
    last = net.depthwise(last, (3, 3), stride=(2, 2), padding=(1, 1), weight_bits=8)
    last = net.depthwise(last, (2, 3), padding=(1, 0), weight_bits=2)
    last = net.conv(last, shape[0], pool=PoolWindow(kernel=(2, 2), stride=(1, 1)))
    net.linear(last, 3)
    return net.build()


def reused(compiled: CompiledNetwork) -> list[bool]:
    """Return for each layer whether it reuses columns."""
    return [tile.walk is not None for tile in compiled.plan.schedule.tiles]


@pytest.mark.parametrize(
    "shape, knobs",
    [
        ((5, 7, 9), dict(pixels=1, lanes=4, columns=4, post_units=2)),
        ((6, 9, 8), dict(pixels=3, lanes=5, columns=10, weight_digit_bits=2, post_units=5)),
        ((9, 6, 7), dict(pixels=2, lanes=8, columns=8, post_units=8, multiplier="dsp")),
    ],
    ids=["4 lanes", "5 lanes, 3 strips", "8 lanes, 2 strips, DSP"],
)
def test_rtl_equals_the_reference(shape: tuple[int, int, int], knobs: dict[str, object]) -> None:
    network = chain(3, shape, signed=shape[0] == 6)
    config = sized(network, dataclasses.replace(SQUARE, **knobs))
    compiled = compile_network(network, config)
    assert reused(compiled) == [True, True, True, False, False]
    check_on_the_rtl(network, compiled, seed=3, stall=0.2)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_twin_equals_the_reference_and_nothing_gets_slower(seed: int) -> None:
    """Kernels, strides and paddings are random; the closed form of the cycles is an upper bound."""
    pick = random.Random(seed)
    net = NetworkBuilder(
        pick, (pick.randint(2, 9), pick.randint(1, 9), pick.randint(2, 9)), 4, pick.random() < 0.3
    )
    last = "image"
    for _ in range(pick.randint(1, 4)):
        sides = [_side(pick, size) for size in net.tensors[last].shape[1:]]
        kernel, stride, padding = zip(*sides, strict=True)
        bits = pick.randint(1, 8)
        last = net.depthwise(last, kernel, stride=stride, padding=padding, weight_bits=bits)
    net.linear(last, 3)
    network = net.build()
    lanes = pick.randint(4, 9)
    knobs = dict(
        pixels=pick.randint(1, 4),
        lanes=lanes,
        columns=lanes * pick.randint(1, 3),
        weight_digit_bits=pick.choice((1, 2, 4, 8)),
        post_units=pick.choice([u for u in range(1, lanes + 1) if lanes % u == 0]),
        accumulator_bits=32,
    )
    config = sized(network, dataclasses.replace(SQUARE, **knobs))
    compiled = compile_network(network, config)
    check_against_reference(network, compiled)
    plain = dataclasses.replace(SQUARE, **knobs, depthwise_taps=1)
    longer = 2 * len(network.layers)  # a word of fields and the history's register
    assert compiled.plan.cycles <= plan(network, sized(network, plain)).cycles + longer
    assert compiled.plan.cycles <= check_closed_form(network, [config]).cycles[0]


def _side(pick: random.Random, size: int) -> tuple[int, int, int]:
    """Return kernel, stride and padding along one side of a map."""
    padding = pick.randint(0, 2)
    kernel = pick.randint(padding + 1, max(padding + 1, min(5, size + 2 * padding)))
    return min(kernel, size + 2 * padding), pick.randint(1, 3), padding


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_equal_the_reference_on_npus_with_column_reuse(seed: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, 4)
    config = random_config(pick, network, 4)
    if config.lanes < 4:
        return
    form = "dsp" if config.packing else config.multiplier
    config = dataclasses.replace(config, sparsity="dense", depthwise_taps=3, multiplier=form)
    config = sized(network, config)
    check_against_reference(network, compile_network(network, config))


def layer_cycles(depthwise_taps: int, network: IntegerNetwork, **parameters: object) -> int:
    """Return the cycles of the first layer, without what every LAYER takes besides its taps."""
    config = dataclasses.replace(SQUARE, depthwise_taps=depthwise_taps, **parameters)
    planned = plan(network, sized(network, config))
    config = planned.schedule.config
    rest = timing.overhead_cycles(config, Opcode.LAYER) + timing.flush_cycles(config)
    return planned.layers[0].cycles - rest


def one_depthwise(*, kernel: int, stride: int, padding: int, size: int = 8) -> NetworkBuilder:
    """Start a network with a square depthwise layer of eight channels and a classifier."""
    net = NetworkBuilder(random.Random(1), (8, size, size), 4)
    square = {"stride": (stride, stride), "padding": (padding, padding)}
    net.linear(net.depthwise("image", (kernel, kernel), **square), 2)
    return net


def test_a_position_takes_as_many_taps_as_it_has_new_columns() -> None:
    """Eight channels are one word; the last of 8 x 8 positions drains alone, in one step."""
    same = one_depthwise(kernel=3, stride=1, padding=1).build()
    assert layer_cycles(1, same) == 64 * 9 + 1
    assert layer_cycles(3, same) == 8 * 9 * 3 + 1  # 9 positions a row: the first fills
    halved = one_depthwise(kernel=3, stride=2, padding=1).build()
    assert layer_cycles(1, halved) == 16 * 9 + 1
    assert layer_cycles(3, halved) == 16 * 6 + 1
    valid = one_depthwise(kernel=3, stride=1, padding=0).build()
    assert layer_cycles(3, valid) == 6 * (6 + 2) * 3 + 1
    # Where draining is slower than nine taps (16 steps a tile), nothing is gained.
    assert layer_cycles(3, same, post_units=1, pixels=2) == layer_cycles(
        1, same, post_units=1, pixels=2
    )


def test_layers_that_cannot_reuse_columns_compute_every_tap() -> None:
    cases = {
        "five columns": one_depthwise(kernel=5, stride=1, padding=2),
        "as many columns as the stride": one_depthwise(kernel=2, stride=2, padding=0),
        "one column of outputs": one_depthwise(kernel=3, stride=1, padding=0, size=3),
    }
    pooled = NetworkBuilder(random.Random(1), (8, 8, 8), 4)
    window = PoolWindow(kernel=(2, 2), stride=(2, 2))
    pooled.linear(pooled.depthwise("image", (3, 3), padding=(1, 1), pool=window), 2)
    doubled = NetworkBuilder(random.Random(1), (4, 8, 8), 4)
    doubled.linear(doubled.conv3x3("image", 8, groups=4), 2)
    moved = NetworkBuilder(random.Random(1), (3, 8, 8), 4)  # channels 3.. lie in lanes 0..
    parts = [moved.conv("image", 3), moved.conv("image", 3)]
    moved.linear(moved.depthwise(moved.concat(parts), (3, 3), padding=(1, 1)), 2)
    cases |= {"a fused maximum": pooled, "two outputs a channel": doubled, "holes": moved}
    for why, net in cases.items():
        network = net.build()
        compiled = compile_network(network, sized(network, SQUARE))
        assert not any(reused(compiled)), why
        check_against_reference(network, compiled)
