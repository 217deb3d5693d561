"""Files around the Verilog: C header, hardware description, constraints and tool projects.

c_header writes driver/npu_regs.h, hardware the description of the NPU in program.json, projects the
constraints and the Vivado and FuseSoC project files.
"""

__all__ = [
    "c_header",
    "hardware",
    "projects",
]
