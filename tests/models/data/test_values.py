"""The mapping from values to input levels: monotone, exact at its ends, and found sensibly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.values import PIXELS, InputRange, find_range
from models.errors import DatasetError

reals = st.floats(-1e6, 1e6, allow_nan=False)


@given(reals, st.floats(1e-3, 1e6), st.lists(reals, min_size=2, max_size=20))
def test_levels_are_monotone_and_meet_both_ends(low, span, values):
    found = InputRange.of(low, low + span)
    ordered = np.sort(np.array([*values, low, low + span]))[:, None, None, None]
    levels = found.levels(ordered)[:, 0, 0, 0].astype(int)
    assert (np.diff(levels) >= 0).all()
    assert found.levels(np.array([[[[low]]]]))[0, 0, 0, 0] == 0
    assert found.levels(np.array([[[[low + span]]]]))[0, 0, 0, 0] == 255


def test_pixels_stay_as_they_are():
    pixels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    assert PIXELS.levels(pixels) is pixels
    np.testing.assert_array_equal(PIXELS.levels(pixels.astype(float)), pixels)


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([0, 200], np.uint8), PIXELS),
        (np.array([0, 16], np.uint8), InputRange.of(0, 16)),
        (np.array([3, 16]), InputRange.of(0, 16)),
        (np.array([-128, 100], np.int8), InputRange.of(-128, 100)),
        (np.array([False, True]), InputRange.of(0, 1)),
        (np.array([0.0, 0.9]), InputRange.of(0, 1)),
        (np.array([-0.9, 0.8]), InputRange.of(-1, 1)),
        (np.array([-3.0, 5.0]), InputRange.of(-3, 5)),
        (np.array([2000, 2100], np.uint16), InputRange.of(2000, 2100)),
        (np.array([5, 5]), InputRange.of(5, 6)),
        (np.array([1e17, 1e17]), InputRange.of(1e17, 1e17 + 16)),
    ],
)
def test_ranges_that_people_have(values, expected):
    assert find_range(values.reshape(-1, 1, 1, 1))[0] == expected


def test_features_get_a_range_each_and_outliers_none():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 3)) * [1, 1000, 0] + [0, 5, 7]
    values[0, 0] = 1e9
    found, notes = find_range(values[:, :, None, None])
    assert found.high[0] < 5
    assert found.high[1] > 1000
    assert found.low[2] == 7
    assert any("outside that range" in note for note in notes)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_whole_numbers_of_other_scales_get_a_range_each_as_reals_do(dtype):
    """Of one range for all, the first two features would be left with a level or none."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, [80, 2, 100_000], (500, 3)).astype(dtype)[:, :, None, None]
    found, _ = find_range(values)
    assert found.low[:2] == (0, 0)
    assert found.high[:2] == (79, 1)
    signals = values[:, [0, 2], 0, 0].reshape(10, 50, 2, 1).transpose(0, 2, 3, 1)
    assert len(find_range(signals)[0].low) == 2


@pytest.mark.parametrize("shape", [(500, 3, 1, 1), (50, 3, 1, 10), (50, 3, 5, 2)])
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_reals_within_0_to_1_of_other_scales_get_a_range_each(shape, low):
    """Of one range for all, the first channel would be left with three levels."""
    scales = np.array([0.01, 1.0, 0.9])[:, None, None]
    values = np.random.default_rng(0).uniform(low, 1, shape) * scales
    found, _ = find_range(values)
    assert found.high[0] == values[:, 0].max()
    assert found.low[2] == values[:, 2].min()
    alike, _ = find_range(values / scales)
    features = shape[2:] == (1, 1)  # each from its smallest to its largest value
    assert len(alike.low) == 3 if features else alike == InputRange.of(low, 1)


def test_outliers_of_values_whose_squares_overflow_are_found():
    values = np.random.default_rng(0).uniform(0, 1e290, 20_000)
    values[0] = 1e299
    found, _ = find_range(values.reshape(-1, 1, 1, 1))
    assert found.high[0] < 1e290


def test_whole_numbers_that_levels_tell_apart_keep_one_range():
    values = np.random.default_rng(0).integers(0, [2, 17, 17], (500, 3))
    assert find_range(values[:, :, None, None])[0] == InputRange.of(0, 16)


def test_values_that_a_range_does_not_suit_are_said():
    found = InputRange.of(0, 1)
    grey = np.arange(100.0).reshape(100, 1, 1, 1)
    assert (
        "98 % of the values of it lie outside the input range, 0..1" in found.doubts(grey, "it")[0]
    )
    assert "fill little of the input range" in found.doubts(grey / 5000, "it")[0]
    assert found.doubts(grey / 100, "it") == []


@pytest.mark.parametrize(
    "low, high, message",
    [
        ((1.0,), (1.0,), "low must be less than high"),
        ((0.0, 1.0), (1.0,), "one value, or one for each channel"),
        ((), (), "one value, or one for each channel"),
        ((float("nan"),), (1.0,), "finite"),
        ((-1.7e308,), (1.7e308,), "scale the values"),
        ((0.0,), (1e-320,), "scale the values"),
    ],
)
def test_senseless_ranges_are_refused(low, high, message):
    with pytest.raises(DatasetError, match=message):
        InputRange(low, high)
