"""Tables of activation functions: the output code of each input code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.integer.network import Lookup

Reals = NDArray[np.float64]
TIE = 2.0**-32
"""Offset in codes that is added before rounding: an exact half must round up in spite of float64's
error. Exact values are multiples of at least 2**-31 codes, so nothing else is moved."""


def lookup(
    function: Callable[[Reals], Reals],
    before: tuple[float, int, int],
    after: tuple[float, int, int],
    ends: tuple[int, int] | None = None,
) -> Lookup:
    """Return the table of a function of real values, rounded half up to the codes of its results.

    before, after: scale, zero point and bits of the codes that are looked up, and of the results.
    ends: least and largest code of the results, if not all of their bits occur.

    >>> lookup(np.abs, (0.5, 2, 2), (0.5, 0, 2)).codes.tolist()
    [2, 1, 0, 1]
    """
    (scale, zero, bits), (out_scale, out_zero, out_bits) = before, after
    values = function(scale * (np.arange(1 << bits) - zero).astype(np.float64))
    codes = np.floor(values / out_scale + 0.5 + TIE) + out_zero
    low, high = ends or (0, (1 << out_bits) - 1)
    return Lookup(np.clip(codes, low, high).astype(np.int64), bits, zero)
