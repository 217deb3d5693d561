"""The behavioural model (twin) of a LAYER equals a scalar loop nest, result by result.

Also: packing of lane codes into beats, and cycle logs that add up rtl_gen.timing.
"""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import Instruction
from rtl_gen.isa.fields import COUNT_BITS
from rtl_gen.isa.lanes import pack_lanes, unpack_lanes
from rtl_gen.isa.opcodes import ErrorCode, Opcode
from rtl_gen.isa.walk import AddressStep
from rtl_gen.parameters import DIGIT_BITS, SPARSITIES
from rtl_gen.twin.model import Twin
from tests.rtl_gen.twin.loop_nest import Memory, OutsideError, ScalarLoopNest
from tests.rtl_gen.twin.programs import LayerNest, encode, tap_at, whole_memory

DEPTH = 128


def random_config(rng: np.random.Generator) -> NpuConfig:
    sparsity = str(rng.choice(["dense", *SPARSITIES]))
    lanes = int(rng.integers(2, 5)) if sparsity == "dense" else 8
    units = int(rng.integers(1, lanes + 1))
    digit, bits = int(rng.choice(DIGIT_BITS)), 3
    wide = bits // digit + 1 if rng.integers(2) else 0
    return NpuConfig(
        pixels=int(rng.integers(1, 4)),
        lanes=lanes,
        columns=lanes * int(rng.integers(1, 3)),
        post_units=units if lanes % units == 0 else 1,
        weight_digit_bits=digit,
        activation_bits=bits,
        wide_input_passes=wide,
        accumulator_bits=12,
        sparsity=sparsity,
        activation_depth=DEPTH,
        weight_depth=128,
        channel_depth=16,
        result_depth=256,
    )


RANGES = {
    "col_limit": (1, 5), "first row": (0, 2), "first row's words": (0, 8), "strip_rows": (3, 4),
    "strip_words": (0, 20), "last_rows": (1, 3), "groups": (0, 2), "groups words": (0, 9),
    "kernel_cols": (0, 2), "kernel_cols words": (0, 5),
    "kernel_rows": (0, 2), "kernel_rows words": (0, 9), "passes": (0, 2),
    "digits": (0, 2), "digits words": (0, 9),
    "pool_cols": (0, 1), "pool_cols columns": (0, 2), "pool_cols words": (0, 5),
    "pool_rows": (0, 1), "pool_rows rows": (0, 3), "pool_rows words": (0, 9),
    "out_cols": (0, 2), "out_cols columns": (0, 2), "out_cols words": (0, 5),
    "out_rows": (0, 2), "out_rows rows": (0, 3), "out_rows words": (0, 9),
    "out_groups": (0, 1), "out_groups words": (0, 3),
    "weight_base": (0, 40), "channel_base": (0, 8), "out_base": (64, 100),
    "out_pixel_words": (0, 3), "out_group_words": (0, 20), "raw": (0, 1), "pad_code": (0, 7),
    "out_zero": (0, 7), "out_max": (0, 7),
    "first address": (-2, 10), "first column": (-2, 0), "first strip": (-1, 1),
}  # fmt: skip
"""Lowest and highest value drawn, in the order of the draws: of LAYER fields; of the first tap
("first ..."); and of what a repetition of a loop level adds ("LEVEL words", columns or rows)."""


def random_layer(rng: np.random.Generator, config: NpuConfig) -> LayerNest:
    """Return a LAYER of any steps: its words, columns and rows need not be those of an image, and
    it may leave the memories."""
    drawn = {name: int(rng.integers(*ends, endpoint=True)) for name, ends in RANGES.items()}
    words = int(rng.integers(1, config.words_per_tile, endpoint=True))
    values = {name: value for name, value in drawn.items() if " " not in name} | {
        "last_strip": int(rng.integers(config.pixels)),
        "drain_pixels": int(rng.integers(config.pixels)),
        "drain_chunks": words * config.chunks_per_word - 1,
        **({"phases": int(rng.integers(config.most_phases))} if config.index_bits else {}),
        **({} if config.wide_input_passes else {"digits": 0}),
    }

    def step(level: str, columns: int = 0, rows: int = 0) -> AddressStep:
        return AddressStep(
            drawn[f"{level} words"],
            drawn.get(f"{level} columns", columns),
            drawn.get(f"{level} rows", rows),
        )

    steps = {level: step(level) for level in COUNT_BITS if level != "passes"}
    steps |= {"kernel_cols": step("kernel_cols", columns=1)}
    steps |= {"kernel_rows": step("kernel_rows", rows=1)}
    first_tap = tap_at(
        values,
        address=drawn["first address"] + drawn["first row's words"],
        column=drawn["first column"],
        strip=drawn["first strip"],
        row=drawn["first row"],
    )
    return LayerNest(first_tap, steps, values)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_a_layer_equals_the_scalar_loop_nest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    nest = random_layer(rng, config)
    weights = rng.integers(0, 1 << 32, (128, config.weight_word_columns), np.uint32)
    channels = rng.integers(0, 1 << 12, (16, 2 * config.post_units), np.uint32)
    channels[:, 1::2] = channels[:, 1::2] % 256 | rng.integers(1, 12) << 16
    codes = rng.integers(0, 8, (config.pixels, DEPTH, config.lanes), np.uint8)
    memory: Memory = {
        (bank, address): codes[bank, address].tolist()
        for bank in range(config.pixels)
        for address in range(DEPTH)
    }
    expected = ErrorCode.NONE
    golden = ScalarLoopNest(config, nest, memory, weights.tolist(), channels.tolist())
    try:
        golden.run()
    except OutsideError:
        expected = ErrorCode.ADDRESS
    assume(not golden.read & golden.written)

    twin = Twin(config)
    twin.load_weights(weights)
    twin.load_channels(channels)
    walk = whole_memory(config)
    emit = {"chunks": max(len(golden.results), 1) - 1, "ahead": 0}
    program = [
        (Opcode.LOAD, walk | {"ahead": 0}),
        (Opcode.LAYER, nest.fields(config)),
        (Opcode.STORE, walk),
    ]
    twin.load_program(encode(config, [*program, (Opcode.EMIT, emit), (Opcode.END, {})]))
    beats = pack_lanes(codes.reshape(-1, config.lanes), 3, 1).reshape(-1).tolist()
    result = twin.run([(beat, i == len(beats) - 1) for i, beat in enumerate(beats)])
    assert result.error is expected
    if expected is ErrorCode.NONE:
        values = np.array([beat for beat, _ in result.output_beats], np.uint32)
        stored = unpack_lanes(values[: len(beats), None], config.lanes, 3)
        found = stored.reshape(codes.shape)
        for (bank, address), word in golden.memory.items():
            assert found[bank, address].tolist() == word
        if golden.results:
            emitted = values[len(beats) :].view(np.int32)
            np.testing.assert_array_equal(emitted, np.ravel(golden.results))


@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_lane_codes_survive_packing_into_beats(lanes: int, bits: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (5, lanes), np.uint8)
    beats = -(-lanes * bits // 32)
    packed = pack_lanes(codes, bits, beats)
    as_number = sum(int(code) << (bits * i) for i, code in enumerate(codes[3]))
    assert sum(int(beat) << (32 * i) for i, beat in enumerate(packed[3])) == as_number
    np.testing.assert_array_equal(unpack_lanes(packed, lanes, bits), codes)
    whole = 32 // bits  # lanes that one beat holds in full
    cut = unpack_lanes(pack_lanes(codes, bits, 1), lanes, bits)
    np.testing.assert_array_equal(cut[:, :whole], codes[:, :whole])
    assert not cut[:, whole + 1 :].any()


def test_the_cycle_log_adds_up_the_timing_model() -> None:
    config = NpuConfig()
    walk = whole_memory(config) | {"strip_words": 3, "last_words": 2}
    program = [(Opcode.LOAD, walk | {"ahead": 0}), (Opcode.STORE, walk), (Opcode.END, {})]
    twin = Twin(config)
    twin.load_program(encode(config, program))
    result = twin.run([(i, i == 4) for i in range(5)])
    cycles = [timing.instruction_cycles(config, Instruction(*step)) for step in program]
    assert result.cycle_log == (timing.START_CYCLES + np.cumsum(cycles)).tolist()
    assert result.output_beats == [(0, False), (1, False), (2, False), (3, False), (4, True)]
    assert result.beats_used == 5
