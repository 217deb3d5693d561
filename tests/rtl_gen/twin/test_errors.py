"""The behavioural model raises every error code of docs/reference/isa.md, and only where it should.

Also which runs still work after an error, and what the model itself refuses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS, WORD_BITS, bit_ranges, field_words
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.walk import AddressStep
from rtl_gen.twin.memories import TwinInputError
from rtl_gen.twin.model import Twin, TwinResult
from rtl_gen.twin.transfers import Beat
from tests.rtl_gen.twin.programs import ProgramStep, copy_layer, encode, tap_at

CONFIG = NpuConfig(
    pixels=2, lanes=4, columns=4, post_units=2, activation_depth=16, weight_depth=16,
    channel_depth=4, result_depth=2, program_depth=64,
)  # fmt: skip
WALK = {"base": 0, "strip_words": 2, "last_strip": 0, "last_words": 2, "beats": 0}
LOAD = WALK | {"ahead": 0}
COPY = (Opcode.LOAD, LOAD)
STORE = (Opcode.STORE, WALK)
END: ProgramStep = (Opcode.END, {})
TWO_BEATS: list[Beat] = [(0x1234, False), (0x4321, True)]


def twin_of(*program: ProgramStep) -> Twin:
    twin = Twin(CONFIG)
    twin.load_program(encode(CONFIG, [*program]))
    return twin


def run(*program: ProgramStep, beats: list[Beat] | None = None) -> TwinResult:
    return twin_of(*program).run(TWO_BEATS if beats is None else beats)


def layer(**changes: Any) -> ProgramStep:
    return (Opcode.LAYER, copy_layer(CONFIG, **changes))


def test_a_good_program_has_no_error() -> None:
    result = run(COPY, layer(), STORE, END)
    assert result.error is ErrorCode.NONE
    assert result.error_instruction == 0
    assert result.output_beats == [(0x1234, False), (0, True)]


@pytest.mark.parametrize(
    "step",
    [
        layer(first_tap=AddressStep(words=16)),
        layer(
            first_tap=AddressStep(words=15),
            steps={"out_cols": AddressStep(words=1)},
            out_cols=1,
            col_limit=2,
        ),
        layer(first_tap=tap_at({"strip_rows": 1, "strip_words": 1}, strip=2), last_strip=2),
        layer(out_base=15, out_cols=1, out_pixel_words=1),
        layer(weight_base=15, groups=1),
        layer(channel_base=3),
        layer(raw=1, out_cols=1),
        (Opcode.STORE, WALK | {"base": 15}),
        (Opcode.STORE, WALK | {"last_strip": 2}),
        (Opcode.STORE, WALK | {"last_words": 0}),
    ],
)
def test_leaving_a_buffer_is_an_address_error(step: ProgramStep) -> None:
    result = run(COPY, step, END)
    assert result.error is ErrorCode.ADDRESS
    assert result.error_instruction == 1
    assert len(result.cycle_log) == 1


def test_reads_masked_as_padding_may_point_anywhere() -> None:
    left_of_the_image = AddressStep(words=31, columns=-1)
    result = run(COPY, layer(first_tap=left_of_the_image, pad_code=3), END)
    assert result.error is ErrorCode.NONE


def test_a_load_beyond_the_memory_is_an_address_error() -> None:
    result = run((Opcode.LOAD, LOAD | {"base": 15}), END)
    assert result.error is ErrorCode.ADDRESS
    assert result.beats_used == 2


def test_tlast_too_early_is_an_error() -> None:
    result = run(COPY, END, beats=[(1, True), (2, True)])
    assert (result.error, result.beats_used) == (ErrorCode.STREAM_SHORT, 1)


def test_tlast_missing_discards_the_rest_of_the_packet_and_recovers() -> None:
    twin = twin_of(COPY, STORE, END)
    beats = [(1, False), (2, False), (3, False), (4, True), (5, False), (6, True)]
    result = twin.run(beats)
    assert (result.error, result.beats_used) == (ErrorCode.STREAM_LONG, 4)
    result = twin.run(beats[result.beats_used :])
    assert result.error is ErrorCode.NONE
    assert result.output_beats == [(5, False), (6, True)]


def test_an_unknown_opcode_is_an_error() -> None:
    twin = Twin(CONFIG)
    twin.load_program([int(Opcode.LOAD) | 1 << 31])
    assert twin.run([]).error is ErrorCode.OPCODE


@pytest.mark.parametrize(
    "fields",
    [{"drain_pixels": 2}, {"drain_chunks": 2}],
)
def test_draining_more_than_the_array_has_is_a_field_error(fields: dict[str, int]) -> None:
    assert run(COPY, layer(**fields), END).error is ErrorCode.FIELD


@pytest.mark.parametrize("step", [COPY, STORE, layer()], ids=["load", "store", "layer"])
def test_bits_outside_a_field_are_a_field_error(step: ProgramStep) -> None:
    """A LAYER has such bits in its words of slots and in its records."""
    program = [COPY, step, END]
    words = encode(CONFIG, program)
    first = len(encode(CONFIG, program[:1])) + BUS_WORDS
    used = {bit for place in bit_ranges(CONFIG, step[0]).values() for bit in place}
    for bit in range(WORD_BITS * field_words(CONFIG, step[0])):
        changed = list(words)
        changed[first + bit // 32] ^= 1 << bit % 32
        twin = Twin(CONFIG)
        twin.load_program(changed)
        if bit not in used:
            assert twin.run(TWO_BEATS * 16).error is ErrorCode.FIELD, bit


def test_a_program_without_end_is_an_error() -> None:
    store = encode(CONFIG, [(Opcode.STORE, WALK)])  # three words
    memory = BUS_WORDS * CONFIG.program_depth
    twin = Twin(CONFIG)
    twin.load_program((store * 22)[:memory])
    result = twin.run([])
    assert result.error is ErrorCode.PROGRAM
    assert result.error_instruction == 21
    end, emit = [0, 0], [int(Opcode.EMIT), 0]
    twin.load_program((store * 20 + end * 3 + [int(Opcode.LAYER), 0])[:memory])
    assert twin.run([]).error is ErrorCode.NONE  # END in front of it
    twin.load_program(store * 20 + [*emit, 0, 0] * 2)
    assert twin.run([]).error is ErrorCode.PROGRAM


def test_the_watchdog_stops_a_run_that_is_too_long() -> None:
    twin = twin_of(COPY, END)
    cycles = twin.run(TWO_BEATS).cycle_log[-1]
    assert twin.run(TWO_BEATS, watchdog=cycles + 1).error is ErrorCode.NONE
    assert twin.run(TWO_BEATS, watchdog=cycles).error is ErrorCode.WATCHDOG
    assert twin.run(TWO_BEATS[:1], watchdog=10**6).error is ErrorCode.WATCHDOG
    with pytest.raises(TwinInputError, match="LOAD waits for 2 beats, the stream has 1"):
        twin.run(TWO_BEATS[:1])


def test_memory_images_that_do_not_fit_are_refused() -> None:
    twin = Twin(CONFIG)
    with pytest.raises(TwinInputError, match="program of 130 words, at most 128"):
        twin.load_program([0] * 130)
    with pytest.raises(TwinInputError, match=r"weight image must be \[up to 16, 1\]"):
        twin.load_weights(np.zeros((17, 1), np.uint32))
    with pytest.raises(TwinInputError, match="channel image"):
        twin.load_channels(np.zeros((2, 2), np.uint32))
