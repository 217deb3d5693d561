"""Opcodes of the instruction set, and the error codes with which the NPU stops."""

from __future__ import annotations

import enum

from rtl_gen.config import NpuConfig


class Opcode(enum.IntEnum):
    """Opcodes by name; the value is the content of an instruction's first program word.

    >>> Opcode(2).name
    'LAYER'
    """

    END = 0
    """End of the program."""
    LOAD = 1
    """Input stream to activation memory."""
    LAYER = 2
    """One layer, or some of its output channels: convolution, bias, requantisation, clamp, maximum
    pooling."""
    STORE = 3
    """Activation memory to the output stream."""
    EMIT = 4
    """Result buffer (logits) to the output stream."""
    REPEAT = 5
    """Loop over the images of a run."""
    FETCH = 6
    """External memory to the weight buffer."""
    FILL = 7
    """External memory to activation memory."""
    SPILL = 8
    """Activation memory to external memory."""


STREAMED = (Opcode.LOAD, Opcode.STORE, Opcode.EMIT)
"""Opcodes that transfer data on the AXI4-Stream ports."""
MOVES = (Opcode.FETCH, Opcode.FILL, Opcode.SPILL)
"""Opcodes that transfer data over the memory port, while the instructions after them run."""


class ErrorCode(enum.IntEnum):
    """Reasons for which the NPU stops a run; bits 7:0 of the ERROR register.

    >>> ErrorCode(6).name
    'WATCHDOG'
    """

    NONE = 0
    OPCODE = 1
    """Unknown opcode, one that this NPU lacks, or further bits in its word."""
    FIELD = 2
    """A field has bits outside its width, or a LAYER drains nothing or more than the array has."""
    ADDRESS = 3
    """A read or write left a buffer, or the memory refused a FETCH, FILL or SPILL. (No error:
    weights that a FETCH writes behind the buffer's end; they wrap to its start or are lost.)"""
    STREAM_SHORT = 4
    """TLAST came before the last beat of the LOAD."""
    STREAM_LONG = 5
    """The LOAD's last beat came without TLAST; beats up to the next TLAST are discarded."""
    WATCHDOG = 6
    """The run took as many cycles, stalls included, as the WATCHDOG register says."""
    PROGRAM = 7
    """The program ran past the end of program memory without END."""


def opcodes(config: NpuConfig) -> tuple[Opcode, ...]:
    """Return the opcodes that this NPU implements, in ascending order."""
    known = set(Opcode)
    if not config.memory_port_bits:
        known.discard(Opcode.FETCH)
    if not config.memory_tiles:
        known -= {Opcode.FILL, Opcode.SPILL}
    return tuple(sorted(known))
