"""Proof: the post unit computes the requantisation formula, for every input at small widths.

The formula is written here in operators that numpy arrays and Amaranth values share. It is compared
with models.arithmetic in numpy over all inputs, and with the hardware by the solver.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value

from models import arithmetic
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.post_unit import PostUnit, PostUnitSpec
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, past, place, reached

WIDTHS = (
    PostUnitSpec(4, 4, 1), PostUnitSpec(5, 4, 2), PostUnitSpec(6, 3, 3),
    PostUnitSpec(5, 4, 2, in_dsps=True),
)  # fmt: skip


def formula(
    accumulator: Any, bias: Any, multiplier: Any, shift: Any, zero: Any, largest: Any,
    choose: Callable[[Any, Any, Any], Any],
) -> Any:  # fmt: skip
    """Return the code: bias, scale, round half up, zero point, clamp.

    ``choose`` is Mux or numpy.where.
    """
    half = (1 << shift) >> 1
    code = (((accumulator + bias) * multiplier + half) >> shift) + zero
    return choose(code < 0, 0, choose(code > largest, largest, code))


@pytest.mark.parametrize("spec", WIDTHS, ids=str)
def test_the_formula_is_the_reference(spec: PostUnitSpec) -> None:
    half = 1 << (spec.accumulator_bits - 1)
    integers = np.arange(-half, half)
    multipliers, shifts = np.arange(1 << spec.scale_bits), np.arange(1, arithmetic.MAX_SHIFT + 1)
    acc, bias, multiplier, shift = np.ix_(integers, integers, multipliers, shifts)
    for bits in range(1, spec.activation_bits + 1):
        for zero in range(1 << bits):
            expected = arithmetic.requantise(acc + bias, multiplier, shift, zero, bits)
            largest = (1 << bits) - 1
            assert np.array_equal(
                formula(acc, bias, multiplier, shift, zero, largest, np.where), expected
            )


class Requantise(Elaboratable):
    """New inputs come every cycle; zero point and largest code are constant, as in a layer."""

    def __init__(self, unit: PostUnit) -> None:
        self.unit = unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        unit, spec = self.unit, self.unit.spec
        place(m, unit, driven=("zero", "largest"))
        bits = spec.activation_bits
        m.d.comb += [
            unit.zero.eq(constant(m, bits, "zero")),
            unit.largest.eq(constant(m, bits, "largest")),
        ]
        given(m, unit.shift >= 1)
        inputs = (unit.accumulator, unit.bias, unit.multiplier, unit.shift)
        late = delay(m, Cat(inputs), spec.latency_cycles, "late")
        valid = delay(m, Const(1), spec.latency_cycles, "valid", resettable=True)
        accumulator, bias, multiplier, shift = fields(late, inputs)
        expected = Signal(bits)
        m.d.comb += expected.eq(
            formula(accumulator, bias, multiplier, shift, unit.zero, unit.largest, Mux)
        )
        always(m, implies(valid, unit.code == expected), "the code is the formula's")
        biased = unit.biased == past(m, unit.accumulator + unit.bias, "sum")
        always(m, implies(past(m, Const(1), "begun"), biased), "biased is the sum")
        between = (expected > 0) & (expected < unit.largest)
        if bits > 1:
            reached(m, valid & between & (accumulator < 0), "a code between the limits")
        reached(m, valid & (expected == 0) & (unit.largest > 0) & (unit.zero > 0), "saturates at 0")
        reached(m, valid & (shift == arithmetic.MAX_SHIFT) & (multiplier > 1), "the largest shift")
        return m


def fields(packed: Value, like: tuple[Signal, ...]) -> list[Value]:
    """Split ``packed`` into slices with the shapes of the signals that it was packed from."""
    values, start = [], 0
    for signal in like:
        part = packed[start : start + len(signal)]
        values.append(part.as_signed() if signal.shape().signed else part)
        start += len(signal)
    return values


@pytest.mark.parametrize("spec", WIDTHS, ids=str)
def test_the_unit_is_the_formula(spec: PostUnitSpec) -> None:
    prove(Requantise(spec.create()), depth=spec.latency_cycles + 1, reach=spec.latency_cycles + 2)


class RoundsDown(PostUnit):
    """A broken unit that does not add one half before the shift."""

    def _round_and_clamp(self, m: Module, halves: Value, wide: Value, negative: Value) -> None:
        super()._round_and_clamp(m, Cat(Const(0, 1), halves[1:]).as_signed(), wide, negative)


class ForgetsHighBits(PostUnit):
    """A broken unit that ignores the product's bits above those that the shift keeps."""

    def _round_and_clamp(self, m: Module, halves: Value, wide: Value, negative: Value) -> None:
        super()._round_and_clamp(m, halves, Const(0, 1), negative)


@pytest.mark.parametrize(
    "broken, spec", [(RoundsDown, WIDTHS[1]), (ForgetsHighBits, PostUnitSpec(12, 4, 1))]
)
def test_a_broken_unit_is_refuted(broken: type[PostUnit], spec: PostUnitSpec) -> None:
    with pytest.raises(Disproof, match="the code is the formula's"):
        prove(Requantise(broken(spec)), depth=spec.latency_cycles + 1)
