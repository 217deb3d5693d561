"""Activation words, weight words and stream beats, bit by bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtl_gen.parameters import STREAM_BITS


def unpack_lanes(
    data: NDArray[np.uint32], lanes: int, lane_bits: int, first_bit: int = 0
) -> NDArray[np.uint8]:
    """Beats uint32 [words, beats], low beat first, to lane codes [words, lanes] of up to 8 bits."""
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
    """Lane codes [words, lanes] to beats uint32 [words, beats], lane 0 at ``first_bit``; lanes
    beyond the beats are cut."""
    bits = np.unpackbits(codes[:, :, None], axis=2, bitorder="little")[:, :, :lane_bits]
    full = np.zeros((len(codes), beats * STREAM_BITS), np.uint8)
    flat = bits.reshape(len(codes), -1)[:, : full.shape[1] - first_bit]
    full[:, first_bit : first_bit + flat.shape[1]] = flat
    return np.packbits(full, axis=1, bitorder="little").view("<u4").astype(np.uint32)
