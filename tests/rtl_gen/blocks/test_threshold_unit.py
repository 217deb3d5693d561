"""Threshold units against their golden model, and that against a count of thresholds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rtl_gen.blocks.threshold_unit import ThresholdUnitSpec
from tests.rtl_gen.blocks.test_blocks import simulate

SPECS = [
    ThresholdUnitSpec(accumulator_bits=bits, activation_bits=codes)
    for bits, codes in ((10, 1), (14, 2), (32, 2), (11, 3))
]


def _offsets(rng: random.Random, spec: ThresholdUnitSpec) -> list[int]:
    """Negated thresholds, close to each other or anywhere, that of code 1 first."""
    half = 1 << (spec.accumulator_bits - 1)
    width = rng.choice([2, 40, half])
    middle = rng.randrange(-half, half)
    drawn = [middle + rng.randrange(-width, width) for _ in range(spec.thresholds)]
    return sorted((max(-half, min(half - 1, value)) for value in drawn), reverse=True)


def _cases(spec: ThresholdUnitSpec) -> list[tuple[int, list[int]]]:
    rng, half, found = random.Random(3), 1 << (spec.accumulator_bits - 1), []
    for _ in range(300):
        offsets = _offsets(rng, spec)
        near = -rng.choice(offsets) + rng.randrange(-2, 3)
        accumulator = rng.choice([near, near, rng.randrange(-half, half), -half, half - 1])
        found.append((max(-half, min(half - 1, accumulator)), offsets))
    return found


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_golden_model_counts_thresholds(spec: ThresholdUnitSpec) -> None:
    for accumulator, offsets in _cases(spec):
        reached = sum(accumulator + offset >= 0 for offset in offsets)
        assert spec.compute(accumulator, offsets) == reached
    codes = {spec.compute(*case) for case in _cases(spec)}
    assert codes == set(range(spec.thresholds + 1))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_unit_equals_its_golden_model(spec: ThresholdUnitSpec) -> None:
    dut, cases = spec.create(), _cases(spec)

    def drive(ctx: Any, cycle: int) -> None:
        if cycle < len(cases):
            ctx.set(dut.accumulator, cases[cycle][0])
        for k in range(spec.thresholds):
            case = cycle - spec.level(k)
            if 0 <= case < len(cases):
                ctx.set(getattr(dut, f"offset{k}"), cases[case][1][k])

    def check(ctx: Any, cycle: int) -> None:
        if cycle < len(cases):
            accumulator, offsets = cases[cycle]
            assert ctx.get(dut.biased) == accumulator + offsets[spec.bias_column]
        k = cycle - spec.latency_cycles + 1
        if 0 <= k < len(cases):
            assert ctx.get(dut.code) == spec.compute(*cases[k]), cases[k]

    simulate(dut, len(cases) + spec.latency_cycles, drive, check)
