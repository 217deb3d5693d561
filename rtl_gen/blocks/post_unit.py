"""Post unit: bias, requantisation, zero point and clamp of one accumulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from models import arithmetic
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.dot_product import register
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig
from rtl_gen.packing import MULT18_BITS, WIDE_BITS
from rtl_gen.parameters import SHIFT_BITS

FINE_SHIFTS = 8
"""Granularity of the first of two shift stages, which shifts by a multiple of it; the second one
shifts by 0..FINE_SHIFTS - 1."""


@dataclass(frozen=True)
class PostUnitSpec:
    """Specification and golden model of a post unit (docs/explanation/arithmetic.md)."""

    accumulator_bits: int
    scale_bits: int
    activation_bits: int
    in_dsps: bool = False
    """True if DSP slices multiply, as beside arrays that share DSP slices: these have few LUTs, so
    that the multipliers of the post units would be a large part of the NPU's."""

    @staticmethod
    def of(config: NpuConfig) -> PostUnitSpec:
        """Return the specification of ``config``'s post units."""
        return PostUnitSpec(
            config.accumulator_bits,
            config.scale_bits,
            config.activation_bits,
            in_dsps=config.packing is not None,
        )

    @property
    def biased_bits(self) -> int:
        return self.accumulator_bits + 1

    @property
    def product_bits(self) -> int:
        return self.biased_bits + self.scale_bits

    @property
    def scale_digits(self) -> int:
        """Number of radix-4 digits of the requantisation multiplier, rounded up."""
        return (self.scale_bits + 1) // 2

    @property
    def multiply_cycles(self) -> int:
        """Cycles of the multiplication.

        In LUTs one for the triple and one per radix-4 digit; in DSP slices one for the product and
        one for its sum.
        """
        return 2 if self.in_dsps else 1 + self.scale_digits

    @property
    def kept_bits(self) -> int:
        """Low bits of the coarsely shifted product that are kept for the fine shift, sign included.

        If higher bits are significant, the code saturates.
        """
        return self.activation_bits + 2 + FINE_SHIFTS

    @property
    def latency_cycles(self) -> int:
        """Cycles from accumulator to code: bias, multiplication, two shifts, rounding, clamp."""
        return 1 + self.multiply_cycles + 2 + 1 + 1

    def compute(
        self, accumulator: int, bias: int, multiplier: int, shift: int, zero: int, largest: int
    ) -> int:
        """Return the golden output code, for one accumulator.

        clamp(floor(((accumulator + bias) * multiplier + 2**(shift - 1)) / 2**shift) + zero, 0,
        largest), where largest must be 2**bits - 1 for a ``bits``-bit output.
        """
        code = arithmetic.requantise(
            accumulator + bias, multiplier, shift, zero, largest.bit_length()
        )
        return int(code)

    def create(self) -> PostUnit:
        return PostUnit(self)


class PostUnit(Block):
    """Function: PostUnitSpec.compute; ``biased`` is accumulator + bias, one cycle after the inputs.

    accumulator, bias, multiplier and shift (1..31) of a result come in the same cycle; ``zero`` and
    ``largest`` are constant during a layer. Latency: ``spec.latency_cycles`` to ``code``.
    Throughput: one result per cycle. Overflow: none inside; the code saturates at 0 and
    ``largest``.
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

    def connect(self, m: Module, words: Sequence[Value], post: Block) -> None:
        """Connect ``words``, bias and scale of the channel table, and the layer's fields.

        post: the PostProcess block, whose ports these are.
        """
        bias, scale = words
        m.d.comb += [
            self.bias.eq(bias),
            self.multiplier.eq(scale[: self.spec.scale_bits]),
            self.shift.eq(scale[self.spec.scale_bits :]),
            self.zero.eq(post.f_out_zero),
            self.largest.eq(post.f_out_max),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        biased = Signal(signed(spec.biased_bits), reset_less=True)
        m.d.sync += biased.eq(self.accumulator + self.bias)
        m.d.comb += self.biased.eq(biased)
        multiplier = delay(m, self.multiplier, 1, "multiplier")
        multiply = self._multiply_in_dsps if spec.in_dsps else self._multiply
        product = multiply(m, biased, multiplier)
        amount = Signal(SHIFT_BITS)
        m.d.comb += amount.eq(self.shift - 1)
        amount = delay(m, amount, 1 + spec.multiply_cycles, "amount")
        self._round_and_clamp(m, *self._shift(m, product, amount))
        return m

    def _multiply(self, m: Module, biased: Value, multiplier: Value) -> Value:
        """Multiply in LUTs, radix 4: a digit adds 0..3 times the value at one LUT per bit.

        biased (signed) and multiplier (unsigned) come in the same cycle. Returns the whole signed
        product, ``spec.multiply_cycles`` later.
        """
        spec = self.spec
        digits = Cat(multiplier, Const(0, 2 * spec.scale_digits - spec.scale_bits))
        triple = Signal(signed(spec.biased_bits + 2), reset_less=True)
        m.d.sync += triple.eq(biased + (biased << 1))
        single = delay(m, biased, 1, "single")
        total: Value = Const(0, 1)
        done: list[Value] = []
        for k in range(spec.scale_digits):
            digit = delay(m, digits.word_select(k, 2), 1 + k, f"digit{k}")
            multiple = Mux(digit[1], Mux(digit[0], triple, single << 1), Mux(digit[0], single, 0))
            stage = Signal(signed(len(triple) + 1), name=f"stage{k}", reset_less=True)
            m.d.sync += stage.eq(multiple if k == 0 else total + multiple)
            done = [delay(m, bits, 1, f"low{k}_{n}") for n, bits in enumerate(done)]
            total = stage
            if k < spec.scale_digits - 1:
                done.append(stage[:2])
                total = stage[2:].as_signed()
                triple = delay(m, triple, 1, f"triple{k}")
                single = delay(m, single, 1, f"single{k}")
        return Cat(done, total)[: spec.product_bits].as_signed()

    def _multiply_in_dsps(self, m: Module, biased: Value, multiplier: Value) -> Value:
        """Multiply in DSP slices: one product, or two if ``biased`` is wider than WIDE_BITS.

        In the latter case its low and high bits are multiplied separately, and the low product's
        upper part is added to the high one. Operands and result as in ``_multiply``.
        """
        scale = Cat(multiplier, Const(0, 1)).as_signed()
        if self.spec.biased_bits <= WIDE_BITS:
            product = register(m, biased * scale, "scaled")
            return register(m, product[: self.spec.product_bits].as_signed(), "product")
        split = MULT18_BITS - 1
        low = register(m, Cat(biased[:split], Const(0, 1)).as_signed() * scale, "scaled_low")
        high = register(m, biased[split:].as_signed() * scale, "scaled_high")
        total = register(m, high + (low >> split), "product_high")
        done = delay(m, low[:split], 1, "product_low")
        return Cat(done, total)[: self.spec.product_bits].as_signed()

    def _shift(self, m: Module, product: Value, amount: Value) -> tuple[Value, Value, Value]:
        """Build ``product >> amount``, rounded down, in two registered stages.

        product (signed) and amount (the requantisation shift - 1) come in the same cycle. Returns,
        2 cycles later, the result in ``spec.kept_bits`` bits (signed), the condition that it is
        wrong, as it did not fit these after the first stage, and that the product is negative.
        """
        kept = self.spec.kept_bits
        steps = amount[3:]
        shifted = Array(
            Cat(product, product[-1].replicate(kept))[k : k + kept].as_signed()
            if k < len(product)
            else product[-1].replicate(kept).as_signed()
            for k in range(0, 4 * FINE_SHIFTS, FINE_SHIFTS)
        )
        above = Cat(
            product[k + kept - 1 :].any() & ~product[k + kept - 1 :].all()
            if k + kept < len(product)
            else Const(0, 1)
            for k in range(0, 4 * FINE_SHIFTS, FINE_SHIFTS)
        )
        coarse, fine = (Signal(signed(kept), name=n, reset_less=True) for n in ("coarse", "fine"))
        m.d.sync += [
            coarse.eq(shifted[steps]),
            fine.eq(coarse >> delay(m, amount[:3], 1, "fine_amount")),
        ]
        above = delay(m, above, 1, "above")
        wide = delay(m, above.bit_select(delay(m, steps, 1, "steps"), 1), 1, "wide")
        negative = delay(m, product[-1], 2, "sign")
        return fine, wide, negative

    def _round_and_clamp(self, m: Module, halves: Value, wide: Value, negative: Value) -> None:
        """Build clamp(((halves + 1) >> 1) + zero, 0, largest), which is ``code`` 2 cycles later.

        halves, wide, negative: results of ``_shift``, twice the value to round half up. Values too
        wide for the sum give 0 if negative, else ``largest``.
        """
        bits = self.spec.activation_bits
        low = bits + 2
        sign = Signal(reset_less=True)
        saturate = Signal(reset_less=True)
        total = Signal(signed(bits + 4), reset_less=True)
        # One carry chain for (halves + 1 >> 1) + zero, with the lowest bit as its carry in.
        rounded = Cat(Const(1, 1), halves[1:low]).as_signed() + Cat(halves[0], self.zero)
        high = halves[low - 1 :]
        m.d.sync += [
            sign.eq(negative),
            saturate.eq(wide | (high.any() & ~high.all())),
            total.eq(rounded >> 1),
        ]
        below = Mux(saturate, sign, total < 0)
        above = Mux(saturate, ~sign, total > self.largest)
        code = Signal(bits, reset_less=True)
        m.d.sync += code.eq(Mux(below, 0, Mux(above, self.largest, total[:bits])))
        m.d.comb += self.code.eq(code)
