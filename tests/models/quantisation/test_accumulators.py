"""Weights and biases within the limits of an accumulator, by the nearest codes that are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.graph.layers import Conv2d, Linear
from models.graph.network import sequential
from models.quantisation.accumulators import Accumulator, SumLimits
from models.quantisation.fake_quantisers import WeightQuantiser
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.network import QuantNetwork

RUNS = settings(max_examples=60, derandomize=True, deadline=None)


@st.composite
def scaled_weights(draw: st.DrawFn) -> tuple[WeightQuantiser, torch.Tensor]:
    """Draw a quantiser of scale 1 with a limit, and weights, some of them equal or exact codes."""
    bits, most = draw(st.integers(2, 8)), draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = (3, draw(st.integers(1, 9)), 3, draw(st.integers(1, 3)))
    weights = rng.normal(0, draw(st.sampled_from([0.3, 1.0, 20.0])), shape)
    step = draw(st.sampled_from([0.0, 0.5, 1.0]))
    weights = np.round(weights / step) * step if step else weights
    quantiser = WeightQuantiser(bits, 3, per_channel=True, most=most)
    return quantiser, torch.from_numpy(weights).float()


@RUNS
@given(scaled_weights())
def test_codes_never_leave_their_limit_and_stay_where_they_keep_to_it(drawn):
    quantiser, weights = drawn
    codes = quantiser.codes(weights)
    free = WeightQuantiser(quantiser.bits, 3, per_channel=True).codes(weights)
    np.testing.assert_array_equal((quantiser(weights).detach()).numpy(), codes.numpy())
    for sign in (1, -1):
        sums = (sign * codes).clamp(min=0).sum(dim=(1, 2, 3))
        wanted = (sign * free).clamp(min=0).sum(dim=(1, 2, 3))
        assert sums.max() <= quantiser.most
        for channel in torch.nonzero(wanted <= quantiser.most).flatten():
            kept, same = codes[channel], free[channel]
            np.testing.assert_array_equal(kept[sign * same > 0], same[sign * same > 0])


@RUNS
@given(scaled_weights())
def test_codes_within_the_limit_are_the_nearest_ones(drawn):
    """Against taking units away one by one, always the one that costs least."""
    quantiser, weights = drawn
    codes = quantiser.codes(weights).numpy()
    for sign in (1, -1):
        rows = (sign * values.reshape(3, -1) for values in (weights.numpy(), codes))
        for row, own in zip(*rows, strict=True):
            sizes = np.maximum(row, 0)
            best = np.minimum(np.floor(sizes + 0.5), quantiser.high)
            while best.sum() > quantiser.most:
                cost = np.where(best > 0, 2 * (sizes - best) + 1, np.inf)
                best[cost.argmin()] -= 1
            # Weights whose rounding changes at one amount move together: units may stay unused.
            parts = np.unique(
                np.round((sizes - np.floor(sizes))[sizes > 0], 2), return_counts=True
            )[1]
            unused = best.sum() - np.maximum(own, 0).sum()
            assert 0 <= unused < max(parts.max(initial=1), 2)
            if unused == 0:
                np.testing.assert_allclose(
                    np.square(sizes - np.maximum(own, 0)).sum(), np.square(sizes - best).sum(),
                    rtol=1e-4, atol=1e-2,
                )  # fmt: skip


@RUNS
@given(
    st.builds(
        SumLimits,
        st.builds(Accumulator, st.integers(6, 20), st.sampled_from([0, 128])),
        st.sampled_from([1, 3, 15]),
        st.just(0),
        st.booleans(),
    ),
    st.data(),
)
def test_sums_and_biases_at_their_limits_fit(limits, data):
    limits = dataclasses.replace(limits, zero_point=data.draw(st.integers(0, limits.top)))
    if limits.weights < 1:
        return
    amount = st.integers(0, limits.weights)
    positive, negative = (np.array([data.draw(amount)]) for _ in range(2))
    largest, offset = limits.accumulator.largest, limits.accumulator.offset
    moved = offset * (positive - negative)
    high, low = limits.top * positive - moved, -limits.top * negative - moved
    assert -largest <= min(low, high)
    assert max(low, high) <= largest
    least, most = limits.biases(positive, negative)
    assert least <= 0 <= most
    for bias in (least, most):
        folded = bias - (limits.zero_point - offset) * (positive - negative)
        assert abs(folded) <= largest
        if limits.raw:
            assert -largest <= min(low, high) + folded
            assert max(low, high) + folded <= largest


def test_what_no_training_keeps_to_is_refused_by_layer():
    graph = sequential("one", (1, 8, 8), Conv2d(4, (3, 3)), Linear(3))
    ones = Quantisation(4, layers={"conv2d1": QuantSpec(1, 4)})
    QuantNetwork(graph, ones, accumulator=Accumulator(9))  # 9 * 15 = 135
    with pytest.raises(ModelError, match="conv2d1: accumulators of 8 bits do not hold its 1-bit"):
        QuantNetwork(graph, ones, accumulator=Accumulator(8))
    with pytest.raises(ModelError, match="conv2d1: accumulators of 4 bits do not hold any product"):
        QuantNetwork(graph, Quantisation(4), accumulator=Accumulator(4))
    with pytest.raises(ModelError, match=r"accumulator bits must be 2\.\.32, not 33"):
        Accumulator(33)


def test_few_codes_of_a_limit_have_larger_scales():
    """Scales of weights that are spread over a limit have less error than those of free codes."""
    weights = torch.randn(8, 64, 3, 3, generator=torch.Generator().manual_seed(1))
    limited = WeightQuantiser(4, 8, per_channel=True, most=30)
    error = []
    for free in (True, False):
        limited.most = None if free else 30
        limited.calibrate(weights)
        limited.most = 30
        error.append(float((limited(weights) - weights).detach().square().mean()))
    assert error[1] < 0.9 * error[0]
