"""Bit packing of lane codes into words: activation words, weight words and stream beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtl_gen.parameters import STREAM_BITS


def unpack_lanes(
    data: NDArray[np.uint32], lanes: int, lane_bits: int, first_bit: int = 0
) -> NDArray[np.uint8]:
    """Unpack words into unsigned lane codes of ``lane_bits`` bits, lane 0 at bit ``first_bit``.

    data: uint32 (n_words, n_beats), low beat first; lane k takes the bits from
    first_bit + k * lane_bits on. lane_bits: 0..8; with 0 all codes are 0. Returns uint8
    (n_words, lanes); bits beyond the beats read as 0.
    """
    bits = np.unpackbits(data.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    bits = bits[:, first_bit:]
    full = np.zeros((len(data), lanes * lane_bits), np.uint8)
    kept = min(bits.shape[1], full.shape[1])
    full[:, :kept] = bits[:, :kept]
    codes = np.zeros((len(data), lanes, 8), np.uint8)
    codes[:, :, :lane_bits] = full.reshape(len(data), lanes, lane_bits)
    return np.packbits(codes, axis=2, bitorder="little")[:, :, 0]


def pack_lanes(
    codes: NDArray[np.uint8], lane_bits: int, beats: int, first_bit: int = 0
) -> NDArray[np.uint32]:
    """Pack lane codes of ``lane_bits`` bits into words, lane 0 at bit ``first_bit``.

    codes: uint8 (n_words, n_lanes); lane k goes to the bits from first_bit + k * lane_bits on.
    lane_bits: 0..8; with 0 all words are 0. Returns uint32 (n_words, beats), low beat first, with 0
    in the other bits; bits beyond the beats, and bits of a code above ``lane_bits``, are dropped.
    """
    bits = np.unpackbits(codes[:, :, None], axis=2, bitorder="little")[:, :, :lane_bits]
    full = np.zeros((len(codes), beats * STREAM_BITS), np.uint8)
    flat = bits.reshape(len(codes), -1)[:, : full.shape[1] - first_bit]
    full[:, first_bit : first_bit + flat.shape[1]] = flat
    return np.packbits(full, axis=1, bitorder="little").view("<u4").astype(np.uint32)
