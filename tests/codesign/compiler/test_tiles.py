"""Networks whose feature maps go to external memory compute what they do with them on chip.

Fused layer groups run band by band (depth-first tiling): rows come by FILL and go by SPILL. No
instruction may touch words that are still on their way, and every band must have its input rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codesign.compiler import CompiledNetwork, compile_network
from codesign.compiler.mapping.shapes import layer_shapes
from codesign.compiler.mapping.storage import storage_plan
from codesign.compiler.program.memory import waits
from codesign.compiler.tiling.bands import Flow, band_rows, input_rows
from codesign.report.layers import layer_rows
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.opcodes import Opcode
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
from tests.codesign.compiler.random_networks import random_config, random_network, with_tiles


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_bands_compute_what_whole_maps_do(seed: int, bits: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    config = with_tiles(pick, network, random_config(pick, network, bits))
    assume(config is not None)
    assert config is not None
    compiled = compile_network(network, config)
    check_against_reference(network, compiled, images=2, seed=seed)
    check_life_times(compiled)


def tall_network() -> IntegerNetwork:
    """Return two convolutions, a layer that adds both, a strided one and a classifier."""
    net = NetworkBuilder(random.Random(3), (4, 24, 6), 4)
    first = net.conv3x3("image", 8)
    second = net.conv3x3(first, 8)
    added = net.mac_layer([first, second], 8, op="add", largest_weights=True)
    net.linear(net.conv(added, 8, (4, 3), stride=(4, 3)), 5)
    return net.build()


CONFIG = NpuConfig(
    pixels=2, lanes=4, columns=4, weight_digit_bits=4, accumulator_bits=24, activation_bits=4,
    post_units=2, weight_depth=512, program_depth=2048, memory_port_bits=32, memory_tiles=True,
    activation_depth=128,
)  # fmt: skip


def touched(compiled: CompiledNetwork, tensor: str) -> set[int]:
    """Return the words of a bank that a tensor's storage takes."""
    place = compiled.plan.schedule.location_of(tensor)
    return set(range(place.base, place.base + place.strip_words))


def check_life_times(compiled: CompiledNetwork) -> None:
    """Check the program's accesses to words that are moved beside it.

    While a FILL or SPILL may be under way, nothing writes its words and nothing reads the words of
    a FILL; a FILL reads only what a SPILL that is over has written.
    """
    schedule, under_way = compiled.plan.schedule, dict[bool, tuple[Opcode, set[int]]]()
    layers = {shape.layer.output: shape.layer for shape in schedule.shapes}
    written, pending = list[range](), range(0)
    for step in compiled.program.steps:
        opcode, values = step.instruction.opcode, step.values
        if opcode in (Opcode.FETCH, Opcode.FILL, Opcode.SPILL):
            spills = opcode is Opcode.SPILL
            under_way.pop(spills, None)
            if spills:
                written.append(pending)
                pending = range(0)
            if opcode is Opcode.FETCH or not values["bursts"]:
                continue
            assert step.tensor
            start = values["first"] * BURST_BEATS + values["first_beat"]
            end = (values["first"] + values["bursts"] - 1) * BURST_BEATS + values["last_beat"] + 1
            if spills:
                pending = range(start, end)
            else:
                assert all(any(beat in r for r in written) for beat in range(start, end))
                for _, words in under_way.values():
                    assert not words & touched(compiled, step.tensor)
            under_way[spills] = (opcode, touched(compiled, step.tensor))
        elif opcode in (Opcode.LAYER, Opcode.LOAD):
            assert step.tensor
            reads = layers[step.tensor].sources if opcode is Opcode.LAYER else ()
            raw = opcode is Opcode.LAYER and layers[step.tensor].raw
            writes = set() if raw else touched(compiled, step.tensor)
            for moves, words in under_way.values():
                assert not words & writes
                for source in reads if moves is Opcode.FILL else ():
                    assert not words & touched(compiled, source.tensor)


def test_no_instruction_touches_words_that_are_on_their_way() -> None:
    compiled = compile_network(tall_network(), CONFIG)
    opcodes = [step.instruction.opcode for step in compiled.program.steps]
    assert opcodes.count(Opcode.LOAD) > 1
    assert Opcode.SPILL in opcodes
    check_life_times(compiled)
    check_against_reference(tall_network(), compiled, images=2)


def test_a_report_has_a_row_for_each_move() -> None:
    planned = compile_network(tall_network(), CONFIG).plan
    assert len(layer_rows(planned)) == len(planned.steps) - 1


def test_weights_of_bands_are_stored_once() -> None:
    network = tall_network()
    whole = dataclasses.replace(CONFIG, activation_depth=2048)
    tiled, fits = compile_network(network, CONFIG), compile_network(network, whole)
    assert fits.plan.schedule.moves is None
    assert tiled.plan.schedule.moves is not None
    assert tiled.weights.shape == fits.weights.shape
    assert tiled.channels.shape == fits.channels.shape
    small = dataclasses.replace(CONFIG, weight_depth=64)
    fetched = compile_network(network, small)
    assert fetched.weights.size == 0
    check_against_reference(network, fetched)


def test_maps_that_fit_stay_on_chip() -> None:
    roomy = dataclasses.replace(CONFIG, activation_depth=2048)
    plain = dataclasses.replace(roomy, memory_tiles=False)
    found, expected = (compile_network(tall_network(), c) for c in (roomy, plain))
    assert found.program.words == expected.program.words
    assert found.memory.size == 0


def test_rows_that_no_bands_make_small_enough_are_refused() -> None:
    with pytest.raises(InfeasibleError, match="activation_depth, has 16"):
        compile_network(tall_network(), dataclasses.replace(CONFIG, activation_depth=16))


def test_only_instructions_that_move_data_wait_for_memory() -> None:
    steps = compile_network(tall_network(), CONFIG).program.steps
    moved = sum(
        (s.values["bursts"] - 1) * BURST_BEATS + s.values["last_beat"] + 1 - s.values["first_beat"]
        for s in steps
        if s.instruction.opcode in (Opcode.FILL, Opcode.SPILL) and s.values["bursts"]
    )
    waiting = waits(CONFIG, steps)
    assert sum(waiting) > 0
    assert all(
        wait == 0 or step.instruction.opcode in (Opcode.FETCH, Opcode.FILL, Opcode.SPILL)
        for wait, step in zip(waiting, steps, strict=True)
    )
    assert moved > 0


def spans() -> Iterator[tuple[Flow, range]]:
    """Yield every group of layers that may be fused, with the flow of tensors it belongs to."""
    network = tall_network()
    shapes = layer_shapes(network)
    flow = Flow(network, shapes, storage_plan(network, shapes, CONFIG))
    for low, high in itertools.combinations(flow.cuts(), 2):
        if high < len(network.layers):
            yield flow, range(low, high)


def test_bands_make_all_rows_and_have_what_they_need() -> None:
    for flow, span in spans():
        for bands in (1, 3, 5):
            found = band_rows(flow, span, bands)
            for root in flow.leaving(span):
                made = {row for rows in found for row in rows[root]}
                assert made == set(range(flow.network.tensors[root].shape[1]))
            for rows in found:
                for layer in (flow.network.mac_layers[i] for i in span):
                    for source in layer.sources:
                        height = flow.network.tensors[source.tensor].shape[1]
                        needed = input_rows(layer, rows[layer.output], height)
                        assert set(needed) <= set(rows[source.tensor])
