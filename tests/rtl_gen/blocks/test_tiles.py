"""FILL and SPILL in RTL move what they move in the behavioural model, beside a running LAYER.

Under random waits of the external memory; also their errors, and NPUs without them.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.walk import AddressStep
from rtl_gen.parameters import ConfigError
from rtl_gen.twin.model import Twin
from rtl_gen.twin.transfers import Beat
from tests.rtl_gen.device import Device
from tests.rtl_gen.twin.programs import ProgramStep, copy_layer, encode, whole_memory

NARROW = NpuConfig(
    pixels=3, lanes=4, columns=4, post_units=2, activation_depth=32, weight_depth=16,
    channel_depth=8, result_depth=2, program_depth=64, memory_port_bits=32, memory_tiles=True,
)  # fmt: skip
"""An activation word fills half a beat of the memory port."""
WIDE = dataclasses.replace(NARROW, pixels=2, lanes=8, columns=8, activation_bits=7)
"""An activation word takes two beats of the memory port."""
LONG = dataclasses.replace(NARROW, memory_port_bits=128, pixels=1)
MEMORY_WORDS = 4 * BURST_BEATS * 16
END: ProgramStep = (Opcode.END, {})
WAIT_FOR_THE_END = {
    "first": 0,
    "bursts": 0,
    "base": 0,
    "strip_words": 0,
    "first_beat": 0,
    "last_beat": 0,
}


def tile(config: NpuConfig, first_beat: int, words: int, base: int, strip_words: int) -> dict:
    """Return the fields of a FILL or SPILL of ``words`` activation words.

    In memory they begin at beat ``first_beat``; in the banks they are ``strip_words`` words of each
    from word ``base`` on.
    """
    first, begins = divmod(first_beat, BURST_BEATS)
    last, ends = divmod(first_beat + words * config.tile_word_beats - 1, BURST_BEATS)
    return {
        "first": first,
        "bursts": last - first + 1,
        "base": base,
        "strip_words": strip_words,
        "first_beat": begins,
        "last_beat": ends,
    }


def any_tile(pick: random.Random, config: NpuConfig, base: int) -> dict:
    """Return the fields of a move of random size, of words from ``base`` on, at most 8 per bank."""
    strip_words = pick.randint(1, 8)
    words = pick.randint(1, config.pixels * strip_words)
    return tile(config, pick.randrange(100), words, base, strip_words)


def program(pick: random.Random, config: NpuConfig) -> list[ProgramStep]:
    """Return a program in which transfers overlap with a LAYER.

    The LAYER copies the first quarter of each bank to the last one. Meanwhile the second quarter
    goes to memory and the third one is filled, which goes to memory afterwards.
    """
    load = whole_memory(config) | {"beats": config.activation_word_beats - 1}
    layer = copy_layer(
        config, steps={"out_cols": AddressStep(words=1)}, out_base=24, out_cols=pick.randrange(8),
        col_limit=8, out_pixel_words=1, out_rows=0, drain_pixels=config.pixels - 1,
    )  # fmt: skip
    back = (Opcode.SPILL, any_tile(pick, config, 16))
    return [
        (Opcode.LOAD, load | {"ahead": 0}),
        (Opcode.SPILL, any_tile(pick, config, 8)),
        (Opcode.FILL, any_tile(pick, config, 16) | {"first": 8}),
        (Opcode.LAYER, layer),
        (Opcode.FILL, WAIT_FOR_THE_END),
        (Opcode.SPILL, WAIT_FOR_THE_END),
        back,
        (Opcode.SPILL, WAIT_FOR_THE_END),
        (Opcode.STORE, load),
        END,
    ]


@pytest.mark.parametrize("config", [NARROW, WIDE, LONG])
@pytest.mark.parametrize("seed", range(2))
def test_rtl_moves_what_the_behavioural_model_moves(config: NpuConfig, seed: int) -> None:
    pick, numbers = random.Random(seed), np.random.default_rng(seed)
    steps = program(pick, config)
    words = encode(config, steps)
    count = config.pixels * config.activation_depth * config.activation_word_beats
    mask = (1 << min(config.activation_word_bits, 32)) - 1
    beats: list[Beat] = [
        (int(value) & mask, i == count - 1)
        for i, value in enumerate(numbers.integers(0, 1 << 32, count))
    ]
    memory = numbers.integers(0, 1 << 32, MEMORY_WORDS, np.uint32)
    weights = numbers.integers(0, 1 << 32, (4, config.weight_word_columns), np.uint32)
    channels = np.ones((8, 2 * config.post_units), np.uint32) << 16
    twin = Twin(config)
    twin.load_program(words)
    twin.load_weights(weights)
    twin.load_channels(channels)
    twin.load_memory(memory)
    expected = twin.run(beats)
    assert expected.error is ErrorCode.NONE
    device = Device(config, stall=pick.choice([0.0, 0.3, 0.7]), seed=seed)
    found = device.run(words, weights, channels, beats, instructions=len(steps), memory=memory)
    assert found.error is ErrorCode.NONE
    assert found.output_beats == expected.output_beats
    assert found.cycle_log == expected.cycle_log
    np.testing.assert_array_equal(found.memory, twin.memory)


@pytest.mark.parametrize("opcode", [Opcode.FILL, Opcode.SPILL])
@pytest.mark.parametrize(
    "change, stopped",
    [
        ({"base": 31}, True),  # the second word of a bank
        ({"strip_words": 1}, True),  # the fourth bank of three
        ({"first": 60_000}, True),  # memory ends before
        ({"first_beat": 31, "last_beat": 3, "bursts": 1}, False),  # ends with its block
    ],
)
def test_a_move_that_leaves_a_memory_is_an_error(
    opcode: Opcode, change: dict, stopped: bool
) -> None:
    fields = tile(NARROW, 0, 4, 8, 2) | change
    steps: list[ProgramStep] = [(opcode, fields), (opcode, WAIT_FOR_THE_END), END]
    memory = np.zeros(MEMORY_WORDS, np.uint32)
    twin = Twin(NARROW)
    twin.load_program(encode(NARROW, steps))
    twin.load_memory(memory)
    expected = twin.run([]).error
    assert expected is (ErrorCode.ADDRESS if stopped else ErrorCode.NONE)
    found = Device(NARROW, stall=0.3).run(
        encode(NARROW, steps), [], [], [], instructions=1, memory=memory
    )
    assert found.error is expected


@pytest.mark.parametrize(
    "step",
    [
        (Opcode.FILL, tile(WIDE, 0, 1, 8, 2) | {"last_beat": 0}),  # half a word
        (Opcode.FETCH, {"first": 60_000, "bursts": 0, "weight_base": 0}),  # beyond the memory
    ],
)
def test_a_move_of_no_whole_word_does_nothing(step: ProgramStep) -> None:
    steps: list[ProgramStep] = [step, (Opcode.FILL, WAIT_FOR_THE_END), END]
    memory = np.ones(MEMORY_WORDS, np.uint32)
    twin = Twin(WIDE)
    twin.load_program(encode(WIDE, steps))
    twin.load_memory(memory)
    expected = twin.run([])
    assert expected.error is ErrorCode.NONE
    assert not twin.activations.any()
    found = Device(WIDE).run(encode(WIDE, steps), [], [], [], instructions=3, memory=memory)
    assert (found.error, found.cycle_log) == (expected.error, expected.cycle_log)


def test_tiles_need_a_port() -> None:
    with pytest.raises(ConfigError, match="memory_tiles must be false without npu"):
        NpuConfig(memory_tiles=True)
    with pytest.raises(ConfigError, match="memory_tiles must be true or false, not 2"):
        NpuConfig(memory_port_bits=32, memory_tiles=2)  # type: ignore[arg-type]


def test_npus_without_tiles_do_not_know_their_opcodes() -> None:
    config = dataclasses.replace(NARROW, memory_tiles=False)
    twin = Twin(config)
    twin.load_program([int(Opcode.FILL), 0])
    assert twin.run([]).error is ErrorCode.OPCODE
