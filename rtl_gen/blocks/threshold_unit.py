"""Threshold unit: a post unit that finds a code by comparing an accumulator with thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class ThresholdUnitSpec:
    """Specification and golden model of a threshold unit (docs/explanation/npu.md)."""

    accumulator_bits: int
    activation_bits: int

    @staticmethod
    def of(config: NpuConfig) -> ThresholdUnitSpec:
        """Return the specification of ``config``'s post units."""
        return ThresholdUnitSpec(config.accumulator_bits, config.activation_bits)

    @property
    def thresholds(self) -> int:
        """Number of thresholds: one for each code but 0."""
        return (1 << self.activation_bits) - 1

    @property
    def bias_column(self) -> int:
        """Index of the middle threshold, which comes first and stands for the bias if raw."""
        return self.thresholds // 2

    @property
    def latency_cycles(self) -> int:
        """Cycles from accumulator to code: one for each bit."""
        return self.activation_bits

    @property
    def biased_bits(self) -> int:
        return self.accumulator_bits + 1

    def level(self, column: int) -> int:
        """Return how many cycles after the accumulator a threshold is compared, by its index.

        The middle one decides on the code's top bit, 0 cycles after; the next bit takes those in
        the middle of the halves, 1 cycle after, and so on.
        """
        code = column + 1
        return self.activation_bits - (code & -code).bit_length()

    def compute(self, accumulator: int, offsets: Sequence[int]) -> int:
        """Return the golden output code, for one accumulator: a binary search.

        offsets: the negated thresholds, from that of code 1 on. If thresholds do not fall, it is
        the number of them that the accumulator reaches.
        """
        code = 0
        for bit in reversed(range(self.activation_bits)):
            higher = code | 1 << bit
            code = higher if accumulator + offsets[higher - 1] >= 0 else code
        return code

    def create(self) -> ThresholdUnit:
        return ThresholdUnit(self)


class ThresholdUnit(Block):
    """Function: ThresholdUnitSpec.compute; ``biased`` is accumulator + ``offset`` of the middle
    threshold, one cycle after the inputs.

    ``offset`` k is the negated threshold of code k + 1; it comes ``spec.level(k)`` cycles after the
    accumulator, as each cycle finds one bit and chooses among the thresholds by those found before.
    Latency: ``spec.latency_cycles`` to ``code``. Throughput: one result per cycle. Overflow: none,
    sums have a bit more.
    """

    def __init__(self, spec: ThresholdUnitSpec) -> None:
        self.spec = spec
        self.module_name = "npu_threshold_unit"
        super().__init__(
            {
                "accumulator": In(signed(spec.accumulator_bits)),
                **{f"offset{k}": In(signed(spec.accumulator_bits)) for k in range(spec.thresholds)},
                "biased": Out(signed(spec.biased_bits)),
                "code": Out(spec.activation_bits),
            }
        )

    def connect(self, m: Module, words: Sequence[Value], post: Block) -> None:
        """Connect ``words``, the unit's columns of the channel table at their levels' time."""
        for k, word in enumerate(words):
            m.d.comb += getattr(self, f"offset{k}").eq(word)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        accumulator: Value = self.accumulator
        found = Cat()
        for level in range(spec.activation_bits):
            total = Signal(signed(spec.biased_bits), name=f"total{level}", reset_less=True)
            m.d.sync += total.eq(accumulator + self._offset(m, level, found))
            if level == 0:
                m.d.comb += self.biased.eq(total)
            before = [delay(m, found, 1, f"found{level}")] if level else []
            found = Cat(~total[-1], *before)
            if level < spec.activation_bits - 1:
                accumulator = delay(m, accumulator, 1, f"accumulator{level}")
        m.d.comb += self.code.eq(found)
        return m

    def _offset(self, m: Module, level: int, found: Value) -> Value:
        """Return the negated threshold of a level that ``found`` chooses: the bits found before.

        Its name stands behind that of the accumulator, so that Yosys lets the accumulator bypass
        the LUTs to the carry chain, which leaves these room for the choice (docs/explanation/
        npu.md: which operand passes the LUT).
        """
        half = 1 << (self.spec.activation_bits - 1 - level)
        choice = Signal(signed(self.spec.accumulator_bits), name=f"offset_level{level}")
        with m.Switch(found):
            for top in range(1 << level):
                with m.Case(top):
                    column = 2 * half * top + half - 1
                    m.d.comb += choice.eq(getattr(self, f"offset{column}"))
        return choice
