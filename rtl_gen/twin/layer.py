"""The LAYER instruction of the twin: array, post-processing and write-back.

Only the order of additions differs from the hardware: many positions are computed at once, and the
bit-serial digits are combined into whole weights first, which gives the same sums modulo
2**accumulator_bits as long as the whole sums are below 2**53, like all of weights of 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa import weight_words
from rtl_gen.isa.fields import DIGITS
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.twin import post_units, reuse
from rtl_gen.twin.memories import Memories, TwinError, window
from rtl_gen.twin.taps import Ints, gather, signed

GATHER_ELEMENTS = 1 << 21
"""Most activations gathered per step, which bounds the memory that a layer takes; a step has at
least one output row of a strip, however many that takes."""


def run(memories: Memories, f: Mapping[str, int]) -> None:
    """Execute a LAYER with fields ``f`` on the memories, of which it writes activations or results.

    Raises TwinError with FIELD, before anything is written, if it drains nothing, or more pixels or
    chunks than the array has; with ADDRESS for an access outside a memory, after output-channel
    tiles before it were written. Of a tile everything is read before anything is written.
    """
    c = memories.config
    passes, phases, chunks = f["passes"] + 1, f.get("phases", 0) + 1, f["drain_chunks"] + 1
    pixels, columns = f["drain_pixels"] + 1, chunks * c.post_units
    nothing_drains = f.get("reuse", 0) - 1 > f["out_cols"]
    if pixels > c.pixels or chunks > c.chunks or nothing_drains:
        raise TwinError(ErrorCode.FIELD)
    block = passes * (f["kernel_rows"] + 1) * (f["kernel_cols"] + 1) * (f["groups"] + 1)
    block *= phases
    results = f["out_base"] if c.memory_port_bits else 0  # later parts of a split layer append
    for tile in range(f["out_groups"] + 1):
        words = window(memories.weights, f["weight_base"] + tile * block, block)
        table = window(memories.channels, f["channel_base"] + tile * chunks, chunks)
        weights = _tile_weights(c, words, passes, phases)
        if f.get("reuse"):
            weights = reuse.widened(c, weights, f)
        channels = table.reshape(-1, c.unit_columns)
        acc = _accumulate(c, memories.activations, f, tile, weights)[:pixels, ..., :columns]
        if f["raw"]:
            results = _keep_raw(memories, acc + post_units.biases(c, channels), results)
        else:
            codes = post_units.looked_up(memories, post_units.codes(c, channels, acc, f), f)
            _write(memories, codes.max(axis=(2, 4)), tile, f)


def _keep_raw(memories: Memories, biased: Ints, first: int) -> int:
    """Write biased accumulators in drain order to the result buffer from word ``first`` on.

    biased: of one tile, (n_drained_pixels, out_rows, pool_rows, out_cols, pool_cols,
    n_drained_columns); wrapped here to ``accumulator_bits``. Drain order, outermost first:
    out_rows, out_cols, pool_rows, pool_cols, pixels, columns. Returns the next free word. Raises
    TwinError(ADDRESS) if the words do not fit; none is written then.
    """
    c = memories.config
    wrapped = signed(biased, c.accumulator_bits)
    words = wrapped.transpose(1, 3, 2, 4, 0, 5).reshape(-1, c.post_units)
    end = first + len(words)
    if end > c.result_depth:
        raise TwinError(ErrorCode.ADDRESS)
    memories.results[first:end] = words
    return end


def _write(memories: Memories, codes: Ints, tile: int, f: Mapping[str, int]) -> None:
    """Write the output codes of tile ``tile`` to activation memory, pixel p's to bank p.

    codes: (n_drained_pixels, out_rows, out_cols, n_columns); columns that do not fill a whole word
    (the instruction set excludes them) are dropped. Raises TwinError(ADDRESS) if a word lies beyond
    the memory; none is written then.
    """
    c = memories.config
    pixels, rows, cols, columns = codes.shape
    words = columns // c.lanes
    position = np.arange(rows * cols) * f["out_pixel_words"]
    address = f["out_base"] + tile * f["out_group_words"] + position[:, None] + np.arange(words)
    address %= 2 * c.activation_depth
    if np.any(address >= c.activation_depth):
        raise TwinError(ErrorCode.ADDRESS)
    grid = codes[..., : words * c.lanes].reshape(pixels, rows * cols, words, c.lanes)
    memories.activations[np.arange(pixels)[:, None, None], address] = grid


def _tile_weights(config: NpuConfig, words: NDArray[np.uint32], passes: int, phases: int) -> Ints:
    """Return one tile's whole weights, int64 (taps, lanes, weight_columns), passes combined.

    words: uint32 (passes * taps * phases, weight_word_columns), phases innermost, the pass of the
    most significant digit first. That digit is signed (every digit, if ``packing.always_signed``),
    unless a single pass of 1-bit digits in LUTs (fewer than config.least_passes) leaves no pass to
    apply the sign: then weights are 0 or 1.
    """
    digit_bits = config.weight_digit_bits
    whole = config.packing is not None and config.packing.always_signed
    top = len(words) // (1 if whole else passes)
    # The sign of a 1-bit digit is applied when the next pass starts.
    by_lane = _digits_by_lane(config, words, top if passes >= config.least_passes else 0)
    shape = (passes, -1, phases, config.weight_columns, config.lanes)
    by_pass = by_lane.reshape(shape).sum(axis=2)
    weights = by_pass[0]
    for digit in by_pass[1:]:
        weights = (weights << digit_bits) + digit
    return weights.transpose(0, 2, 1)


def _digits_by_lane(config: NpuConfig, words: NDArray[np.uint32], top: int) -> Ints:
    """Return the digit that each lane is multiplied by, in lane order.

    Result: int64 (n_words, weight_columns, lanes / M, M), where M is 1 if dense. Digits of the
    first ``top`` words are two's complement, the others unsigned. With N:M sparsity, slot k of a
    group multiplies lane k + min(index, M - N) of it; lanes that no slot takes have 0, and the
    digits of slots that take the same lane add up.
    """
    digits, indices = weight_words.unpack(config, words)
    values = digits.astype(np.int64)
    values[:top] = signed(values[:top], config.weight_digit_bits)
    shape = (len(words), config.weight_columns, -1, config.kept, 1)
    index = np.minimum(indices.reshape(shape), config.group - config.kept)
    takes = index + np.arange(config.kept)[:, None] == np.arange(config.group)
    by_lane: Ints = (takes * values.reshape(shape)).sum(axis=3)
    return by_lane


def _accumulate(
    config: NpuConfig,
    activations: NDArray[np.uint8],
    f: Mapping[str, int],
    tile: int,
    weights: Ints,
) -> Ints:
    """Return one tile's accumulators as they are drained, wrapped to ``accumulator_bits``.

    Without bias; in binary layers already 2 * sum(t a) - sum(a). activations: uint8 (pixels, depth,
    lanes); f: the LAYER's fields; weights: int64 (taps, lanes, weight_columns). Result: int64
    (pixels, out_rows, pool_rows, out_cols, pool_cols, columns), with column reuse only the drained
    out_cols. Raises TwinError(ADDRESS) as ``gather`` does.
    """
    columns = config.weight_columns
    rows, matrix = f["out_rows"] + 1, weights.reshape(-1, columns).astype(np.float64)
    per_row = config.pixels * len(matrix)
    for level in ("pool_rows", "out_cols", "pool_cols"):
        per_row *= f[level] + 1
    step = max(1, GATHER_ELEMENTS // per_row)
    moves = min(f["passes"] * config.weight_digit_bits + config.activation_shift_bits, 32)
    parts = []
    for first in range(0, rows, step):
        part, total = range(first, min(first + step, rows)), np.zeros(1, np.int64)
        for digit in range(f.get(DIGITS, 0) + 1):
            codes = gather(config, activations, f, tile, part, digit)
            codes -= config.activation_offset
            products = (codes.reshape(-1, len(matrix)) @ matrix).astype(np.int64)
            products = products.reshape(*codes.shape[:5], columns)
            total = (signed(total, config.accumulator_bits) << moves) + products
        parts.append(total)
    sums = np.concatenate(parts, axis=1)
    found = sums[..., : config.columns]
    if f.get("binary"):
        found = 2 * found - sums[..., config.columns :]
    return signed(found, config.accumulator_bits)
