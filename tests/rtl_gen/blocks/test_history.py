"""The history of columns, which feeds earlier columns to depthwise layers (``depthwise_taps`` 3).

Its two words per kernel row, its lanes, and what a configuration and a LAYER must have for it.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from rtl_gen.blocks.history import OLDER_COLUMNS, TapHistory, older_lanes
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import Instruction, field_words
from rtl_gen.isa.fields import fields
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.parameters import ConfigError
from rtl_gen.twin.model import Twin
from tests.rtl_gen.blocks.test_blocks import simulate
from tests.rtl_gen.device import Device
from tests.rtl_gen.twin.programs import copy_layer, encode

CONFIG = NpuConfig(
    pixels=2, lanes=4, columns=4, activation_depth=16, weight_depth=16, channel_depth=4,
    result_depth=2, program_depth=64, depthwise_taps=3,
)  # fmt: skip
WORD_BITS = CONFIG.activation_word_bits
CASES = 300


def test_words_come_with_the_two_stored_before_at_their_kernel_row() -> None:
    rng = random.Random(2)
    dut = TapHistory(CONFIG)
    taps = [
        {
            "activations": rng.getrandbits(2 * WORD_BITS),
            "pad_code": 5,
            **{name: rng.randrange(2) for name in ("valid", "store", "reuse")},
            "fresh": int(rng.random() < 0.2),
            "kernel_row": rng.randrange(3),
        }
        for _ in range(CASES)
    ]
    mask = (1 << WORD_BITS) - 1
    padding = [0x5555] * CONFIG.pixels
    stored = {row: ([0] * CONFIG.pixels, [0] * CONFIG.pixels) for row in range(3)}
    expected: list[tuple[int, ...]] = []
    for tap in taps:
        words = [tap["activations"] >> WORD_BITS * p & mask for p in range(CONFIG.pixels)]
        last, before = stored[tap["kernel_row"]]
        last = padding if tap["fresh"] else last
        older = sum(
            word << WORD_BITS * (OLDER_COLUMNS * p + age)
            for p in range(CONFIG.pixels)
            for age, word in enumerate((last[p], before[p]))
        )
        expected.append((tap["activations"], older, tap["reuse"]))
        if tap["valid"] and tap["store"]:
            stored[tap["kernel_row"]] = (words, last)

    def drive(ctx: Any, cycle: int) -> None:
        for name, value in taps[cycle].items():
            ctx.set(getattr(dut, name), value)

    def check(ctx: Any, cycle: int) -> None:
        found = ctx.get(dut.words), ctx.get(dut.older), ctx.get(dut.reuse_now)
        assert found == expected[cycle]

    simulate(dut, CASES, drive, check)


@pytest.mark.parametrize("lanes", range(4, 65))
def test_older_columns_have_lanes_whose_pair_sums_are_not_needed(lanes: int) -> None:
    for column in range(2 * lanes):
        used = (column % lanes, *older_lanes(lanes, column))
        assert len(set(used)) == 3
        assert max(used) < lanes
        pairs = [lane // 2 for lane in used]
        assert len(set(pairs)) == 3 or (lanes == 4 and pairs[0] != pairs[1] == pairs[2])


def test_too_few_lanes_and_unknown_numbers_of_taps_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"npu\.lanes must be at least 4 with npu\.dep"):
        NpuConfig(lanes=3, columns=3, post_units=1, depthwise_taps=3)
    with pytest.raises(ConfigError, match=r"npu\.depthwise_taps must be one of 1, 3, not 2"):
        NpuConfig(depthwise_taps=2)


def test_npus_without_a_history_have_no_trace_of_it() -> None:
    plain = NpuConfig()
    assert "depthwise_taps" not in plain.to_dict()
    assert "reuse" not in {field.name for field in fields(plain, Opcode.LAYER)}
    assert field_words(plain, Opcode.LAYER) == 14
    assert plain.hash.startswith("e8c493ab")
    assert NpuConfig(depthwise_taps=3).hash != plain.hash


def test_a_row_of_nothing_but_fills_is_an_error_not_a_hang() -> None:
    program = [(Opcode.LAYER, copy_layer(CONFIG, reuse=3, out_cols=1)), (Opcode.END, {})]
    words = encode(CONFIG, program)
    twin = Twin(CONFIG)
    twin.load_program(words)
    assert twin.run([]).error is ErrorCode.FIELD
    assert Device(CONFIG).run(words, [], [], [], instructions=0).error is ErrorCode.FIELD
    fits = Instruction(Opcode.LAYER, copy_layer(CONFIG, reuse=2, out_cols=1))
    good = [*fits.encode(CONFIG), *encode(CONFIG, program[1:])]
    twin.load_program(good)
    result = Device(CONFIG).run(good, [], [], [], instructions=2)
    assert result.error is ErrorCode.NONE
    assert result.cycle_log == twin.run([]).cycle_log
