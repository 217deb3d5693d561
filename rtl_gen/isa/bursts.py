"""The unit in which instructions count what moves over the memory port."""

from __future__ import annotations

from rtl_gen.config import NpuConfig
from rtl_gen.parameters import STREAM_BITS

BURST_BEATS = 32
"""Beats of a burst of the memory port, at most. Bursts lie within a block aligned to that size, at
most 512 bytes, so none crosses a 4 KiB boundary."""
BEAT_BITS = 5
"""Width of a beat's place in its burst."""
MEMORY_PAGE_BITS = 12
"""Low bits of MEMORY_BASE that are 0: burst 0 starts a page of 4 KiB."""


def burst_words(config: NpuConfig) -> int:
    """32-bit words of a burst."""
    return BURST_BEATS * config.memory_port_bits // STREAM_BITS
