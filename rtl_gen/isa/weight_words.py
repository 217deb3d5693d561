"""The weight word: digits of all slots, above them the indices that choose their lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.lanes import pack_lanes, unpack_lanes


def pack(
    config: NpuConfig, digits: NDArray[np.uint8], indices: NDArray[np.uint8]
) -> NDArray[np.uint32]:
    """uint32 [words, weight_word_columns] of digits and indices [words, weight_columns, slots]."""
    shape = (len(digits), config.weight_columns * config.slots)
    columns = config.weight_word_columns
    low = pack_lanes(digits.reshape(shape), config.weight_digit_bits, columns)
    return low | pack_lanes(indices.reshape(shape), config.index_bits, columns, _first(config))


def unpack(
    config: NpuConfig, words: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Digits and indices [words, weight_columns, slots]; where dense, all indices are 0."""
    shape = (len(words), config.weight_columns, config.slots)
    count = config.weight_columns * config.slots
    digits = unpack_lanes(words, count, config.weight_digit_bits)
    indices = unpack_lanes(words, count, config.index_bits, _first(config))
    return digits.reshape(shape), indices.reshape(shape)


def _first(config: NpuConfig) -> int:
    """Bit of the first index."""
    return config.weight_columns * config.slots * config.weight_digit_bits
