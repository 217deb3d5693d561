"""Compilation of N:M sparse weights: every weight gets a multiplier, in exactly predicted cycles.

A tap takes as many phases (weight words) as the pattern of layer and NPU need; weights that break
their pattern are refused by name.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import accumulator_bits, compile_network, minimal_depths, plan
from codesign.compiler.mapping.phases import slot_weights
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from models.quantisation.sparsity import PATTERNS, Sparsity
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import SPARSITIES
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
from tests.codesign.cost.closed_form import check_closed_form

TWO_OF_FOUR = Sparsity(2, 4)


def sized(network: IntegerNetwork, **knobs: object) -> NpuConfig:
    """Return an NPU that just holds the network, with these parameters."""
    bits = max(accumulator_bits(network), 10)
    config = NpuConfig(accumulator_bits=bits, **knobs)  # type: ignore[arg-type]
    return dataclasses.replace(config, **minimal_depths(network, config))


def phases(network: IntegerNetwork, config: NpuConfig) -> list[int]:
    """Return the weight words per tap of each LAYER of the compiled network."""
    steps = compile_network(network, config).program.steps
    return [step.values["phases"] + 1 for step in steps if "phases" in step.values]


def one_layer(pattern: Sparsity | None, channels: int = 16) -> IntegerNetwork:
    """Return a 3x3 convolution of that pattern, between a 1x1 one that makes its ``channels`` input
    channels and the classifier."""
    net = NetworkBuilder(random.Random(1), (4, 6, 6), 4)
    made = net.conv("image", channels, sparsity=TWO_OF_FOUR)
    net.linear(net.conv3x3(made, 8, sparsity=pattern), 4, sparsity=TWO_OF_FOUR)
    return net.build()


@pytest.mark.parametrize("npu", [name for name in SPARSITIES if name != "dense"])
@pytest.mark.parametrize("pattern", [None, *(Sparsity(*pattern) for pattern in PATTERNS)], ids=str)
def test_phases_follow_from_both_patterns(npu: str, pattern: Sparsity | None) -> None:
    network = one_layer(pattern)
    config = sized(network, lanes=8, columns=8, weight_digit_bits=4, sparsity=npu)
    most = config.group
    if pattern:  # within a group of lanes: so many whole groups of the pattern, or part of one
        most = min(max(config.group // pattern.group, 1) * pattern.kept, config.group)
    assert phases(network, config)[1] == -(-most // config.kept)
    check_against_reference(network, compile_network(network, config))


def test_layers_that_fill_no_group_take_one_phase() -> None:
    """Depthwise and grouped layers, additions and images of few channels have few weights in each
    group of lanes, though they are dense."""
    net = NetworkBuilder(random.Random(2), (2, 8, 8), 4)
    first = net.conv("image", 8)
    deep = net.depthwise(first, (3, 3), padding=(1, 1))
    both = net.add(first, deep)
    pairs = net.conv3x3(both, 8, groups=4)
    net.linear(net.conv(pairs, 4), 3)
    network = net.build()
    config = sized(network, lanes=8, columns=8, sparsity="2:4")
    assert phases(network, config) == [1, 1, 1, 1, 2, 2]
    check_against_reference(network, compile_network(network, config))


def test_a_concat_that_shifts_the_groups_takes_more_phases() -> None:
    """The second part starts a new word: channels 5..8 share a group of lanes, though they belong
    to two groups of the pattern."""
    net = NetworkBuilder(random.Random(3), (4, 4, 4), 4)
    parts = [net.conv("image", channels, sparsity=TWO_OF_FOUR) for channels in (5, 11)]
    net.linear(net.conv(net.concat(parts), 8, sparsity=TWO_OF_FOUR), 3)
    network = net.build()
    config = sized(network, lanes=4, columns=8, post_units=1, sparsity="2:4")
    assert phases(network, config)[2] == 2
    check_against_reference(network, compile_network(network, config))


def test_a_sparse_layer_takes_half_the_cycles_of_its_taps() -> None:
    networks = [one_layer(pattern, channels=32) for pattern in (TWO_OF_FOUR, None)]
    knobs = {"pixels": 1, "lanes": 8, "columns": 8, "weight_digit_bits": 4, "post_units": 8}
    sparse, dense = (
        plan(network, sized(network, sparsity="2:4", **knobs)).layers[1].cycles
        for network in networks
    )
    taps = 3 * 3 * 32 // 8 * 6 * 6
    assert dense - sparse == taps


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([name for name in SPARSITIES if name != "dense"]), st.integers(0, 2**32 - 1))
def test_every_weight_gets_a_slot(npu: str, seed: int) -> None:
    """The weights of all slots, put back to the lanes that their indices name, are the layer's."""
    config = NpuConfig(lanes=16, columns=16, sparsity=npu)
    rng = np.random.default_rng(seed)
    taps = rng.integers(-7, 8, (2, 3, config.columns, config.lanes))
    taps *= rng.random(taps.shape) < rng.random()
    groups = (taps != 0).reshape(2, 3, config.columns, -1, config.group).sum(axis=-1)
    count = max(-(-int(groups.max()) // config.kept), 1)
    weights, indices = slot_weights(config, taps, count)
    assert indices.max() <= config.group - config.kept
    shape = (2, 3, count, config.columns, -1, config.kept)
    lanes = indices.reshape(shape) + np.arange(config.kept)
    found = np.zeros((2, 3, config.columns, config.lanes // config.group, config.group), np.int64)
    for lane in range(config.group):
        found[..., lane] = np.where(lanes == lane, weights.reshape(shape), 0).sum(axis=(2, -1))
    np.testing.assert_array_equal(found.reshape(taps.shape), taps)


def broken(network: IntegerNetwork, out: int, channels: Sequence[int]) -> IntegerNetwork:
    """Return ``network`` with weights of 1 in layer 1 at kernel position (2, 1), output channel
    ``out`` and these input channels, against its pattern."""
    layers = list(network.layers)
    weights = layers[1].sources[0].weights.copy()
    weights[out, list(channels), 2, 1] = 1
    source = dataclasses.replace(layers[1].sources[0], weights=weights)
    layers[1] = dataclasses.replace(layers[1], sources=(source,))
    return dataclasses.replace(network, layers=tuple(layers))


def test_weights_that_break_the_pattern_are_named() -> None:
    network = broken(one_layer(TWO_OF_FOUR), 5, range(8, 11))
    kept = np.count_nonzero(network.mac_layers[1].sources[0].weights[5, 8:12, 2, 1])
    config = sized(network, lanes=8, columns=8, sparsity="2:4")
    with pytest.raises(InfeasibleError) as caught:
        compile_network(network, config)
    (reason,) = caught.value.reasons
    assert reason.resource == "sparsity"
    assert reason.where == (
        "layer_t2, output channel 5, kernel position (2, 1), input channels 8..11"
    )
    assert (reason.need, reason.have) == (kept, 2)
    compile_network(network, sized(network, lanes=8, columns=8))  # a dense NPU does not mind


def chain(seed: int) -> IntegerNetwork:
    """Return convolutions of random patterns, an addition and a depthwise layer."""
    pick = random.Random(seed)
    net = NetworkBuilder(pick, (pick.randint(1, 6), 8, 8), 4)
    last = net.conv3x3("image", 12, sparsity=net.random_sparsity())
    for _ in range(2):
        before = last
        last = net.conv3x3(last, 12, sparsity=net.random_sparsity())
    last = net.add(before, last)
    last = net.depthwise(last, (3, 3), padding=(1, 1), stride=(2, 2))
    net.linear(net.conv(last, pick.randint(1, 20), sparsity=net.random_sparsity()), 10)
    return net.build()


@pytest.mark.parametrize("seed", range(6))
def test_the_fast_schedule_equals_the_compiler(seed: int) -> None:
    network = chain(seed)
    shapes = {"pixels": 1 + seed % 3, "lanes": 8, "columns": 16, "weight_digit_bits": 2}
    configs = [sized(network, sparsity=npu, **shapes) for npu in SPARSITIES]
    check_closed_form(network, configs)
