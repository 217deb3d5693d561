"""Tiny scales are held by coarser weights, without moving an output by a code."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arithmetic import MAX_SHIFT, requantise
from models.integer.scaling import LEAST_SCALE, rescaled


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 2**16), st.floats(-40, -8), st.sampled_from([8, 16]))
def test_outputs_of_tiny_scales_stay(seed: int, exponent: float, scale_bits: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (3, 16, 3, 3))
    scales = 2.0 ** (exponent + rng.uniform(-2, 2, 3))
    bias = np.rint(rng.uniform(-100, 100, 3) / scales).astype(np.int64)
    codes = rng.integers(0, 256, (20, 16, 3, 3))
    found, own_bias, multiplier, shift = rescaled(weights, bias, scales, scale_bits)
    assert ((shift >= 1) & (shift <= MAX_SHIFT) & (multiplier < 1 << scale_bits)).all()
    sums = np.einsum("oihw,nihw->no", weights, codes) + bias
    own = np.einsum("oihw,nihw->no", found, codes) + own_bias
    wanted = np.clip(sums * scales + 128, 0, 255)
    got = requantise(own, multiplier, shift, 128, 8)
    precise = multiplier >= 1 << 6  # 7 bits of a multiplier place 255 codes to within one
    assert precise.all()
    error = np.abs(got - wanted)
    assert error.max() <= 0.5 + 256 * 2.0**-7 + 144 * 255 * 2.0**-25


def test_scales_that_fit_change_nothing() -> None:
    weights, bias = np.arange(-4, 4).reshape(2, 1, 2, 2), np.array([5, -70000])
    found, own_bias, multiplier, shift = rescaled(weights, bias, np.array([LEAST_SCALE, 0.3]), 16)
    np.testing.assert_array_equal(found, weights)
    np.testing.assert_array_equal(own_bias, bias)
    np.testing.assert_allclose(multiplier / 2.0**shift, [LEAST_SCALE, 0.3], rtol=2**-16)
    assert rescaled(weights, bias, np.array([0.0, 1.0]), 16)[2][0] == 0
