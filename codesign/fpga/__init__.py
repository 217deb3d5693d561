"""Devices and the tools that map Verilog to them.

families and devices (what a part holds), yosys and synthesis (LUTs, flip-flops, block RAMs, DSP
slices), module_areas (the same per module), nextpnr and placement (clock), flow_reports
(utilisation reports of Vivado and other flows).
"""

__all__ = [
    "devices",
    "families",
    "flow_reports",
    "nextpnr",
    "placement",
    "synthesis",
    "yosys",
]
