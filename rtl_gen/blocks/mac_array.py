"""MAC array: pixels x columns output-stationary cells, each a dot product over ``lanes``."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Member, Out

from rtl_gen.blocks.accumulators import accumulate
from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.dot_product import DotProductSpec
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.history import OLDER_COLUMNS, older_lanes
from rtl_gen.blocks.packed_dot import PackedDotSpec
from rtl_gen.blocks.selection import SelectionSpec
from rtl_gen.config import NpuConfig


def dot_product_spec(config: NpuConfig) -> DotProductSpec:
    """Return the specification of a MacCell's dot product, over its slots (lanes if dense)."""
    return DotProductSpec(
        config.slots, config.activation_bits, config.weight_digit_bits, config.multiplier
    )


def selection_spec(config: NpuConfig) -> SelectionSpec | None:
    """Return the lane selection of an N:M sparse array, None if dense."""
    if config.sparsity == "dense":
        return None
    return SelectionSpec(config.lanes, config.activation_bits, config.kept, config.group)


def packed_dot_spec(config: NpuConfig) -> PackedDotSpec | None:
    """Return the packed dot product of an array whose products share DSP slices, else None."""
    return PackedDotSpec(config.lanes, config.packing) if config.packing else None


def _groups_late(config: NpuConfig) -> bool:
    """Return True if in each N:M group either all slots or none are late (DotProductSpec.late).

    Then the group's lanes are delayed once, before the selection, for all columns. Always False for
    1-bit activations, where a chain stage may end within a group."""
    return config.activation_bits > 1


class MacCell(Block):
    """Function: ``accumulator = partial + (0 if clear else accumulator << (d if shift else 0))``.

    ``partial``: dot product of the operands; d: bits of a digit. Where digits are unsigned,
    ``negate`` beside ``shift`` inverts the sign of what is shifted. Latency:
    ``spec.latency_cycles`` + 1 from digits. Throughput: one step per cycle; holds without
    ``enable``. Overflow: wraps (the compiler excludes it). With N:M sparsity activations and
    indices come 1 cycle before digits, of 1-bit activations all before those not late.
    ``digit_signed`` comes ``spec.sign_offset_cycles``, other controls ``spec.latency_cycles`` - 1
    after these (registered here to keep fan-out local).
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.spec = dot_product_spec(config)
        self.module_name = f"npu_mac_cell_w{config.accumulator_bits}"
        pairs, indices = self.spec.pairs * self.spec.pair_bits, config.slots * config.index_bits
        super().__init__(
            {
                "activations": In(config.activation_word_bits),
                **({"indices": In(indices)} if indices else {}),
                **({"pair_sums": In(pairs)} if pairs and not indices else {}),
                "digits": In(config.slots * config.weight_digit_bits),
                **({"negate": In(1)} if self.spec.unsigned else {"digit_signed": In(1)}),
                "enable": In(1),
                "clear": In(1),
                "shift": In(1),
                "accumulator": Out(signed(config.accumulator_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dot = self.spec.create()
        instantiate(m, platform, "dot", dot)
        negate = self.negate if self.spec.unsigned else None
        (accumulator,) = accumulate(
            m, self.config, [dot.result], self.enable, self.clear, self.shift, negate
        )
        operands = {**self._operands(m, platform), "digits": self.digits}
        if negate is None:
            operands["digit_signed"] = self.digit_signed
        m.d.comb += [getattr(dot, name).eq(value) for name, value in operands.items()]
        m.d.comb += self.accumulator.eq(accumulator)
        return m

    def _operands(self, m: Module, platform: object) -> dict[str, Value]:
        """Return the dot product's activations and pair sums by port name.

        With N:M sparsity they are selected, added and registered here for each cell, in the cycle
        in which a dense array adds the shared ones."""
        selects = selection_spec(self.config)
        if selects is None:
            shared = {"activations": self.activations}
            return shared | ({"pair_sums": self.pair_sums} if self.spec.pair_bits else {})
        selection = selects.create()
        instantiate(m, platform, "selection", selection)
        m.d.comb += [
            selection.activations.eq(self.activations),
            selection.indices.eq(self.indices),
        ]
        bits = self.config.activation_bits
        slots = [selection.selected.word_select(n, bits) for n in range(self.config.slots)]
        if not _groups_late(self.config):
            slots = [delay(m, a, self.spec.late(n), f"slot{n}") for n, a in enumerate(slots)]
        own = {"activations": Cat(slots)}
        return own | ({"pair_sums": selection.pair_sums} if self.spec.pair_bits else {})


class MacArray(Block):
    """Function: MacCell for every (pixel p, column c): activation word p, digit word c.

    ``valid``, ``clear``, ``shift`` and ``digit_signed`` come in the cycle of the operands; digits
    is a whole weight word. ``accumulators`` packs cell (p, c) at index p * columns + c, and with
    ``binary_weights`` ``activation_sums`` the cells of the column behind these at index p.
    Latency: ``latency_cycles``. Throughput: one step per cycle. Overflow: as MacCell.

    What the cells share is made here once: the sums of lane pairs (per pixel, for all columns)
    and the registers of late lanes."""

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_mac_array"
        super().__init__(
            {
                "activations": In(config.pixels * config.activation_word_bits),
                "digits": In(config.weight_word_bits),
                "valid": In(1),
                "clear": In(1),
                "shift": In(1),
                "digit_signed": In(1),
                "accumulators": Out(config.pixels * config.columns * config.accumulator_bits),
                **(
                    {"activation_sums": Out(config.pixels * config.accumulator_bits)}
                    if config.binary_weights
                    else {}
                ),
                **self._reuse_ports(),
            }
        )

    def _reuse_ports(self) -> dict[str, Member]:
        """Return the ports for depthwise column reuse, none without it.

        ``reuse`` feeds channels of ``older``, the words of the two columns before (TapHistory), to
        two lanes of each array column."""
        if not self.config.reuses_columns:
            return {}
        config = self.config
        older_bits = config.pixels * OLDER_COLUMNS * config.activation_word_bits
        return {"older": In(older_bits), "reuse": In(1)}

    @staticmethod
    def latency_cycles(config: NpuConfig) -> int:
        """Return the cycles from operands to accumulators: pair sums, dot product, accumulator."""
        dot = packed_dot_spec(config) or dot_product_spec(config)
        return 1 + dot.latency_cycles + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, spec = self.config, dot_product_spec(self.config)
        controls = self._controls(m, spec.latency_cycles)
        if spec.unsigned:
            sign = {"negate": delay(m, self._negate(m), spec.latency_cycles, "negate")}
        else:
            cycles = 1 + spec.sign_offset_cycles
            sign = {"digit_signed": delay(m, self.digit_signed, cycles, "digit_signed")}
        columns = [self._column(m, c) for c in range(config.weight_columns)]
        for p in range(config.pixels):
            operands = self._pixel(m, p)
            for c, column in enumerate(columns):
                pixel = operands[c % len(operands)]
                cell = MacCell(config)
                inputs = pixel | column | sign | controls
                instantiate(m, platform, f"cell_p{p}_c{c}", cell, **inputs)
                m.d.comb += self._result(p, c).eq(cell.accumulator)
        return m

    def _result(self, pixel: int, column: int) -> Value:
        """Return the slice of the output ports for the accumulator of cell (pixel, column)."""
        config = self.config
        if column == config.columns:
            return self.activation_sums.word_select(pixel, config.accumulator_bits)
        index = pixel * config.columns + column
        return self.accumulators.word_select(index, config.accumulator_bits)

    def _controls(self, m: Module, cycles: int) -> dict[str, Value]:
        """Return the cells' enable (from valid), clear and shift by port, ``cycles`` later."""
        return {
            "enable": delay(m, self.valid, cycles, "valid", resettable=True),
            "clear": delay(m, self.clear, cycles, "clear"),
            "shift": delay(m, self.shift, cycles, "shift"),
        }

    def _negate(self, m: Module) -> Value:
        """Return the condition to negate the accumulator, in the cycle of the inputs.

        High in a pass's first step if the pass before had signed 1-bit digits, added as +1 each."""
        counted = Signal(reset_less=True, name="signed_before")
        with m.If(self.valid):
            m.d.sync += counted.eq(self.digit_signed)
        if self.config.wide_input_passes:  # before such a pass, too: older digits keep their sign
            return self.shift & (counted ^ self.digit_signed)
        return self.shift & ~self.clear & counted

    def _lane(self, m: Module, value: Value, slot: int, name: str) -> Value:
        """Return a slot's operand as the dot products take it: 1 cycle later, 2 for late slots."""
        return delay(m, value, 1 + dot_product_spec(self.config).late(slot), name)

    def _selected_lane(self, m: Module, value: Value, slot: int, name: str) -> Value:
        """Return a slot's input of the lane selection, a cycle later if its whole group is late."""
        late = _groups_late(self.config) and dot_product_spec(self.config).late(slot)
        return delay(m, value, int(late), name)

    def _column(self, m: Module, column: int) -> dict[str, Value]:
        """Return the weight inputs of one column's cells by port: digits, and indices if sparse."""
        config, d, i = self.config, self.config.weight_digit_bits, self.config.index_bits
        slots = range(config.slots)
        digits = self.digits[column * config.slots * d :]
        found: dict[str, Value] = {
            "digits": Cat(
                self._lane(m, digits.word_select(n, d), n, f"digit_c{column}_n{n}") for n in slots
            )
        }
        if i:
            indices = self.digits[config.slots * (config.weight_columns * d + column * i) :]
            found["indices"] = Cat(
                self._selected_lane(m, indices.word_select(n, i), n, f"index_c{column}_n{n}")
                for n in slots
            )
        return found

    def _pixel(self, m: Module, pixel: int) -> list[dict[str, Value]]:
        """Return the activation inputs of one pixel's cells by port, pair sums too if it has any.

        The cell of column c takes element c modulo the length: one for all columns, or with column
        reuse one per lane."""
        config, spec = self.config, dot_product_spec(self.config)
        word = self.activations.word_select(pixel, config.activation_word_bits)
        lanes = [word.word_select(n, config.activation_bits) for n in range(config.lanes)]
        if config.index_bits:
            slots = [n // config.group * config.kept for n in range(config.lanes)]
            late = [
                self._selected_lane(m, a, slots[n], f"activation_p{pixel}_n{n}")
                for n, a in enumerate(lanes)
            ]
            return [{"activations": Cat(late)}]
        sums = [
            self._lane(m, sum(lanes[k + 1 : k + 2], lanes[k]), k, f"sum_p{pixel}_n{k}")
            for k in range(0, config.lanes, 2)
            if spec.pair_bits
        ]
        activations = [
            self._lane(m, a, n, f"activation_p{pixel}_n{n}") for n, a in enumerate(lanes)
        ]
        padded = [Cat(total, Const(0, spec.pair_bits - len(total))) for total in sums]
        if config.reuses_columns:
            channels = range(config.lanes)
            return [self._reused(m, pixel, c, activations, padded, lanes) for c in channels]
        return [_operands(activations, padded)]

    def _reused(
        self,
        m: Module,
        pixel: int,
        channel: int,
        activations: list[Value],
        pair_sums: list[Value],
        lanes: list[Value],
    ) -> dict[str, Value]:
        """Return a pixel's operands by port; in two lanes ``reuse`` selects older columns' codes.

        These are of lane ``channel`` of ``older``. No list is changed."""
        bits = self.config.activation_bits
        activations, pair_sums = [*activations], [*pair_sums]
        chosen: dict[int, Value] = {}
        for k, lane in enumerate(older_lanes(self.config.lanes, channel)):
            word = self.older.word_select(
                pixel * OLDER_COLUMNS + k, self.config.activation_word_bits
            )
            chosen[lane] = Mux(self.reuse, word.word_select(channel, bits), lanes[lane])
            name = f"reused_p{pixel}_c{channel}_n{lane}"
            activations[lane] = self._lane(m, chosen[lane], lane, name)
        first = min(chosen)
        # Both lanes are of one pair, whose sum differs from the shared one.
        if pair_sums and first + 1 in chosen:
            name = f"reused_sum_p{pixel}_c{channel}"
            total = chosen[first] + chosen[first + 1]
            pair_sums[first // 2] = self._lane(m, total, first, name)
        return _operands(activations, pair_sums)


def _operands(activations: list[Value], pair_sums: list[Value]) -> dict[str, Value]:
    """Return a cell's activation inputs by port; 1-bit activations have no pair sums."""
    sums: dict[str, Value] = {"pair_sums": Cat(pair_sums)} if pair_sums else {}
    return {"activations": Cat(activations), **sums}
