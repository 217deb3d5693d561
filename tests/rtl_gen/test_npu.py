"""The whole NPU in RTL equals its behavioural model (twin), bit for bit and cycle for cycle.

Programs of random LAYERs run in Amaranth's simulator under random stream stalls; cycles are also
those of rtl_gen.timing.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import Instruction, instruction_words
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.walk import AddressStep
from rtl_gen.parameters import SHIFT_BITS
from rtl_gen.twin.model import Twin
from tests.rtl_gen.device import Device
from tests.rtl_gen.twin.programs import LayerNest, tap_at

CONFIGS = [
    dict(pixels=2, lanes=4, columns=8, weight_digit_bits=2, activation_bits=4, post_units=2),
    dict(pixels=1, lanes=2, columns=2, weight_digit_bits=1, activation_bits=1, post_units=1),
    dict(pixels=3, lanes=3, columns=6, weight_digit_bits=4, activation_bits=3, post_units=3),
    dict(pixels=4, lanes=4, columns=4, weight_digit_bits=8, activation_bits=8, post_units=4),
    dict(pixels=2, lanes=4, columns=4, weight_digit_bits=4, activation_bits=5, multiplier="dsp"),
    dict(pixels=2, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, sparsity="2:4",
         weight_depth=128),
    dict(pixels=1, lanes=4, columns=8, weight_digit_bits=1, activation_bits=3, sparsity="1:4",
         weight_depth=256),
    dict(pixels=2, lanes=8, columns=8, weight_digit_bits=2, activation_bits=5, sparsity="4:8",
         multiplier="dsp", weight_depth=128),
    dict(pixels=1, lanes=16, columns=16, weight_digit_bits=2, activation_bits=2, sparsity="4:8",
         post_units=4, weight_depth=256),
    dict(pixels=2, lanes=4, columns=4, weight_digit_bits=8, activation_bits=8, multiplier="dsp2"),
    dict(pixels=1, lanes=6, columns=6, weight_digit_bits=2, activation_bits=3, multiplier="dsp2"),
    dict(pixels=4, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, multiplier="dsp4",
         weight_depth=128),
    dict(pixels=2, lanes=4, columns=8, weight_digit_bits=2, activation_bits=4, post_units=2,
         wide_input_passes=2),
    dict(pixels=1, lanes=4, columns=4, weight_digit_bits=1, activation_bits=3,
         wide_input_passes=2),
    dict(pixels=2, lanes=4, columns=4, weight_digit_bits=1, activation_bits=2,
         wide_input_passes=1, binary_weights=True),
]  # fmt: skip
SMALL = dict(activation_depth=64, weight_depth=64, channel_depth=16, result_depth=8,
             program_depth=128, accumulator_bits=18)  # fmt: skip


def random_layer(rng: random.Random, config: NpuConfig, raw: bool, at: int = 0) -> Instruction:
    """Return a LAYER on a random image whose addresses stay inside the memories.

    Any kernel, stride, padding and max-pooling window, a first tap in any row of a strip. The image
    begins at word ``at`` of each bank, the output at word 32.
    """
    strips, strip_rows = rng.randint(1, config.pixels), rng.randint(1, 3)
    image_columns, pixel_words = rng.randint(1, 4), rng.randint(1, 2)
    row_words = image_columns * pixel_words
    kernel_rows, kernel_columns = rng.randint(1, min(3, strip_rows + 1)), rng.randint(1, 3)
    conv_stride, pool_stride = rng.randint(1, 2), rng.randint(1, 2)
    pool_rows, pool_columns = rng.randint(1, 2), rng.randint(1, 2)
    padding, out_columns, out_rows = rng.randint(0, 1), rng.randint(1, 3), rng.randint(1, 2)
    first_strip, first_row = rng.randint(-1, 0), rng.randint(0, strip_rows - 1)
    drain_chunks = config.chunks_per_word * rng.randint(1, config.words_per_tile)
    tile_words = drain_chunks // config.chunks_per_word
    tiles = 1 if raw else rng.randint(1, 2)
    drain_pixels = 1 if raw else rng.randint(1, config.pixels)
    if raw:
        out_columns = out_rows = pool_columns = pool_rows = 1
    values = dict(
        col_limit=image_columns, strip_rows=strip_rows, strip_words=strip_rows * row_words,
        last_strip=strips - 1, last_rows=rng.randint(1, strip_rows), groups=pixel_words - 1,
        kernel_cols=kernel_columns - 1, kernel_rows=kernel_rows - 1, passes=rng.randint(1, 2) - 1,
        digits=rng.randrange(3) if config.wide_input_passes else 0,
        pool_cols=pool_columns - 1, pool_rows=pool_rows - 1, out_cols=out_columns - 1,
        out_rows=out_rows - 1, out_groups=tiles - 1,
        weight_base=rng.randint(0, 3), channel_base=rng.randint(0, 2),
        out_base=32, out_pixel_words=tiles * tile_words, out_group_words=tile_words,
        drain_pixels=drain_pixels - 1, drain_chunks=drain_chunks - 1, raw=int(raw),
        pad_code=rng.randrange(1 << config.activation_bits),
        out_zero=rng.randrange(1 << config.activation_bits),
        out_max=(1 << rng.randint(1, config.activation_bits)) - 1,
    )  # fmt: skip
    if config.binary_weights:
        values["binary"] = rng.randrange(2)
    if config.most_phases > 1:
        tap_words = pixel_words * kernel_rows * kernel_columns * (values["passes"] + 1) * tiles
        fit = (config.weight_depth - 3) // tap_words
        values["phases"] = rng.randint(1, min(fit, config.most_phases)) - 1

    def right(columns: int) -> AddressStep:
        return AddressStep(words=columns * pixel_words, columns=columns)

    def down(rows: int) -> AddressStep:
        return AddressStep(words=rows * row_words, rows=rows)

    steps = {
        "groups": AddressStep(words=1),
        "kernel_cols": right(1),
        "kernel_rows": down(1),
        "digits": AddressStep(words=1),
        "pool_cols": right(conv_stride),
        "pool_rows": down(conv_stride),
        "out_cols": right(pool_stride * conv_stride),
        "out_rows": down(pool_stride * conv_stride),
    }
    address = at - padding * pixel_words + first_row * row_words
    first_tap = tap_at(values, address=address, column=-padding, strip=first_strip, row=first_row)
    return Instruction(Opcode.LAYER, LayerNest(first_tap, steps, values).fields(config))


def random_images(rng: np.random.Generator, config: NpuConfig):
    """Return random contents of the whole weight memory and channel table, as uint32 words."""
    columns = [min(32, config.weight_word_bits - 32 * k) for k in range(config.weight_word_columns)]
    weights = np.stack(
        [rng.integers(0, 1 << bits, config.weight_depth) for bits in columns], axis=1
    )
    table = np.zeros((config.channel_depth, 2 * config.post_units), np.int64)
    half = 1 << (config.accumulator_bits - 4)
    table[:, 0::2] = rng.integers(-half, half, table[:, 0::2].shape) % (
        1 << config.accumulator_bits
    )
    table[:, 1::2] = rng.integers(0, 1 << config.scale_bits, table[:, 1::2].shape)
    shift = rng.integers(
        config.scale_bits, min(config.scale_bits + 12, 1 << SHIFT_BITS), table[:, 1::2].shape
    )
    table[:, 1::2] |= shift << 16
    return weights.astype(np.uint32), table.astype(np.uint32)


@pytest.mark.parametrize("number", range(len(CONFIGS)))
@pytest.mark.parametrize("seed", range(2))
def test_random_layers_match_the_twin(number: int, seed: int) -> None:
    config = NpuConfig(**{**SMALL, **CONFIGS[number]})
    rng = random.Random(100 * number + seed)
    walk = dict(base=0, strip_words=24, last_strip=config.pixels - 1, last_words=24,
                beats=config.activation_word_beats - 1)  # fmt: skip
    out = dict(walk, base=0, strip_words=64, last_words=64)
    layers = [random_layer(rng, config, raw) for raw in (False, False, True)]
    instructions = [
        Instruction(Opcode.LOAD, dict(walk, ahead=0)), layers[0], layers[1], layers[2],
        Instruction(Opcode.STORE, out),
        Instruction(Opcode.EMIT, dict(chunks=layers[2].fields["drain_chunks"], ahead=0)),
        Instruction(Opcode.END, {}),
    ]  # fmt: skip
    program = [word for instruction in instructions for word in instruction.encode(config)]
    weights, channels = random_images(np.random.default_rng(seed), config)
    # Load all of activation memory first, so that no layer reads what nothing wrote.
    whole = Instruction(Opcode.LOAD, dict(out, ahead=0))
    count = 64 * config.pixels * config.activation_word_beats
    beats = [(rng.getrandbits(32), k == count - 1) for k in range(count)]
    program = [*whole.encode(config), *program]
    loads = 24 * config.pixels * config.activation_word_beats
    beats += [(rng.getrandbits(32), k == loads - 1) for k in range(loads)]
    instructions = [whole, *instructions]

    twin = Twin(config)
    twin.load_program(program)
    twin.load_weights(weights)
    twin.load_channels(channels)
    expected = twin.run(beats)
    device = Device(config, stall=0.3 * seed, seed=seed)
    got = device.run(program, weights, channels, beats, instructions=len(instructions))

    assert got.error == expected.error == ErrorCode.NONE
    assert got.output_beats == expected.output_beats
    assert got.cycle_log == expected.cycle_log
    total = sum(timing.instruction_cycles(config, instruction) for instruction in instructions)
    assert got.cycle_log[-1] == timing.START_CYCLES + total
    assert any(data for data, _ in got.output_beats)


def test_emit_counts_more_words_than_activation_memory_has_addresses() -> None:
    """A word counter as wide as an activation pointer would never reach the last word."""
    config = NpuConfig(**{**SMALL, **CONFIGS[1], "activation_depth": 16, "result_depth": 64})
    instructions = [
        Instruction(Opcode.EMIT, {"chunks": 39, "ahead": 0}), Instruction(Opcode.END, {})
    ]  # fmt: skip
    program = [word for instruction in instructions for word in instruction.encode(config)]
    nothing = np.zeros((0, 1), np.uint32)
    got = Device(config).run(program, nothing, nothing, [], instructions=2, watchdog=1000)
    assert got.error is ErrorCode.NONE
    assert [last for _, last in got.output_beats] == [False] * 39 + [True]
    total = sum(timing.instruction_cycles(config, instruction) for instruction in instructions)
    assert got.cycle_log[-1] == timing.START_CYCLES + total


def test_a_run_must_take_fewer_cycles_than_the_watchdog_says() -> None:
    config = NpuConfig(**{**SMALL, **CONFIGS[1]})
    instructions = [
        Instruction(Opcode.EMIT, {"chunks": 3, "ahead": 0}), Instruction(Opcode.END, {})
    ]  # fmt: skip
    program = [word for instruction in instructions for word in instruction.encode(config)]
    total = sum(timing.instruction_cycles(config, instruction) for instruction in instructions)
    nothing, twin = np.zeros((0, 1), np.uint32), Twin(config)
    twin.load_program(program)
    for limit, error in ((total, ErrorCode.WATCHDOG), (total + 1, ErrorCode.NONE)):
        got = Device(config).run(program, nothing, nothing, [], instructions=2, watchdog=limit)
        assert got.error is error
        assert twin.run([], watchdog=limit).error is error


@pytest.mark.parametrize("number", range(len(CONFIGS)))
@pytest.mark.parametrize("stall", [0.0, 0.3])
def test_images_back_to_back_match_the_twin(number: int, stall: float) -> None:
    """Four images in one run: LOAD and EMIT overlap with the layers of another image."""
    config = NpuConfig(**{**SMALL, **CONFIGS[number]})
    rng = random.Random(f"{number} {stall}")
    walk = dict(base=0, strip_words=24, last_strip=config.pixels - 1, last_words=24,
                beats=config.activation_word_beats - 1)  # fmt: skip
    whole = Instruction(Opcode.LOAD, dict(walk, strip_words=64, last_words=64, ahead=0))
    first = random_layer(rng, config, raw=False)
    # Both read what the first layer wrote: the next image arrives meanwhile.
    middle, last = (random_layer(rng, config, raw, at=32) for raw in (False, True))
    body = [
        first,
        Instruction(Opcode.LOAD, dict(walk, ahead=1)),
        middle,
        last,
        Instruction(Opcode.EMIT, dict(chunks=last.fields["drain_chunks"], ahead=1)),
    ]
    target = instruction_words(config, Opcode.LOAD)
    again = Instruction(Opcode.REPEAT, dict(target=target, index=1))
    instructions = [whole, *body, again, Instruction(Opcode.END, {})]
    program = [word for instruction in instructions for word in instruction.encode(config)]
    weights, channels = random_images(np.random.default_rng(number), config)
    images, beats = 4, []
    for image in range(images):
        words = 24 if image else 64
        count = words * config.pixels * config.activation_word_beats
        beats += [(rng.getrandbits(32), k == count - 1) for k in range(count)]

    twin = Twin(config)
    twin.load_program(program)
    twin.load_weights(weights)
    twin.load_channels(channels)
    expected = twin.run(beats, images=images)
    got = Device(config, stall=stall, seed=number).run(
        program, weights, channels, beats, instructions=len(instructions), images=images
    )
    assert got.error == expected.error == ErrorCode.NONE
    assert got.output_beats == expected.output_beats
    assert sum(last for _, last in got.output_beats) == images
    # The log keeps the last image's instructions, and those before the body.
    assert got.cycle_log == [expected.cycle_log[0], *expected.cycle_log[-len(body) - 2 :]]
    assert expected.beats_used == len(beats)
