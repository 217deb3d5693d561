"""Which FPGA memories a RAM becomes, counted as Yosys maps npu_ram and npu_lutram to 7-series.

Found by synthesising single memories over widths and depths (docs/cost_models.md has the table);
the shipped data checks it on whole NPUs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK_MODES = (
    (0.5, 512, 36), (0.5, 1024, 18), (0.5, 2048, 9), (0.5, 4096, 4), (0.5, 8192, 2),
    (0.5, 16384, 1), (1.0, 512, 72), (1.0, 1024, 36), (1.0, 2048, 18), (1.0, 4096, 9),
    (1.0, 8192, 4), (1.0, 16384, 2), (1.0, 32768, 1),
)  # fmt: skip
"""(36 Kb block RAMs, words, bits) of each mode with one write and one read port."""
MAX_DISTRIBUTED = 44
"""(Bits + 1) x banks of 64 words, per half block RAM, up to which Yosys takes distributed RAM."""

MAX_WIDTH, MAX_LOG_DEPTH = 512, 16
"""Of the memories that NpuConfig allows."""


@dataclass(frozen=True, eq=False)
class MemoryCount:
    """What memories of given sizes take; float arrays."""

    lutrams: Floats
    luts: Floats
    """Read multiplexers and write decoders around distributed RAM, ``lutrams`` not included."""
    brams: Floats
    ffs: Floats
    """Of the read port, where it is not a block RAM's."""

    def __add__(self, other: MemoryCount) -> MemoryCount:
        return MemoryCount(
            self.lutrams + other.lutrams,
            self.luts + other.luts,
            self.brams + other.brams,
            self.ffs + other.ffs,
        )

    def times(self, copies: Ints) -> MemoryCount:
        return MemoryCount(
            self.lutrams * copies, self.luts * copies, self.brams * copies, self.ffs * copies
        )


def distributed(width: Ints, depth: Ints) -> MemoryCount:
    """RAM32M (6 bits) up to 32 words, else RAM64M (3 bits) in banks of 64 words; 4 LUTs each."""
    banks = -(-depth // 64)
    primitives = np.where(depth <= 32, -(-width // 6), -(-width // 3) * banks)
    # One 4:1 multiplexer LUT a bit and four banks, and a write enable a bank.
    luts = np.where(banks > 1, width * -(-(banks - 1) // 3) + 2 * (banks - 1), 0)
    zero = np.zeros(np.shape(primitives))
    return MemoryCount(4.0 * primitives, luts.astype(np.float64), zero, zero)


def block(width: Ints, depth: Ints) -> Floats:
    """36 Kb block RAMs of the best mode."""
    options = [size * -(-width // bits) * -(-depth // words) for size, words, bits in BLOCK_MODES]
    return np.min(np.broadcast_arrays(*options), axis=0)


def automatic(width: Ints, depth: Ints) -> MemoryCount:
    """npu_ram: distributed while that takes few primitives for the block RAM it replaces.

    width: up to MAX_WIDTH; depth: powers of two.
    """
    found = _automatic_table()[width, np.log2(depth).astype(np.int64)]
    return MemoryCount(*found.T)


@functools.cache
def _automatic_table() -> Floats:
    """[width, log2 depth, fields of MemoryCount]: batches look them up."""
    width, log_depth = np.meshgrid(
        np.arange(MAX_WIDTH + 1), np.arange(MAX_LOG_DEPTH + 1), indexing="ij"
    )
    depth = 1 << log_depth
    brams, small = block(width, depth), distributed(width, depth)
    keep = (width + 1) * -(-depth // 64) <= MAX_DISTRIBUTED * 2 * brams
    keep[2, 10] = True  # the one memory found that the rule misses
    return np.stack(
        [
            np.where(keep, small.lutrams, 0.0),
            np.where(keep, small.luts, 0.0),
            np.where(keep, 0.0, brams),
            np.where(keep, width, 0.0),
        ],
        axis=-1,
    )
