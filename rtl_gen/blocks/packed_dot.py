"""Dot products of several array cells in one chain of shared multipliers (rtl_gen.packing)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.dot_product import register, tree
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.packing import CHAIN_LANES, STAGE_LANES, Packing


@dataclass(frozen=True)
class PackedDotSpec:
    """Specification and golden model of the dot products that share one chain of multipliers.

    For each pixel and column of ``packing``: sum((activation[n] - activation_offset) * digit[n])
    over ``lanes``.
    """

    lanes: int
    packing: Packing

    @property
    def result_bits(self) -> int:
        """Width of a result in bits, sign included, which no input of the packing can overflow."""
        return self.packing.sum_bits(self.lanes)

    @property
    def groups(self) -> range:
        """First lane of each group of up to ``packing.group_lanes``, whose sum fits one field."""
        return range(0, self.lanes, self.packing.group_lanes)

    @property
    def stages(self) -> int:
        return 2 if self.lanes > STAGE_LANES else 1

    @property
    def chains(self) -> int:
        return -(-self.lanes // CHAIN_LANES)

    @property
    def latency_cycles(self) -> int:
        """Cycles from operands to results: product, stages of a chain, tree over the groups."""
        return 1 + self.stages + (len(self.groups) - 1).bit_length()

    def late(self, lane: int) -> bool:
        """Return True if the lane's operands must come one cycle after those of other lanes."""
        return lane % CHAIN_LANES >= STAGE_LANES

    def compute(
        self,
        activations: Sequence[Sequence[int]],
        digits: Sequence[Sequence[int]],
        digit_signed: bool,
    ) -> list[int]:
        """Return the golden results, one per column and pixel, pixels innermost.

        activations: codes (pixels, lanes); digits: raw patterns (columns, lanes). digit_signed:
        True if the digits are two's complement, as whole weights always are, whatever it says.
        """
        wrap = 1 << self.packing.digit_bits
        negative = digit_signed or self.packing.always_signed
        offset = self.packing.activation_offset
        values = [[w - wrap if negative and 2 * w >= wrap else w for w in row] for row in digits]
        return [
            sum((a - offset) * w for a, w in zip(pixel, column, strict=True))
            for column in values
            for pixel in activations
        ]

    def create(self) -> PackedDot:
        return PackedDot(self)


class PackedDot(Block):
    """Function: PackedDotSpec.compute of each cycle's operands, packed by the caller.

    ``wide`` and ``narrow`` hold Packing.wide and Packing.narrow of each lane, those of lanes with
    ``spec.late`` one cycle after the others; ``starts`` Packing.start of each group and pixel, one
    cycle after the operands of the group's first lane, pixels innermost. ``results`` packs one
    result a field, field 0 lowest. Latency: ``spec.latency_cycles``, from the operands of lanes
    that are not late. Throughput: one result a field per cycle, no stall.
    Overflow: none, each result holds every sum.

    A lane is one multiplier. The products of a chain are added in the DSP slices (on a Xilinx
    device), two a register stage. Behind each group the lower fields leave the chain, to be summed
    by trees; the top field goes on, as it has room.
    """

    keep_hierarchy = True

    def __init__(self, spec: PackedDotSpec) -> None:
        self.spec = spec
        packing = spec.packing
        self.module_name = (
            f"npu_packed_dot_n{spec.lanes}_a{packing.activation_bits}_d{packing.digit_bits}"
            f"_p{packing.pixels}"
        )
        super().__init__(
            {
                "wide": In(spec.lanes * packing.wide_bits),
                "narrow": In(spec.lanes * packing.narrow_bits),
                "starts": In(len(spec.groups) * packing.pixels * packing.start_bits),
                "results": Out(packing.fields * spec.result_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, fields = self.spec, self.spec.packing.fields
        products = [self._product(m, lane) for lane in range(spec.lanes)]
        leaves: list[list[Value]] = [[] for _ in range(fields)]
        for first in range(0, spec.lanes, CHAIN_LANES):
            self._chain(m, first, products[first : first + CHAIN_LANES], leaves)
        behind = (len(spec.groups) - 1).bit_length() - (spec.chains - 1).bit_length()
        for f, terms in enumerate(leaves):
            total = tree(m, terms, f"sum{f}")
            if f == fields - 1:
                total = delay(m, total, behind, "top_sum")
            m.d.comb += self.results.word_select(f, spec.result_bits).eq(total)
        return m

    def _product(self, m: Module, lane: int) -> Value:
        packing = self.spec.packing
        wide = self.wide.word_select(lane, packing.wide_bits).as_signed()
        narrow = Cat(
            self.narrow.word_select(lane, packing.narrow_bits),
            Const(0, 0 if packing.centred else 1),
        )
        return register(m, wide * narrow.as_signed(), f"product{lane}")

    def _start(self, lane: int, top: Value) -> Value:
        """Return the initial value of all fields for the group whose first lane is ``lane``.

        Lower fields start at half a field, those of the first column less what the packing of its
        digits adds; the top field continues from ``top``, its sum over the chain's groups before
        (0 for the first). If centred, ``top`` is not used: a group is a whole chain.
        """
        packing = self.spec.packing
        starts = packing.pixels * packing.start_bits
        half = Const(1 << (packing.field_bits - 1), packing.field_bits)
        middle = [half] * (packing.fields - 1 - packing.pixels)
        first = self.starts.word_select(lane // packing.group_lanes, starts)
        if packing.centred:  # a group is a whole chain, so the top field starts at 0
            return Cat(first, Const(0, 1)).as_signed()
        return Cat(first, *middle, top).as_signed()

    def _chain(
        self, m: Module, first: int, products: list[Value], leaves: list[list[Value]]
    ) -> None:
        """Build the chain that sums ``products``, those of the lanes from ``first`` on.

        Appends to ``leaves[f]`` what field f sums up to, all at the same time, ``spec.stages``
        cycles after the products of lanes that are not late: for the top field one sum over the
        chain, for each other one a sum per group.
        """
        spec, packing = self.spec, self.spec.packing
        k, low = packing.field_bits, (packing.fields - 1) * packing.field_bits
        total: Value = self._start(first, Const(0, 1))
        for stage in range(0, len(products), STAGE_LANES):
            lane, end = first + stage, stage + STAGE_LANES
            for product in products[stage:end]:
                total = total + product
            total = register(m, total[: low + spec.result_bits].as_signed(), f"stage{lane}")
            top = total[low:].as_signed()
            last = end >= len(products)
            early = spec.stages - 1 - stage // STAGE_LANES
            if last:
                leaves[-1].append(delay(m, top, early, f"top{lane}"))
            if last or end % packing.group_lanes == 0:
                for f in range(packing.fields - 1):
                    field = total.word_select(f, k)  # above half a field: flip its top bit
                    value = Cat(field[:-1], ~field[-1]).as_signed()
                    leaves[f].append(delay(m, value, early, f"field{lane}_{f}"))
                if not last:
                    total = self._start(first + end, top)
