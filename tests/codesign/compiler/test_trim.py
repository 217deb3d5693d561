"""Programs that leave out work for zero weights compute the same, never in more cycles.

The compiler cuts a layer's tiles into instructions without the kernel edges, words and digit passes
whose weights are all zero (codesign.compiler.zeros); no other cut may be faster.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import compile_network
from codesign.compiler.plan import minimal_depths, plan
from codesign.compiler.zeros.needs import Need, layer_needs
from codesign.compiler.zeros.trim import run_cycles, trimmed_runs
from models.integer.network import IntegerNetwork, Ints
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.isa.walk import reduced, totals
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import with_memory_port
from tests.codesign.compiler.zero_networks import random_case, with_zeros

ROOM = 4096
"""Words of program memory that hold an instruction for every cut."""


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.booleans())
def test_random_networks_with_zeros_equal_the_reference(seed: int, bits: int, roomy: bool) -> None:
    """The program memory just holds one instruction a layer, or (``roomy``) every cut, and the
    activation memory two images."""
    network, config = random_case(seed, bits)
    if roomy:
        config = dataclasses.replace(config, activation_depth=ROOM, program_depth=ROOM)
    check_trimmed(network, config, seed)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_networks_with_zeros_and_fetched_weights_equal_the_reference(seed: int, bits: int) -> None:
    network, config = random_case(seed, bits)
    ported = with_memory_port(random.Random(seed), network, config)
    if ported:
        check_trimmed(network, ported, seed)


def blank(network: IntegerNetwork) -> IntegerNetwork:
    """Return ``network`` as it is planned before its weights are known."""
    return dataclasses.replace(network, blank=True)


def check_trimmed(network: IntegerNetwork, config: NpuConfig, seed: int) -> None:
    compiled, whole = compile_network(network, config), plan(blank(network), config)
    check_against_reference(network, compiled, images=2, seed=seed)
    trimmed = compiled.plan
    most = whole.cycles + whole.memory_wait_cycles
    assert plan(network, config).steps == trimmed.steps
    assert trimmed.cycles + trimmed.memory_wait_cycles <= most
    assert trimmed.use.weight_depth <= whole.use.weight_depth
    assert trimmed.program_words <= config.program_depth
    assert all(0 < layer.utilisation <= 1 for layer in trimmed.layers)
    assert compiled.memory.size or len(compiled.weights) == trimmed.use.weight_depth


SMALL = NpuConfig(
    pixels=1, lanes=4, columns=4, weight_digit_bits=2, accumulator_bits=24, activation_bits=4,
    program_depth=ROOM, activation_depth=ROOM,
)  # fmt: skip


def one_layer(change: object, channels: int = 16, **layer: object) -> IntegerNetwork:
    """Return a 1x1 layer, a 3x3 layer with the weights that ``change`` leaves (random ones that are
    not 0), and a classifier."""
    net = NetworkBuilder(random.Random(4), (4, 6, 6), 4)
    made = net.conv("image", 16)
    net.linear(net.conv3x3(made, channels, **layer), 4)
    network = net.build()
    layers = list(network.layers)
    target = layers[1]
    weights = np.where(target.sources[0].weights == 0, 1, target.sources[0].weights)
    assert callable(change)
    change(weights)
    source = dataclasses.replace(target.sources[0], weights=weights)
    layers[1] = dataclasses.replace(target, sources=(source,))
    return dataclasses.replace(network, layers=tuple(layers))


def compiled_layer(change: object, **layer: object) -> list[dict[str, int]]:
    """Return the fields of the instructions of ``one_layer``, once its results are checked."""
    network = one_layer(change, **layer)
    config = dataclasses.replace(SMALL, **_depths(network))
    compiled = compile_network(network, config)
    check_against_reference(network, compiled, images=2)
    return [dict(step.values) for step in compiled.program.steps if step.tensor == "t2"]


def _depths(network: IntegerNetwork) -> dict[str, int]:
    depths = minimal_depths(network, SMALL)
    return depths | {"program_depth": ROOM, "activation_depth": ROOM}


def test_edges_of_the_kernel_are_left_out() -> None:
    def change(weights: Ints) -> None:
        weights[:, :, 0] = 0
        weights[:, :, :, 2] = 0

    (fields,) = compiled_layer(change)
    assert (fields["kernel_rows"], fields["kernel_cols"]) == (1, 1)  # less one, as all counts
    start = [fields[f"start_{name}"] for name in ("columns", "strips", "rows")]
    assert start == [-1, 0, 0]


def test_words_between_others_are_left_out() -> None:
    def change(weights: Ints) -> None:
        weights[:, :4] = 0
        weights[:, 8:12] = 0

    (fields,) = compiled_layer(change)
    assert (fields["groups"], fields["groups_pointer"]) == (1, 2)


def test_each_tile_has_its_own_window_where_that_gains() -> None:
    def change(weights: Ints) -> None:
        for tile in range(4):
            gone = np.ones(16, bool)
            gone[4 * tile : 4 * tile + 4] = False
            weights[4 * tile : 4 * tile + 4, gone] = 0

    steps = compiled_layer(change)
    assert [fields["groups"] for fields in steps] == [0] * 4
    assert len({fields["start_pointer"] for fields in steps}) == 4
    assert [fields["channel_base"] for fields in steps] == list(
        range(steps[0]["channel_base"], steps[0]["channel_base"] + 8, 2)
    )


def test_tiles_of_small_weights_take_fewer_digits() -> None:
    def change(weights: Ints) -> None:
        np.clip(weights[4:12], -2, 1, out=weights[4:12])

    steps = compiled_layer(change)
    assert [(f["passes"], f["out_groups"]) for f in steps] == [(1, 0), (0, 1), (1, 0)]


def test_a_tile_without_weights_puts_out_its_bias() -> None:
    def change(weights: Ints) -> None:
        weights[:] = 0

    (fields,) = compiled_layer(change)
    walked = ("kernel_rows", "kernel_cols", "groups", "passes")
    assert [fields[name] for name in walked] == [0, 0, 0, 0]


def test_grouped_layers_leave_out_edges_of_their_moving_windows() -> None:
    def change(weights: Ints) -> None:
        weights[:, :, 1:] = 0

    (fields,) = compiled_layer(change, groups=4)
    tile = totals(reduced(SMALL, fields))["out_groups"]
    words = tile["pointer"] - tile["rows"] // fields["strip_rows"] * fields["strip_words"]
    assert (fields["kernel_rows"], words % (2 * ROOM)) == (0, 1)


def test_a_cut_that_gains_nothing_is_not_made() -> None:
    """A tile without a third of its taps is worth an instruction of its own over 6 x 6 output
    positions of 12 taps each, not over the one position of the classifier."""

    def change(weights: Ints) -> None:
        weights[:4, :, 0] = 0

    assert len(compiled_layer(change)) == 2
    network = one_layer(lambda weights: None)
    last = network.layers[-1]
    last.sources[0].weights[:2, :, :3] = 0
    config = dataclasses.replace(SMALL, columns=2, lanes=2, **_depths(network))
    config = dataclasses.replace(config, weight_depth=4096, channel_depth=256)
    steps = compile_network(network, config).program.steps
    assert len([s for s in steps if s.instruction.opcode is Opcode.LAYER]) == 3


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_no_other_cut_is_faster(seed: int, most: int) -> None:
    """Compares with all cuts of the tiles of two layers into at most ``most`` instructions."""
    pick = random.Random(seed)
    net = NetworkBuilder(pick, (8, pick.randint(1, 9), 5), 4)
    net.linear(net.conv3x3("image", 16, weight_bits=8), 16)
    network = with_zeros(pick, net.build())
    config = dataclasses.replace(SMALL, columns=4, **_depths(network))
    schedule = plan(network, config).schedule
    needs = [need for index in (0, 1) for need in layer_needs(schedule, index)]
    found = trimmed_runs(schedule, needs, most)
    best = min(
        sum(run_cycles(schedule, need.run) for need in cut)
        for cut in _cuts(needs)
        if len(cut) <= most
    )
    assert sum(run_cycles(schedule, run) for run in found) == best
    assert len(found) <= most


def _cuts(needs: list[Need]) -> list[list[Need]]:
    cuts = [[needs[0]]]
    for need in needs[1:]:
        longer = [[*cut, need] for cut in cuts]
        if need.layer == cuts[0][-1].layer:
            longer += [[*cut[:-1], cut[-1] + need] for cut in cuts]
        cuts = longer
    return cuts


@pytest.mark.parametrize("seed", [83, 147])
def test_rtl_equals_the_reference(seed: int) -> None:
    """Between them, the two networks have cut kernels, words and digit passes, over several strips,
    moving channel windows and pooling."""
    network, config = random_case(seed, 4)
    config = dataclasses.replace(config, program_depth=ROOM)
    compiled = compile_network(network, config)
    assert compiled.plan.cycles < plan(blank(network), config).cycles
    assert len(compiled.program.steps) > len(network.mac_layers) + 3
    check_on_the_rtl(network, compiled, seed, stall=0.2)
