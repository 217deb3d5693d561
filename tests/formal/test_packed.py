"""Proof: arrays whose products share DSP multipliers sum every product, for every input.

At small widths. The hardware packs operands and splits and corrects sums (rtl_gen.packing); the
property only knows sums of products.
"""

from __future__ import annotations

import pytest
from amaranth import Cat, Const, Elaboratable, Module, Value

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.packed_array import PackedArray
from rtl_gen.config import NpuConfig
from rtl_gen.packing import CHAIN_LANES, Packing
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, given, implies, place, reached


class Centred(NpuConfig):
    """An NPU that subtracts half their range from the activations, as with 8 x 8 bits."""

    @property
    def packing(self) -> Packing:
        return Packing(self.activation_bits, self.weight_digit_bits, 1, CHAIN_LANES, centred=True)


SMALL = {"post_units": 1, "accumulator_bits": 14, "pixels": 1, "multiplier": "dsp2"}
CONFIGS = (
    NpuConfig(**{**SMALL, "lanes": 2, "columns": 2, "activation_bits": 2, "weight_digit_bits": 2}),
    NpuConfig(**{**SMALL, "lanes": 4, "columns": 4, "activation_bits": 2, "weight_digit_bits": 1}),
    NpuConfig(**{**SMALL, "lanes": 2, "columns": 2, "activation_bits": 1, "weight_digit_bits": 4,
                 "pixels": 2, "multiplier": "dsp4"}),
    Centred(**{**SMALL, "lanes": 2, "columns": 2, "activation_bits": 2, "weight_digit_bits": 8}),
)  # fmt: skip
"""The last one has two lanes in a group instead of four: more take the solver too long."""


class Sums(Elaboratable):
    """A new step comes every cycle, and each starts from cleared accumulators."""

    def __init__(self, array: PackedArray) -> None:
        self.array = array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array, config = self.array, self.array.config
        place(m, array, driven=("valid", "clear"))
        m.d.comb += [array.valid.eq(1), array.clear.eq(1)]
        latency = array.latency_cycles(config)
        begun = delay(m, Const(1), latency, "begun", resettable=True)
        codes = delay(m, array.activations, latency, "codes")
        digits = delay(m, array.digits, latency, "digits")
        top = delay(m, array.digit_signed, latency, "top") | self._whole
        if self._whole:
            for n in range(config.lanes * config.columns):
                given(m, array.digits.word_select(n, config.weight_digit_bits) != 128)
        for p in range(config.pixels):
            for c in range(config.columns):
                found = array.accumulators.word_select(
                    p * config.columns + c, config.accumulator_bits
                ).as_signed()
                expected = self._sum(codes, digits, top, p, c)
                always(m, implies(begun, found == expected), "every product is summed")
                if p == c == 0:
                    reached(m, begun & (found < 0), "a negative sum")
                    reached(m, begun & (found > 0), "a positive sum")
        return m

    @property
    def _whole(self) -> bool:
        packing = self.array.config.packing
        return packing is not None and packing.always_signed

    def _sum(self, codes: Value, digits: Value, top: Value, pixel: int, column: int) -> Value:
        config = self.array.config
        a, d = config.activation_bits, config.weight_digit_bits
        total: Value = Const(0, 1)
        for n in range(config.lanes):
            code = Cat(codes.word_select(pixel * config.lanes + n, a), Const(0, 1)).as_signed()
            digit = digits.word_select(column * config.lanes + n, d)
            signed_digit = Cat(digit, digit[-1] & top).as_signed()
            total = total + (code - config.activation_offset) * signed_digit
        return total


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.multiplier}-{c.activation_offset}")
def test_every_product_is_summed(config: NpuConfig) -> None:
    latency = PackedArray.latency_cycles(config)
    prove(Sums(PackedArray(config)), depth=latency + 1, reach=latency + 2)


class ForgetsTheFlip(PackedArray):
    """A broken array that does not invert the sign bit of the first column's digits."""

    def _wide(self, m: Module, column: int) -> Value:
        wide = super()._wide(m, column)
        return Cat(wide[:1], ~wide[1], wide[2:])


def test_a_broken_array_is_refuted() -> None:
    config = CONFIGS[0]
    with pytest.raises(Disproof, match="every product is summed"):
        prove(Sums(ForgetsTheFlip(config)), depth=PackedArray.latency_cycles(config) + 1)
