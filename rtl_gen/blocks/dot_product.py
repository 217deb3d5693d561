"""Dot product of unsigned activations with one weight digit per lane, in LUTs or DSP slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.hierarchy import Block

STAGE_PAIRS = 2
"""Lane pairs that one register stage of a chain adds (of 1-bit codes the first: COUNTED_LANES). A
chain has up to two stages; operands of the second one arrive one cycle later."""
COUNTED_LANES = 3
"""Most 1-bit activations that the first stage of a chain counts, in two LUTs."""


def pair_bits(activation_bits: int) -> int:
    """Return the width in bits of two lanes' unsigned sum; 0 for 1-bit codes, which need none."""
    return activation_bits + 1 if activation_bits > 1 else 0


@dataclass(frozen=True)
class DotProductSpec:
    """Specification and golden model of a dot product: sum(activation[n] * digit[n]) over lanes."""

    lanes: int
    activation_bits: int
    digit_bits: int
    multiplier: str = "lut"

    @property
    def unsigned(self) -> bool:
        """True if digits count as unsigned here: 1-bit digits multiplied in LUTs.

        Their sign would cost an adder here and costs nothing in the accumulator
        (rtl_gen.blocks.accumulators)."""
        return self.multiplier == "lut" and self.digit_bits == 1

    @property
    def result_bits(self) -> int:
        """Width of the result in bits, sign included, which no input can overflow."""
        largest = self.lanes * ((1 << self.activation_bits) - 1) * (1 << self.digit_bits)
        return largest.bit_length() + 1

    @property
    def pairs(self) -> int:
        return (self.lanes + 1) // 2

    @property
    def pair_bits(self) -> int:
        return pair_bits(self.activation_bits)

    @property
    def stage_lanes(self) -> int:
        """Most lanes in the first register stage of a chain, in LUTs; the second has at most 4."""
        return COUNTED_LANES if self.activation_bits == 1 else 2 * STAGE_PAIRS

    @property
    def chains(self) -> list[range]:
        """Successive lanes of each chain, in LUTs; every bit plane of the digits has the same."""
        size = self.stage_lanes + 2 * STAGE_PAIRS
        return [range(first, min(first + size, self.lanes)) for first in range(0, self.lanes, size)]

    @property
    def stages(self) -> int:
        """Register stages of each chain, in LUTs: 1 if all lanes fit the first one, else 2."""
        return 2 if self.lanes > self.stage_lanes else 1

    @property
    def sum_cycles(self) -> int:
        """Cycles from operands (of lanes not ``late``) to the sums over lanes (of each plane)."""
        if self.multiplier == "dsp":
            return 1 + (self.lanes - 1).bit_length()
        return self.stages + (len(self.chains) - 1).bit_length()

    @property
    def latency_cycles(self) -> int:
        """Cycles from operands to result: ``sum_cycles``, in LUTs also combining the bit planes."""
        if self.multiplier == "dsp":
            return self.sum_cycles
        return self.sum_cycles + (self.digit_bits - 1).bit_length()

    @property
    def sign_offset_cycles(self) -> int:
        """Cycles by which ``digit_signed`` must follow the operands of lanes not ``late``."""
        return 0 if self.multiplier == "dsp" else self.sum_cycles

    def late(self, lane: int) -> bool:
        """Return True if the lane's operands must come one cycle after those of other lanes."""
        size = self.stage_lanes + 2 * STAGE_PAIRS
        return self.multiplier == "lut" and lane % size >= self.stage_lanes

    def compute(self, activations: Sequence[int], digits: Sequence[int], digit_signed: bool) -> int:
        """Return the golden result of one activation code and one raw digit per lane.

        Digits are two's complement if ``digit_signed``, unless ``unsigned`` holds."""
        wrap = 1 << self.digit_bits
        half = wrap >> 1
        digit_signed = digit_signed and not self.unsigned
        return sum(
            a * (w - wrap if digit_signed and w >= half else w)
            for a, w in zip(activations, digits, strict=True)
        )

    def create(self) -> DotProduct:
        return DotProduct(self)


class DotProduct(Block):
    """Function: DotProductSpec.compute of each cycle's inputs.

    ``pair_sums`` holds activation[2k] + activation[2k + 1] of each lane pair (the caller shares its
    additions). Operands of lanes with ``spec.late``, their pair sums too, come one cycle after the
    others, ``digit_signed`` ``spec.sign_offset_cycles`` after the latter; ``spec.latency_cycles``
    from the latter is the latency. Throughput: one result per cycle, no stall. Overflow: none.

    LUT form, per bit plane of the digits: a lane pair contributes 0, a0, a1 or a0 + a1, chosen by
    its two weight bits. Choice and addition to a running sum take one LUT6 and one carry bit per
    result bit, so chains of pairs cost one LUT per bit and pair; the chains are summed by a tree,
    the planes combined, the top one subtracted when the digit is signed. Chains of 1-bit
    activations begin with three counted in two LUTs. DSP form: registered products, then a tree.
    """

    keep_hierarchy = True

    def __init__(self, spec: DotProductSpec) -> None:
        self.spec = spec
        self.module_name = (
            f"npu_dot_n{spec.lanes}_a{spec.activation_bits}_d{spec.digit_bits}_{spec.multiplier}"
        )
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                **({"pair_sums": In(spec.pairs * spec.pair_bits)} if spec.pair_bits else {}),
                "digits": In(spec.lanes * spec.digit_bits),
                **({} if spec.unsigned else {"digit_signed": In(1)}),
                "result": Out(signed(spec.result_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.spec.multiplier == "dsp":
            m.d.comb += self.result.eq(tree(m, self._products(m), "sum"))
        else:
            planes = [self._plane(m, j) for j in range(self.spec.digit_bits)]
            sign = None if self.spec.unsigned else self.digit_signed
            m.d.comb += self.result.eq(combine(m, planes, sign))
        return m

    def _activation(self, n: int) -> Value:
        return self.activations.word_select(n, self.spec.activation_bits)

    def _digit(self, n: int) -> Value:
        return self.digits.word_select(n, self.spec.digit_bits)

    def _plane(self, m: Module, bit: int) -> Value:
        """Return the sum of activations whose digit has ``bit`` set, ``spec.sum_cycles`` later."""
        sums: list[Value] = [
            self._chain(m, lanes, bit, f"plane{bit}_group{k}")
            for k, lanes in enumerate(self.spec.chains)
        ]
        return tree(m, sums, f"plane{bit}")

    def _chain(self, m: Module, lanes: range, bit: int, name: str) -> Value:
        """Return the sum of what a chain's ``lanes`` add to plane ``bit``, ``spec.stages`` later.

        Yosys orders the operands of an addition: narrower ones first, then those that come first in
        the file, where nets are sorted by name. The first operand bypasses the LUT to the carry
        chain. It must be the running sum, as a choice (the selected value of a lane pair) would
        take LUTs of its own there. So choices are extended to the width of the sums by ones, which
        the initial value of the chain cancels, and their names sort behind those of the sums. The
        ``keep`` attribute stops Yosys from merging several additions into one carry-save adder,
        which takes more LUTs. Of three lanes the last one comes first, as its gates take fewer
        LUTs.
        """
        spec, here = self.spec, self.spec.stage_lanes
        most = (1 << spec.activation_bits) - 1
        bits, size = (len(lanes) * most).bit_length(), (2 * most).bit_length()
        if spec.activation_bits == 1:
            head, links = self._count(lanes[:here], bit), [range(0), lanes[here::2]]
        else:
            head = self._choice(m, lanes[:2], bit, f"{name}_chosen{lanes[0]}")
            links = [lanes[2:here:2], lanes[here::2]]
        label = "alone" if spec.activation_bits > 1 and len(lanes) == 3 else "chosen"
        start = sum(map(len, links)) << size
        total: Value = Cat(head, Const(start >> len(head), bits))[:bits]
        for stage in range(spec.stages):
            for low in links[stage]:
                pair = range(low, min(low + 2, lanes.stop))
                choice = self._choice(m, pair, bit, f"{name}_{label}{low}")
                added = Signal(bits, name=f"{name}_added{low}", attrs={"keep": 1})
                m.d.comb += added.eq(total + Cat(choice, Const(-1, bits))[:bits])
                total = added
            total = register(m, total, f"{name}_after{stage}")
        return total

    def _count(self, lanes: range, bit: int) -> Value:
        """Return, in 2 bits, how many of 1..COUNTED_LANES lanes have activation and digit bit 1."""
        taken = [self._activation(n)[0] & self._digit(n)[bit] for n in lanes]
        a, b, c = (*taken, Const(0), Const(0))[:COUNTED_LANES]
        return Cat(a ^ b ^ c, a & b | a & c | b & c)

    def _choice(self, m: Module, lanes: range, bit: int, name: str) -> Value:
        """Return what 2 lanes, or a last one alone, add to plane ``bit``: 0, one or both codes."""
        low, high = lanes[0], lanes[-1]
        size = self.spec.activation_bits + 1
        choice = Signal(size, name=name)
        with m.Switch(Cat(self._digit(n)[bit] for n in lanes)):
            with m.Case(0):
                m.d.comb += choice.eq(0)
            with m.Case(1):
                m.d.comb += choice.eq(self._activation(low))
            if high > low:
                with m.Case(2):
                    m.d.comb += choice.eq(self._activation(high))
                with m.Default():
                    m.d.comb += choice.eq(self._both(low, high))
        return choice

    def _both(self, low: int, high: int) -> Value:
        """Return the sum of a pair's two codes: from ``pair_sums``, or of 1-bit codes made here."""
        if self.spec.pair_bits:
            return self.pair_sums.word_select(low // 2, self.spec.pair_bits)
        a, b = self._activation(low), self._activation(high)
        return Cat(a ^ b, a & b)

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
    """Return a register ``name``, without reset, that holds ``value`` of the cycle before."""
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def tree(m: Module, terms: list[Value], name: str) -> Value:
    """Return the sum over a binary adder tree, registered after every level; a lone term as it is.

    Latency: ceil(log2(len(terms))) cycles. terms: at least one. name: prefix of the registers.
    """
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
    """Return ``low + high`` or, with ``negate``, ``low - high``, signed, in one carry chain.

    Both operands must be unsigned. The xor merges into the adder's LUTs; an extra lowest bit
    provides the carry in.
    """
    width = max(len(low), len(high)) + 2
    operand = Cat(low, Const(0, width - len(low)))
    flipped = Cat(high, Const(0, width - len(high))) ^ negate.replicate(width)
    total = Cat(Const(1, 1), operand) + Cat(negate, flipped)
    return total[1 : width + 1].as_signed()


def combine(m: Module, planes: list[Value], negate: Value | None = None) -> Value:
    """Return ``sum(plane[j] << j)``, the top one of several planes subtracted if ``negate``.

    The planes, the lowest first, are a power of two in number and unsigned; ``negate`` comes in
    their cycle, and has no effect on a single plane. Latency: log2(len(planes)) cycles.
    """
    shift, level = 1, 0
    while len(planes) > 1:
        sums: list[Value] = []
        for k in range(0, len(planes), 2):
            low, high = planes[k], planes[k + 1]
            if negate is not None and level == 0 and k + 2 == len(planes):
                part = _add_or_subtract(low[shift:], high, negate)
            else:
                part = high + low[shift:]
            total = Cat(low[:shift], part)
            if part.shape().signed:
                total = total.as_signed()
            sums.append(register(m, total, f"combine{level}_{k // 2}"))
        planes, shift, level = sums, shift * 2, level + 1
    return planes[0]
