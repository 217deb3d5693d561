"""The NPU as its users see it: register map, memories and instruction fields, as plain data.

One description serves program.json (bench and Python driver) and the C header.
"""

from __future__ import annotations

from typing import Any

from rtl_gen import isa
from rtl_gen.config import STREAM_BITS, NpuConfig


def describe(config: NpuConfig) -> dict[str, Any]:
    """JSON form of everything that software needs to know about this NPU.

    Addresses are in bytes; ``words`` counts memory words, ``columns`` the 32-bit bus words of
    each, ``pitch`` the bus words from one memory word to the next; fields have their first bit,
    counted from the instruction's first one, and their width.
    """
    return {
        "id": isa.NPU_ID,
        "isa_version": isa.ISA_VERSION,
        "config_hash": int(config.hash[:8], 16),
        "address_bits": isa.ADDRESS_BITS,
        "stream_bits": STREAM_BITS,
        "registers": {register.name: int(register) for register in isa.Register},
        "errors": {code.name: int(code) for code in isa.ErrorCode},
        "log": {"base": isa.LOG_BASE, "entries": isa.LOG_DEPTH},
        "program": {
            "base": isa.PROGRAM_BASE,
            "words": config.program_depth,
            "columns": isa.BUS_WORDS,
            "pitch": isa.BUS_WORDS,
        },
        "weights": {
            "base": isa.WEIGHT_BASE,
            "words": config.weight_depth,
            "columns": config.weight_word_columns,
            "pitch": (isa.weight_address(config, 1, 0) - isa.WEIGHT_BASE) // 4,
        },
        "channels": {
            "base": isa.CHANNEL_BASE,
            "words": config.channel_depth,
            "columns": 2 * config.post_units,
            "pitch": (isa.channel_address(config, 1, 0) - isa.CHANNEL_BASE) // 4,
        },
        "memory": {"port_bits": config.memory_port_bits, "burst_beats": isa.BURST_BEATS},
        "opcodes": {opcode.name: int(opcode) for opcode in isa.opcodes(config)},
        "fields": {
            opcode.name: {
                name: [isa.WORD_BITS + bits.start, len(bits)]
                for name, bits in isa.places(config, opcode).items()
            }
            for opcode in isa.opcodes(config)
        },
    }
