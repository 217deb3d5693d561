"""Hardware blocks of the NPU whose areas the area model adds up, in the order of the data flow."""

from __future__ import annotations

from codesign.cost.area.blocks.array_cells import CELLS, SELECTION, SHARED
from codesign.cost.area.blocks.block import RESOURCES, AreaBlock
from codesign.cost.area.blocks.buffers import HISTORY, MEMORIES, ROTATOR, WEIGHTS, memory_counts
from codesign.cost.area.blocks.control import PORT, REGISTERS, SEQUENCER, STREAMS, WIRING
from codesign.cost.area.blocks.dot_products import DOTS
from codesign.cost.area.blocks.packed import PACKED_DOTS
from codesign.cost.area.blocks.post import POST_PROCESS, POST_UNITS, THRESHOLD_UNITS

BLOCKS: tuple[AreaBlock, ...] = (
    STREAMS, ROTATOR, HISTORY, WEIGHTS, MEMORIES, SHARED, SELECTION, DOTS,
    PACKED_DOTS, CELLS, POST_PROCESS, POST_UNITS, THRESHOLD_UNITS, SEQUENCER, REGISTERS, PORT,
    WIRING,
)  # fmt: skip
"""All blocks; every Verilog module of an NPU belongs to one of them."""

__all__ = ["BLOCKS", "RESOURCES", "AreaBlock", "memory_counts"]
