"""Exact cycle counts of the NPU, as sums of the latencies that its blocks state.

Cycles in which a run waits for a stream (STALLS) are not counted. tests/ and every verification
hold these formulas against the simulated RTL.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtl_gen.blocks.history import history_cycles
from rtl_gen.blocks.loops import TAP_CYCLES
from rtl_gen.blocks.mac_array import MacArray
from rtl_gen.blocks.post_process import PostProcess
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import Instruction, field_words
from rtl_gen.isa.opcodes import MOVES, STREAMED, Opcode

OPERAND_DELAY_CYCLES = 5
"""From a tap's addresses to the operands at the array: two address stages, the
memory and its register, the rotator."""

READ_CYCLES = OPERAND_DELAY_CYCLES + 1
"""Of a STORE, from the word's turn to the word: the read's register, the operands' way."""

START_CYCLES = 0
"""CYCLES before the first instruction's fetch."""

END_CYCLES = 3
"""FETCH, DECODE, FINISH."""


def step_delay_cycles(config: NpuConfig) -> int:
    """From the issue of a tile's last tap to the snapshot of its accumulators."""
    operands = OPERAND_DELAY_CYCLES + history_cycles(config)
    return TAP_CYCLES + operands + MacArray.latency_cycles(config)


def flush_cycles(config: NpuConfig) -> int:
    """From the last drain step issued to its word in activation memory."""
    return step_delay_cycles(config) + PostProcess.latency_cycles(config)


def issue_cycles(config: NpuConfig, opcode: Opcode) -> int:
    """FETCH, DECODE, one cycle per field word, START, FINISH."""
    return 4 + field_words(config, opcode)


def fetch_cycles(bursts: int, latency_cycles: int) -> int:
    """From a FETCH's START to the cycle in which the next one may start: address, latency of the
    memory, a beat per cycle, the write, rest. Exact for latencies that MOST_BURSTS hide."""
    return 3 + latency_cycles + bursts * BURST_BEATS


def overhead_cycles(config: NpuConfig, opcode: Opcode) -> int:
    """What comes on top of an instruction's work; a transfer's end is seen one cycle late."""
    return issue_cycles(config, opcode) + (opcode in STREAMED)


def instruction_cycles(config: NpuConfig, instruction: Instruction, *, last: bool = True) -> int:
    """Cycles of one instruction, from its fetch to the fetch of the next.

    last: in the last (or only) image of a run. What goes on beside later instructions (``ahead``)
    takes only its issue; that a later transfer waits for it counts as stalls.
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
        body = _layer_cycles(config, instruction)
    else:
        words = f["last_strip"] * f["strip_words"] + f["last_words"]
        beats = f["beats"] + 1
        body = words * (beats if opcode is Opcode.LOAD else beats + READ_CYCLES + 1)
    return overhead_cycles(config, opcode) + body


def _layer_cycles(config: NpuConfig, instruction: Instruction) -> int:
    f = instruction.fields
    taps = _product(f, "groups", "kernel_cols", "kernel_rows", "passes", "phases")
    tiles = _product(f, "pool_cols", "pool_rows", "out_cols", "out_rows", "out_groups")
    drain = _product(f, "drain_pixels", "drain_chunks")
    fills, rows = max(f.get("reuse", 0) - 1, 0), _product(f, "out_rows", "out_groups")
    return layer_body_cycles(config, taps, tiles - fills * rows, drain, fills, rows)


def layer_body_cycles(
    config: NpuConfig, taps: int, tiles: int, drain: int, fills: int = 0, rows: int = 1
) -> int:
    """Taps of a tile and drain of the one before overlap; the slower sets the pace.

    taps, drain: cycles per tile; tiles: accumulator tiles of the layer. With column reuse, the
    first tile of each of ``rows`` rows waits for ``fills`` positions more, which are not drained.
    """
    first = (1 + fills) * taps
    starts = first + (rows - 1) * max(first, drain)
    return starts + (tiles - rows) * max(taps, drain) + drain + flush_cycles(config)


def write_times(config: NpuConfig, instruction: Instruction) -> NDArray[np.int64]:
    """Cycles, counted from its fetch, in which a LAYER writes a word to activation memory."""
    f = instruction.fields
    if f["raw"]:
        return np.zeros(0, np.int64)
    taps = _product(f, "groups", "kernel_cols", "kernel_rows", "passes", "phases")
    drain, window = (
        _product(f, "drain_pixels", "drain_chunks"),
        _product(f, "pool_cols", "pool_rows"),
    )
    fills = max(f.get("reuse", 0) - 1, 0)
    rows = _product(f, "out_rows", "out_groups")
    gaps = np.full((rows, (f["out_cols"] + 1 - fills) * window), max(taps, drain))
    gaps[:, 0] = max((1 + fills) * taps, drain)
    tiles = gaps.cumsum()
    ends = tiles - tiles[-1]  # of each tile's drain, relative to the last one's
    words = np.arange(config.chunks_per_word - drain, 1, config.chunks_per_word)
    last = instruction_cycles(config, instruction) - 2  # FINISH follows
    written: NDArray[np.int64] = last + ends[window - 1 :: window, None] + words
    return written.reshape(-1)


def _product(fields: Mapping[str, int], *names: str) -> int:
    result = 1
    for name in names:
        result *= fields.get(name, 0) + 1  # a level that this NPU does not have runs once
    return result
