"""MAC array whose cells share DSP slices: two columns, of one pixel or of two (rtl_gen.packing)."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.accumulators import accumulate
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.dot_product import register
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.mac_array import MacArray, packed_dot_spec
from rtl_gen.blocks.packed_dot import PackedDotSpec
from rtl_gen.config import NpuConfig
from rtl_gen.packing import COLUMNS, STAGE_LANES


def _spec(config: NpuConfig) -> PackedDotSpec:
    spec = packed_dot_spec(config)
    assert spec, config.multiplier
    return spec


class PackedCell(Block):
    """Function: for each field of the operands,
    ``accumulator = partial + (0 if clear else accumulator << (d if shift else 0))``.

    ``partial`` is the field's dot product, d the width of a digit. ``accumulators`` has one per
    field, field 0 lowest, of column k / pixels (rounded down) and pixel k % pixels of the cell for
    field k. Latency: ``spec.latency_cycles`` + 1. Throughput: one step per cycle; without
    ``enable`` the accumulators hold. Overflow: wraps (the compiler proves that it cannot happen).
    enable, clear and shift come ``spec.latency_cycles`` - 1 after the operands (of lanes that are
    not late), ``starts`` as in PackedDot.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.spec = _spec(config)
        self.module_name = f"npu_packed_cell_w{config.accumulator_bits}"
        packing, groups = self.spec.packing, len(self.spec.groups)
        super().__init__(
            {
                "wide": In(config.lanes * packing.wide_bits),
                "narrow": In(config.lanes * packing.narrow_bits),  # late lanes: one cycle later
                "starts": In(groups * packing.pixels * packing.start_bits),
                "enable": In(1),
                "clear": In(1),
                "shift": In(1),
                "accumulators": Out(packing.fields * config.accumulator_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dot = self.spec.create()
        instantiate(m, platform, "dot", dot)
        m.d.comb += [getattr(dot, n).eq(getattr(self, n)) for n in ("wide", "narrow", "starts")]
        partials = [
            dot.results.word_select(f, self.spec.result_bits).as_signed()
            for f in range(self.spec.packing.fields)
        ]
        found = accumulate(m, self.config, partials, self.enable, self.clear, self.shift)
        m.d.comb += self.accumulators.eq(Cat(found))
        return m


class PackedArray(MacArray):
    """Function: PackedCell for every (pixels of one packing, pair of columns); ports, latency and
    result are those of MacArray.

    What the cells share is made here once: the operands with the digits (per pair of columns, for
    all pixels) and where the first column's sums start (per pixel, for all columns).
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, spec = self.config, _spec(self.config)
        pixels, width = spec.packing.pixels, config.accumulator_bits
        controls = self._controls(m, spec.latency_cycles)
        wide = [self._wide(m, c) for c in range(0, config.columns, COLUMNS)]
        for p in range(0, config.pixels, pixels):
            operands = self._narrow(m, range(p, p + pixels))
            for pair, digits in enumerate(wide):
                cell = PackedCell(config)
                inputs = {"wide": digits, **operands, **controls}
                instantiate(m, platform, f"cell_p{p}_c{COLUMNS * pair}", cell, **inputs)
                for f in range(spec.packing.fields):
                    column, pixel = divmod(f, pixels)
                    index = (p + pixel) * config.columns + COLUMNS * pair + column
                    m.d.comb += self.accumulators.word_select(index, width).eq(
                        cell.accumulators.word_select(f, width)
                    )
        return m

    def _packed_lane(self, m: Module, value: Value, lane: int, name: str) -> Value:
        return delay(m, value, 1 + _spec(self.config).late(lane), name)

    def _wide(self, m: Module, column: int) -> Value:
        """Return Packing.wide of every lane, lane 0 lowest, for ``column`` and the next one.

        One cycle after the inputs, late lanes two.
        """
        config, packing = self.config, _spec(self.config).packing
        d, found = config.weight_digit_bits, []
        for n in range(config.lanes):
            low, top = (
                self.digits.word_select((column + c) * config.lanes + n, d) for c in range(COLUMNS)
            )
            negative = Const(1) if packing.always_signed else self.digit_signed
            flipped = Cat(low[:-1], low[-1] ^ negative)
            signed_top = top if packing.always_signed else Cat(top, top[-1] & negative)
            # A register per digit; the zeros between the digits need none.
            name = f"c{column}_n{n}"
            first = self._packed_lane(m, flipped, n, f"low_{name}")
            second = self._packed_lane(m, signed_top, n, f"top_{name}")
            gap = packing.wide_bits - packing.top_bits - d
            found.append(Cat(first, Const(0, gap), second))
        return Cat(found)

    def _narrow(self, m: Module, pixels: range) -> dict[str, Value]:
        """Return ``narrow`` and ``starts``, the activation inputs of the cells of ``pixels``.

        pixels: those that share multipliers. The former comes one cycle after the inputs, late
        lanes two; for the latter see ``_start``.
        """
        config, spec = self.config, _spec(self.config)
        a, packing = config.activation_bits, spec.packing
        words = [self.activations.word_select(p, config.activation_word_bits) for p in pixels]
        narrow = []
        for n in range(config.lanes):
            for k, (p, word) in enumerate(zip(pixels, words, strict=True)):
                name = f"activation_p{p}_n{n}"
                code = word.word_select(n, a) ^ packing.activation_offset
                code = self._packed_lane(m, code[:a], n, name)
                last = k == len(words) - 1
                narrow.append(Cat(code, Const(0, 0 if last else packing.field_bits - a)))
        negative = (
            Const(1) if packing.always_signed else delay(m, self.digit_signed, 1, "start_signed")
        )
        starts = [
            self._start(m, word, first, negative, f"p{p}_n{first}")
            for first in spec.groups
            for p, word in zip(pixels, words, strict=True)
        ]
        return {"narrow": Cat(narrow), "starts": Cat(starts)}

    def _start(self, m: Module, word: Value, first: int, negative: Value, name: str) -> Value:
        """Return Packing.start of the group from lane ``first`` on, for one pixel's ``word``.

        It comes 2 cycles after the word (3 if the lane is late), that is one after the group's
        first operands. negative: one cycle after the word, high if its digits are signed.
        """
        config, packing = self.config, _spec(self.config).packing
        a, d = config.activation_bits, config.weight_digit_bits
        end = min(first + packing.group_lanes, config.lanes)
        lanes = [word.word_select(k, a) for k in range(first, end)]
        sums = [
            register(m, sum(lanes[k + 1 : k + STAGE_LANES], lanes[k]), f"sum_{name}_{k}")
            for k in range(0, len(lanes), STAGE_LANES)
        ]
        total = sum(sums[1:], sums[0])
        units = packing.start_bits - d + 1
        start = Const(packing.start_units(len(lanes)), units) - Mux(negative, total, 0)
        late = _spec(config).late(first)
        placed = delay(m, register(m, start[:units], f"start_{name}"), late, f"late_start_{name}")
        return Cat(Const(0, d - 1), placed)


def array(config: NpuConfig) -> MacArray:
    """Return the MAC array for ``config``: PackedArray if products share DSP slices, else MacArray.

    Both have the same ports; the latency is ``MacArray.latency_cycles(config)``.
    """
    return PackedArray(config) if config.packing else MacArray(config)
