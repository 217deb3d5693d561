"""Proof: the threshold unit counts the thresholds that an accumulator reaches, for every input."""

from __future__ import annotations

import itertools

import pytest
from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.asserts import AnySeq
from amaranth.hdl import signed

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.threshold_unit import ThresholdUnit, ThresholdUnitSpec
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, given, implies, past, place, reached

WIDTHS = (ThresholdUnitSpec(4, 1), ThresholdUnitSpec(5, 2), ThresholdUnitSpec(4, 3))
COUNTS = "the code is the number of thresholds that are reached"


class Thresholds(Elaboratable):
    """New accumulators and offsets come every cycle, each offset at its level's time."""

    def __init__(self, unit: ThresholdUnit) -> None:
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit, spec = self.unit, self.unit.spec
        columns = range(spec.thresholds)
        place(m, unit, driven=tuple(f"offset{k}" for k in columns))
        offsets = [Signal(signed(spec.accumulator_bits), name=f"free{k}") for k in columns]
        for k, free in enumerate(offsets):
            m.d.comb += free.eq(AnySeq(spec.accumulator_bits))
            late = delay(m, free, spec.level(k), f"late{k}")
            m.d.comb += getattr(unit, f"offset{k}").eq(late)
        for lower, higher in itertools.pairwise(offsets):
            given(m, higher <= lower)  # negated thresholds that do not fall
        cycles = spec.latency_cycles
        accumulator = delay(m, unit.accumulator, cycles, "accumulator")
        then = [delay(m, free, cycles, f"then{k}") for k, free in enumerate(offsets)]
        valid = delay(m, Const(1), cycles, "valid", resettable=True)
        expected: Value = Const(0)
        for offset in then:
            expected = Mux(accumulator + offset >= 0, expected + 1, expected)
        always(m, implies(valid, unit.code == expected), COUNTS)
        middle = past(m, unit.accumulator + offsets[spec.bias_column], "sum")
        begun = past(m, Const(1), "begun")
        always(m, implies(begun, unit.biased == middle), "biased is the sum")
        reached(m, valid & (unit.code == spec.thresholds) & (accumulator < 0), "the largest code")
        reached(m, valid & (unit.code == 0) & (accumulator > 0), "no threshold is reached")
        return m


@pytest.mark.parametrize("spec", WIDTHS, ids=str)
def test_the_unit_counts_thresholds(spec: ThresholdUnitSpec) -> None:
    prove(Thresholds(spec.create()), depth=spec.latency_cycles + 1, reach=spec.latency_cycles + 2)


class TakesTheLower(ThresholdUnit):
    """A broken unit whose second comparison takes the lower threshold whatever the first found."""

    def _offset(self, m: Module, level: int, found: Value) -> Value:
        return super()._offset(m, level, Cat(Const(0, 1), found[1:]) if level else found)


class IsGreater(ThresholdUnit):
    """A broken unit that an accumulator equal to a threshold does not reach."""

    def _offset(self, m: Module, level: int, found: Value) -> Value:
        return super()._offset(m, level, found) - 1


@pytest.mark.parametrize("broken", [TakesTheLower, IsGreater])
def test_a_broken_unit_is_refuted(broken: type[ThresholdUnit]) -> None:
    spec = WIDTHS[1]
    with pytest.raises(Disproof):
        prove(Thresholds(broken(spec)), depth=spec.latency_cycles + 1)
