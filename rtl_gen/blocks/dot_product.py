"""Dot product of unsigned activations with one weight digit per lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from rtl_gen.hierarchy import Block

STAGE_PAIRS = 2
"""Lane pairs that one register stage of a chain adds."""
GROUP_PAIRS = 2 * STAGE_PAIRS
"""Lane pairs of one chain: those of its second stage come one cycle late."""


@dataclass(frozen=True)
class DotProductSpec:
    """``sum(activation[n] * digit[n])`` over ``lanes``; golden model and hardware."""

    lanes: int
    activation_bits: int
    digit_bits: int
    multiplier: str = "lut"

    @property
    def result_bits(self) -> int:
        """Signed width that no input can overflow."""
        largest = self.lanes * ((1 << self.activation_bits) - 1) * (1 << self.digit_bits)
        return largest.bit_length() + 1

    @property
    def pairs(self) -> int:
        return (self.lanes + 1) // 2

    @property
    def pair_bits(self) -> int:
        """Width of the sum of a lane pair, unsigned."""
        return self.activation_bits + 1

    @property
    def sum_cycles(self) -> int:
        """From operands to the sums over the lanes."""
        if self.multiplier == "dsp":
            return 1 + (self.lanes - 1).bit_length()
        groups = -(-self.pairs // GROUP_PAIRS)
        return (2 if self.pairs > STAGE_PAIRS else 1) + (groups - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """``sum_cycles``, and in the LUT form the combination of the digit's bit planes."""
        if self.multiplier == "dsp":
            return self.sum_cycles
        return self.sum_cycles + max((self.digit_bits - 1).bit_length(), 1)

    @property
    def sign_offset_cycles(self) -> int:
        """How long after its operands ``digit_signed`` is wanted."""
        return 0 if self.multiplier == "dsp" else self.sum_cycles

    def late(self, lane: int) -> bool:
        """Whether the lane's operands come one cycle later than the others."""
        return self.multiplier == "lut" and lane // 2 % GROUP_PAIRS >= STAGE_PAIRS

    def compute(self, activations: Sequence[int], digits: Sequence[int], digit_signed: bool) -> int:
        """The golden result; digits are raw ``digit_bits``-bit patterns."""
        wrap = 1 << self.digit_bits
        half = wrap >> 1
        return sum(
            a * (w - wrap if digit_signed and w >= half else w)
            for a, w in zip(activations, digits, strict=True)
        )

    def create(self) -> DotProduct:
        return DotProduct(self)


class DotProduct(Block):
    """Function: DotProductSpec.compute of each cycle's inputs.

    ``pair_sums`` holds activation[2k] + activation[2k + 1] of each lane pair (the caller shares
    the additions among its columns). Operands of lanes with ``spec.late`` come one cycle after the
    others, ``digit_signed`` ``spec.sign_offset_cycles`` after them.
    Latency: ``spec.latency_cycles``. Throughput: one result per cycle, no stall.
    Overflow: none, ``result`` holds every sum.

    LUT form, per bit plane of the digits: a lane pair contributes 0, a0, a1 or a0 + a1, chosen by
    its two weight bits. Choice and addition to a running sum take one LUT6 and one carry bit per
    result bit, so chains of pairs cost one LUT per bit and pair; the chains are summed by a tree,
    the planes combined, the top one subtracted when the digit is signed.
    DSP form: one registered product per lane, then one tree.
    """

    def __init__(self, spec: DotProductSpec) -> None:
        self.spec = spec
        self.module_name = (
            f"npu_dot_n{spec.lanes}_a{spec.activation_bits}_d{spec.digit_bits}_{spec.multiplier}"
        )
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                "pair_sums": In(spec.pairs * spec.pair_bits),
                "digits": In(spec.lanes * spec.digit_bits),
                "digit_signed": In(1),
                "result": Out(signed(spec.result_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.spec.multiplier == "dsp":
            m.d.comb += self.result.eq(tree(m, self._products(m), "sum"))
        else:
            planes = [self._plane(m, j) for j in range(self.spec.digit_bits)]
            m.d.comb += self.result.eq(_combine(m, planes, self.digit_signed))
        return m

    def _activation(self, n: int) -> Value:
        return self.activations.word_select(n, self.spec.activation_bits)

    def _digit(self, n: int) -> Value:
        return self.digits.word_select(n, self.spec.digit_bits)

    def _choice(self, pair: int, bit: int) -> Value:
        """What lane pair ``pair`` adds to bit plane ``bit``."""
        low, high = 2 * pair, 2 * pair + 1
        take_low = self._digit(low)[bit]
        if high == self.spec.lanes:
            return Mux(take_low, self._activation(low), 0)
        take_high = self._digit(high)[bit]
        both = self.pair_sums.word_select(pair, self.spec.pair_bits)
        return Mux(
            take_high,
            Mux(take_low, both, self._activation(high)),
            Mux(take_low, self._activation(low), 0),
        )

    def _plane(self, m: Module, bit: int) -> Value:
        """Registered sum of the activations whose digit has ``bit`` set: ``sum_cycles``."""
        sums: list[Value] = []
        for first in range(0, self.spec.pairs, GROUP_PAIRS):
            total: Value = Const(0, 1)
            group = range(first, min(first + GROUP_PAIRS, self.spec.pairs))
            for stage in range(1 + (self.spec.pairs > STAGE_PAIRS)):
                name = f"plane{bit}_group{first // GROUP_PAIRS}_stage{stage}"
                for pair in group[stage * STAGE_PAIRS : (stage + 1) * STAGE_PAIRS]:
                    choice = self._choice(pair, bit)
                    total = choice if pair == first else total + choice
                largest = min(2 * GROUP_PAIRS, self.spec.lanes) * (
                    (1 << self.spec.activation_bits) - 1
                )
                total = register(m, total[: largest.bit_length()], name)
            sums.append(total)
        return tree(m, sums, f"plane{bit}")

    def _products(self, m: Module) -> list[Value]:
        terms: list[Value] = []
        bits = self.spec.activation_bits + self.spec.digit_bits + 2
        for n in range(self.spec.lanes):
            digit = self._digit(n)
            factor = Cat(digit, digit[-1] & self.digit_signed).as_signed()
            product = Signal(signed(bits), name=f"product{n}", reset_less=True)
            m.d.sync += product.eq(Cat(self._activation(n), Const(0, 1)).as_signed() * factor)
            terms.append(product)
        return terms


def register(m: Module, value: Value, name: str) -> Signal:
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def tree(m: Module, terms: list[Value], name: str) -> Value:
    """Sum by a binary tree with a register after every level: ceil(log2(terms)) cycles."""
    level = 0
    while len(terms) > 1:
        sums: list[Value] = [
            register(m, terms[k] + terms[k + 1], f"{name}_level{level}_{k // 2}")
            for k in range(0, len(terms) - 1, 2)
        ]
        if len(terms) % 2:
            sums.append(register(m, terms[-1], f"{name}_level{level}_{len(sums)}"))
        terms, level = sums, level + 1
    return terms[0]


def _add_or_subtract(low: Value, high: Value, negate: Value) -> Value:
    """``low + high`` or, with ``negate``, ``low - high``: one carry chain.

    The xor merges into the adder's LUTs; an extra lowest bit makes the carry in.
    """
    width = max(len(low), len(high)) + 2
    operand = Cat(low, Const(0, width - len(low)))
    flipped = Cat(high, Const(0, width - len(high))) ^ negate.replicate(width)
    total = Cat(Const(1, 1), operand) + Cat(negate, flipped)
    return total[1 : width + 1].as_signed()


def _combine(m: Module, planes: list[Value], negate: Value) -> Value:
    """``sum(plane[j] << j)``, the top plane subtracted when ``negate``.

    Takes max(ceil(log2(planes)), 1) cycles.
    """
    if len(planes) == 1:
        return register(m, _add_or_subtract(Const(0, 1), planes[0], negate), "signed_plane")
    shift, level = 1, 0
    while len(planes) > 1:
        sums: list[Value] = []
        for k in range(0, len(planes), 2):
            low, high = planes[k], planes[k + 1]
            if level == 0 and k + 2 == len(planes):
                part = _add_or_subtract(low[shift:], high, negate)
            else:
                part = high + low[shift:]
            total = Cat(low[:shift], part)
            if part.shape().signed:
                total = total.as_signed()
            sums.append(register(m, total, f"combine{level}_{k // 2}"))
        planes, shift, level = sums, shift * 2, level + 1
    return planes[0]
