"""FPGA families and parts, synthesis, and place and route.

families and devices (resources of a family's primitives and of a part), yosys and synthesis (LUTs,
flip-flops, block RAMs and DSP slices of a design), verilog_text (what the text of Verilog files
shows), nextpnr and placement (highest clock and critical path), flow_reports (utilisation reports
of Vivado, Yosys and nextpnr).
"""

__all__ = [
    "devices",
    "families",
    "flow_reports",
    "nextpnr",
    "placement",
    "synthesis",
    "verilog_text",
    "yosys",
]
