"""Reasons why a network cannot run on an NPU, as Infeasible results.

Each function yields every violation of one kind, so that a user sees all that has to change: widths
of codes and multipliers, layers of several sources, depths of memories, widths of instruction
fields. The levers of a reason are what would help.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.mapping.shapes import reads_padding
from codesign.compiler.mapping.tiles import takes_one_pass
from codesign.compiler.program import lookups, thresholds
from codesign.compiler.program.instructions import ProgramStep, program_words
from codesign.results import Infeasible
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import instruction_words
from rtl_gen.isa.fields import COLUMN_BITS, RECORDS, SLOT_BITS, fields
from rtl_gen.isa.opcodes import MOVES, Opcode
from rtl_gen.parameters import ACTIVATION_TABLES, DEPTH_RANGES, ConfigError, stacked_depth

MAX_SOURCES = 2
_ADDRESSES = {
    *("strip_words", "out_base", "out_pixel_words", "out_group_words"),
    *("weight_base", "channel_base", *(f"{level}_pointer" for level in RECORDS)),
}
"""LAYER fields that hold addresses: they are wide enough whenever the memories are deep enough."""
_SMALLER_IMAGE = ("use a smaller input image", "pool earlier")
_FIELD_LEVERS: Mapping[str, tuple[str, ...]] = {
    "col_limit": _SMALLER_IMAGE,
    "last_rows": _SMALLER_IMAGE,
    "strip_rows": ("raise npu.pixels", *_SMALLER_IMAGE),
    "out_cols": _SMALLER_IMAGE,
    "out_rows": ("raise npu.pixels", *_SMALLER_IMAGE),
    "groups": ("raise npu.lanes", "use fewer input channels"),
    "out_groups": ("raise npu.columns", "use fewer output channels"),
    "passes": ("raise npu.weight_digit_bits", "use fewer weight bits"),
    "kernel_rows": ("use a smaller kernel", "pool before the layer"),
    "kernel_cols": ("use a smaller kernel", "pool before the layer"),
    "pool_rows": ("use a smaller pooling window", "pool in two steps"),
    "pool_cols": ("use a smaller pooling window", "pool in two steps"),
    **{f"{level}_columns": _SMALLER_IMAGE for level in RECORDS},
    **{f"{level}_strips": ("lower npu.pixels", "use a smaller kernel") for level in RECORDS},
}
COUNT_UNITS: Mapping[str, str] = {
    "groups": "words of input channels",
    "kernel_rows": "kernel rows",
    "kernel_cols": "kernel columns",
    "passes": "digits of a weight",
    "pool_rows": "rows of its pooling window",
    "pool_cols": "columns of its pooling window",
    "out_rows": "output rows of a strip",
    "out_cols": "output columns",
    "out_groups": "tiles of output channels",
}
"""LAYER field of a loop -> what the loop counts, in the words of a message.

The field holds the number of repetitions minus 1.
"""
_DEPTH_LEVERS: Mapping[str, tuple[str, ...]] = {
    "activation_depth": ("raise npu.pixels or npu.lanes", "use fewer channels or a smaller image"),
    "weight_depth": ("raise npu.lanes, npu.columns or npu.weight_digit_bits",
                     "use fewer channels or weight bits"),
    "channel_depth": ("raise npu.post_units", "use fewer channels"),
    "result_depth": ("raise npu.post_units", "use fewer classes, or a smaller map of outputs"),
    "program_depth": ("use fewer layers",),
}  # fmt: skip
"""What helps beside a deeper memory, if the NPU can have one that is deep enough."""


@dataclass(frozen=True)
class BufferUse:
    """Words of each memory that a network needs, by the names of NpuConfig's depths.

    Those of activation memory are per bank. Made by ``BufferUse.of``.
    """

    activation_depth: int
    weight_depth: int
    channel_depth: int
    result_depth: int
    program_depth: int
    """Words of the traced program, which has a STORE for each layer that writes activations."""

    @staticmethod
    def of(schedule: Schedule, steps: Sequence[ProgramStep]) -> BufferUse:
        """Count the words that ``schedule`` and its program for one image, ``steps``, need.

        Activation addresses must also be wide enough for the first result word of each part of a
        raw layer, which stands in such a field; activation_depth counts that in.
        """
        stores = sum(not shape.layer.raw for shape in schedule.shapes)
        store = instruction_words(schedule.config, Opcode.STORE)
        # A raw part states its first result word in out_base, which is an activation address.
        results = [
            part.first * schedule.tiles[part.layer].chunks * schedule.shapes[part.layer].positions
            + 1
            for part in schedule.parts
            if schedule.shapes[part.layer].layer.raw
        ]
        return BufferUse(
            activation_depth=max(schedule.words, *results),
            weight_depth=schedule.weight_words,
            channel_depth=schedule.channel_words,
            result_depth=schedule.result_words,
            program_depth=program_words(schedule.config, steps) + stores * store,
        )

    def needs(self) -> dict[str, int]:
        """Return the words that each memory needs, by the NpuConfig field of its depth."""
        return {name: getattr(self, name) for name in DEPTH_RANGES}

    def depths(self, stacked: bool = False) -> dict[str, int]:
        """Return the least depths that suffice, powers of two, by NpuConfig field.

        None is below its range in DEPTH_RANGES; one that exceeds its range is returned as it is.
        stacked: the weights' depth may be ``stacked_depth``.
        """
        found = {
            name: max(DEPTH_RANGES[name][0], 1 << (need - 1).bit_length())
            for name, need in self.needs().items()
        }
        if stacked:
            found["weight_depth"] = int(stacked_depth(self.weight_depth, found["weight_depth"]))
        return found


def number_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason for each tensor whose codes are wider than ``config.activation_bits``.

    The logits are no such tensor, as they are no codes; nor is the input with
    ``config.wide_input_passes``, if all layers that read it can (``_wide_input_reasons``). One more
    reason follows if the network's requantisation multipliers (``network.scale_bits``) are wider
    than ``config.scale_bits``, which is nothing to thresholds.
    """
    for name, spec in network.tensors.items():
        if spec.bits <= config.activation_bits or name == network.layers[-1].output:
            continue
        if name == network.input and config.wide_input_passes:
            yield from _wide_input_reasons(network, config)
        else:
            wider = "raise npu.activation_bits"
            levers: tuple[str, ...] = (wider, "use fewer activation bits in this layer")
            if name == network.input:
                levers = (*_wide_passes(network, config), wider, "use fewer input bits")
            yield Infeasible(
                "activation_bits", name, spec.bits, config.activation_bits, "bits", levers
            )
    if network.scale_bits > config.scale_bits and not config.has_thresholds:
        levers = ("raise npu.scale_bits", "lower the network with fewer scale bits")
        yield Infeasible(
            "scale_bits", network.name, network.scale_bits, config.scale_bits, "bits", levers
        )
    yield from thresholds.reasons(network, config)
    yield from _table_reasons(network, config)


def _table_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason if the NPU has too few activation tables, and for each that is too long."""
    need, have = len(lookups.tables(network)), config.activation_tables
    simpler = "use ReLU or another activation that needs no table"
    if need > have:
        enough = [count for count in ACTIVATION_TABLES if count >= need]
        levers = (f"set npu.activation_tables to {enough[0]}",) if enough else ()
        if config.has_thresholds:
            levers = ("set npu.requantisation to multiply",)
        yield Infeasible(
            "activation_tables", network.name, need, have, "tables", (*levers, simpler)
        )
    for layer in network.mac_layers:
        if layer.lookup and layer.lookup.bits > config.activation_bits:
            yield Infeasible(
                "activation_bits", layer.name, layer.lookup.bits, config.activation_bits, "bits",
                ("raise npu.activation_bits", simpler),
            )  # fmt: skip


def _wide_passes(network: IntegerNetwork, config: NpuConfig) -> tuple[str, ...]:
    """Return the lever that lets ``config`` take the network's wide input, () if there is none."""
    passes = max((config.passes(r.weight_bits) for r in network.input_readers), default=0)
    try:
        dataclasses.replace(config, wide_input_passes=passes)
    except ConfigError:
        return ()
    return (f"set npu.wide_input_passes to {passes}",)


def _wide_input_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason for each layer that cannot read the input in several activation digits.

    It must have no other source, weights of at most ``config.wide_input_passes`` digits, and
    padding, if any, of code 0, whose digits are 0.
    """
    bits = network.tensors[network.input].bits
    levers = ("raise npu.activation_bits", "use fewer input bits")
    for layer in network.input_readers:
        need = 1 if takes_one_pass(config, layer) else config.passes(layer.weight_bits)
        if need > config.wide_input_passes:
            fewer = (*_wide_passes(network, config), *levers, "use fewer weight bits in this layer")
            have = config.wide_input_passes
            yield Infeasible("wide_input_passes", layer.name, need, have, "passes", fewer)
        if len(layer.sources) > 1 or (layer.pad_code and reads_padding(layer, network)):
            have = config.activation_bits
            yield Infeasible("activation_bits", layer.name, bits, have, "bits", levers)


def source_reasons(network: IntegerNetwork) -> Iterator[Infeasible]:
    """Yield reasons for layers of several sources that the address generator cannot walk.

    One for more than MAX_SOURCES sources, one for several sources with a kernel larger than 1x1 or
    with padding; a layer may have both.
    """
    for layer in network.mac_layers:
        if len(layer.sources) > MAX_SOURCES:
            levers = ("add two tensors at a time",)
            yield Infeasible(
                "sources", layer.name, len(layer.sources), MAX_SOURCES, "tensors", levers
            )
        kernel = max(max(source.weights.shape[2:]) for source in layer.sources)
        if len(layer.sources) > 1 and (kernel > 1 or max(layer.padding) > 0):
            levers = ("use a kernel of 1x1 without padding where two tensors meet",)
            yield Infeasible("kernel", layer.name, kernel, 1, "columns", levers)


def depth_reasons(
    planned: Schedule, use: BufferUse, depths: Mapping[str, int]
) -> Iterator[Infeasible]:
    """Yield a reason for each memory that is too small, with the layer that takes most of it.

    use: words that each memory needs; depths: words that it has, by NpuConfig field. Program memory
    is named with the network instead of a layer.
    """
    for name, need in use.needs().items():
        if need > depths[name]:
            where, deeper = _largest_user(planned, name), f"raise npu.{name}"
            reach = need <= DEPTH_RANGES[name][1]
            levers = (deeper, *_DEPTH_LEVERS[name]) if reach else _DEPTH_LEVERS[name]
            yield Infeasible(name, where, need, depths[name], "words", levers)


def _largest_user(planned: Schedule, depth: str) -> str:
    """Return the name of the layer that takes most of a memory; for the program, the network's.

    depth: NpuConfig field of the memory's depth. Of equal layers it is the first; of activation
    memory the one during which most words are in use, of the result buffer the raw layer.
    """
    words = {
        "activation_depth": planned.live_words,
        "weight_depth": lambda i: planned.tiles[i].weight_words,
        "channel_depth": lambda i: planned.tiles[i].channel_words,
        "result_depth": lambda i: planned.shapes[i].layer.raw,
    }.get(depth)
    if words is None:
        return planned.network.name
    return planned.shapes[max(range(len(planned.shapes)), key=words)].layer.name


def field_reasons(config: NpuConfig, steps: Sequence[ProgramStep]) -> Iterator[Infeasible]:
    """Yield a reason for each value of a LAYER that its instruction field cannot hold.

    Addresses are left out: depths limit them. One more reason follows if the highest first burst
    of all FETCHes, FILLs and SPILLs exceeds its field.
    """
    widths = {
        field.name: field.width(config)
        for field in fields(config, Opcode.LAYER)
        if field.name not in _ADDRESSES
    }
    most = {name: (1 << width) - 1 for name, width in widths.items()}
    # Positions are compared as two's complement numbers of the column width.
    most |= dict.fromkeys(("col_limit", "strip_rows"), (1 << (COLUMN_BITS - 1)) - 1)
    for step in steps:
        if step.instruction.opcode is Opcode.LAYER:
            yield from _layer_field_reasons(step, most)
    moves = [s for s in steps if s.instruction.opcode in MOVES]
    last, largest = max((s.values["first"] for s in moves), default=0), (1 << SLOT_BITS) - 1
    if last > largest:
        levers = ("raise npu.memory_port_bits", "use fewer channels or weight bits")
        yield Infeasible("first", "weights in memory", last, largest, "bursts", levers)


def _layer_field_reasons(step: ProgramStep, most: Mapping[str, int]) -> Iterator[Infeasible]:
    values = step.values
    for name, largest in most.items():
        value = values[name]
        if name.endswith(("_columns", "_strips")):  # two's complement
            value, largest = abs(value), largest // 2
        if value > largest:
            levers = _FIELD_LEVERS.get(name, ("use a smaller layer",))
            unit, where = "(instruction field)", step.name
            if name in COUNT_UNITS:  # which fields hold minus 1
                unit, value, largest = COUNT_UNITS[name], value + 1, largest + 1
            if name.startswith("pool_"):  # max pooling is part of the layer before it
                where = step.tensor or where
            yield Infeasible(name, where, value, largest, unit, levers)
