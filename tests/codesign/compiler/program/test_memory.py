"""Networks whose weights are fetched from external memory compute what they do with them on chip.

A layer's weights come in parts (weight tiles): while one is computed, FETCH brings the next. Also:
when nothing is fetched, what is refused, and how long a run waits for memory.
"""

from __future__ import annotations

import dataclasses
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import checks, compile_network
from codesign.compiler.program.memory import LATENCY_CYCLES, waits
from codesign.report.layers import layer_rows
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
from tests.codesign.compiler.random_networks import random_config, random_network, with_memory_port


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_parts_compute_what_whole_layers_do(seed: int, bits: int) -> None:
    pick = random.Random(seed)
    network = random_network(pick, bits)
    config = with_memory_port(pick, network, random_config(pick, network, bits))
    if config is None:
        return
    compiled = compile_network(network, config)
    fetched = any(part.bursts for part in compiled.plan.schedule.parts)
    assert (compiled.memory.size > 0) == fetched  # without their zeros, weights may fit
    assert (compiled.weights.size == 0) == fetched
    check_against_reference(network, compiled, images=2, seed=seed)


def wide_network() -> IntegerNetwork:
    """Return layers of several tiles of output channels; the classifier has several, too."""
    net = NetworkBuilder(random.Random(3), (5, 4, 4), 4)
    net.linear(net.conv(net.conv3x3("image", 20), 17), 11)
    return net.build()


CONFIG = NpuConfig(
    pixels=2, lanes=4, columns=4, weight_digit_bits=4, accumulator_bits=24, activation_bits=4,
    post_units=1, weight_depth=256, program_depth=1024, memory_port_bits=32,
)  # fmt: skip


def test_each_part_is_fetched_while_the_one_before_runs() -> None:
    compiled = compile_network(wide_network(), CONFIG)
    parts = compiled.plan.schedule.parts
    assert {part.layer for part in parts} == {0, 1, 2}
    assert len([part for part in parts if part.layer == 2]) > 1, "the logits come in parts too"
    opcodes = [step.instruction.opcode for step in compiled.program.steps]
    assert opcodes == [
        Opcode.LOAD, Opcode.FETCH, *[Opcode.FETCH, Opcode.LAYER] * len(parts),
        Opcode.EMIT, Opcode.END,
    ]  # fmt: skip
    halves = [part.weight_base for part in parts]
    assert all(a != b for a, b in itertools.pairwise(halves))
    assert all(part.weight_words <= CONFIG.weight_depth // 2 for part in parts)
    check_against_reference(wide_network(), compiled, images=2)


def test_a_report_shares_the_products_among_the_parts() -> None:
    planned = compile_network(wide_network(), CONFIG).plan
    rows = layer_rows(planned)
    assert len(rows) == len(planned.steps) - 1
    assert sum(row.macs or 0 for row in rows) == planned.macs
    assert {row.op for row in rows} == {"load", "fetch", "conv2d", "linear", "emit"}


def test_weights_that_fit_are_not_fetched() -> None:
    roomy = dataclasses.replace(CONFIG, weight_depth=1024)
    compiled = compile_network(wide_network(), roomy)
    assert compiled.memory.size == 0
    assert compiled.plan.memory_wait_cycles == 0
    without = compile_network(wide_network(), dataclasses.replace(roomy, memory_port_bits=0))
    assert compiled.program.words == without.program.words


def test_a_tile_larger_than_half_of_weight_memory_is_refused() -> None:
    tiny = dataclasses.replace(CONFIG, weight_depth=16)
    with pytest.raises(InfeasibleError, match="words of weight_depth, has 16"):
        compile_network(wide_network(), tiny)


def test_more_bursts_than_a_fetch_can_count_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SLOT_BITS", 3)  # stands for a network of eight megabytes
    with pytest.raises(InfeasibleError, match=r"weights in memory: needs \d+ bursts .*has 7"):
        compile_network(wide_network(), CONFIG)


def test_a_run_is_as_long_as_fetches_or_layers_whichever_is_longer() -> None:
    """The roofline bounds: no shorter than all fetches, no longer than both one after the other."""
    compiled = compile_network(wide_network(), CONFIG)
    steps = compiled.program.steps
    waiting = waits(CONFIG, steps)
    assert all(
        wait == 0 or step.instruction.opcode is Opcode.FETCH
        for wait, step in zip(waiting, steps, strict=True)
    )
    bursts = [s.values["bursts"] for s in steps if s.instruction.opcode is Opcode.FETCH]
    fetching = sum(timing.fetch_cycles(n, LATENCY_CYCLES) for n in bursts if n)
    total = sum(step.cycles for step in steps) + sum(waiting)
    assert total >= fetching
    assert total <= fetching + sum(step.cycles for step in steps)
    # The layers are short here: memory sets the pace, except for the first and the last part.
    assert sum(waiting) > fetching - sum(step.cycles for step in steps)
    assert np.any(np.array(waiting) > 0)
