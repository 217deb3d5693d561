"""The compiler's schedule in closed form, for thousands of (network, NPU) pairs at a time.

Exact in cycles for chains with residual adds, which is what the shipped search spaces hold; concats
are seen as what their parts are. ``codesign.compiler.plan`` has the last word on every design that
is kept. Here is what every plan has; the loops over plans, in codesign.cost.cycles.plans, are
compiled.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.compiled import scratch
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.cycles.plans import InputPlan, plans
from codesign.cost.cycles.tiles import COLUMNS, LAYER, NPU
from codesign.cost.table import ConfigTable
from rtl_gen import packing, timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import instruction_words
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import DEPTH_RANGES, MULTIPLIERS, PACKED_PIXELS, SPARSITIES, STREAM_BITS

Ints = NDArray[np.int64]
_PIPELINE = (
    "lanes", "weight_digit_bits", "activation_bits", "accumulator_bits", "scale_bits",
    "multiplier", "depthwise_taps", "sparsity", "binary_weights",
)  # fmt: skip
"""Knobs that can change the number of pipeline stages, or the fields of an instruction."""
_ANY = NpuConfig()
"""All instructions but LAYER are as long in every NPU."""


@dataclass(frozen=True, eq=False)
class ScheduleTable:
    """[n] int64: cycles of one image, and the words that each memory must hold.

    The memories' names are those of NpuConfig's depths.
    """

    cycles: Ints
    activation_depth: Ints
    weight_depth: Ints
    channel_depth: Ints
    result_depth: Ints
    program_depth: Ints

    def fits(self) -> NDArray[np.bool_]:
        """[n] whether every memory stays within what NpuConfig allows."""
        inside = np.ones(len(self.cycles), dtype=np.bool_)
        for name, (_, high) in DEPTH_RANGES.items():
            inside &= getattr(self, name) <= high
        return inside

    def depths(self) -> dict[str, Ints]:
        """Smallest legal depths: powers of two, clipped to what NpuConfig allows."""
        return {
            name: np.clip(_power_of_two(getattr(self, name)), low, high)
            for name, (low, high) in DEPTH_RANGES.items()
        }


def _power_of_two(words: Ints) -> Ints:
    exponent = np.ceil(np.log2(np.maximum(words, 1)))
    return np.left_shift(np.int64(1), exponent.astype(np.int64))


def schedule(layers: LayerTable, npu: ConfigTable) -> ScheduleTable:
    """Cycles and memory use of network i on NPU i; depths of ``npu`` are not looked at.

    Of the ways to send the image (codesign.compiler.mapping.unfolding) the fastest that fits.
    """
    count, kinds = layers.active.sum(axis=1), _kinds(npu)
    npus = np.empty(len(npu), NPU)
    for name in NPU.names or ():
        npus[name] = getattr(npu, name)
    most = InputPlan(sys.maxsize, *(DEPTH_RANGES[name][1] for name in InputPlan._fields[1:]))
    columns = np.stack([getattr(layers, name) for name in COLUMNS])
    chain = scratch(LAYER, layers.active.shape[1] + 1)
    found = plans(columns, count, npus, chain, most, STREAM_BITS)
    fastest = dict(zip(InputPlan._fields, found, strict=True))
    fastest["cycles"] += count * kinds.layer_cycles + _rest_cycles()
    return ScheduleTable(**fastest, program_depth=_program_words(count, kinds.layer_words))


def _rest_cycles() -> int:
    """Of the instructions beside the layers, but for the words of LOAD and EMIT."""
    overhead = sum(timing.overhead_cycles(_ANY, opcode) for opcode in (Opcode.LOAD, Opcode.EMIT))
    return overhead + timing.END_CYCLES + timing.START_CYCLES


def _program_words(layers: Ints, layer_words: Ints) -> Ints:
    """Of the traced program: LOAD, (LAYER, STORE of all but the last)..., EMIT, END."""
    words = {opcode: instruction_words(_ANY, opcode) for opcode in Opcode}
    rest = words[Opcode.LOAD] + words[Opcode.EMIT] + words[Opcode.END]
    return rest + layers * layer_words + (layers - 1) * words[Opcode.STORE]


@dataclass(frozen=True, eq=False)
class _Kinds:
    """[n] what each LAYER takes on any plan."""

    layer_cycles: Ints
    layer_words: Ints
    """Of program memory."""


def _kinds(npu: ConfigTable) -> _Kinds:
    """Asked once for each pipeline that differs."""
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
    knobs: dict[str, Any] = dict(zip(_PIPELINE, values, strict=True))
    knobs["multiplier"] = MULTIPLIERS[knobs["multiplier"]]
    knobs["sparsity"] = tuple(SPARSITIES)[knobs["sparsity"]]
    # Pixels, columns and units change no stage: as many as every form of products allows.
    pixels, columns = max(PACKED_PIXELS.values()), packing.COLUMNS * knobs["lanes"]
    config = NpuConfig(pixels=pixels, columns=columns, post_units=1, **knobs)
    cycles = timing.flush_cycles(config) + timing.overhead_cycles(config, Opcode.LAYER)
    return cycles, instruction_words(config, Opcode.LAYER)
