"""What column reuse and a memory port add to an NPU, counted from their structure.

No row of the synthesis data has them; tests hold the counts against NPUs synthesised with them and
without.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.cost import memories
from codesign.cost.table import ConfigTable
from rtl_gen.blocks.history import MOST_ROWS, OLDER_COLUMNS

Floats = NDArray[np.float64]
CONTROL_LUTS, CONTROL_LUTRAMS, CONTROL_FFS = 12, 7, 37
"""Of column reuse: place in the row, flags beside the taps, one instruction field. Measured."""
PORT_LUTS, PORT_FFS = 135, 100
"""Of a memory port: addresses, counters, MEMORY_BASE, one opcode. Measured."""


def added(c: ConfigTable) -> Mapping[str, Floats]:
    """[n] luts, lutrams and ffs; zeros without either."""
    reuse, port = _reuse(c), _port(c)
    return {name: reuse[name] + port[name] for name in reuse}


def _port(c: ConfigTable) -> Mapping[str, Floats]:
    """rtl_gen.blocks.fetch, and the write port of weight memory."""
    has = (c.memory_port_bits > 0).astype(np.float64)
    columns = -(-c.weight_word_bits // 32)
    luts = PORT_LUTS + 2.0 * columns + 0.25 * c.memory_port_bits
    ffs = PORT_FFS + columns + 0.9 * c.memory_port_bits
    return {"luts": has * luts, "lutrams": 0.0 * has, "ffs": has * ffs}


def _reuse(c: ConfigTable) -> Mapping[str, Floats]:
    """rtl_gen.blocks.history"""
    bits, word = c.activation_bits, c.activation_word_bits
    full = np.full_like(word, MOST_ROWS)
    rams = memories.distributed(OLDER_COLUMNS * word, full).lutrams
    # Two lanes of each channel; with four lanes they are a pair, and have a sum.
    paired = c.lanes == 4
    lanes = c.lanes * (OLDER_COLUMNS * bits + np.where(paired, bits + 1, 0))
    luts = c.pixels * (rams + word + lanes) + CONTROL_LUTS
    # Half of the pairs of a long chain come a cycle late, by a register more.
    late = np.where(c.lanes > 4, 0.5 * c.lut, 0.0)
    ffs = c.pixels * ((1 + OLDER_COLUMNS) * word + (1 + late) * lanes) + CONTROL_FFS
    reused = (c.depthwise_taps > 1).astype(np.float64)
    lutrams = c.pixels * rams + CONTROL_LUTRAMS
    return {"luts": reused * luts, "lutrams": reused * lutrams, "ffs": reused * ffs}
