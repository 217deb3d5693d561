"""The arithmetic blocks compute their golden model's results, every cycle, at the stated latency.

Dot product and post unit (requantisation), on random inputs and the extremes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from amaranth.sim import Simulator

from rtl_gen.blocks.dot_product import DotProductSpec
from rtl_gen.blocks.post_unit import PostUnitSpec
from rtl_gen.parameters import SHIFT_BITS

CASES = 150
"""Random inputs per configuration."""


def simulate(
    dut: Any, cycles: int, drive: Callable[[Any, int], None], check: Callable[[Any, int], None]
) -> None:
    """Simulate ``dut``; call ``drive`` before and ``check`` after each clock edge."""

    async def bench(ctx: Any) -> None:
        for cycle in range(cycles):
            drive(ctx, cycle)
            await ctx.tick()
            check(ctx, cycle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def pack(values: Sequence[int], bits: int) -> int:
    """Return one number with ``bits`` bits for each value, the first one lowest."""
    return sum(value << (bits * k) for k, value in enumerate(values))


@pytest.mark.parametrize(
    "spec",
    [
        DotProductSpec(lanes=2, activation_bits=1, digit_bits=1),
        DotProductSpec(lanes=17, activation_bits=1, digit_bits=1),
        DotProductSpec(lanes=12, activation_bits=1, digit_bits=4),
        DotProductSpec(lanes=1, activation_bits=5, digit_bits=2),
        DotProductSpec(lanes=3, activation_bits=4, digit_bits=2),
        DotProductSpec(lanes=8, activation_bits=3, digit_bits=1),
        DotProductSpec(lanes=16, activation_bits=4, digit_bits=4),
        DotProductSpec(lanes=13, activation_bits=8, digit_bits=8),
        DotProductSpec(lanes=32, activation_bits=2, digit_bits=2),
        DotProductSpec(lanes=3, activation_bits=8, digit_bits=8, multiplier="dsp"),
        DotProductSpec(lanes=7, activation_bits=4, digit_bits=4, multiplier="dsp"),
    ],
    ids=str,
)
def test_dot_product_equals_its_golden_model(spec: DotProductSpec) -> None:
    rng = random.Random(1)
    dut = spec.create()
    a, d = 1 << spec.activation_bits, 1 << spec.digit_bits
    extremes = [
        ([a - 1] * spec.lanes, [w] * spec.lanes, s) for w in (d - 1, d >> 1) for s in (0, 1)
    ]
    cases = extremes + [
        (
            [rng.randrange(a) for _ in range(spec.lanes)],
            [rng.randrange(d) for _ in range(spec.lanes)],
            rng.randrange(2),
        )
        for _ in range(CASES)
    ]

    def lane(operand: int, n: int, cycle: int) -> int:
        """Return the value of lane n that is due in this cycle: late lanes lag by one."""
        k = cycle - spec.late(n)
        return cases[k][operand][n] if 0 <= k < len(cases) else 0

    def drive(ctx: Any, cycle: int) -> None:
        activations = [lane(0, n, cycle) for n in range(spec.lanes)]
        sums = [sum(activations[k : k + 2]) for k in range(0, spec.lanes, 2)]
        ctx.set(dut.activations, pack(activations, spec.activation_bits))
        if spec.pair_bits:
            ctx.set(dut.pair_sums, pack(sums, spec.pair_bits))
        ctx.set(dut.digits, pack([lane(1, n, cycle) for n in range(spec.lanes)], spec.digit_bits))
        if not spec.unsigned:
            k = cycle - spec.sign_offset_cycles
            ctx.set(dut.digit_signed, cases[k][2] if 0 <= k < len(cases) else 0)

    def check(ctx: Any, cycle: int) -> None:
        k = cycle - spec.latency_cycles + 1
        if 0 <= k < len(cases):
            assert ctx.get(dut.result) == spec.compute(*cases[k]), cases[k]

    simulate(dut, len(cases) + spec.latency_cycles, drive, check)


@pytest.mark.parametrize(
    "spec",
    [
        PostUnitSpec(accumulator_bits=20, scale_bits=8, activation_bits=4),
        PostUnitSpec(accumulator_bits=12, scale_bits=4, activation_bits=1),
        PostUnitSpec(accumulator_bits=32, scale_bits=16, activation_bits=8),
        PostUnitSpec(accumulator_bits=24, scale_bits=7, activation_bits=5),
        PostUnitSpec(accumulator_bits=10, scale_bits=5, activation_bits=3),
        PostUnitSpec(accumulator_bits=24, scale_bits=8, activation_bits=8, in_dsps=True),
        PostUnitSpec(accumulator_bits=25, scale_bits=8, activation_bits=4, in_dsps=True),
        PostUnitSpec(accumulator_bits=32, scale_bits=16, activation_bits=5, in_dsps=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("signed", [False, True])
def test_post_unit_equals_its_golden_model(spec: PostUnitSpec, signed: bool) -> None:
    rng = random.Random(2)
    dut = spec.create()
    zero = 1 << (spec.activation_bits - 1) if signed else 0
    largest = (1 << spec.activation_bits) - 1

    def integer() -> int:
        half = 1 << rng.randrange(spec.accumulator_bits)
        return rng.choice([-half, half - 1, rng.randrange(-half, half)])

    cases = [
        (
            integer(),
            integer(),
            rng.randrange(1 << spec.scale_bits),
            rng.randrange(1, 1 << SHIFT_BITS),
        )
        for _ in range(4 * CASES)
    ]

    def drive(ctx: Any, cycle: int) -> None:
        ctx.set(dut.zero, zero)
        ctx.set(dut.largest, largest)
        if cycle < len(cases):
            for signal, value in zip(
                (dut.accumulator, dut.bias, dut.multiplier, dut.shift), cases[cycle], strict=True
            ):
                ctx.set(signal, value)

    def check(ctx: Any, cycle: int) -> None:
        if cycle < len(cases):
            assert ctx.get(dut.biased) == cases[cycle][0] + cases[cycle][1]
        k = cycle - spec.latency_cycles + 1
        if 0 <= k < len(cases):
            assert ctx.get(dut.code) == spec.compute(*cases[k], zero, largest), cases[k]

    simulate(dut, len(cases) + spec.latency_cycles, drive, check)
