"""Post-process arithmetic of one result: bias, requantise, zero point, clamp."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from models import arithmetic
from rtl_gen.blocks.delay import delay
from rtl_gen.config import SHIFT_BITS, NpuConfig
from rtl_gen.hierarchy import Block

SCALE_DIGIT_BITS = 2
"""Bits of the multiplier that one partial product of the pipelined multiplication takes."""


@dataclass(frozen=True)
class PostUnitSpec:
    """Golden model and hardware of the requantiser (docs/arithmetic.md)."""

    accumulator_bits: int
    scale_bits: int
    activation_bits: int

    @staticmethod
    def of(config: NpuConfig) -> PostUnitSpec:
        return PostUnitSpec(config.accumulator_bits, config.scale_bits, config.activation_bits)

    @property
    def biased_bits(self) -> int:
        return self.accumulator_bits + 1

    @property
    def product_bits(self) -> int:
        return self.biased_bits + self.scale_bits

    @property
    def multiply_cycles(self) -> int:
        partials = -(-self.scale_bits // SCALE_DIGIT_BITS)
        return 1 + (partials - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """Bias, multiplication, two shift stages, rounding, clamp."""
        return 1 + self.multiply_cycles + 2 + 1 + 1

    def compute(
        self, accumulator: int, bias: int, multiplier: int, shift: int, zero: int, largest: int
    ) -> int:
        """The golden code; ``largest`` is 2**bits - 1."""
        code = arithmetic.requantise(
            accumulator + bias, multiplier, shift, zero, largest.bit_length()
        )
        return int(code)

    def create(self) -> PostUnit:
        return PostUnit(self)


class PostUnit(Block):
    """Function: PostUnitSpec.compute; ``biased`` is accumulator + bias, one cycle after the inputs.

    Latency: ``spec.latency_cycles``. Throughput: one result per cycle. Overflow: none inside;
    the code saturates at 0 and ``largest``. ``zero`` and ``largest`` are constant during a layer.
    """

    def __init__(self, spec: PostUnitSpec) -> None:
        self.spec = spec
        self.module_name = "npu_post_unit"
        super().__init__(
            {
                "accumulator": In(signed(spec.accumulator_bits)),
                "bias": In(signed(spec.accumulator_bits)),
                "multiplier": In(spec.scale_bits),
                "shift": In(SHIFT_BITS),
                "zero": In(spec.activation_bits),
                "largest": In(spec.activation_bits),
                "biased": Out(signed(spec.biased_bits)),
                "code": Out(spec.activation_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        biased = Signal(signed(spec.biased_bits), reset_less=True)
        m.d.sync += biased.eq(self.accumulator + self.bias)
        m.d.comb += self.biased.eq(biased)
        multiplier = delay(m, self.multiplier, 1, "multiplier")
        product = self._multiply(m, biased, multiplier)
        shift = delay(m, self.shift, 1 + spec.multiply_cycles, "shift")
        halves = self._shift(m, product, shift)
        self._round_and_clamp(m, halves)
        return m

    def _multiply(self, m: Module, biased: Value, multiplier: Value) -> Value:
        terms: list[Value] = []
        for k in range(0, self.spec.scale_bits, SCALE_DIGIT_BITS):
            digit = multiplier[k : k + SCALE_DIGIT_BITS]
            partial = Signal(
                signed(self.spec.biased_bits + len(digit)), name=f"partial{k}", reset_less=True
            )
            gated = [(biased & digit[j].replicate(len(biased)).as_signed()).as_signed() << j
                     for j in range(len(digit))]
            m.d.sync += partial.eq(sum(gated[1:], gated[0]))
            terms.append(partial)
        weight = SCALE_DIGIT_BITS
        while len(terms) > 1:
            sums: list[Value] = []
            for k in range(0, len(terms), 2):
                total = terms[k] + (terms[k + 1] << weight) if k + 1 < len(terms) else terms[k]
                name = f"product_by{weight}_{k // 2}"
                register = Signal(signed(len(total)), name=name, reset_less=True)
                m.d.sync += register.eq(total)
                sums.append(register)
            terms, weight = sums, 2 * weight
        return terms[0][: self.spec.product_bits].as_signed()

    def _shift(self, m: Module, product: Value, shift: Value) -> Value:
        """``product >> (shift - 1)``, in two registered stages (by eights, then by ones)."""
        amount = Signal(SHIFT_BITS)
        m.d.comb += amount.eq(shift - 1)
        coarse = Signal(signed(len(product)), reset_less=True)
        fine = Signal(signed(len(product)), reset_less=True)
        m.d.sync += [
            coarse.eq(product >> Cat(0, 0, 0, amount[3:]).as_unsigned()),
            fine.eq(coarse >> delay(m, amount[:3], 1, "fine_amount")),
        ]
        return fine

    def _round_and_clamp(self, m: Module, halves: Value) -> None:
        """``clamp(((halves + 1) >> 1) + zero)``; values too wide for the sum saturate by sign."""
        bits = self.spec.activation_bits
        low = bits + 2
        negative = Signal(reset_less=True)
        wide = Signal(reset_less=True)
        total = Signal(signed(bits + 4), reset_less=True)
        rounded = (halves[:low].as_signed() + 1) >> 1
        m.d.sync += [
            negative.eq(halves[-1]),
            wide.eq(halves[low - 1 :].any() & ~halves[low - 1 :].all()),
            total.eq(rounded + self.zero),
        ]
        below = Mux(wide, negative, total < 0)
        above = Mux(wide, ~negative, total > self.largest)
        code = Signal(bits, reset_less=True)
        m.d.sync += code.eq(Mux(below, 0, Mux(above, self.largest, total[:bits])))
        m.d.comb += self.code.eq(code)
