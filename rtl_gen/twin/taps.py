"""Taps of a LAYER in the twin: the addresses they read, and the activation codes found there.

A tap is one step of the reduction loop: a kernel position and an input-channel word. As in the
hardware all banks get the same address, each row has a strip offset, and sums of columns, strips
and addresses wrap at their width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa import walk
from rtl_gen.isa.fields import COLUMN_BITS, DIGITS, MOVE, START, STRIP_BITS
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.twin import reuse
from rtl_gen.twin.memories import TwinError

Ints = NDArray[np.int64]
COLUMN_MASK = (1 << COLUMN_BITS) - 1


def signed(values: Ints, bits: int) -> Ints:
    """Return the low ``bits`` bits of each value, read as two's complement, as a new array."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


AXES = ("out_rows", "pool_rows", "out_cols", "pool_cols", "kernel_rows", "kernel_cols", "groups")
"""Loop levels of a LAYER but out_groups, digits, passes and phases, outermost first: the order of
the axes of ``positions``."""


@dataclass(frozen=True)
class Positions:
    """Input positions of a LAYER's taps, as broadcastable arrays. Made by ``positions``.

    The arrays broadcast to (rows, pool_rows, out_cols, pool_cols, kernel_rows, kernel_cols,
    groups).
    """

    strip: Ints
    """Signed offset of the bank from the pixel's own one."""
    row: Ints
    """Row within the strip, 0..strip_rows - 1."""
    column: Ints
    """Image column modulo 2**COLUMN_BITS: one left of the image is a large number, >= col_limit."""
    words: Ints
    """Word address, modulo 2 * activation_depth."""
    walked: NDArray[np.bool_]
    """True where the hardware reads the tap; False, with column reuse, for columns before the first
    that a row reads, which are padding."""


def positions(
    config: NpuConfig, f: Mapping[str, int], tile: int, rows: range, digit: int
) -> Positions:
    """Return the input positions for output rows ``rows`` of tile ``tile`` of a LAYER.

    f: the LAYER's fields; tile: 0 for the first group of output channels; rows: range of output
    rows within a strip; digit: 0 for the most significant digit of the activations. With column
    reuse the axis out_cols has the drained positions only, and kernel_cols the columns of
    ``reuse.columns``.
    """
    counts: dict[str, Ints] = {level: np.arange(f[level] + 1) for level in AXES}
    counts["out_rows"] = np.arange(rows.start, rows.stop)
    along = {level: _along(counts[level], axis) for axis, level in enumerate(AXES)}
    walked = np.ones(1, bool)
    if f.get("reuse"):
        out, kernel, read = reuse.columns(f)
        cols, taps = AXES.index("out_cols"), AXES.index("kernel_cols")
        shape = [out.shape[0] if k == cols else out.shape[1] if k == taps else 1 for k in range(7)]
        along["out_cols"], along["kernel_cols"] = out.reshape(shape), kernel.reshape(shape)
        walked = read.reshape(shape)
    along["out_groups"], steps = np.full(1, tile), walk.totals(f)
    if DIGITS in steps:
        along[DIGITS] = np.full(1, digit)
    sums = {
        move.name: sum(
            (count * steps[level][move.name] for level, count in along.items()),
            start=np.full(1, f[f"{START}_{move.name}"]),
        )
        for move in MOVE
    }
    wraps, row = np.divmod(sums["rows"], f["strip_rows"])
    return Positions(
        strip=signed(sums["strips"] + wraps, STRIP_BITS),
        row=row,
        column=sums["columns"] & COLUMN_MASK,
        words=(sums["pointer"] - wraps * f["strip_words"]) % (2 * config.activation_depth),
        walked=walked,
    )


def _along(count: Ints, axis: int) -> Ints:
    """Reshape a vector to vary along axis number ``axis`` of AXES; the other axes have length 1."""
    return count.reshape([-1 if k == axis else 1 for k in range(len(AXES))])


def gather(
    config: NpuConfig,
    activations: NDArray[np.uint8],
    f: Mapping[str, int],
    tile: int,
    rows: range,
    digit: int,
) -> NDArray[np.float64]:
    """Return the activation codes read for output rows ``rows`` of one tile, padding included.

    activations: uint8 (pixels, depth, lanes); f, tile, rows, digit as in ``positions``. Returns
    float64 (pixels, rows, pool_rows, out_cols, pool_cols, kernel_rows, kernel_cols, groups, lanes);
    taps outside the image read pad_code in all lanes. Raises TwinError(ADDRESS) if a read inside
    the image leaves the memory or names a bank that does not exist.
    """
    pixels, depth, lanes = activations.shape
    at = positions(config, f, tile, rows, digit)
    bank = _along(np.arange(pixels), 0)[..., None] + at.strip
    inside = (bank >= 0) & (bank <= f["last_strip"]) & (at.column < f["col_limit"]) & at.walked
    inside &= (bank < f["last_strip"]) | (at.row < f["last_rows"])
    if np.any(inside & ((at.words >= depth) | (bank >= pixels))):
        raise TwinError(ErrorCode.ADDRESS)
    outside = pixels * depth
    index = np.where(inside, bank * depth + at.words, outside)
    pad = np.full((1, lanes), f["pad_code"])
    return np.concatenate([activations.reshape(outside, lanes), pad]).astype(np.float64)[index]
