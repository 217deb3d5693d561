"""Area features of on-chip memories, bank-to-pixel crossbar and column-reuse history."""

from __future__ import annotations

import functools

import numpy as np

from codesign.cost.area import memories
from codesign.cost.area.blocks.block import AreaBlock, Ints, Sizes, log_bits, ones
from codesign.cost.area.blocks.post import channel_memories
from codesign.cost.area.memories import MemoryCount
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.history import MOST_ROWS, OLDER_COLUMNS
from rtl_gen.blocks.loops import RECORD_BITS
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.fields import COLUMN_BITS, STRIP_BITS
from rtl_gen.isa.registers import LOG_DEPTH

BUS_BITS = 32


@functools.lru_cache(maxsize=2)  # an estimate of a table asks for its counts more than once
def memory_counts(c: ConfigTable) -> MemoryCount:
    """Return the xc7 resources of all memories of each NPU together, arrays of shape (n,)."""
    word = c.weight_word_bits
    full = np.full_like(word, BUS_BITS)
    older = OLDER_COLUMNS * c.activation_word_bits
    record = log_bits(c.activation_depth) + 1 + 2 * COLUMN_BITS + STRIP_BITS
    parts = (
        memories.automatic(c.activation_word_bits, c.activation_depth).times(c.pixels),
        memories.automatic(full, c.weight_depth).times(word // BUS_BITS),
        memories.automatic(np.maximum(word % BUS_BITS, 1), c.weight_depth).times(
            (word % BUS_BITS > 0) * 1
        ),
        channel_memories(c),
        memories.automatic(full, c.program_depth).times(np.full_like(word, BUS_WORDS)),
        memories.distributed(full, np.full_like(word, LOG_DEPTH)),
        memories.distributed(record, np.full_like(word, 1 << RECORD_BITS)),
        memories.distributed(older, np.full_like(word, MOST_ROWS)).times(
            c.pixels * (c.depthwise_taps > 1)
        ),
    )
    return functools.reduce(MemoryCount.__add__, parts)


def _memories(c: ConfigTable) -> Sizes:
    found = memory_counts(c)
    return {"lutrams": found.lutrams, "banks": found.luts, "registers": found.ffs}


MEMORIES = AreaBlock(
    "memories",
    ("npu_ram", "npu_lutram"),
    _memories,
    luts={"lutrams": 1.0, "banks": 1.0},
    ffs={"registers": 1.0},
    lutrams={"lutrams": 1.0},
)


def _rotator(c: ConfigTable) -> Sizes:
    """Return the area features of the crossbar from activation banks to pixel lanes (rotator).

    Any pixel lane takes any bank or the padding value (rtl_gen.blocks.addressing.ActivationMemory).
    """
    words = c.pixels * c.activation_word_bits
    return {
        # AND-OR of one-hot selects: a LUT6 takes two banks and the padding or the partial result.
        "choices": words * ((c.pixels + 1) // 2),
        "deep_choices": words * np.maximum(c.pixels - 8, 0),
        "words": words,
        "one_hot": c.pixels * c.pixels,
        "pixels": c.pixels,
        "addresses": log_bits(c.activation_depth),
        "control": ones(c),
    }


ROTATOR = AreaBlock(
    "rotator",
    ("npu_activation_memory",),
    _rotator,
    luts={"choices": 1.0, "one_hot": 1.6, "control": 24.0},
    ffs={"words": 2.0, "one_hot": 2.0, "pixels": 5.0, "addresses": 1.0, "control": 15.0},
    lutrams={},
)


def _weights(c: ConfigTable) -> Sizes:
    port: Ints = (c.memory_port_bits > 0).astype(np.int64)
    columns = c.weight_word_columns
    return {
        "pointer": log_bits(c.weight_depth),
        "words": c.weight_word_bits,
        "fetched_columns": port * columns,
        "fetched_bits": np.minimum(c.memory_port_bits, columns * BUS_BITS),
        "fetched_pointer": port * log_bits(c.weight_depth),
        "port": port,
        "control": ones(c),
    }


WEIGHTS = AreaBlock(
    "weight_memory",
    ("npu_weight_memory",),
    _weights,
    luts={"pointer": 1.0, "fetched_columns": 1.0, "fetched_bits": 1.0, "fetched_pointer": 1.0,
          "control": 1.0},
    ffs={"words": 1.0, "control": 4.0},
    lutrams={"pointer": 1.0, "control": 1.0},
)  # fmt: skip


def _history(c: ConfigTable) -> Sizes:
    reused = (c.depthwise_taps > 1).astype(np.int64)
    return {"words": reused * c.pixels * c.activation_word_bits, "control": reused}


HISTORY = AreaBlock(
    "history",
    ("npu_tap_history", "npu_reuse_place"),
    _history,
    luts={"words": 1.0, "control": 10.0},
    ffs={"words": 1.0 + OLDER_COLUMNS, "control": 20.0},
    lutrams={},
)
