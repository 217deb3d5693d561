"""Depthwise column reuse: a history of recently read input columns feeds otherwise idle lanes.

In a depthwise layer each array column can use only one channel of an activation word, that is one
lane of N. With ``NpuConfig.depthwise_taps`` 3 an output position reads only its new input columns
(one with stride 1, two with stride 2). A history, one entry per kernel row, supplies the two
columns read before, and they are multiplied together with the first new column: in array column c,
two lanes outside lane c's own pair take channel c (modulo the lanes) of these older columns. Such a
layer has one channel word per kernel position (``groups`` 0).
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import REUSE_BITS

OLDER_COLUMNS = 2
"""Columns that the history holds for every kernel row: the last two that were stored."""
ROW_BITS = 4
"""Width in bits of a kernel row's number in the history."""
MOST_ROWS = 1 << ROW_BITS
"""Kernel rows that the history has room for; it numbers them modulo this."""
HISTORY_FLAGS = {"reuse": 1, "fresh": 1, "store": 1, "kernel_row": ROW_BITS}
"""Signals of a tap that control the history, and their widths in bits."""
TAP_FLAGS = {"fill": 1, **HISTORY_FLAGS}
"""All signals of a tap that concern column reuse, and their widths in bits."""
_STEPS = ("kernel_cols", "kernel_rows", "out_cols", "out_rows", "out_groups")


def history_cycles(config: NpuConfig) -> int:
    """Return the cycles that the history adds between activation memory and array: 0 or 1."""
    return int(config.reuses_columns)


def older_lanes(lanes: int, column: int) -> tuple[int, int]:
    """Return the lanes of array column ``column`` that take the older columns, the newer one first.

    The first lane takes the kernel column that was read last, the second the one before it. Each is
    the first lane of a pair of its own, whose other lane has weight 0, so that the pair sum shared
    by all columns is never selected. With only two pairs (4 lanes) both lanes share one pair, which
    then needs a sum of its own. lanes: at least 4; columns repeat modulo ``lanes``.
    """
    pairs, own = (lanes + 1) // 2, column % lanes // 2
    if pairs == 2:
        return 2 * (1 - own), 2 * (1 - own) + 1
    return 2 * ((own + 1) % pairs), 2 * ((own + 2) % pairs)


class ReusePlace(Block):
    """Function: where in its row a LAYER's next tap is, from the steps of its loop nest.

    All outputs are of the tap that the next ``advance`` issues. ``fill``: its position only fills
    the history (the first ``f_reuse`` - 1 positions of each row; none if ``f_reuse`` is 0).
    ``reuse``: the tap takes older columns (the first kernel column, if ``f_reuse``); ``fresh``: it
    is the first of its kernel row, in any pass, at the first position of a row, where the column
    before is padding. ``store``: the tap goes into the history (the last pass). ``kernel_row``:
    modulo MOST_ROWS. ``step_*``: this advance moves that loop level. Latency: 1 cycle from start or
    advance; store is ``last_pass`` in the same cycle. Throughput: one advance per cycle. Overflow:
    none.
    """

    def __init__(self) -> None:
        self.module_name = "npu_reuse_place"
        super().__init__(
            {
                "f_reuse": In(REUSE_BITS),
                "start": In(1),
                "advance": In(1),
                **{f"step_{level}": In(1) for level in _STEPS},
                "last_pass": In(1),
                **{name: Out(width) for name, width in TAP_FLAGS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fills_left = Signal(REUSE_BITS, reset_less=True)
        row = Signal(ROW_BITS, reset_less=True)
        row_start = Signal(reset_less=True)
        first_column = Signal(reset_less=True)
        with m.If(self.start | self.step_out_rows | self.step_out_groups):
            m.d.sync += row_start.eq(1)
            m.d.sync += fills_left.eq(Mux(self.f_reuse.any(), self.f_reuse - 1, 0))
        with m.Elif(self.step_out_cols):
            m.d.sync += row_start.eq(0)
            m.d.sync += fills_left.eq(Mux(self.fill, fills_left - 1, 0))
        with m.If(self.start | self.advance):
            m.d.sync += first_column.eq(~self.step_kernel_cols)
        with m.If(self.step_kernel_rows):
            m.d.sync += row.eq(row + 1)
        with m.Elif(self.start | (self.advance & ~self.step_kernel_cols)):
            m.d.sync += row.eq(0)
        m.d.comb += [
            self.fill.eq(fills_left.any()),
            self.reuse.eq(first_column & self.f_reuse.any()),
            self.fresh.eq(first_column & row_start),  # also without f_reuse: unused then
            self.store.eq(self.last_pass),
            self.kernel_row.eq(row),
        ]
        return m


class TapHistory(Block):
    """Function: the words of a tap, and per pixel the words of the two taps stored before it at
    the same kernel row; ``pad_code`` in all lanes for the last of them when the tap is ``fresh``.

    ``words`` holds one word a pixel, ``older`` two (the last stored first; the other of a ``fresh``
    tap is one of a row before, or undefined). All inputs come with the tap. A ``store`` tap that is
    ``valid`` enters the history, for taps from the next cycle on; if it is ``fresh``, the padding
    enters with it as the word before. Latency: 1 cycle (history_cycles), ``reuse_now`` is ``reuse``
    with it. Throughput: one tap per cycle. Overflow: none.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.module_name = "npu_tap_history"
        bits = config.pixels * config.activation_word_bits
        super().__init__(
            {
                "activations": In(bits),
                "valid": In(1),
                **{name: In(width) for name, width in HISTORY_FLAGS.items()},
                "pad_code": In(config.activation_bits),
                "words": Out(bits),
                "older": Out(OLDER_COLUMNS * bits),
                "reuse_now": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word_bits = self.config.activation_word_bits
        pad = self.pad_code.replicate(self.config.lanes)
        older: list[Value] = []
        for p in range(self.config.pixels):
            word = self.activations.word_select(p, word_bits)
            ram = Ram(OLDER_COLUMNS * word_bits, MOST_ROWS, distributed=True)
            instantiate(m, platform, f"pixel{p}", ram)
            last, before = ram.read_data[:word_bits], ram.read_data[word_bits:]
            last = Mux(self.fresh, pad, last)
            m.d.comb += [
                ram.read_address.eq(self.kernel_row),
                ram.write_address.eq(self.kernel_row),
                ram.write_enable.eq(self.valid & self.store),
                ram.write_data.eq(Cat(word, last)),
            ]
            older += [last, before]
        m.d.comb += [
            self.words.eq(delay(m, self.activations, 1, "words")),
            self.older.eq(delay(m, Cat(older), 1, "older")),
            self.reuse_now.eq(delay(m, self.reuse, 1, "reuse")),
        ]
        return m
