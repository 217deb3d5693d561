"""The blocks of the NPU that the area model adds up, in the order of the data's way."""

from __future__ import annotations

from codesign.cost.blocks.array import CELLS, DOTS, SELECTION, SHARED
from codesign.cost.blocks.block import RESOURCES, Block
from codesign.cost.blocks.buffers import HISTORY, MEMORIES, ROTATOR, WEIGHTS, memory_counts
from codesign.cost.blocks.control import PORT, REGISTERS, SEQUENCER, STREAMS, WIRING
from codesign.cost.blocks.packed import PACKED_DOTS
from codesign.cost.blocks.post import POST_PROCESS, POST_UNITS

BLOCKS = (
    STREAMS, ROTATOR, HISTORY, WEIGHTS, MEMORIES, SHARED, SELECTION, DOTS,
    PACKED_DOTS, CELLS, POST_PROCESS, POST_UNITS, SEQUENCER, REGISTERS, PORT, WIRING,
)  # fmt: skip

__all__ = ["BLOCKS", "RESOURCES", "Block", "memory_counts"]
