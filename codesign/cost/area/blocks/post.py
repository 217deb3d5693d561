"""Area features of post-processing: accumulator read-out, post units, word packing."""

from __future__ import annotations

import numpy as np

from codesign.cost.area import memories
from codesign.cost.area.blocks.block import AreaBlock, Floats, Ints, Sizes, log_bits, ones
from codesign.cost.area.dsps import Packed
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.post_unit import FINE_SHIFTS
from rtl_gen.packing import WIDE_BITS
from rtl_gen.parameters import SHIFT_BITS

MULTIPLEXER_INPUTS = (
    1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 20, 24, 30, 40, 48, 64, 80, 128,
)  # fmt: skip
MULTIPLEXER_LUTS = (
    0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6, 7.1, 7.2, 12, 16.4, 16.4, 25.5, 33.5, 43, 68,
)  # fmt: skip
"""LUTs per bit of a multiplexer with each of MULTIPLEXER_INPUTS inputs, as Yosys maps it (with
MUXF7 and MUXF8), taken from the shipped data; other input counts are interpolated linearly."""


def multiplexer(inputs: Ints) -> Floats:
    """Return the LUTs per bit of a multiplexer with so many inputs, 1..128, elementwise."""
    found: Floats = np.interp(inputs, MULTIPLEXER_INPUTS, MULTIPLEXER_LUTS)
    return found


def _units(c: ConfigTable) -> Sizes:
    """Return the area features (sizes) of post units that multiply (rtl_gen.blocks.post_unit).

    They multiply by radix-4 digits in LUTs, or in DSP slices where the array shares these, and
    shift in two stages.
    """
    packed, multiplying = Packed.of(c).fields > 0, c.post_units * (1 - c.has_thresholds)
    lut, units = multiplying * ~packed, multiplying * packed
    biased, digits = c.accumulator_bits + 1, c.scale_bits // 2
    # Product bits above those that the fine shift keeps: they decide on saturation.
    kept = c.activation_bits + 2 + FINE_SHIFTS
    above = np.maximum(biased + c.scale_bits - kept, 0)
    return {
        "stages": lut * digits * (biased + 2),
        "half_stages": lut * (c.scale_bits % 2) * (biased + 2),
        "digits": lut * digits,
        "half_digits": lut * (c.scale_bits % 2),
        "biased": lut * biased,
        "above": lut * above,
        "codes": lut * c.activation_bits,
        "units": lut,
        "dsp_biased": units * biased,
        "dsp_above": units * above,
        "dsp_codes": units * c.activation_bits,
        "dsp_wide": units * (biased > WIDE_BITS) * c.scale_bits,
        "dsp_units": units,
    }


POST_UNITS = AreaBlock(
    "post_units",
    ("npu_post_unit",),
    _units,
    luts={
        "stages": 1.0, "half_stages": 2.0, "digits": 5.5, "biased": 2.8, "codes": 6.0,
        "units": 22.0, "dsp_above": 1.0, "dsp_codes": 6.5, "dsp_units": 35.0,
    },
    ffs={
        "stages": 3.0, "half_stages": 2.0, "biased": 2.0, "codes": 4.0, "units": 18.0,
        "dsp_codes": 4.0, "dsp_units": 27.0,
    },
    lutrams={"digits": 4.0, "half_digits": 3.0, "dsp_units": 6.0},
)  # fmt: skip


def _threshold_units(c: ConfigTable) -> Sizes:
    """Return the area features of threshold units (rtl_gen.blocks.threshold_unit).

    A bit of the code takes one adder, whose LUTs have room for the choice between two thresholds;
    each of the last bit of three takes one of four.
    """
    units, bits = c.post_units * c.has_thresholds, c.activation_bits
    return {
        "adders": units * np.minimum(bits, 2) * c.accumulator_bits,
        "choosing_adders": units * np.maximum(bits - 2, 0) * c.accumulator_bits,
        "registers": units * bits * c.accumulator_bits,
        "codes": units * bits * (bits + 1) // 2,
    }


THRESHOLD_UNITS = AreaBlock(
    "threshold_units",
    ("npu_threshold_unit",),
    _threshold_units,
    luts={"adders": 1.0, "choosing_adders": 2.0},
    ffs={"registers": 1.0, "codes": 1.0},
    lutrams={},
)  # fmt: skip


def _process(c: ConfigTable) -> Sizes:
    """Return the area features of rtl_gen.blocks.post_process except its memories and units."""
    drained = c.post_units * c.accumulator_bits
    channel_word = np.where(
        c.has_thresholds,
        c.unit_columns * c.accumulator_bits,
        c.accumulator_bits + c.scale_bits + SHIFT_BITS,
    )
    index = log_bits(c.columns // c.post_units) + log_bits(c.pixels)
    return {
        "chunk_choice": c.pixels * drained * multiplexer(c.columns // c.post_units),
        "pixel_choice": drained * multiplexer(c.pixels),
        "snapshot": c.pixels * c.columns * c.accumulator_bits,
        "chunks": c.pixels * drained,
        "drained": drained,
        "channel_words": c.post_units * channel_word,
        "codes": c.post_units * c.activation_bits,
        "words": c.activation_word_bits,
        "addresses": log_bits(c.activation_depth),
        "channels": log_bits(c.channel_depth),
        "results": log_bits(c.result_depth),
        "index": index,
        "banks": c.pixels,
        "fill": log_bits(c.lanes // c.post_units + 1),
        "port": (c.memory_port_bits > 0).astype(np.int64),
        "control": ones(c),
        "binary_results": c.binary_weights * drained,
        "activation_sums": c.binary_weights * c.pixels * c.accumulator_bits,
        "sum_choice": c.binary_weights * c.accumulator_bits * multiplexer(c.pixels),
        "chosen_sum": c.binary_weights * c.accumulator_bits,
    }


POST_PROCESS = AreaBlock(
    "post_process",
    ("npu_post_process",),
    _process,
    luts={
        "chunk_choice": 1.0, "pixel_choice": 1.0, "codes": 1.5, "addresses": 7.0, "channels": 2.0,
        "banks": 1.0, "fill": 2.0, "control": 25.0, "binary_results": 1.0, "sum_choice": 1.0,
    },
    ffs={
        "snapshot": 1.0, "chunks": 1.0, "drained": 1.0, "channel_words": 1.0, "words": 1.0,
        "addresses": 3.0, "channels": 2.0, "results": 1.0, "banks": 1.0, "fill": 1.0,
        "control": 22.0, "binary_results": 1.0, "activation_sums": 1.0, "chosen_sum": 2.0,
    },
    lutrams={"index": 1.0, "addresses": 1.0, "control": 2.0},
)  # fmt: skip


def _tables(c: ConfigTable) -> memories.MemoryCount:
    """Return the resources of the activation tables, and of the choice behind each of them."""
    bits = c.activation_bits
    table = memories.automatic(bits, np.maximum(c.activation_tables, 1) << bits)
    none, one = np.zeros(len(bits)), np.ones(len(bits))
    choice = memories.MemoryCount(none, one * bits, none, 2 * one * bits)
    return (table + choice).times(c.post_units * (c.activation_tables > 0))


def channel_memories(c: ConfigTable) -> memories.MemoryCount:
    """Return the xc7 resources of the memories of post-processing, arrays of shape (n,).

    Biases, requantisation multipliers and shifts of the channels, or thresholds; activation tables;
    the result buffer; the running maxima of max pooling.
    """
    units, multiplying = c.post_units, c.post_units * (1 - c.has_thresholds)
    indices = 1 << (log_bits(c.columns // units) + log_bits(c.pixels))
    return (
        memories.automatic(c.accumulator_bits, c.channel_depth).times(
            np.where(c.has_thresholds, c.channel_columns, units)
        )
        + memories.automatic(c.scale_bits + SHIFT_BITS, c.channel_depth).times(multiplying)
        + _tables(c)
        + memories.distributed(units * c.accumulator_bits, c.result_depth)
        + memories.distributed(units * c.activation_bits, indices)
    )
