"""What the NPU can be told to do, and the errors that stop it."""

from __future__ import annotations

import enum

from rtl_gen.config import NpuConfig


class Opcode(enum.IntEnum):
    END = 0
    LOAD = 1
    LAYER = 2
    STORE = 3
    EMIT = 4
    REPEAT = 5
    FETCH = 6
    FILL = 7
    SPILL = 8


STREAMED = (Opcode.LOAD, Opcode.STORE, Opcode.EMIT)
"""Instructions that move data on the AXI4-Streams."""
MOVES = (Opcode.FETCH, Opcode.FILL, Opcode.SPILL)
"""Instructions that move data over the memory port, beside those that follow."""


class ErrorCode(enum.IntEnum):
    NONE = 0
    OPCODE = 1
    """Unknown opcode."""
    FIELD = 2
    """A field has bits outside its width."""
    ADDRESS = 3
    """A read or write left a buffer, or the memory refused a FETCH, FILL or SPILL."""
    STREAM_SHORT = 4
    """TLAST came before the end of the LOAD."""
    STREAM_LONG = 5
    """The LOAD's last beat came without TLAST; beats up to the next TLAST are discarded."""
    WATCHDOG = 6
    """The run took more cycles than the WATCHDOG register allows."""
    PROGRAM = 7
    """The program ran past the end of program memory without END."""


def opcodes(config: NpuConfig) -> tuple[Opcode, ...]:
    """Those that the NPU knows."""
    known = set(Opcode)
    if not config.memory_port_bits:
        known.discard(Opcode.FETCH)
    if not config.memory_tiles:
        known -= {Opcode.FILL, Opcode.SPILL}
    return tuple(sorted(known))
