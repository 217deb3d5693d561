"""Closed form of the compiler's schedule, for thousands of (network, NPU) pairs at a time.

Cycle counts are exact for chains with residual adds and with concatenations of the outputs of
successive layers, which is all that search spaces hold; for others they are approximate. Weights
may come from memory, feature maps are on chip (memory_tiles is not modelled). Work that zero
weights save (trim) is not seen. ``codesign.compiler.plan`` decides on every design that is kept.
This file adds the cost common to all plans; the compiled search over plans is in
codesign.cost.cycles.plans.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.program.memory import LATENCY_CYCLES
from codesign.cost.cycles.compiled import scratch
from codesign.cost.cycles.fetches import PortTiming
from codesign.cost.cycles.interval import interval_cycles
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.cycles.plans import InputPlan, plans
from codesign.cost.cycles.records import COLUMNS, LAYER, NPU, PARAMETERS
from codesign.cost.table import ConfigTable
from rtl_gen import packing, timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import instruction_words
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import (
    DEPTH_RANGES,
    MEMORY_PORT_BITS,
    MULTIPLIERS,
    PACKED_PIXELS,
    REQUANTISATIONS,
    SPARSITIES,
    STREAM_BITS,
    stacked_depth,
)

Ints = NDArray[np.int64]
_PIPELINE = (
    "lanes", "weight_digit_bits", "activation_bits", "accumulator_bits", "scale_bits",
    "multiplier", "depthwise_taps", "sparsity", "binary_weights", "wide_input_passes",
    "activation_tables", "requantisation",
)  # fmt: skip
"""Parameters that can change the number of pipeline stages or the fields of an instruction."""
_ANY = NpuConfig()
_WITH_PORT = NpuConfig(memory_port_bits=MEMORY_PORT_BITS[-1])
"""Arbitrary NPUs: instructions except LAYER have the same length in all that have them."""
_PORT = PortTiming(
    fetch_cycles=timing.overhead_cycles(_WITH_PORT, Opcode.FETCH),
    start_cycles=timing.issue_cycles(_WITH_PORT, Opcode.FETCH) - 2,
    first_cycles=timing.fetch_cycles(0, LATENCY_CYCLES),
    burst_beats=BURST_BEATS,
    load_cycles=timing.issue_cycles(_WITH_PORT, Opcode.LOAD),
)


@dataclass(frozen=True, eq=False)
class ScheduleTable:
    """Cycles per image and words needed in each memory, int64, shape (n,). Made by ``schedule``.

    The fields of memories have the names of the depths in NpuConfig. ``activation_depth`` and
    ``stream_depth`` are lower bounds, which the compiler's allocation mostly meets; the others are
    exact where it makes the compiler choose no other input layout.
    """

    cycles: Ints
    """Of one image alone, stalls for weights from memory included."""
    interval_cycles: Ints
    """Cycles from image to image, back to back, where there is room for the next image; as
    compiler.Plan.interval_cycles counts them."""
    stream_depth: Ints
    """Words of activation memory with room for the next image beside the layers."""
    activation_depth: Ints
    weight_depth: Ints
    channel_depth: Ints
    result_depth: Ints
    program_depth: Ints

    def fits(self) -> NDArray[np.bool_]:
        """Return for each network whether NpuConfig allows memories as deep, bool, shape (n,)."""
        inside = np.ones(len(self.cycles), dtype=np.bool_)
        for name, (_, high) in DEPTH_RANGES.items():
            inside &= getattr(self, name) <= high
        return inside

    def overflow(self) -> NDArray[np.float64]:
        """Return by which share the memory that is most too small exceeds its largest depth, (n,).

        It is 0 where all fit.
        """
        return np.max(
            [getattr(self, name) / high - 1 for name, (_, high) in DEPTH_RANGES.items()],
            axis=0,
            initial=0.0,
        )

    def stacked(self, depth: Ints) -> Ints:
        """Return the depths of weight memories in stacks where that is less, else ``depth``.

        depth: of weight memories as powers of two (``depths``), shape (n,).
        """
        found: Ints = stacked_depth(self.weight_depth, depth)
        return found

    def depths(self) -> dict[str, Ints]:
        """Return the depths to build the memories with, by field of NpuConfig, each of shape (n,).

        They are the least powers of two that suffice, clipped to the ranges of NpuConfig, and so
        too small where ``fits`` is False.
        """
        return {
            name: np.clip(_power_of_two(getattr(self, name)), low, high)
            for name, (low, high) in DEPTH_RANGES.items()
        }

    def streams(self, activation_depth: Ints) -> NDArray[np.bool_]:
        """Return where memories of that depth have room for the next image, bool, shape (n,)."""
        return self.stream_depth <= activation_depth


def _power_of_two(words: Ints) -> Ints:
    exponent = np.ceil(np.log2(np.maximum(words, 1)))
    return np.left_shift(np.int64(1), exponent.astype(np.int64))


def schedule(layers: LayerTable, npu: ConfigTable) -> ScheduleTable:
    """Return cycles and memory use of network i on NPU i.

    Of the depths of ``npu`` that of weights counts alone, and only with a memory port: weights that
    do not fit it are fetched in parts of half of it. The schedule is the fastest that fits over the
    input layouts (compiler.mapping.unfolding), or, if none fits, that of the image as is;
    ScheduleTable.fits tells them apart.
    """
    count, kinds = layers.active.sum(axis=1), _kinds(npu)
    npus = np.empty(len(npu), NPU)
    for name in PARAMETERS:
        npus[name] = getattr(npu, name)
    npus["layer_cycles"] = kinds.layer_cycles
    beats = -(-npu.weight_word_columns * STREAM_BITS // np.maximum(npu.memory_port_bits, 1))
    npus["word_beats"] = np.where(npu.memory_port_bits > 0, beats, 0)
    most = InputPlan(*(DEPTH_RANGES.get(n, (0, sys.maxsize))[1] for n in InputPlan._fields))
    columns = np.stack([getattr(layers, name) for name in COLUMNS])
    chain = scratch(LAYER, layers.active.shape[1] + 1)
    found = plans(columns, count, npus, chain, most, STREAM_BITS, _PORT)
    fastest = dict(zip(InputPlan._fields, found, strict=True))
    fastest["cycles"] += count * kinds.layer_cycles
    load, emit, beside = (fastest.pop(f"{name}_cycles") for name in ("load", "emit", "beside"))
    wait, stream_wait = fastest.pop("wait_cycles"), fastest.pop("stream_wait_cycles")
    fastest["interval_cycles"] = stream_wait + interval_cycles(
        layers, fastest["cycles"] - load - emit, beside, kinds.layer_cycles, load, emit
    )
    fastest["cycles"] += _rest_cycles() + wait
    program = _program_words(count, fastest.pop("layers"), fastest.pop("moves"), kinds.layer_words)
    tables = npu.activation_tables << npu.activation_bits
    fastest["channel_depth"] = np.maximum(fastest["channel_depth"], tables)
    return ScheduleTable(**fastest, program_depth=program)


def _rest_cycles() -> int:
    """Return the cycles of start, LOAD, EMIT and END without those of the words they transfer."""
    overhead = sum(timing.overhead_cycles(_ANY, opcode) for opcode in (Opcode.LOAD, Opcode.EMIT))
    return overhead + timing.END_CYCLES + timing.START_CYCLES


def _program_words(layers: Ints, more: Ints, moves: Ints, layer_words: Ints) -> Ints:
    """Return the program words of networks with so many layers.

    The program is LOAD, LAYER and STORE of each layer (the last one without STORE), EMIT, END; with
    weights from memory so many ``more`` LAYERs and ``moves``, which are FETCHes.
    """
    words = {opcode: instruction_words(_ANY, opcode) for opcode in Opcode}
    rest = words[Opcode.LOAD] + words[Opcode.EMIT] + words[Opcode.END]
    found = rest + (layers + more) * layer_words + (layers - 1) * words[Opcode.STORE]
    found += moves * instruction_words(_WITH_PORT, Opcode.FETCH)
    return found


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Cost of each LAYER instruction that no plan changes, arrays of shape (n,)."""

    layer_cycles: Ints
    """Cycles of pipeline flush and instruction overhead, per LAYER."""
    layer_words: Ints
    """64-bit words of program memory, per LAYER."""


def _kinds(npu: ConfigTable) -> _Kinds:
    """Return the costs of LAYER on each NPU, computed once for equal values of _PIPELINE."""
    columns = [getattr(npu, name) for name in _PIPELINE]
    key = np.zeros(len(npu), dtype=np.int64)
    for column in columns:
        key = key * (np.max(column, initial=0) + 1) + column
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    kinds = np.stack(columns, axis=1)[first].tolist()
    numbers = np.array([_kind(*kind) for kind in kinds], dtype=np.int64)
    return _Kinds(*numbers.reshape(-1, 2)[inverse].T)


@functools.cache
def _kind(*values: int) -> tuple[int, int]:
    chosen: dict[str, Any] = dict(zip(_PIPELINE, values, strict=True))
    chosen["multiplier"] = MULTIPLIERS[chosen["multiplier"]]
    chosen["sparsity"] = tuple(SPARSITIES)[chosen["sparsity"]]
    chosen["requantisation"] = REQUANTISATIONS[chosen["requantisation"]]
    # Pixels, columns and post units do not change it: values that every multiplier form allows.
    pixels, columns = max(PACKED_PIXELS.values()), packing.COLUMNS * chosen["lanes"]
    deepest = DEPTH_RANGES["channel_depth"][1]  # enough for any activation tables
    config = NpuConfig(
        pixels=pixels, columns=columns, post_units=1, channel_depth=deepest, **chosen
    )
    cycles = timing.flush_cycles(config) + timing.overhead_cycles(config, Opcode.LAYER)
    return cycles, instruction_words(config, Opcode.LAYER)
