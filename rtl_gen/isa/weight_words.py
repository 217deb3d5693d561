"""Layout of the weight word: the digits of all slots, above them the lane indices (N:M sparsity).

A slot is one multiplier input of an array cell: a lane when dense, one of N of M lanes otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.lanes import pack_lanes, unpack_lanes


def pack(
    config: NpuConfig, digits: NDArray[np.uint8], indices: NDArray[np.uint8]
) -> NDArray[np.uint32]:
    """Pack digits and lane indices into weight words.

    digits, indices: uint8 (n_words, weight_columns, slots); indices are ignored when dense. Digits
    come first, those of column 0 lowest, slot 0 of a column lowest; then the indices in the same
    order. Returns uint32 (n_words, weight_word_columns), low bus word first.
    """
    shape = (len(digits), config.weight_columns * config.slots)
    columns = config.weight_word_columns
    low = pack_lanes(digits.reshape(shape), config.weight_digit_bits, columns)
    return low | pack_lanes(indices.reshape(shape), config.index_bits, columns, _first(config))


def unpack(
    config: NpuConfig, words: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Unpack weight words into digits and lane indices, the inverse of ``pack``.

    Returns (digits, indices), both uint8 (n_words, weight_columns, slots): digits are raw bit
    patterns, indices are 0 when dense.
    """
    shape = (len(words), config.weight_columns, config.slots)
    count = config.weight_columns * config.slots
    digits = unpack_lanes(words, count, config.weight_digit_bits)
    indices = unpack_lanes(words, count, config.index_bits, _first(config))
    return digits.reshape(shape), indices.reshape(shape)


def _first(config: NpuConfig) -> int:
    """Return the bit position of the first lane index in a weight word: the bits of all digits."""
    return config.weight_columns * config.slots * config.weight_digit_bits
