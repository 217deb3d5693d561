"""The LAYER instruction in numpy: address generation, array, post-processing.

Same pointers as the hardware: one address for all banks, a strip offset per row, everything modulo
its width. Only the order of the additions differs: all positions at once, and the digit passes
folded into whole weights, which is the same modulo 2**accumulator_bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from rtl_gen import isa, twin_reuse, walk, weight_words
from rtl_gen.config import SHIFT_BITS, NpuConfig
from rtl_gen.isa import ErrorCode

Ints = NDArray[np.int64]
COLUMN_MASK = (1 << isa.COLUMN_BITS) - 1
GATHER_ELEMENTS = 1 << 21
"""Activations gathered at a time: bounds the memory that a layer takes."""


class TwinError(Exception):
    """The instruction stops the run with ``code``."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


def signed(values: Ints, bits: int) -> Ints:
    """The low ``bits`` bits as two's complement."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


AXES = ("out_rows", "pool_rows", "out_cols", "pool_cols", "kernel_rows", "kernel_cols", "groups")
"""Levels of the nest as the axes of ``positions``."""


@dataclass(frozen=True)
class Positions:
    """Where taps read: integers that broadcast to [rows, pool_rows, out_cols, pool_cols,
    kernel_rows, kernel_cols, groups]."""

    strip: Ints
    """Offset from the pixel's own bank, signed."""
    row: Ints
    column: Ints
    """Unsigned: one left of the image is a large number, and so beyond the limit."""
    words: Ints
    """Address, modulo 2 * activation_depth."""
    walked: NDArray[np.bool_]
    """Whether the hardware reads the tap at all; padding else."""


def positions(config: NpuConfig, f: Mapping[str, int], tile: int, rows: range) -> Positions:
    """Taps of output rows ``rows`` of tile ``tile`` of a LAYER with fields ``f``."""
    counts: dict[str, Ints] = {level: np.arange(f[level] + 1) for level in AXES}
    counts["out_rows"] = np.arange(rows.start, rows.stop)
    along = {level: _along(counts[level], axis) for axis, level in enumerate(AXES)}
    walked = np.ones(1, bool)
    if f.get("reuse"):
        out, kernel, read = twin_reuse.columns(f)
        cols, taps = AXES.index("out_cols"), AXES.index("kernel_cols")
        shape = [out.shape[0] if k == cols else out.shape[1] if k == taps else 1 for k in range(7)]
        along["out_cols"], along["kernel_cols"] = out.reshape(shape), kernel.reshape(shape)
        walked = read.reshape(shape)
    along["out_groups"] = np.full(1, tile)
    steps = walk.totals(f)
    sums = {
        move.name: sum(
            (count * steps[level][move.name] for level, count in along.items()),
            start=np.full(1, f[f"{isa.START}_{move.name}"]),
        )
        for move in isa.MOVE
    }
    wraps, row = np.divmod(sums["rows"], f["strip_rows"])
    return Positions(
        strip=signed(sums["strips"] + wraps, isa.STRIP_BITS),
        row=row,
        column=sums["columns"] & COLUMN_MASK,
        words=(sums["pointer"] - wraps * f["strip_words"]) % (2 * config.activation_depth),
        walked=walked,
    )


def _along(count: Ints, axis: int) -> Ints:
    return count.reshape([-1 if k == axis else 1 for k in range(len(AXES))])


def gather(
    config: NpuConfig, activations: NDArray[np.uint8], f: Mapping[str, int], tile: int, rows: range
) -> NDArray[np.float64]:
    """Codes read for output rows ``rows`` of one tile.

    activations: uint8 [pixels, depth, lanes]. Returns
    [pixels, rows, pool_rows, out_cols, pool_cols, kernel_rows, kernel_cols, groups, lanes].
    Raises TwinError(ADDRESS) where an unmasked read leaves the buffer.
    """
    pixels, depth, lanes = activations.shape
    at = positions(config, f, tile, rows)
    bank = _along(np.arange(pixels), 0)[..., None] + at.strip
    inside = (bank >= 0) & (bank <= f["last_strip"]) & (at.column < f["col_limit"]) & at.walked
    inside &= (bank < f["last_strip"]) | (at.row < f["last_rows"])
    if np.any(inside & ((at.words >= depth) | (bank >= pixels))):
        raise TwinError(ErrorCode.ADDRESS)
    outside = pixels * depth
    index = np.where(inside, bank * depth + at.words, outside)
    pad = np.full((1, lanes), f["pad_code"])
    return np.concatenate([activations.reshape(outside, lanes), pad]).astype(np.float64)[index]


def tile_weights(config: NpuConfig, words: NDArray[np.uint32], passes: int, phases: int) -> Ints:
    """Whole weights [taps, lanes, weight_columns] of one tile's weight words
    uint32 [passes * taps * phases, :]."""
    digit_bits = config.weight_digit_bits
    whole = config.packing is not None and config.packing.always_signed
    top = len(words) // (1 if whole else passes)
    # The sign of a 1-bit digit is taken where the next pass starts.
    by_lane = _digits_by_lane(config, words, top if passes >= config.least_passes else 0)
    shape = (passes, -1, phases, config.weight_columns, config.lanes)
    by_pass = by_lane.reshape(shape).sum(axis=2)
    weights = by_pass[0]
    for digit in by_pass[1:]:
        weights = (weights << digit_bits) + digit
    return weights.transpose(0, 2, 1)


def _digits_by_lane(config: NpuConfig, words: NDArray[np.uint32], top: int) -> Ints:
    """What each lane is multiplied by: [words, weight_columns, lanes]; signed in the first ``top``
    words.

    Slot k of a group takes lane k + index, at most the last one that it may take.
    """
    digits, indices = weight_words.unpack(config, words)
    values = digits.astype(np.int64)
    values[:top] = signed(values[:top], config.weight_digit_bits)
    shape = (len(words), config.weight_columns, -1, config.kept, 1)
    index = np.minimum(indices.reshape(shape), config.group - config.kept)
    takes = index + np.arange(config.kept)[:, None] == np.arange(config.group)
    by_lane: Ints = (takes * values.reshape(shape)).sum(axis=3)
    return by_lane


@dataclass(frozen=True)
class Channels:
    """Post-processing parameters of the drained columns of one tile, each int64 [columns]."""

    bias: Ints
    multiplier: Ints
    shift: Ints


def tile_channels(config: NpuConfig, table: NDArray[np.uint32]) -> Channels:
    """table: uint32 [chunks, 2 * post_units], (bias, multiplier | shift << 16) per unit."""
    pairs = table.reshape(-1, 2).astype(np.int64)
    return Channels(
        signed(pairs[:, 0], config.accumulator_bits),
        pairs[:, 1] & ((1 << config.scale_bits) - 1),
        (pairs[:, 1] >> 16) & ((1 << SHIFT_BITS) - 1),
    )


def accumulate(
    config: NpuConfig,
    activations: NDArray[np.uint8],
    f: Mapping[str, int],
    tile: int,
    weights: Ints,
) -> Ints:
    """Accumulators of one tile as they are drained: [pixels, out_rows, pool_rows, out_cols,
    pool_cols, columns]."""
    columns = config.weight_columns
    rows, matrix = f["out_rows"] + 1, weights.reshape(-1, columns).astype(np.float64)
    per_row = config.pixels * len(matrix)
    for level in ("pool_rows", "out_cols", "pool_cols"):
        per_row *= f[level] + 1
    step = max(1, GATHER_ELEMENTS // per_row)
    parts = []
    for first in range(0, rows, step):
        part = range(first, min(first + step, rows))
        codes = gather(config, activations, f, tile, part)
        codes -= config.activation_offset
        products = codes.reshape(-1, len(matrix)) @ matrix
        parts.append(products.reshape(*codes.shape[:5], columns))
    sums = np.concatenate(parts, axis=1).astype(np.int64)
    found = sums[..., : config.columns]
    if f.get("binary"):
        found = 2 * found - sums[..., config.columns :]
    return signed(found, config.accumulator_bits)


def activate(config: NpuConfig, biased: Ints, channels: Channels, f: Mapping[str, int]) -> Ints:
    """Codes [pixels, out_rows, out_cols, columns] after requantisation and window maximum."""
    codes = arithmetic.requantise(
        biased, channels.multiplier, channels.shift, f["out_zero"], config.activation_bits
    )
    return np.minimum(codes, f["out_max"]).max(axis=(2, 4))
