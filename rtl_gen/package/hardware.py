"""Description of an NPU for software: register map, memories and instruction fields as plain data.

program.json carries it for the simulation bench and the Python driver; the C header is written from
it.
"""

from __future__ import annotations

from typing import Any

from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import BUS_WORDS, WORD_BITS, bit_ranges
from rtl_gen.isa.opcodes import ErrorCode, opcodes
from rtl_gen.isa.registers import (
    ADDRESS_BITS,
    CHANNEL_BASE,
    ISA_VERSION,
    LOG_BASE,
    LOG_DEPTH,
    NPU_ID,
    PROGRAM_BASE,
    WEIGHT_BASE,
    Register,
    channel_address,
    weight_address,
)
from rtl_gen.naming import TOP
from rtl_gen.parameters import STREAM_BITS


def describe(config: NpuConfig, top: str = TOP) -> dict[str, Any]:
    """Return everything that software needs to know about this NPU, in JSON types.

    top: name of the top module. Addresses are in bytes. A memory (program, weights, channels) has
    ``words`` words of ``columns`` 32-bit bus words each, low one first, from address ``base`` on;
    its words begin ``pitch`` bus words apart. ``fields`` maps opcode -> field -> [first bit,
    width], where bit 0 is the lowest of the instruction's opcode word.
    """
    return {
        "top": top,
        "id": NPU_ID,
        "isa_version": ISA_VERSION,
        "config_hash": int(config.hash[:8], 16),
        "address_bits": ADDRESS_BITS,
        "stream_bits": STREAM_BITS,
        "registers": {register.name: int(register) for register in Register},
        "errors": {code.name: int(code) for code in ErrorCode},
        "log": {"base": LOG_BASE, "entries": LOG_DEPTH},
        "program": {
            "base": PROGRAM_BASE,
            "words": config.program_depth,
            "columns": BUS_WORDS,
            "pitch": BUS_WORDS,
        },
        "weights": {
            "base": WEIGHT_BASE,
            "words": config.weight_depth,
            "columns": config.weight_word_columns,
            "pitch": (weight_address(config, 1, 0) - WEIGHT_BASE) // 4,
        },
        "channels": {
            "base": CHANNEL_BASE,
            "words": config.channel_depth,
            "columns": config.channel_columns,
            "pitch": (channel_address(config, 1, 0) - CHANNEL_BASE) // 4,
        },
        "memory": {"port_bits": config.memory_port_bits, "burst_beats": BURST_BEATS},
        "opcodes": {opcode.name: int(opcode) for opcode in opcodes(config)},
        "fields": {
            opcode.name: {
                name: [WORD_BITS + bits.start, len(bits)]
                for name, bits in bit_ranges(config, opcode).items()
            }
            for opcode in opcodes(config)
        },
    }
