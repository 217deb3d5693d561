"""The LAYER instruction in numpy: address generation, array, post-processing.

Same pointers as the hardware: one address for all banks, a strip offset per row, increments and
single wraps instead of multiplications, everything modulo its width. Only the order of the
additions differs: all positions at once, and the digit passes folded into whole weights, which is
the same modulo 2**accumulator_bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from rtl_gen import isa, twin_reuse, weight_words
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


@dataclass(frozen=True)
class Rows:
    """Row states, any shape: strip offset (signed), row within the strip, pointer in words."""

    strip: Ints
    row: Ints
    words: Ints

    def walk(self, count: int, step: int, step_words: int, f: Mapping[str, int]) -> Rows:
        """A new last axis: ``count`` states, each one step (with at most one wrap) further."""
        strip, row, words = self.strip, self.row, self.words
        states = [(strip, row, words)]
        for _ in range(count - 1):
            row, words = row + step, words + step_words
            wraps = row >= f["strip_rows"]
            row = np.where(wraps, row - f["strip_rows"], row) & COLUMN_MASK
            words = np.where(wraps, words - f["strip_words"], words)
            strip = signed(strip + wraps, isa.STRIP_BITS)
            states.append((strip, row, words))
        stacked = [np.stack([state[i] for state in states], axis=-1) for i in range(3)]
        return Rows(*stacked)


@dataclass(frozen=True)
class Window:
    """Where every tap of every output position reads, and which taps are outside the image."""

    bank: Ints
    """[pixels, out_rows, pool_rows, kernel_rows]; -1 outside."""
    row_words: Ints
    """[out_rows, pool_rows, kernel_rows]"""
    column_inside: NDArray[np.bool_]
    """[out_cols, pool_cols, kernel_cols]"""
    column_words: Ints
    """[out_cols, pool_cols, kernel_cols]"""
    group_words: Ints
    """[groups]"""


def window(config: NpuConfig, f: Mapping[str, int]) -> Window:
    """The input window of a LAYER with fields ``f``, for output tile 0."""
    start = Rows(
        signed(np.asarray(f["strip_first"], np.int64), isa.STRIP_BITS),
        np.asarray(f["row_first"], np.int64),
        np.asarray(f["row_first_words"], np.int64),
    )
    rows = start.walk(f["out_rows"] + 1, f["out_row_step"], f["out_row_words"], f)
    rows = rows.walk(f["pool_rows"] + 1, f["pool_row_step"], f["pool_row_words"], f)
    rows = rows.walk(f["kernel_rows"] + 1, 1, f["row_words"], f)
    bank = np.arange(config.pixels)[:, None, None, None] + rows.strip
    inside = (bank >= 0) & (bank <= f["last_strip"])
    inside &= (bank < f["last_strip"]) | (rows.row < f["last_rows"])
    columns, column_words = twin_reuse.columns(f) if f.get("reuse") else _columns(f)
    return Window(
        bank=np.where(inside, bank, -1),
        row_words=rows.words,
        column_inside=columns < f["col_limit"],
        column_words=column_words,
        group_words=np.arange(f["groups"] + 1) * f["group_words"],
    )


def _columns(f: Mapping[str, int]) -> tuple[Ints, Ints]:
    """Column positions and their address offsets, [out_cols, pool_cols, kernel_cols].

    Positions wrap: one left of the image is a large number, and so beyond the limit.
    """
    out = np.arange(f["out_cols"] + 1)[:, None, None]
    pool = np.arange(f["pool_cols"] + 1)[:, None]
    kernel = np.arange(f["kernel_cols"] + 1)
    position = f["col_first"] + out * f["out_col_step"] + pool * f["pool_col_step"] + kernel
    words = out * f["out_col_words"] + pool * f["pool_col_words"] + kernel * f["col_words"]
    return position & COLUMN_MASK, words


def gather(
    activations: NDArray[np.uint8], at: Window, rows: slice, base: int, pad_code: int
) -> NDArray[np.float64]:
    """Codes read for output rows ``rows`` of one tile.

    activations: uint8 [pixels, depth, lanes]; base: in_base of the tile. Returns
    [pixels, rows, pool_rows, out_cols, pool_cols, kernel_rows, kernel_cols, groups, lanes].
    Raises TwinError(ADDRESS) where an unmasked read leaves the buffer.
    """
    pixels, depth, lanes = activations.shape
    bank = at.bank[:, rows, :, None, None, :, None, None]
    row_words = at.row_words[None, rows, :, None, None, :, None, None]
    column_words = at.column_words[None, None, None, :, :, None, :, None]
    inside = (bank >= 0) & at.column_inside[None, None, None, :, :, None, :, None]
    address = (base + row_words + column_words + at.group_words) % (2 * depth)
    if np.any(inside & ((address >= depth) | (bank >= pixels))):
        raise TwinError(ErrorCode.ADDRESS)
    outside = pixels * depth
    index = np.where(inside, bank * depth + address, outside)
    pad = np.full((1, lanes), pad_code)
    return np.concatenate([activations.reshape(outside, lanes), pad]).astype(np.float64)[index]


def tile_weights(config: NpuConfig, words: NDArray[np.uint32], passes: int, phases: int) -> Ints:
    """Whole weights [taps, lanes, columns] of one tile's weight words
    uint32 [passes * taps * phases, :]."""
    digit_bits = config.weight_digit_bits
    whole = config.packing is not None and config.packing.always_signed
    by_lane = _digits_by_lane(config, words, top=len(words) // (1 if whole else passes))
    by_pass = by_lane.reshape(passes, -1, phases, config.columns, config.lanes).sum(axis=2)
    weights = by_pass[0]
    for digit in by_pass[1:]:
        weights = (weights << digit_bits) + digit
    return weights.transpose(0, 2, 1)


def _digits_by_lane(config: NpuConfig, words: NDArray[np.uint32], top: int) -> Ints:
    """What each lane is multiplied by: [words, columns, lanes]; signed in the first ``top`` words.

    Slot k of a group takes lane k + index, at most the last one that it may take.
    """
    digits, indices = weight_words.unpack(config, words)
    values = digits.astype(np.int64)
    values[:top] = signed(values[:top], config.weight_digit_bits)
    shape = (len(words), config.columns, -1, config.kept, 1)
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
    at: Window,
    base: int,
    pad_code: int,
    weights: Ints,
) -> Ints:
    """Accumulators of one tile: [pixels, out_rows, pool_rows, out_cols, pool_cols, columns]."""
    pixels, out_rows, pool_rows, _ = at.bank.shape
    matrix = weights.reshape(-1, config.columns).astype(np.float64)
    per_row = pixels * pool_rows * at.column_words[..., 0].size * len(matrix)
    step = max(1, GATHER_ELEMENTS // per_row)
    parts = []
    for first in range(0, out_rows, step):
        codes = gather(activations, at, slice(first, first + step), base, pad_code)
        codes -= config.activation_offset
        products = codes.reshape(-1, len(matrix)) @ matrix
        parts.append(products.reshape(*codes.shape[:5], config.columns))
    return signed(np.concatenate(parts, axis=1).astype(np.int64), config.accumulator_bits)


def activate(config: NpuConfig, biased: Ints, channels: Channels, f: Mapping[str, int]) -> Ints:
    """Codes [pixels, out_rows, out_cols, columns] after requantisation and window maximum."""
    codes = arithmetic.requantise(
        biased, channels.multiplier, channels.shift, f["out_zero"], config.activation_bits
    )
    return np.minimum(codes, f["out_max"]).max(axis=(2, 4))
