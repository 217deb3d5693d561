"""Activation tables: each code is replaced by what a table says, after requantisation.

Every post unit has its own memory of all tables, as every one looks up a code in each cycle. The
host writes them together with the channel table: entry k lies above the shift of word k.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, Value

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import TABLE_POSITION

TABLE_CYCLES = 2
"""Cycles that looking up takes: the memory, and the choice between its answer and the code."""


def replaced(table: Sequence[int], code: int) -> int:
    """Return what becomes of a code, the golden model: its entry; the code itself if no table."""
    return table[code] if table else code


def looked_up(
    m: Module, platform: object, config: NpuConfig, post: Block, codes: Sequence[Value]
) -> list[Value]:
    """Build the tables of all post units; return the codes that come out of them.

    codes: of one step, at the end of the post units' latency. Function: ``replaced`` by table
    ``f_table`` modulo ``activation_tables``, or unchanged if it is 0; it is constant while codes of
    a layer come. Latency: TABLE_CYCLES; throughput: a code a cycle for each unit; overflow: none.
    post: the PostProcess block with the ports of the channel table and ``f_table``.
    """
    bits, depth = config.activation_bits, config.activation_tables << config.activation_bits
    inside = post.table_address < depth if depth < config.channel_depth else 1
    found: list[Value] = []
    for u, code in enumerate(codes):
        ram = Ram(bits, depth)
        instantiate(m, platform, f"activation_table{u}", ram)
        address = Cat(code, post.f_table[: (config.activation_tables - 1).bit_length()])
        m.d.comb += [
            ram.write_enable.eq(post.table_write[2 * u + 1] & inside),
            ram.write_address.eq(post.table_address),
            ram.write_data.eq(post.table_data[TABLE_POSITION:]),
            ram.read_address.eq(address),
        ]
        result = Signal(bits, name=f"replaced{u}", reset_less=True)
        plain = delay(m, code, 1, f"plain{u}")
        m.d.sync += result.eq(Mux(post.f_table.any(), ram.read_data, plain))
        found.append(result)
    return found
