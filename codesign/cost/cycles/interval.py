"""Cycles from image to image when many run back to back, in closed form for batches.

The program is that of ``compiler.program.stream``: the next image's LOAD runs beside the layers
behind the last one that reads this image, EMIT beside the first layers of the next image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.layers import LayerTable
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode

Ints = NDArray[np.int64]
_ANY = NpuConfig()
"""An arbitrary NPU: instructions except LAYER take the same cycles to issue in all."""


def interval_cycles(
    layers: LayerTable, layer_cycles: Ints, beside: Ints, each: Ints, load: Ints, emit: Ints
) -> Ints:
    """Return the cycles from image to image, stalls included, as ``compiler.Plan`` has them, (n,).

    layers: the networks. Arrays of shape (n,): layer_cycles: of all LAYER instructions; beside: of
    those behind the last layer that reads the image, less ``each`` per instruction; load, emit: of
    the words that LOAD and EMIT move.
    """
    issue = {opcode: timing.issue_cycles(_ANY, opcode) for opcode in Opcode}
    behind = layers.active.sum(axis=1) - 1 - _last_readers(layers)
    beside = beside + behind * each
    before = layer_cycles - beside + issue[Opcode.REPEAT]
    waiting = np.maximum(timing.late_cycles(_ANY, load, Opcode.EMIT, beside), 0)
    late = np.maximum(timing.late_cycles(_ANY, emit, Opcode.LOAD, before), 0)
    whole = timing.overhead_cycles(_ANY, Opcode.EMIT) + emit
    # EMIT goes on beside the next image's layers unless the first of these writes the results.
    sending = np.where(behind > 0, issue[Opcode.EMIT] + late, whole)
    found: Ints = layer_cycles + issue[Opcode.LOAD] + issue[Opcode.REPEAT] + waiting + sending
    return found


def _last_readers(layers: LayerTable) -> Ints:
    """Return the index of the last layer that reads the image, shape (n,)."""
    slots = np.arange(layers.active.shape[1])
    readers = (layers.active == 1) & (layers.skip == slots)
    last: Ints = np.where(readers, slots, 0).max(axis=1)
    return last
