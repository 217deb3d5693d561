"""N:M weights in the compiler: phases from shapes, slots for every weight, exact cycles, errors."""

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
from tests.codesign.compiler.compiler_networks import NetworkBuilder, check_against_reference
from tests.codesign.cost.closed_form import check_closed_form

TWO_OF_FOUR = Sparsity(2, 4)
SAME = {"padding": (1, 1)}


def sized(network: IntegerNetwork, **knobs: object) -> NpuConfig:
    """An NPU that just holds the network."""
    bits = max(accumulator_bits(network), 10)
    config = NpuConfig(accumulator_bits=bits, **knobs)  # type: ignore[arg-type]
    return dataclasses.replace(config, **minimal_depths(network, config))


def phases(network: IntegerNetwork, config: NpuConfig) -> list[int]:
    steps = compile_network(network, config).program.steps
    return [step.values["phases"] + 1 for step in steps if "phases" in step.values]


def one_layer(pattern: Sparsity | None, channels: int = 16) -> IntegerNetwork:
    """A 3x3 convolution of ``channels`` channels between one that makes them and the classifier."""
    net = NetworkBuilder(random.Random(1), (4, 6, 6), 4)
    made = net.mac(["image"], channels, sparsity=TWO_OF_FOUR)
    net.linear(net.mac([made], 8, (3, 3), sparsity=pattern, **SAME), 4, sparsity=TWO_OF_FOUR)
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
    """Depthwise layers, additions and images of few channels, dense as they are."""
    net = NetworkBuilder(random.Random(2), (2, 8, 8), 4)
    first = net.mac(["image"], 8)
    deep = net.mac([first], 8, (3, 3), groups=8, **SAME)
    both = net.mac([first, deep], 8, op="add", groups=8)
    pairs = net.mac([both], 8, (3, 3), groups=4, **SAME)
    net.linear(net.mac([pairs], 4), 3)
    network = net.build()
    config = sized(network, lanes=8, columns=8, sparsity="2:4")
    assert phases(network, config) == [1, 1, 1, 1, 2, 2]
    check_against_reference(network, compile_network(network, config))


def test_a_concat_that_shifts_the_groups_takes_more_phases() -> None:
    """Channels 5..7 and 8..9 of the concat are neighbours in its words, in groups of their own."""
    net = NetworkBuilder(random.Random(3), (4, 4, 4), 4)
    parts = [net.mac(["image"], channels, sparsity=TWO_OF_FOUR) for channels in (5, 11)]
    net.linear(net.mac([net.concat(parts)], 8, sparsity=TWO_OF_FOUR), 3)
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
    """Slots, taken back to their lanes, are the weights, in as many phases as these need."""
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
    """Layer 1 with weights where its pattern has none, at kernel position (2, 1)."""
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
    """Convolutions of any pattern, a depthwise layer and an addition."""
    pick = random.Random(seed)
    net = NetworkBuilder(pick, (pick.randint(1, 6), 8, 8), 4)
    last = net.mac(["image"], 12, (3, 3), **SAME, sparsity=net.any_sparsity())
    for _ in range(2):
        before = last
        last = net.mac([last], 12, (3, 3), **SAME, sparsity=net.any_sparsity())
    last = net.mac([before, last], 12, op="add", groups=12)
    last = net.mac([last], 12, (3, 3), groups=12, stride=(2, 2), **SAME)
    net.linear(net.mac([last], pick.randint(1, 20), sparsity=net.any_sparsity()), 10)
    return net.build()


@pytest.mark.parametrize("seed", range(6))
def test_the_fast_schedule_equals_the_compiler(seed: int) -> None:
    network = chain(seed)
    shapes = {"pixels": 1 + seed % 3, "lanes": 8, "columns": 16, "weight_digit_bits": 2}
    configs = [sized(network, sparsity=npu, **shapes) for npu in SPARSITIES]
    check_closed_form(network, configs)
