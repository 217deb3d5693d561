"""What is trained for accumulators of a width passes the compiler's proof, whatever its weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign import design as designs
from codesign.compiler import (
    accumulator_bits,
    least_accumulator_bits,
    trained_accumulator,
    untrainable_reasons,
    worst_accumulator_bits,
)
from codesign.prediction import accumulator_of, plan_design
from codesign.results import InfeasibleError
from models.integer.lower import lower, shape_only
from rtl_gen.config import NpuConfig
from tests.codesign.small_build import DESIGN
from tests.models.strategies import graphs, quantisations, untrained

RUNS = settings(max_examples=60, derandomize=True, deadline=None)
OFFSET = NpuConfig(multiplier="dsp2", activation_bits=8, weight_digit_bits=8)
THRESHOLDS = NpuConfig(requantisation="thresholds", activation_bits=2)


@RUNS
@given(st.data())
def test_frozen_networks_keep_to_the_accumulators_that_they_are_trained_for(data):
    """Also those of exploding weights and biases, whose integers have to be clamped."""
    graph = data.draw(graphs())
    quantisation = data.draw(quantisations(graph))
    shapes = shape_only(graph, quantisation, 8)
    config = data.draw(st.sampled_from([NpuConfig(), OFFSET, THRESHOLDS]))
    bits = data.draw(st.integers(10, 20))
    config = dataclasses.replace(config, accumulator_bits=bits)
    accumulator = trained_accumulator(shapes, config)
    if accumulator is None:
        assert worst_accumulator_bits(shapes) <= bits
        return
    reasons = list(untrainable_reasons(shapes, config))
    if reasons:
        config = dataclasses.replace(
            config, accumulator_bits=max(reason.need for reason in reasons)
        )
        accumulator = dataclasses.replace(accumulator, bits=config.accumulator_bits)
        assert not list(untrainable_reasons(shapes, config))
    trained = untrained(graph, quantisation, data.draw(st.integers(0, 999)), 8, accumulator)
    factor = data.draw(st.sampled_from([1.0, 1e-4, 1e3]))
    with torch.no_grad():
        for layer in trained.network.weight_layers:
            layer.weight[::2] *= factor
            layer.bias[::3] *= 1e4 / factor
    _, integer = lower(trained, 8)
    assert accumulator_bits(integer, config) <= config.accumulator_bits


@RUNS
@given(st.data())
def test_a_bit_less_than_the_least_width_is_refused(data):
    graph = data.draw(graphs())
    shapes = shape_only(graph, data.draw(quantisations(graph)), 8)
    least, worst = least_accumulator_bits(shapes), worst_accumulator_bits(shapes)
    config = NpuConfig(accumulator_bits=min(max(least, 10), 32))
    assert least > 32 or not list(untrainable_reasons(shapes, config))
    if 10 < least <= min(worst, 33):
        config = dataclasses.replace(config, accumulator_bits=least - 1)
        assert max(reason.need for reason in untrainable_reasons(shapes, config)) == least


def test_designs_of_narrow_npus_are_planned_and_say_what_training_keeps_to():
    narrow = DESIGN.replace("accumulator_bits: 16", "accumulator_bits: 10")
    assert accumulator_of(designs.loads(DESIGN)) is None
    design = designs.loads(narrow)
    accumulator = accumulator_of(design)
    assert accumulator is not None
    assert accumulator.bits == 10
    assert plan_design(design).cycles == plan_design(designs.loads(DESIGN)).cycles
    ones = narrow.replace(
        "activation_bits: 4}", "activation_bits: 4}\n  layers: {logits: {weight_bits: 1}}"
    )
    with pytest.raises(InfeasibleError, match="logits: needs 11 bits of accumulator_bits"):
        plan_design(designs.loads(ones))


def test_weights_of_other_sizes_than_planned_for_fail(monkeypatch):
    """The proof is of the integers: with limits of a wider accumulator it finds some that leave."""
    design = designs.loads(DESIGN)
    config = dataclasses.replace(design.npu, accumulator_bits=10)
    shapes = shape_only(design.network, design.quantisation, 8)
    accumulator = trained_accumulator(shapes, config)
    assert accumulator is not None
    wide = dataclasses.replace(accumulator, bits=13)
    found = [
        accumulator_bits(lower(untrained(design.network, design.quantisation, 1, 8, kept), 8)[1])
        for kept in (accumulator, wide)
    ]
    assert found[0] <= 10 < found[1]
    assert np.diff(found) > 0
