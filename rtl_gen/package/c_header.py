"""Writer of driver/npu_regs.h, the NPU's register map for C and C++."""

from __future__ import annotations

from typing import Any

STATUS_BITS = (("BUSY", 0), ("DONE", 1), ("ERROR", 2), ("DISCARDING", 3))
CONTROL_BITS = (("START", 0), ("SOFT_RESET", 1), ("IRQ_ENABLE", 2))


def c_header(hardware: dict[str, Any]) -> str:
    """Return the text of the C header for an NPU.

    hardware: the NPU's description, from rtl_gen.package.hardware.describe.
    """
    lines = [
        "/* Register map of the NPU on its AXI4-Lite port s_axi_control. Byte offsets. */",
        "#ifndef NPU_REGS_H",
        "#define NPU_REGS_H",
        "",
        "/* What the identity registers must read. */",
        _define("NPU_ID", hardware["id"]),
        _define("NPU_ISA_VERSION", hardware["isa_version"]),
        _define("NPU_CONFIG_HASH", hardware["config_hash"]),
        "",
        "/* Registers, 32 bits each. */",
        *(_define(f"NPU_REG_{name}", at) for name, at in hardware["registers"].items()),
        "",
        "/* Bits of CONTROL and STATUS. */",
        *(_define(f"NPU_CONTROL_{name}", 1 << bit) for name, bit in CONTROL_BITS),
        *(_define(f"NPU_STATUS_{name}", 1 << bit) for name, bit in STATUS_BITS),
        "",
        "/* ERROR: code in bits 7:0, index of the instruction in bits 31:16. */",
        "#define NPU_ERROR_CODE(value) ((value) & 0xFFu)",
        "#define NPU_ERROR_INSTRUCTION(value) ((value) >> 16)",
        *(_define(f"NPU_ERROR_{name}", code) for name, code in hardware["errors"].items()),
        "",
        "/* Memories: 32-bit bus word `column` of memory word `word`. */",
        _define("NPU_LOG_BASE", hardware["log"]["base"]),
        _define("NPU_LOG_ENTRIES", hardware["log"]["entries"]),
        *_memory("PROGRAM", hardware["program"]),
        *_memory("WEIGHT", hardware["weights"]),
        *_memory("CHANNEL", hardware["channels"]),
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _define(name: str, value: int) -> str:
    return f"#define {name} 0x{value:08X}u"


def _memory(name: str, place: dict[str, int]) -> list[str]:
    return [
        _define(f"NPU_{name}_BASE", place["base"]),
        _define(f"NPU_{name}_WORDS", place["words"]),
        _define(f"NPU_{name}_COLUMNS", place["columns"]),
        f"#define NPU_{name}_ADDRESS(word, column) "
        f"(NPU_{name}_BASE + 4u * ((word) * {place['pitch']}u + (column)))",
    ]
