"""Arrays for N:M sparse weights: parameters, instruction fields, weight words and selection.

The selection block chooses the activations that the kept weights multiply.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.fpga import verilog_text
from rtl_gen import emit, timing
from rtl_gen.blocks.mac_array import MacArray
from rtl_gen.blocks.selection import SelectionSpec
from rtl_gen.config import NpuConfig
from rtl_gen.isa import weight_words
from rtl_gen.isa.encoding import BUS_WORDS, Instruction, decode, instruction_words
from rtl_gen.isa.fields import slots
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import SPARSITIES, ConfigError
from tests.rtl_gen.blocks.test_blocks import pack, simulate
from tests.rtl_gen.twin.programs import copy_layer

PATTERNS = [name for name in SPARSITIES if name != "dense"]


def test_a_dense_npu_does_not_name_its_sparsity() -> None:
    """So its hash, which existing build folders hold, does not depend on the parameter."""
    assert "sparsity" not in NpuConfig().to_dict()
    assert NpuConfig(sparsity="2:4").to_dict()["sparsity"] == "2:4"
    assert NpuConfig(sparsity="2:4").hash != NpuConfig(sparsity="1:4").hash
    dense, sparse = (
        [field.name for field in slots(NpuConfig(sparsity=sparsity), Opcode.LAYER)]
        for sparsity in ("dense", "2:4")
    )
    assert sparse == [*dense, "phases"]


@pytest.mark.parametrize("sparsity", PATTERNS)
def test_lanes_are_whole_groups(sparsity: str) -> None:
    group = SPARSITIES[sparsity][1]
    for lanes in (group + 2, group // 2):
        with pytest.raises(ConfigError, match=f"multiple of {group} with npu.sparsity {sparsity}"):
            NpuConfig(lanes=lanes, columns=lanes, post_units=1, sparsity=sparsity)
    with pytest.raises(ConfigError, match=r"npu\.sparsity must be one of dense, 1:4, 2:4, 4:8"):
        NpuConfig(sparsity="3:4")


@pytest.mark.parametrize(
    ("sparsity", "slots", "index_bits", "phases"),
    [("1:4", 2, 2, 4), ("2:4", 4, 2, 2), ("4:8", 4, 3, 2), ("dense", 8, 0, 1)],
)
def test_sizes_follow_from_the_pattern(
    sparsity: str, slots: int, index_bits: int, phases: int
) -> None:
    config = NpuConfig(lanes=8, columns=8, weight_digit_bits=4, sparsity=sparsity)
    assert (config.slots, config.index_bits, config.most_phases) == (slots, index_bits, phases)
    assert config.weight_word_bits == slots * 8 * (4 + index_bits)
    assert config.macs == NpuConfig(lanes=8, columns=8, weight_digit_bits=4).macs


def test_phases_are_a_field_of_their_own() -> None:
    config = NpuConfig(sparsity="1:4")
    one, most = copy_layer(config), copy_layer(config, phases=3)
    words = Instruction(Opcode.LAYER, most).encode(config)
    count = instruction_words(config, Opcode.LAYER)
    assert len(words) == BUS_WORDS * count
    assert decode(config, words, 0) == (Instruction(Opcode.LAYER, most), count)
    with pytest.raises(ValueError, match=r"LAYER\.phases must be 0\.\.3, not 4"):
        Instruction(Opcode.LAYER, one | {"phases": 4}).encode(config)
    cycles = [timing.instruction_cycles(config, Instruction(Opcode.LAYER, f)) for f in (one, most)]
    assert cycles[1] - cycles[0] == 3 * config.passes(2)


@pytest.mark.parametrize("sparsity", PATTERNS)
def test_every_pattern_has_its_slots(sparsity: str) -> None:
    """Any ``kept`` lanes of a group, in rising order, are among their slots' choices.

    With one choice fewer, some would not be.
    """
    kept, group = SPARSITIES[sparsity]
    spec = SelectionSpec(lanes=group, activation_bits=4, kept=kept, group=group)
    ways = list(itertools.combinations(range(group), kept))
    for lanes in ways:
        indices = [lanes[k] - spec.choices(k)[0] for k in range(kept)]
        assert all(0 <= index < 1 << spec.index_bits for index in indices)
        assert spec.compute(range(group), indices) == list(lanes)
    for slot in range(kept):
        assert {lanes[slot] for lanes in ways} == set(spec.choices(slot))


@pytest.mark.parametrize(
    "spec",
    [
        SelectionSpec(lanes=8, activation_bits=4, kept=2, group=4),
        SelectionSpec(lanes=4, activation_bits=3, kept=1, group=4),
        SelectionSpec(lanes=12, activation_bits=1, kept=1, group=4),
        SelectionSpec(lanes=16, activation_bits=5, kept=4, group=8),
    ],
    ids=str,
)
def test_selection_equals_its_golden_model(spec: SelectionSpec) -> None:
    rng = random.Random(1)
    dut = spec.create()
    cases = [
        (
            [rng.randrange(1 << spec.activation_bits) for _ in range(spec.lanes)],
            [rng.randrange(1 << spec.index_bits) for _ in range(spec.slots)],
        )
        for _ in range(100)
    ]

    def drive(ctx: Any, cycle: int) -> None:
        activations, indices = cases[cycle]
        ctx.set(dut.activations, pack(activations, spec.activation_bits))
        ctx.set(dut.indices, pack(indices, spec.index_bits))

    def check(ctx: Any, cycle: int) -> None:
        chosen = spec.compute(*cases[cycle])
        sums = [sum(chosen[k : k + 2]) for k in range(0, spec.slots, 2)]
        assert ctx.get(dut.selected) == pack(chosen, spec.activation_bits), cases[cycle]
        if spec.pair_bits:
            assert ctx.get(dut.pair_sums) == pack(sums, spec.pair_bits), cases[cycle]

    simulate(dut, len(cases), drive, check)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(tuple(SPARSITIES)), st.sampled_from((1, 2, 4, 8)), st.integers(0, 2**32 - 1))
def test_weight_words_hold_digits_and_indices(sparsity: str, digit_bits: int, seed: int) -> None:
    config = NpuConfig(lanes=8, columns=8, weight_digit_bits=digit_bits, sparsity=sparsity)
    rng = np.random.default_rng(seed)
    shape = (3, config.columns, config.slots)
    digits = rng.integers(0, 1 << digit_bits, shape, np.uint8)
    indices = rng.integers(0, 1 << config.index_bits, shape, np.uint8)
    words = weight_words.pack(config, digits, indices)
    assert words.shape == (3, config.weight_word_columns)
    number = sum(int(word) << (32 * j) for j, word in enumerate(words[1]))
    expected = pack(digits[1].ravel().tolist(), digit_bits)
    first = config.columns * config.slots * digit_bits
    expected |= pack(indices[1].ravel().tolist(), config.index_bits) << first
    assert number == expected
    found = weight_words.unpack(config, words)
    np.testing.assert_array_equal(found[0], digits)
    np.testing.assert_array_equal(found[1], indices)


def test_selection_costs_no_cycle() -> None:
    """It takes the stage of the shared pair sums; half the products have a shorter adder tree."""
    sparse = NpuConfig(lanes=16, columns=16, sparsity="2:4")
    half = NpuConfig(lanes=8, columns=8)
    assert MacArray.latency_cycles(sparse) == MacArray.latency_cycles(half)


def test_only_sparse_npus_select() -> None:
    sparse = NpuConfig(sparsity="2:4")
    assert "npu_selection.v" in emit.verilog(sparse)
    dense = emit.verilog(dataclasses.replace(sparse, sparsity="dense"))
    plain = {name: verilog_text.code(text) for name, text in dense.items()}  # without comments
    assert not any("selection" in name or "phases" in text for name, text in plain.items())
