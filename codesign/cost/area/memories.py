"""Block RAMs and distributed RAM of memories, counted as Yosys maps them to a 7-series FPGA.

The rules for the Verilog modules npu_ram and npu_lutram were found by synthesising single memories
over widths and depths (docs/explanation/cost-models.md); the shipped data confirms them on whole
NPUs.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.parameters import is_stacked

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK_MODES = (
    (0.5, 512, 36), (0.5, 1024, 18), (0.5, 2048, 9), (0.5, 4096, 4), (0.5, 8192, 2),
    (0.5, 16384, 1), (1.0, 512, 72), (1.0, 1024, 36), (1.0, 2048, 18), (1.0, 4096, 9),
    (1.0, 8192, 4), (1.0, 16384, 2), (1.0, 32768, 1),
)  # fmt: skip
"""Aspect ratios with one write and one read port: (36 Kb block RAMs, words, bits per word)."""
MAX_DISTRIBUTED = 44
"""Largest (bits + 1) x banks of 64 words per half block RAM that Yosys maps to distributed RAM."""

MAX_WIDTH, MAX_LOG_DEPTH = 512, 16
"""Largest memory that NpuConfig allows: bits per word, log2 of the words."""


@dataclass(frozen=True, eq=False)
class MemoryCount:
    """FPGA resources (xc7) of each of n memories or NPUs, float arrays of one shape.

    Made by ``automatic``, ``distributed`` or ``stacked``, whose sums are those of NPUs.
    """

    lutrams: Floats
    """LUTs used as distributed RAM."""
    luts: Floats
    """LUTs of read multiplexers and write decoders around distributed or stacked block RAM, without
    ``lutrams``."""
    brams: Floats
    """36 Kb block RAMs; an 18 Kb one counts 0.5."""
    ffs: Floats
    """Registers of read ports, and of the select of a stack, that are not inside a block RAM."""

    def __add__(self, other: MemoryCount) -> MemoryCount:
        return MemoryCount(
            self.lutrams + other.lutrams,
            self.luts + other.luts,
            self.brams + other.brams,
            self.ffs + other.ffs,
        )

    def times(self, copies: Ints) -> MemoryCount:
        """Return the resources of ``copies`` copies of each memory, in the same shape."""
        return MemoryCount(
            self.lutrams * copies, self.luts * copies, self.brams * copies, self.ffs * copies
        )


def distributed(width: Ints, depth: Ints) -> MemoryCount:
    """Return the resources of npu_lutram (distributed RAM) with ``depth`` words of ``width`` bits.

    RAM32M (6 bits wide) up to 32 words, else banks of 64 words of RAM64M (3 bits wide); a primitive
    is 4 LUTs.
    """
    banks = -(-depth // 64)
    primitives = np.where(depth <= 32, -(-width // 6), -(-width // 3) * banks)
    # 4:1 multiplexers of one LUT per bit, and the write enables of the banks.
    luts = np.where(banks > 1, width * -(-(banks - 1) // 3) + 2 * (banks - 1), 0)
    zero = np.zeros(np.shape(primitives))
    return MemoryCount(4.0 * primitives, luts.astype(np.float64), zero, zero)


def block(width: Ints, depth: Ints) -> Floats:
    """Return the 36 Kb block RAMs, in steps of 0.5, of memories in their cheapest aspect ratio.

    width: bits per word; depth: words.
    """
    options = [size * -(-width // bits) * -(-depth // words) for size, words, bits in BLOCK_MODES]
    return np.min(np.broadcast_arrays(*options), axis=0)


def automatic(width: Ints, depth: Ints) -> MemoryCount:
    """Return the resources of npu_ram, which Yosys maps to block RAM or distributed RAM.

    Distributed RAM is taken where it is small for the block RAM it replaces (MAX_DISTRIBUTED), and
    for 1024 words of 2 bits.
    width: bits per word, up to MAX_WIDTH; depth: words, powers of two up to 2**MAX_LOG_DEPTH, or
    other multiples of 512, which are ``stacked``.
    """
    found = MemoryCount(*_automatic_table()[width, np.log2(depth).astype(np.int64)].T)
    uneven = is_stacked(depth)
    if not uneven.any():
        return found
    other = stacked(width, depth)
    return MemoryCount(
        *(
            np.where(uneven, getattr(other, field.name), getattr(found, field.name))
            for field in dataclasses.fields(found)
        )
    )


def stacked(width: Ints, depth: Ints) -> MemoryCount:
    """Return the resources of block RAMs one on top of the other, behind a multiplexer.

    Of the aspect ratios with the fewest block RAMs the deepest is taken. Multiplexers of up to four
    inputs take a LUT per bit, of five two, of seven four, of nine five; each block RAM has its
    write enable, and the select is registered. width, depth: as for ``automatic``.
    """
    shape = np.broadcast_shapes(width.shape, depth.shape)
    brams, banks = np.full(shape, np.inf), np.full(shape, 0)
    for size, words, bits in sorted(BLOCK_MODES, key=lambda mode: -mode[1]):
        option = size * -(-width // bits) * -(-depth // words)
        better = option < brams
        brams, banks = np.where(better, option, brams), np.where(better, -(-depth // words), banks)
    several = banks > 1
    per_bit = -(-banks // 4) + np.where(banks > 5, 2, 0)
    luts = np.where(several, width * per_bit + banks, 0)
    ffs = np.where(several, np.ceil(np.log2(np.maximum(banks, 2))), 0)
    return MemoryCount(np.zeros(shape), luts.astype(np.float64), brams, ffs)


@functools.cache
def _automatic_table() -> Floats:
    """Return ``automatic`` of powers of two, shape (MAX_WIDTH + 1, MAX_LOG_DEPTH + 1, 4).

    By bits per word and log2 of the words; the last axis holds the fields of MemoryCount in order.
    """
    width, log_depth = np.meshgrid(
        np.arange(MAX_WIDTH + 1), np.arange(MAX_LOG_DEPTH + 1), indexing="ij"
    )
    depth = 1 << log_depth
    brams, small = block(width, depth), distributed(width, depth)
    keep = (width + 1) * -(-depth // 64) <= MAX_DISTRIBUTED * 2 * brams
    keep[2, 10] = True  # the only synthesised memory that breaks the rule
    return np.stack(
        [
            np.where(keep, small.lutrams, 0.0),
            np.where(keep, small.luts, 0.0),
            np.where(keep, 0.0, brams),
            np.where(keep, width, 0.0),
        ],
        axis=-1,
    )
