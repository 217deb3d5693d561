"""Instruction fields in hardware: one register per slot, shared by the opcodes."""

from __future__ import annotations

from amaranth import Signal, Value

from rtl_gen.config import NpuConfig
from rtl_gen.isa import SLOT_BITS, Opcode, field_words, fields


def slot_widths(config: NpuConfig) -> list[int]:
    """Bits of each slot register: the widest field that any opcode keeps there."""
    known = [fields(config, opcode) for opcode in Opcode]
    widths = [0] * max(map(len, known))
    for held in known:
        for k, field in enumerate(held):
            widths[k] = max(widths[k], field.width(config))
    return widths


def layer_layout(config: NpuConfig) -> dict[str, int]:
    """Name and width of each LAYER field, in slot order."""
    return {field.name: field.width(config) for field in fields(config, Opcode.LAYER)}


def field_view(config: NpuConfig, opcode: Opcode, slots: list[Signal]) -> dict[str, Value]:
    """The fields of ``opcode`` by name, as slices of the slot registers."""
    known = fields(config, opcode)
    return {field.name: slots[k][: field.width(config)] for k, field in enumerate(known)}


def unused_bits(config: NpuConfig, opcode: Opcode) -> list[int]:
    """For each field word of ``opcode``, the mask of bits that must be zero."""
    masks, known = [], fields(config, opcode)
    for word in range(field_words(config, opcode)):
        used = 0
        for half in range(2):
            k = 2 * word + half
            if k < len(known):
                used |= (1 << known[k].width(config)) - 1 << (half * SLOT_BITS)
        masks.append(0xFFFF_FFFF & ~used)
    return masks
