"""Operands of the post units: accumulators from the snapshot, and words of the channel table.

In all functions ``post`` is the PostProcess block, whose ports select the operands.
"""

from __future__ import annotations

from amaranth import Array, Cat, Module, Mux, Signal, Value

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block, instantiate
from rtl_gen.blocks.memories import Ram
from rtl_gen.blocks.post_unit import PostUnitSpec
from rtl_gen.blocks.threshold_unit import ThresholdUnitSpec
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import SHIFT_BITS

SELECT_CYCLES = 2
"""Cycles from a drain step to its accumulators (two multiplexer stages: chunk, pixel) and channel
words (block RAM and a register)."""


def unit_spec(config: NpuConfig) -> PostUnitSpec | ThresholdUnitSpec:
    """Return the specification of ``config``'s post units, which all are the same."""
    return ThresholdUnitSpec.of(config) if config.has_thresholds else PostUnitSpec.of(config)


def operand_cycles(config: NpuConfig) -> int:
    """Return the cycles from a drain step to its operands at the post units.

    One more with ``binary_weights``, for the correction 2 * sum(t a) - sum(a).
    """
    return SELECT_CYCLES + config.binary_weights


def accumulators(m: Module, config: NpuConfig, post: Block) -> list[Value]:
    """Build the snapshot register and its multiplexers; return one accumulator per post unit.

    The snapshot is taken at the end of a cycle with ``post.snapshot``. The accumulators, as
    unsigned bit patterns, are those of a step's pixel and chunk, ``operand_cycles`` after it.
    """
    snapshot = Signal(len(post.accumulators), reset_less=True)
    with m.If(post.snapshot):
        m.d.sync += snapshot.eq(post.accumulators)
    chunk_width = config.post_units * config.accumulator_bits
    per_pixel = [
        delay(
            m,
            Array(
                snapshot.word_select(p * config.chunks + k, chunk_width)
                for k in range(config.chunks)
            )[post.chunk],
            1,
            f"chunk_p{p}",
        )
        for p in range(config.pixels)
    ]
    selected = Signal(chunk_width, reset_less=True)
    m.d.sync += selected.eq(Array(per_pixel)[delay(m, post.pixel, 1, "pixel")])
    found = [selected.word_select(u, config.accumulator_bits) for u in range(config.post_units)]
    return _binary(m, config, post, found) if config.binary_weights else found


def _binary(m: Module, config: NpuConfig, post: Block, sums: list[Value]) -> list[Value]:
    """Return 2 * sum - sum(a) for each of ``sums`` in layers of binary weights, else ``sums``.

    One cycle after ``sums``, which come SELECT_CYCLES after their step. It turns accumulators of
    digits 0 and 1 into those of weights -1 and +1, wrapped to ``accumulator_bits``.
    """
    bits = config.accumulator_bits
    snapshot = Signal(len(post.activation_sums), reset_less=True, name="activation_snapshot")
    with m.If(post.snapshot):
        m.d.sync += snapshot.eq(post.activation_sums)
    # Read at the step, like the accumulators, as the next snapshot may follow at once.
    every = Array(snapshot.word_select(p, bits) for p in range(config.pixels))
    taken = delay(m, every[post.pixel], SELECT_CYCLES, "activation_sum")
    found = []
    for u, total in enumerate(sums):
        result = Signal(bits, reset_less=True, name=f"binary{u}")
        m.d.sync += result.eq(Mux(post.f_binary, total << 1, total) - Mux(post.f_binary, taken, 0))
        found.append(result)
    return found


def channel_words(
    m: Module, platform: object, config: NpuConfig, post: Block
) -> tuple[list[Value], Value]:
    """Build the channel table and its pointer, which moves on by one word a step.

    After a pixel's last step it goes back to the first word of the group of output channels, but
    after a tile with ``group_end`` on to that of the next group. Returns the columns of a step's
    table word, ``operand_cycles`` after it (for each post unit the bias, then the multiplier with
    the shift above it, or its offsets, each so many cycles later as its level says), and, in the
    cycle of the step, the condition that the word is outside the table.
    """
    pointer = Signal(len(post.table_address) + 1, reset_less=True)
    base = Signal(len(pointer), reset_less=True)
    following = pointer + 1
    with m.If(post.start):
        m.d.sync += [pointer.eq(post.f_channel_base), base.eq(post.f_channel_base)]
    with m.Elif(post.step_valid):
        with m.If(~post.chunk_last):
            m.d.sync += pointer.eq(following)
        with m.Elif(post.tile_last & post.group_end):
            m.d.sync += [pointer.eq(following), base.eq(following)]
        with m.Else():
            m.d.sync += pointer.eq(base)
    outside = post.step_valid & pointer[-1]
    late = operand_cycles(config) - SELECT_CYCLES
    addresses = [delay(m, pointer[:-1], late, "table_address")]
    kinds = _columns(config, post)
    for level in range(1, 1 + max(level for level, _ in kinds)):
        addresses.append(delay(m, addresses[-1], 1, f"table_address_level{level}"))
    words = []
    for column, (level, data) in enumerate(kinds * config.post_units):
        ram = Ram(len(data), config.channel_depth)
        instantiate(m, platform, f"table{column}", ram)
        m.d.comb += [
            ram.write_enable.eq(post.table_write[column]),
            ram.write_address.eq(post.table_address),
            ram.write_data.eq(data),
            ram.read_address.eq(addresses[level]),
        ]
        words.append(delay(m, ram.read_data, 1, f"table_word{column}"))
    return words, outside


def _columns(config: NpuConfig, post: Block) -> list[tuple[int, Value]]:
    """Return a post unit's columns of the channel table: by how many cycles each is read later, and
    the bits of a bus word that it holds."""
    data, whole = post.table_data, config.accumulator_bits
    spec = unit_spec(config)
    if isinstance(spec, ThresholdUnitSpec):
        return [(spec.level(k), data[:whole]) for k in range(spec.thresholds)]
    scale = Cat(data[: config.scale_bits], data[16 : 16 + SHIFT_BITS])
    return [(0, data[:whole]), (0, scale)]
