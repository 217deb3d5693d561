"""Area features of control: sequencer, loop nest, registers, streams, memory port, glue logic."""

from __future__ import annotations

import numpy as np

from codesign.cost.area.blocks.block import AreaBlock, Sizes, log_bits, ones
from codesign.cost.table import ConfigTable


def _sequencer(c: ConfigTable) -> Sizes:
    return {
        "addresses": log_bits(c.activation_depth),
        "weights": log_bits(c.weight_depth),
        "channels": log_bits(c.channel_depth),
        "program": log_bits(c.program_depth),
        "codes": c.activation_bits,
        "banks": c.pixels,
        "port": (c.memory_port_bits > 0).astype(np.int64),
        "reuse": (c.depthwise_taps > 1).astype(np.int64),
        "digits": (c.wide_input_passes > 0).astype(np.int64),
        "control": ones(c),
    }


SEQUENCER = AreaBlock(
    "sequencer",
    ("npu_sequencer", "npu_halt", "npu_loop_nest", "npu_loop_counters", "npu_drain_steps"),
    _sequencer,
    luts={
        "addresses": 2.0, "weights": 2.0, "program": 2.5, "reuse": 7.0, "digits": 9.0,
        "control": 540.0,
    },
    ffs={
        "addresses": 8.0, "weights": 3.0, "channels": 1.0, "program": 2.0, "codes": 3.0,
        "port": 12.0, "reuse": 18.0, "digits": 11.0, "control": 620.0,
    },
    lutrams={},
)  # fmt: skip


def _registers(c: ConfigTable) -> Sizes:
    return {
        "units": c.post_units,
        "columns": c.weight_word_columns,
        "port": (c.memory_port_bits > 0).astype(np.int64),
        "control": ones(c),
    }


REGISTERS = AreaBlock(
    "control_registers",
    ("npu_control",),
    _registers,
    luts={"units": 1.0, "columns": 1.0, "port": 10.0, "control": 150.0},
    ffs={"units": 1.0, "columns": 1.0, "port": 32.0, "control": 175.0},
    lutrams={},
)


def _streams(c: ConfigTable) -> Sizes:
    beats = -(-c.activation_word_bits // 32)
    return {
        "words": c.activation_word_bits,
        "beats": beats,
        "slots": np.maximum(beats, c.post_units),
        "both_ways": np.minimum(c.activation_word_bits, 32 * c.post_units),
        "results": c.post_units * c.accumulator_bits,
        "units": c.post_units,
        "addresses": log_bits(c.activation_depth),
        "result_addresses": log_bits(c.result_depth),
        "banks": c.pixels,
        "control": ones(c),
    }


STREAMS = AreaBlock(
    "streams",
    ("npu_transfer",),
    _streams,
    luts={"beats": 14.0, "slots": 27.0, "both_ways": 0.5, "units": 6.0, "addresses": 5.0,
          "control": 70.0},
    ffs={"words": 1.0, "slots": 32.0, "addresses": 6.0, "result_addresses": 1.0, "banks": 1.0,
         "control": 46.0},
    lutrams={},
)  # fmt: skip


def _port(c: ConfigTable) -> Sizes:
    """Return the area features (sizes) of the external memory port (rtl_gen.blocks.fetch).

    ``memory_tiles`` adds its write channel and the transfers of feature-map rows (FILL, SPILL). All
    are 0 without a port.
    """
    has = (c.memory_port_bits > 0).astype(np.int64)
    return {
        "bits": c.memory_port_bits,
        "columns": has * c.weight_word_columns,
        "addresses": has * log_bits(c.weight_depth),
        "port": has,
        "tiles": c.memory_tiles,
        "tile_bits": c.memory_tiles * c.memory_port_bits,
    }


PORT = AreaBlock(
    "memory_port",
    ("npu_fetch",),
    _port,
    # No NPU of the data set has tiles: the factors are those of two NPUs that were synthesised with
    # and without them (docs/measurements/memory.md).
    luts={"port": 70.0, "bits": 0.1, "tiles": 220.0, "tile_bits": 2.1},
    ffs={"port": 80.0, "bits": 1.0, "tiles": 248.0, "tile_bits": 1.25},
    lutrams={},
)


def _wiring(c: ConfigTable) -> Sizes:
    """Return the features (sizes, shape (n,)) that the area of top-level glue is linear in.

    The glue is control delays and multiplexers between memory readers.
    """
    return {
        "addresses": log_bits(c.activation_depth),
        "codes": c.activation_bits,
        "banks": c.pixels,
        "units": c.post_units,
        "words": c.activation_word_bits,
        "columns": c.weight_word_columns,
        "port": (c.memory_port_bits > 0).astype(np.int64),
        "reuse": (c.depthwise_taps > 1).astype(np.int64),
        "control": ones(c),
    }


WIRING = AreaBlock(
    "wiring",
    ("npu",),
    _wiring,
    luts={"addresses": 2.0, "banks": 2.0, "words": 1.0, "reuse": 8.0, "control": 20.0},
    ffs={"addresses": 1.0, "reuse": 10.0, "control": 29.0},
    lutrams={"banks": 0.3, "reuse": 6.0, "control": 10.0},
)
