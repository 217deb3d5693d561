"""Exact cycle counts of instructions, as sums of the latencies that the hardware blocks state.

All counts are clock cycles. Cycles in which a run waits for a stream or for memory (register
STALLS) are not included, so the counts do not depend on the host. The tests and every
``codesign verify`` compare them with the simulated RTL, instruction by instruction.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtl_gen.blocks.history import history_cycles
from rtl_gen.blocks.loops import TAP_CYCLES
from rtl_gen.blocks.mac_array import MacArray
from rtl_gen.blocks.post_process import PostProcess
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import Instruction, field_words
from rtl_gen.isa.fields import DIGITS, PHASES
from rtl_gen.isa.opcodes import MOVES, STREAMED, Opcode

Count = TypeVar("Count", int, NDArray[np.int64])

OPERAND_DELAY_CYCLES = 5
"""Cycles from a tap's position to its operands at the array: two address stages, the memory, its
output register, the rotator. The history of ``depthwise_taps`` 3 adds one more."""

READ_CYCLES = OPERAND_DELAY_CYCLES + 1
"""Cycles that a STORE takes to read one word: a request register, then as for operands."""

START_CYCLES = 0
"""Value of CYCLES at the first instruction's fetch."""

END_CYCLES = 3
"""Cycles of an END instruction: the sequencer states FETCH, DECODE, FINISH."""

_TAP_LEVELS = (PHASES, "groups", "kernel_cols", "kernel_rows", "passes", DIGITS)
"""Levels of a LAYER's loop nest within a tile, some of which only some NPUs have."""


def step_delay_cycles(config: NpuConfig) -> int:
    """Return the cycles from the issue of a tile's last tap to the snapshot of its accumulators.

    A drain step takes as long to reach post-processing.
    """
    operands = OPERAND_DELAY_CYCLES + history_cycles(config)
    return TAP_CYCLES + operands + MacArray.latency_cycles(config)


@functools.cache
def flush_cycles(config: NpuConfig) -> int:
    """Return the cycles from the issue of a drain step to its word in activation memory."""
    return step_delay_cycles(config) + PostProcess.latency_cycles(config)


def issue_cycles(config: NpuConfig, opcode: Opcode) -> int:
    """Return the cycles that issuing an instruction takes, its work not included.

    One for each of the sequencer states FETCH, DECODE, START and FINISH, and one per field word.
    Not for END, which takes END_CYCLES.
    """
    return 4 + field_words(config, opcode)


def fetch_cycles(bursts: int, latency_cycles: int) -> int:
    """Return the cycles from a FETCH's start to the cycle in which the next FETCH may start.

    bursts: number of full bursts that it reads; latency_cycles: from an address to its first beat.
    The sum of that latency, one cycle per beat, and 3 for the address, the last write and the
    return to idle. Exact if the bursts in flight (MOST_BURSTS) hide the latency of all except the
    first, up to some 90 cycles.
    """
    return 3 + latency_cycles + bursts * BURST_BEATS


def overhead_cycles(config: NpuConfig, opcode: Opcode) -> int:
    """Return the cycles that an instruction takes on top of its work.

    That is its issue, and for LOAD, STORE and EMIT one cycle more, as the sequencer sees their end
    one cycle late. Not for END, which takes END_CYCLES.
    """
    return issue_cycles(config, opcode) + (opcode in STREAMED)


def late_cycles(config: NpuConfig, moving: Count, following: Opcode, beside: Count) -> Count:
    """Return by how many cycles an asynchronous LOAD or EMIT ends behind the next transfer's START.

    Less than 0 if it ends before. moving: cycles of the words that it moves; following: opcode of
    the next transfer; beside: cycles of the instructions between the two. Numbers or arrays.
    """
    to_start = issue_cycles(config, following) - 1  # this FINISH, and up to that START
    return moving + 1 - beside - to_start


def instruction_cycles(config: NpuConfig, instruction: Instruction, *, last: bool = True) -> int:
    """Return the cycles of one instruction, from its fetch to the fetch of the next one.

    last: True in the last (or only) image of a run. REPEAT and instructions that only start
    something which continues beside the following ones (FETCH, FILL, SPILL, a LOAD ``ahead``, an
    EMIT ``ahead`` unless ``last``) take their issue cycles; a later transfer that has to wait for
    them counts stalls, which are not in the result.
    """
    f, opcode = instruction.fields, instruction.opcode
    if opcode is Opcode.END:
        return END_CYCLES
    if opcode in (Opcode.REPEAT, *MOVES) or (
        f.get("ahead") and (opcode is Opcode.LOAD or not last)
    ):
        return issue_cycles(config, opcode)
    if opcode is Opcode.EMIT:
        body = (f["chunks"] + 1) * (1 + config.post_units)
    elif opcode is Opcode.LAYER:
        body = layer_body_cycles(config, *layer_work(f))
    else:
        words = f["last_strip"] * f["strip_words"] + f["last_words"]
        beats = f["beats"] + 1
        body = words * (beats if opcode is Opcode.LOAD else beats + READ_CYCLES + 1)
    return overhead_cycles(config, opcode) + body


class LayerWork(NamedTuple):
    """Work of a LAYER, in the numbers of ``layer_body_cycles``. Made by ``layer_work``."""

    taps: int
    tiles: int
    drain: int
    fills: int
    rows: int


def layer_work(fields: Mapping[str, int]) -> LayerWork:
    """Return the work of a LAYER instruction with these fields."""
    tiles = _product(fields, "pool_cols", "pool_rows", "out_cols", "out_rows", "out_groups")
    fills, rows = max(fields.get("reuse", 0) - 1, 0), _product(fields, "out_rows", "out_groups")
    return LayerWork(
        _product(fields, *_TAP_LEVELS), tiles - fills * rows,
        _product(fields, "drain_pixels", "drain_chunks"), fills, rows,
    )  # fmt: skip


def layer_body_cycles(
    config: NpuConfig, taps: int, tiles: int, drain: int, fills: int = 0, rows: int = 1
) -> int:
    """Return the cycles of a LAYER without its issue: taps, drains and the pipeline flush.

    The taps of a tile overlap with the drain of the tile before, so each tile after the first takes
    max(taps, drain) cycles:

        taps + (tiles - 1) * max(taps, drain) + drain + flush

    taps, drain: cycles per tile, where a tile is one set of accumulators (one output position of
    all pixels and columns); tiles: number of tiles of the layer. With column reuse the first tile
    of each row of positions takes (1 + fills) * taps instead of taps, for ``fills`` positions
    that only fill the history and are not drained. rows: number of such rows, over all groups of
    output channels; ``tiles`` counts the first tiles, but not the fills.
    """
    first = (1 + fills) * taps
    starts = first + (rows - 1) * max(first, drain)
    return starts + (tiles - rows) * max(taps, drain) + drain + flush_cycles(config)


def write_times(config: NpuConfig, instruction: Instruction) -> NDArray[np.int64]:
    """Return the cycles in which a LAYER writes words to activation memory.

    int64, shape (n_writes,), one for each activation word of each pixel and output position,
    ascending, counted from the cycle of the instruction's fetch, which is 0. Empty for a raw LAYER,
    which writes to the result buffer.
    """
    f = instruction.fields
    if f["raw"]:
        return np.zeros(0, np.int64)
    taps = _product(f, *_TAP_LEVELS)
    drain, window = (
        _product(f, "drain_pixels", "drain_chunks"),
        _product(f, "pool_cols", "pool_rows"),
    )
    fills = max(f.get("reuse", 0) - 1, 0)
    rows = _product(f, "out_rows", "out_groups")
    gaps = np.full((rows, (f["out_cols"] + 1 - fills) * window), max(taps, drain))
    gaps[:, 0] = max((1 + fills) * taps, drain)
    tiles = gaps.cumsum()
    ends = tiles - tiles[-1]  # end of each tile's drain, relative to the last tile's
    words = np.arange(config.chunks_per_word - drain, 1, config.chunks_per_word)
    last = instruction_cycles(config, instruction) - 2  # before FINISH
    written: NDArray[np.int64] = last + ends[window - 1 :: window, None] + words
    return written.reshape(-1)


def _product(fields: Mapping[str, int], *names: str) -> int:
    """Return the product of the repetitions of these levels: each field's value plus 1.

    A level that ``fields`` lacks has one repetition.
    """
    result = 1
    for name in names:
        result *= fields.get(name, 0) + 1  # a level that this NPU lacks runs once
    return result
