"""Bursts of the memory port: the unit in which FETCH, FILL and SPILL count transferred data."""

from __future__ import annotations

from rtl_gen.config import NpuConfig
from rtl_gen.parameters import STREAM_BITS

BURST_BEATS = 32
"""Most beats of an AXI4 burst. A burst lies within a block aligned to that size, at most 512 bytes,
so none crosses a 4 KiB boundary."""
BEAT_BITS = 5
"""Width of a beat's index within its burst, log2(BURST_BEATS)."""
MEMORY_PAGE_BITS = 12
"""Number of low bits of MEMORY_BASE that are 0: burst 0 starts on a 4 KiB page."""


def burst_words(config: NpuConfig) -> int:
    """Return the number of 32-bit words in a full burst; 0 without a memory port."""
    return BURST_BEATS * config.memory_port_bits // STREAM_BITS
