"""FPGA families and parts, synthesis, and place and route.

families and devices (resources of a family's primitives and of a part), yosys and synthesis (LUTs,
flip-flops, block RAMs and DSP slices of a design), module_areas (cache of synthesis results per
module), nextpnr and placement (highest clock and critical path), flow_reports (utilisation reports
of Vivado, Yosys and nextpnr).
"""

__all__ = [
    "devices",
    "families",
    "flow_reports",
    "module_areas",
    "nextpnr",
    "placement",
    "synthesis",
    "yosys",
]
