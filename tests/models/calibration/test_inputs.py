"""Inputs of any range as codes: the fitted network computes what the original one does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import inputs, loading
from models.data.values import InputRange
from models.errors import DatasetError, ModelError
from models.graph.layers import Conv2d, GlobalPool, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.quantisation.plan import Quantisation
from tests.models.calibration.networks import RESIDUAL, floating

RUNS = settings(max_examples=25, derandomize=True, deadline=None)
UNPADDED = sequential("unpadded", (4, 6, 6), Conv2d(8, (3, 3), groups=2), GlobalPool(), Linear(3))
POOLED = sequential("pooled", (3, 8, 8), MaxPool((2, 2), (2, 2)), Linear(3))
LOWS = st.lists(st.floats(-8, 8), min_size=3, max_size=3)


def logits(graph: NetworkGraph, network, image) -> np.ndarray:
    with torch.no_grad():
        return network.tensors_from(torch.from_numpy(image))[graph.output.name].flatten(1).numpy()


@RUNS
@given(st.sampled_from([RESIDUAL, UNPADDED, POOLED]), LOWS, st.integers(2, 8), st.booleans())
def test_the_fitted_network_computes_the_same(graph, lows, bits, one) -> None:
    channels = graph.shapes["input"][0]
    low = [lows[0]] if one else [lows[c % 3] + c // 3 for c in range(channels)]
    asked = InputRange(tuple(low), tuple(value + 2.5 for value in low))
    original = floating(graph)
    fitted = inputs.fit(original, asked, bits)
    top = (1 << bits) - 1
    codes = np.random.default_rng(0).integers(0, top + 1, (4, *graph.shapes["input"]))
    step = (np.array(fitted.values.high) - fitted.values.low) / top
    values = np.array(fitted.values.low)[:, None, None] + codes * step[:, None, None]
    quantisation = Quantisation(bits, input_zero_point=fitted.zero_point)
    plain = loading.load(original, Quantisation())
    ours = loading.load(fitted.network, quantisation)
    real = (codes - fitted.zero_point) / top
    expected = logits(graph, plain, values.astype(np.float32))
    found = logits(fitted.network.graph, ours, real.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@RUNS
@given(LOWS, st.integers(2, 8))
def test_codes_reach_the_values_that_were_asked_for(lows, bits) -> None:
    asked = InputRange(tuple(lows), tuple(value + 2.5 for value in lows))
    values = inputs.fit(floating(RESIDUAL), asked, bits).values
    low, high = (np.broadcast_to(end, 3) for end in (values.low, values.high))
    assert (low <= np.array(lows) + 1e-9).all()
    assert (high >= np.array(lows) + 2.5 - 1e-9).all()


def test_pixels_stay_codes_without_padding_and_at_0() -> None:
    for graph, values in ((RESIDUAL, (0, 255)), (UNPADDED, (-1, 1)), (RESIDUAL, (0, 1))):
        fitted = inputs.fit(floating(graph), InputRange.of(*values))
        assert fitted.zero_point == 0
        assert fitted.values == InputRange.of(*values)
    assert inputs.fit(floating(RESIDUAL), InputRange.of(-1, 1)).zero_point in (127, 128)


def test_the_shared_zero_point_widens_ranges_of_normalised_pixels_little() -> None:
    mean, std = np.array([0.491, 0.482, 0.447]), np.array([0.247, 0.243, 0.262])
    asked = InputRange(tuple(-mean / std), tuple((1 - mean) / std))
    values = inputs.fit(floating(RESIDUAL), asked).values
    wider = (np.array(values.high) - values.low) / ((1 - mean) / std + mean / std)
    assert wider.max() < 1.08


def test_ranges_that_no_codes_have_are_refused() -> None:
    with pytest.raises(DatasetError, match="3 channels"):
        inputs.fit(floating(RESIDUAL), InputRange((0, 0), (1, 1)))
    with pytest.raises(ModelError, match="1 bit has no code for 0"):
        inputs.fit(floating(RESIDUAL), InputRange.of(-1, 1), 1)
    assert inputs.fit(floating(UNPADDED), InputRange.of(-1, 1), 1).zero_point == 0
