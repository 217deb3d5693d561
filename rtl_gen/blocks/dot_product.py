"""Dot product of unsigned activations with one weight digit per lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from rtl_gen.hierarchy import Block


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
    def lane_levels(self) -> int:
        """Levels of the binary tree over the lanes."""
        return (self.lanes - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """Tree levels over the lanes, then over the digit's bit planes (or the product register)."""
        if self.multiplier == "dsp":
            return 1 + self.lane_levels
        return self.lane_levels + max((self.digit_bits - 1).bit_length(), 1)

    @property
    def sign_offset_cycles(self) -> int:
        """How long after its operands ``digit_signed`` is wanted."""
        return 0 if self.multiplier == "dsp" else self.lane_levels

    def compute(
        self, activations: Sequence[int], digits: Sequence[int], digit_signed: bool
    ) -> int:
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

    Latency: ``spec.latency_cycles``. Throughput: one result per cycle, no stall.
    Overflow: none, ``result`` holds every sum. ``digit_signed`` comes ``spec.sign_offset_cycles``
    after its operands, so that all instances share one delay line.

    LUT form: the activations gated by each bit of the digits are added in one registered tree per
    bit plane (all carry chains); the planes are then combined, the top one subtracted when the
    digit is signed. DSP form: one registered product per lane, then one tree.
    """

    def __init__(self, spec: DotProductSpec) -> None:
        self.spec = spec
        self.module_name = (
            f"npu_dot_n{spec.lanes}_a{spec.activation_bits}_d{spec.digit_bits}_{spec.multiplier}"
        )
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                "digits": In(spec.lanes * spec.digit_bits),
                "digit_signed": In(1),
                "result": Out(signed(spec.result_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.spec.multiplier == "dsp":
            terms = self._products(m)
            m.d.comb += self.result.eq(_tree(m, terms, "sum"))
        else:
            planes = [self._plane(m, j) for j in range(self.spec.digit_bits)]
            m.d.comb += self.result.eq(_combine(m, planes, self.digit_signed))
        return m

    def _lane(self, n: int) -> tuple[Value, Value]:
        a, d = self.spec.activation_bits, self.spec.digit_bits
        return self.activations[n * a : (n + 1) * a], self.digits[n * d : (n + 1) * d]

    def _plane(self, m: Module, bit: int) -> Value:
        """Registered sum of the activations whose digit has ``bit`` set."""
        gated = []
        for n in range(self.spec.lanes):
            activation, digit = self._lane(n)
            gated.append(activation & digit[bit].replicate(self.spec.activation_bits))
        return _tree(m, gated, f"plane{bit}")

    def _products(self, m: Module) -> list[Value]:
        terms: list[Value] = []
        for n in range(self.spec.lanes):
            activation, digit = self._lane(n)
            factor = Cat(digit, digit[-1] & self.digit_signed).as_signed()
            product = Signal(
                signed(self.spec.activation_bits + self.spec.digit_bits + 2),
                name=f"product{n}",
                reset_less=True,
            )
            m.d.sync += product.eq(Cat(activation, 0).as_signed() * factor)
            terms.append(product)
        return terms


def _register(m: Module, value: Value, name: str) -> Signal:
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _tree(m: Module, terms: list[Value], name: str) -> Value:
    """Sum by a binary tree with a register after every level: ceil(log2(terms)) cycles."""
    level = 0
    while len(terms) > 1:
        sums: list[Value] = [
            _register(m, terms[k] + terms[k + 1], f"{name}_level{level}_{k // 2}")
            for k in range(0, len(terms) - 1, 2)
        ]
        if len(terms) % 2:
            sums.append(_register(m, terms[-1], f"{name}_level{level}_{len(sums)}"))
        terms, level = sums, level + 1
    return terms[0]


def _combine(m: Module, planes: list[Value], negate: Value) -> Value:
    """``sum(plane[j] << j)``, the top plane subtracted when ``negate``; max(log2(planes), 1) cycles."""
    if len(planes) == 1:
        return _register(m, Mux(negate, -planes[0], planes[0]), "signed_plane")
    shift, level = 1, 0
    while len(planes) > 1:
        sums: list[Value] = []
        for k in range(0, len(planes), 2):
            low, high = planes[k], planes[k + 1] << shift
            if k + 2 == len(planes) and level == 0:
                # low + (high ^ negate) + negate: one carry chain, the xor merges into its LUTs.
                flipped = (high ^ negate.replicate(len(high) + 1).as_signed()).as_signed()
                total = low + flipped + negate
                total = total[: len(high) + 2].as_signed()
            else:
                total = low + high
            sums.append(_register(m, total, f"combine{level}_{k // 2}"))
        planes, shift, level = sums, shift * 2, level + 1
    return planes[0]
