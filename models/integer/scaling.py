"""Requantisation of weights from elsewhere: multipliers and shifts that hardware can hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from models.integer.network import Ints

LEAST_SCALE = 2.0**-24
"""Least scale that is kept: below it MAX_SHIFT leaves a multiplier too few bits."""


def rescaled(
    weights: Ints, bias: Ints, scales: NDArray[np.float64], scale_bits: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return weights, bias, multipliers and shifts of channels whose scales may be tiny.

    weights: int64 (out, in, rows, columns); bias: int64 (out,); scales: float64 (out,), output
    codes per accumulator unit. Where a scale is below LEAST_SCALE, weights and bias are halved,
    rounded half up, until it is not. That moves an output by at most ``n * largest_code / 2**25``
    codes, n being the weights of the channel. Raises ValueError as ``arithmetic.nearest_scale``.
    """
    with np.errstate(divide="ignore"):
        halvings = np.where(scales > 0, np.ceil(np.log2(LEAST_SCALE / scales)), 0)
    shifts = np.clip(halvings, 0, 62).astype(np.int64)
    pairs = [
        arithmetic.nearest_scale(float(scale), scale_bits) for scale in np.ldexp(scales, shifts)
    ]
    multipliers, right = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    return _halved(weights, shifts[:, None, None, None]), _halved(bias, shifts), multipliers, right


def _halved(values: Ints, times: Ints) -> Ints:
    return (values + (np.left_shift(np.int64(1), times) >> 1)) >> times
