"""Every form of a dot product in benchmarks.dot_forms computes the dot product."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from benchmarks.dot_forms import FORMS, Booth, form
from rtl_gen.blocks.dot_product import DotProductSpec

MOST_CYCLES = 12
"""Cycles after which a result of constant operands is there, in any of the forms."""


def booth_digits(value: int, bits: int) -> list[int]:
    """Return radix-4 digits -2..2 of a two's complement number, lowest first (MacSorley, 1961)."""
    at = [0, *(value >> k & 1 for k in range(bits))]
    return [at[k] + at[k + 1] - 2 * at[k + 2] for k in range(0, bits, 2)]


@pytest.mark.parametrize("bits", [(4, 4), (2, 2), (3, 1), (1, 1), (5, 8)], ids=str)
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_a_dot_product(name: str, bits: tuple[int, int]) -> None:
    activation, digit = bits
    spec = DotProductSpec(7, activation, digit)
    block = form(name, spec)
    if block is None:
        assert digit == 1
        return
    pick = random.Random(f"{name} {bits}")

    async def bench(ctx) -> None:
        for _ in range(25):
            a = [pick.randrange(1 << activation) for _ in range(spec.lanes)]
            w = [pick.randrange(1 << digit) for _ in range(spec.lanes)]
            expected = block.spec.compute(a, w, digit_signed=True)
            _set(ctx, block.activations, a, activation)
            if isinstance(block, Booth):
                signed = [v - (v >> digit - 1 << digit) for v in w]
                recoded = [d for v in signed for d in booth_digits(v, digit)]
                _set(ctx, block.one, [abs(d) == 1 for d in recoded], 1)
                _set(ctx, block.two, [abs(d) == 2 for d in recoded], 1)
                _set(ctx, block.negative, [d < 0 for d in recoded], 1)
                # An inverted value is its negative less one.
                expected -= sum((d < 0) << 2 * (k % (digit // 2)) for k, d in enumerate(recoded))
            else:
                _set(ctx, block.digits, w, digit)
                if hasattr(block, "digit_signed"):
                    ctx.set(block.digit_signed, 1)
            if hasattr(block, "pair_sums"):
                pairs = [sum(a[k : k + 2]) for k in range(0, spec.lanes, 2)]
                _set(ctx, block.pair_sums, pairs, activation + 1)
            await ctx.tick().repeat(MOST_CYCLES)
            assert ctx.get(block.result) == expected

    simulator = Simulator(block)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()


def _set(ctx, port, values, bits: int) -> None:
    ctx.set(port, sum(int(value) << k * bits for k, value in enumerate(values)))
