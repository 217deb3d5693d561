"""Lane selection for N:M sparsity: picks the activations that the stored weights multiply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.dot_product import pair_bits
from rtl_gen.blocks.hierarchy import Block


@dataclass(frozen=True)
class SelectionSpec:
    """Specification and golden model of the lane selection: ``kept`` slots per ``group`` of lanes.

    A slot is a multiplier input. Slot k of a group takes one of the lanes k .. k + group - kept: if
    the ``kept`` lanes with a weight are in rising order, the k-th one is always among these. Fewer
    choices do not suffice, as any group - kept lanes may have no weight.
    """

    lanes: int
    activation_bits: int
    kept: int
    group: int

    @property
    def slots(self) -> int:
        return self.lanes // self.group * self.kept

    @property
    def index_bits(self) -> int:
        return (self.group - self.kept).bit_length()

    @property
    def pairs(self) -> int:
        return (self.slots + 1) // 2

    @property
    def pair_bits(self) -> int:
        return pair_bits(self.activation_bits)

    def choices(self, slot: int) -> range:
        """Return the lanes that ``slot``, 0..slots - 1, takes by its index 0..group - kept."""
        first = slot // self.kept * self.group + slot % self.kept
        return range(first, first + self.group - self.kept + 1)

    def compute(self, activations: Sequence[int], indices: Sequence[int]) -> list[int]:
        """Return the golden result: for each slot the activation of the lane that its index takes.

        activations: one per lane; indices: one per slot, larger ones take the slot's last lane.
        """
        choices = [self.choices(slot) for slot in range(self.slots)]
        return [
            activations[lanes[min(index, len(lanes) - 1)]]
            for lanes, index in zip(choices, indices, strict=True)
        ]

    def create(self) -> Selection:
        return Selection(self)


class Selection(Block):
    """Function: SelectionSpec.compute of each cycle's inputs, and the sums of neighbouring slots
    where dot products take them (not for 1-bit activations): ``pair_sums`` k of slots 2k, 2k + 1.

    Latency: 1 cycle. Throughput: one word per cycle, no stall. Overflow: none.

    One of four activations is one LUT6 a bit, one of five two; the sum of a pair takes one LUT a
    bit more, as it does where all columns share it.
    """

    def __init__(self, spec: SelectionSpec) -> None:
        self.spec = spec
        self.module_name = "npu_selection"
        super().__init__(
            {
                "activations": In(spec.lanes * spec.activation_bits),
                "indices": In(spec.slots * spec.index_bits),
                "selected": Out(spec.slots * spec.activation_bits),
                **({"pair_sums": Out(spec.pairs * spec.pair_bits)} if spec.pair_bits else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec
        chosen = [self._slot(slot) for slot in range(spec.slots)]
        m.d.comb += self.selected.eq(delay(m, Cat(chosen), 1, "chosen"))
        if spec.pair_bits:
            sums = []
            for k in range(0, spec.slots, 2):
                total = sum(chosen[k + 1 : k + 2], chosen[k])
                sums.append(Cat(total, Const(0, spec.pair_bits - len(total))))
            m.d.comb += self.pair_sums.eq(delay(m, Cat(sums), 1, "sums"))
        return m

    def _slot(self, slot: int) -> Value:
        bits = self.spec.activation_bits
        lanes = [self.activations.word_select(n, bits) for n in self.spec.choices(slot)]
        return _choose(lanes, self.indices.word_select(slot, self.spec.index_bits))


def _choose(values: Sequence[Value], index: Value) -> Value:
    """Return values[min(index, len(values) - 1)] as a tree of multiplexers.

    values: 2**n or 2**n + 1 of them; index: of just the bits that they need.
    """
    if len(values) == 1:
        return values[0]
    half = 1 << (len(index) - 1)
    return Mux(index[-1], _choose(values[half:], index[:-1]), _choose(values[:half], index[:-1]))
