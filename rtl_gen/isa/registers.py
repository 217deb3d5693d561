"""AXI4-Lite address map: registers, cycle log and memory windows, as byte addresses.

While the NPU is busy, writes to a memory window do nothing and are answered with SLVERR.
"""

from __future__ import annotations

import enum

from rtl_gen.config import NpuConfig

NPU_ID = 0x43444E50
"""Content of the ID register: ASCII "CDNP"."""
ISA_VERSION = 3
"""Content of the VERSION register."""
IMAGE_COUNT_BITS = 16
"""Width of the IMAGES register in bits."""


class Register(enum.IntEnum):
    """Registers by name; the value is the byte address.

    >>> hex(Register.CONTROL)
    '0xc'
    """

    ID = 0x00
    """Read: NPU_ID."""
    VERSION = 0x04
    """Read: ISA_VERSION."""
    CONFIG_HASH = 0x08
    """Read: first 32 bits of NpuConfig.hash."""
    CONTROL = 0x0C
    """Write: bit 0 start (nothing while busy), bit 1 soft reset (stop, clear error and done; no
    start then), bit 2 irq enable (kept until the next write). Read: bit 2. After a soft reset the
    pipelines run empty: start again when STATUS is no longer busy."""
    STATUS = 0x10
    """Read: bit 0 busy, bit 1 done, bit 2 error, bit 3 discarding a stream that ran on."""
    ERROR = 0x14
    """Read: bits 7:0 ErrorCode, bits 31:16 index in the program, from 0 on, of the instruction that
    it hit; 0 if there was no error."""
    CYCLES = 0x18
    """Read: cycles of the last (or current) run, those in STALLS not counted."""
    STALLS = 0x1C
    """Read: cycles in which the run waited for s_axis TVALID, m_axis TREADY, memory, or the end of
    an earlier transfer."""
    WATCHDOG = 0x20
    """Read / write: value of CYCLES + STALLS at which a run is stopped, so a run must take fewer; 0
    (reset value) is no limit. Read at the start."""
    IMAGES = 0x24
    """Read / write: bits 15:0, images of a run: times that a REPEAT's body runs. 1 after reset; 0
    is as 1. Read at the start."""
    MEMORY_BASE = 0x28
    """Read / write: byte address of burst 0 in memory, its low 12 bits 0. (With a memory
    port.)"""


LOG_BASE = 0x0000_0400
"""Base of the cycle log, read only: entry i, at LOG_BASE + 4 * i, is CYCLES at the last end of an
instruction with index i modulo LOG_DEPTH."""
LOG_DEPTH = 64
"""Entries of the cycle log; instructions whose index is equal modulo LOG_DEPTH share one."""
PROGRAM_BASE = 0x0010_0000
"""Base of program memory, write only: program word i at 8 * i, low half first."""
CHANNEL_BASE = 0x0020_0000
"""Base of the channel table, write only. Post unit c of table word k is
at 8 * (k * 2**ceil(log2(post_units)) + c): the bias (accumulator_bits, two's complement), then
multiplier | shift << 16, and with ``activation_tables`` entry k of that unit's tables << 24: what
replaces code k modulo 2**activation_bits in table k >> activation_bits. With ``requantisation``
thresholds, which are T = 2**activation_bits - 1 a channel, post unit c of table word k is at
4 * (k * 2**ceil(log2(T * post_units)) + T * c): from code 1 on the negated least accumulator of
each code (accumulator_bits, two's complement); the middle one is the bias in a ``raw`` layer."""
WEIGHT_BASE = 0x0100_0000
"""Base of weight memory, write only: bus word j of weight word k at
4 * (k * 2**ceil(log2(weight_word_columns)) + j)."""
ADDRESS_BITS = 25
"""Width of an AXI4-Lite byte address in bits."""


def weight_address(config: NpuConfig, word: int, column: int) -> int:
    """Return the AXI4-Lite byte address of 32-bit bus word ``column`` of weight word ``word``."""
    pitch = 1 << (config.weight_word_columns - 1).bit_length()
    return WEIGHT_BASE + 4 * (word * pitch + column)


def channel_address(config: NpuConfig, word: int, column: int) -> int:
    """Return the AXI4-Lite byte address of 32-bit bus word ``column`` of channel table word
    ``word``; a post unit has ``unit_columns`` of them."""
    pitch = 1 << (config.channel_columns - 1).bit_length()
    return CHANNEL_BASE + 4 * (word * pitch + column)
